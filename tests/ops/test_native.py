"""The compiled module: how it is loaded, what is said where it cannot be, and that there is one OpenMP runtime."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sinograd as sg
from sinograd.errors import MissingPackageError
from sinograd.ops import native as module

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc/self/maps")


@needs_linux
def test_one_runtime_after_parallel_work_and_a_forked_worker(project_root: Path) -> None:
    """Two would hang in the worker. Truth: what Linux says is loaded."""
    program = project_root / "packaging" / "runtimes.py"
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    process, worker = (line.split(": ", 1) for line in done.stdout.splitlines())
    assert (process[0], worker[0]) == ("OpenMP in the process", "OpenMP in a forked worker")
    assert process[1] == worker[1]
    assert Path(process[1]).name.startswith("libgomp") and Path(process[1]).is_file()


def test_runtimes_of_a_memory_map(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text(
        "7f00-7f01 r-xp 00000000 fe:00 1 /a b/torch/lib/libgomp-a34b3233.so.1\n"
        "7f01-7f02 r--p 00001000 fe:00 1 /a b/torch/lib/libgomp-a34b3233.so.1\n"
        "7f02-7f03 r-xp 00000000 fe:00 2 /usr/lib/libgomp.so.1.0.0\n"
        "7f03-7f04 rw-p 00000000 00:00 0 \n"
        "7f04-7f05 r-xp 00000000 fe:00 3 /usr/lib/libgompholiasis.py\n"
        "7f05-7f06 rw-p 00000000 00:00 0 [heap]\n"
        "7f06-7f07 r-xp 00000000 fe:00 4 /site-packages/finufft.libs/libgomp-24e2ab19.so.1.0.0\n"
    )
    assert module.openmp_runtimes(maps) == ["/a b/torch/lib/libgomp-a34b3233.so.1", "/usr/lib/libgomp.so.1.0.0"]
    assert module.openmp_runtimes(tmp_path / "absent") == []


@pytest.mark.parametrize(
    ("error", "musl", "text"),
    [
        ("libgomp.so.1: cannot open shared object file", False, "libgomp1"),
        ("version `GLIBC_2.31' not found", False, "--no-binary"),
        ("No module named 'sinograd._native'", False, "pip install"),
        ("Error relocating: __memcpy_chk: symbol not found", True, "musl"),
    ],
)
def test_a_module_that_cannot_be_loaded(error: str, musl: bool, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "uses_musl", lambda: musl)
    found = module._remedy(ImportError(error))
    assert text in found


def test_an_absent_module_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sg, "_native", raising=False)
    monkeypatch.setitem(sys.modules, "sinograd._native", None)
    with pytest.raises(MissingPackageError, match=r"compiled module cannot be loaded \(.*\): .*pip install"):
        module.native()
