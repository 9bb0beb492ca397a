"""Programs: their identity, their compilation by NVRTC, and what is kept on disk."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sinograd.ops.cuda import Program, program


@pytest.fixture
def core() -> Any:
    return pytest.importorskip("cuda.core", reason="needs cuda-core: pip install 'sinograd[cuda]'")


def test_macros_are_the_identity_in_any_order() -> None:
    one = Program.of("k.cu", REAL="float", JOINT=True, RADIUS=2)
    assert one == Program.of("k.cu", RADIUS=2, JOINT=1, REAL="float")
    assert hash(one) == hash(Program.of("k.cu", RADIUS=2, JOINT=1, REAL="float"))
    assert one.macros == (("JOINT", "1"), ("RADIUS", "2"), ("REAL", "float"))
    assert one != Program.of("k.cu", REAL="double", JOINT=True, RADIUS=2)
    assert one != Program.of("other.cu", REAL="float", JOINT=True, RADIUS=2)


def test_loaded_once_for_each_architecture_and_device(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[tuple[str, Any]] = []
    monkeypatch.setattr(program, "disk_cache", lambda: "cache")
    monkeypatch.setattr(program, "check_compiler", lambda arch: None)
    monkeypatch.setattr(Program, "compile", lambda self, arch, cache: compiled.append((arch, cache)) or object())
    program.load.cache_clear()
    one, same = Program.of("k.cu", A=1), Program.of("k.cu", A=1)
    first = program.load(one, "sm_90", 0)
    assert program.load(same, "sm_90", 0) is first
    others = [
        program.load(one, "sm_80", 0),
        program.load(one, "sm_90", 1),
        program.load(Program.of("k.cu"), "sm_90", 0),
    ]
    assert len({id(code) for code in (first, *others)}) == 4
    assert compiled == [("sm_90", "cache"), ("sm_80", "cache"), ("sm_90", "cache"), ("sm_90", "cache")]
    program.load.cache_clear()


@pytest.mark.parametrize("header", ["bilateral_weight.h", "line_neighbours.h", "ray_path.h", "voxel_projection.h"])
def test_shared_headers_compile_for_a_gpu(core: Any, header: str) -> None:
    assert Program.of(header).compile("sm_90").code_type == "cubin"


def test_the_disk_cache_gives_the_same_code(core: Any, tmp_path: Path) -> None:
    from cuda.core.utils import FileStreamProgramCache

    one, other = (Program.of("bilateral_weight.h", MACRO=value) for value in (1, 2))
    with FileStreamProgramCache(tmp_path) as cache:
        new = bytes(one.compile("sm_90", cache).code)
        kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == new]
        assert len(kept) == 1
        assert bytes(one.compile("sm_90", cache).code) == new
        before = sum(path.is_file() for path in tmp_path.rglob("*"))
        other.compile("sm_90", cache)
        one.compile("sm_80", cache)
        assert sum(path.is_file() for path in tmp_path.rglob("*")) == before + 2


def test_errors_name_file_and_line(core: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sinograd.ops.cuda import source

    for name in ("cuda", "include"):
        (tmp_path / name).mkdir()
    (tmp_path / "cuda" / "prelude.h").write_text("\n")
    (tmp_path / "cuda" / "wrong.cu").write_text("int fine;\nint wrong = nothing;\n")
    monkeypatch.setattr(source, "kernel_folder", lambda: tmp_path)
    source.assemble.cache_clear()
    with pytest.raises(Exception, match=r"wrong\.cu\(2\)"):
        Program.of("wrong.cu").compile("sm_90")
    source.assemble.cache_clear()


def test_without_cuda_core_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.core", None)
    with pytest.raises(ImportError, match=r"tensors on a GPU need the package cuda-core: pip install"):
        Program.of("bilateral.cu").compile("sm_90")


def test_older_cuda_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its modules had another name, and no cache."""
    old, modules = SimpleNamespace(Program=None), {"cuda.core": SimpleNamespace(), "cuda.core.utils": SimpleNamespace()}
    modules["cuda.core.experimental"] = old
    monkeypatch.setattr(program.importlib, "import_module", modules.__getitem__)
    assert program.cuda_core() is old
    program.disk_cache.cache_clear()
    with pytest.warns(UserWarning, match="compiled CUDA kernels are not kept: pip install --upgrade cuda-core"):
        assert program.disk_cache() is None
    program.disk_cache.cache_clear()


class TestBeforeAnythingIsCompiled:
    """What a user's machine may lack is said in one sentence."""

    @pytest.fixture(autouse=True)
    def bindings(self, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
        """In the place of NVIDIA's: a compiler and a driver of CUDA 13."""
        bindings = SimpleNamespace(
            nvrtcVersion=lambda: (0, 13, 1),
            nvrtcGetSupportedArchs=lambda: (0, [75, 80, 90, 100, 120]),
            cuDriverGetVersion=lambda: (0, 13000),
        )
        monkeypatch.setattr(program.importlib, "import_module", lambda name: bindings)
        program.check_compiler.cache_clear()
        yield bindings
        program.check_compiler.cache_clear()

    def test_nothing_is_said_where_nothing_is_wrong(self) -> None:
        program.check_compiler("sm_90")

    def test_no_compiler(self, bindings: SimpleNamespace) -> None:
        bindings.nvrtcVersion = None
        with pytest.raises(RuntimeError, match=r"run-time compiler NVRTC: pip install 'sinograd\[cuda\]'"):
            program.check_compiler("sm_90")

    def test_an_old_gpu_and_a_new_one(self) -> None:
        with pytest.raises(RuntimeError, match=r"this GPU is an sm_70, and NVRTC 13.1 makes code for sm_75 to sm_120"):
            program.check_compiler("sm_70")
        with pytest.raises(RuntimeError, match=r"this GPU is an sm_140, .*: pip install --upgrade"):
            program.check_compiler("sm_140")

    def test_an_old_driver(self, bindings: SimpleNamespace) -> None:
        bindings.cuDriverGetVersion = lambda: (0, 12080)
        with pytest.raises(
            RuntimeError, match=r"runs CUDA 12, and NVRTC makes code for CUDA 13: update the driver, or"
        ):
            program.check_compiler("sm_90")

    def test_inside_a_graph(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(program, "capturing", lambda device: True)
        with pytest.raises(RuntimeError, match="run the same call once before the capture of a CUDA graph begins"):
            program.load(Program.of("k.cu", A=3), "sm_90", 0)


def test_sums_of_products_are_contracted_unless_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adjoint kernels find their coordinates again only if the compiler rounds as the other ones do."""
    options: list[Any] = []
    compiled = SimpleNamespace(compile=lambda kind: None)
    core = SimpleNamespace(ProgramOptions=lambda **given: options.append(given), Program=lambda *given: compiled)
    monkeypatch.setattr(program, "cuda_core", lambda: core)
    Program.of("planar.cu", IMAGES=1).compile("sm_90")
    Program.of("planar.cu", contracted=False, IMAGES=1).compile("sm_90")
    assert [given["fma"] for given in options] == [True, False]
    assert Program.of("planar.cu") != Program.of("planar.cu", contracted=False)
