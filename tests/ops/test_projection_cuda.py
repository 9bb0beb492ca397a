"""The projectors' CUDA kernels without a GPU: run by an emulator, compiled by NVRTC, launched on paper."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from emulated_cuda import Emulator
from sinograd import (
    Backprojection,
    ConeBeam,
    CurvedDetector,
    FanBeam,
    FlatDetector,
    Grid,
    LinearOperator,
    ParallelBeam,
    XRayTransform,
    fdk,
    full_scan,
)
from sinograd.geometry import Geometry
from sinograd.ops import (
    add_backprojection,
    backproject,
    backproject_adjoint,
    device_cache,
    joseph,
    joseph_adjoint,
    projection_cuda,
    projection_tables,
)
from sinograd.ops import dispatch as native
from sinograd.ops.cuda import Program
from sinograd.ops.projection_cuda import Strip, Tile, strip_of, tile_of
from sinograd.recon.analytic import view_blocks
from sinograd.testing.operator_contract import ExactnessContract, distance, noise, per_dtype

CPU = torch.device("cpu")
AGREEMENT = {torch.float32: 1e-6, torch.float64: 1e-11}
PLACE = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)

# One scan of each kind of kernel and of each trap.
CASES = (
    "parallel 2-D, offsets",
    "fan, fine pixels",
    "fan, curved about another point",
    "parallel, steep rays",
    "cone, curved about another point",
    "cone, shifts",
    "cone, turned every way",
    "cone, steep rays",
    "cone, curved, turned every way",
    "cone, curved, on its side",
    "cone, curved, coarse pixels",
    "cone, curved, steep rays",
    "matrices, rows down in some views",
    "fine rows",
    "grid half outside",
    "one voxel",
)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    return Emulator(tmp_path_factory.mktemp("emulated"))


@pytest.fixture
def emulated(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """Tensors of the CPU go the way of a GPU's, and memory from `torch.empty` is full of NaN."""
    monkeypatch.setattr(projection_cuda, "launch", emulator.launch)
    monkeypatch.setattr(native, "runs_on_gpu", lambda tensor: True)
    torch.use_deterministic_algorithms(True)
    yield emulator
    torch.use_deterministic_algorithms(False)


def on_cpu(operator: Any, x: Tensor, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """What the kernels of the CPU make of it."""
    with monkeypatch.context() as patch:
        patch.setattr(native, "runs_on_gpu", lambda tensor: False)
        return operator(x)


@pytest.mark.usefixtures("emulated")
class EmulatedContract(ExactnessContract):
    labels: ClassVar = {"case": CASES, "large_case": ("fan", "cone, tilted")}
    seeds = range(1)
    fast_gradcheck = True  # the matrix of the adjoint is looked at entry by entry

    def reference(self, operator: Any, x: Tensor) -> Tensor:
        """The kernels of the CPU in float64, which their own contract ties to the textbook."""
        with pytest.MonkeyPatch.context() as patch:
            return on_cpu(operator, x, patch)


class TestXRayTransform(EmulatedContract):
    def make(self, case: Any) -> XRayTransform:
        return XRayTransform(*case)


class TestBackprojection(EmulatedContract):
    def make(self, case: Any) -> Backprojection:
        return Backprojection(*case, weighting="fdk" if case.geometry.divergent else "none")


def every_operator(geometry: Geometry, grid: Grid) -> list[Any]:
    operators: list[LinearOperator] = [XRayTransform(geometry, grid)]
    operators += [
        Backprojection(geometry, grid, w) for w in (("none", "fan", "fdk") if geometry.divergent else ("none",))
    ]
    return [one for operator in operators for one in (operator, operator.T)]


def tall(detector: type[FlatDetector] | type[CurvedDetector] = FlatDetector, **options: Any) -> tuple[Geometry, Grid]:
    """More of everything than a block takes: voxels along z, planes, rows, views."""
    area = detector((70, 11), (1.3, 1.6))
    angles = torch.linspace(0.1, 3.0, 9, dtype=torch.float64)
    geometry = ConeBeam.circular(source_to_origin=100, source_to_detector=150, angles=angles, detector=area, **options)
    return geometry, Grid((67, 9, 10), (0.9, 1.0, 1.1))


@per_dtype
@pytest.mark.parametrize("kind", ["flat", "curved", "tilted", "curved, tilted"])
def test_more_than_a_block_takes(
    kind: str, dtype: torch.dtype, emulated: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same as on the CPU, and the same bits for every split of a batch."""
    detector = CurvedDetector if "curved" in kind else FlatDetector
    geometry, grid = tall(detector, **({"tilt": 0.1} if "tilted" in kind else {}))
    for operator in (XRayTransform(geometry, grid), Backprojection(geometry, grid, "fdk")):
        for one in (operator, operator.T):
            x = noise((2, *one.domain_shape), 0, dtype, CPU)
            actual = one(x)
            assert distance(actual, on_cpu(one, x, monkeypatch)) <= AGREEMENT[dtype]
            assert torch.equal(actual[1], one(x[1]))


@pytest.mark.parametrize("options", [{}, {"tilt": 0.1}, {"offset": (0.0, 6.0)}], ids=str)
def test_fdk(options: dict[str, Any], emulated: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Block by block, and in slabs; buffers that are not written to would show as NaN."""
    area = FlatDetector((70, 11), (1.3, 1.6), offset=options.pop("offset", (0.0, 0.0)))
    geometry = ConeBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=full_scan(12), detector=area, **options
    )
    grid, x = Grid((67, 9, 10), (0.9, 1.0, 1.1)), noise((2, *geometry.projection_shape), 0, torch.float64, CPU)
    expected = on_cpu(lambda p: fdk(p, geometry, grid), x, monkeypatch)
    monkeypatch.setattr(view_blocks, "BLOCK_VIEWS", 5)
    monkeypatch.setattr(view_blocks, "BLOCK_BYTES", 1)
    assert distance(fdk(x, geometry, grid), expected) <= 1e-11
    if not options:
        assert distance(fdk(x, geometry, grid, device="cpu", memory=10**6), expected) <= 1e-7


@pytest.mark.usefixtures("emulated")
@pytest.mark.parametrize("kind", ["flat", "curved", "tilted", "curved, tilted"])
def test_little_memory(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Views and batches are taken in blocks, down to one by one."""
    detector = CurvedDetector if "curved" in kind else FlatDetector
    turned = {"tilt": 0.1} if "tilted" in kind else {}
    geometry = ConeBeam.circular(
        source_to_origin=30, source_to_detector=50, angles=[0.1, 0.9, 2.0], detector=detector((5, 6), 1.7), **turned
    )
    for one in every_operator(geometry, Grid((4, 5, 6))):
        x = noise((3, *one.domain_shape), 0, torch.float64, CPU)
        expected = one(x)
        with monkeypatch.context() as patch:
            patch.setattr(projection_cuda, "SCRATCH_BYTES", 1)
            assert distance(one(x), expected) <= 1e-14


@pytest.mark.parametrize("kind", ["flat", "curved", "tilted", "curved, tilted"])
def test_threads_and_blocks_run_in_any_order(kind: str, emulated: Emulator) -> None:
    """No thread reads what another writes without a barrier between: the same bits from the last to the first."""
    detector = CurvedDetector if "curved" in kind else FlatDetector
    geometry, grid = tall(detector, **({"tilt": 0.1} if "tilted" in kind else {}))
    geometry = geometry[:3]
    for one in every_operator(geometry, grid)[:4]:
        x = noise(one.domain_shape, 0, torch.float32, CPU)
        expected = one(x)
        emulated.backwards = True
        actual = one(x)
        emulated.backwards = False
        assert torch.equal(actual, expected)


@pytest.mark.usefixtures("emulated")
def test_general_kernels_do_what_the_axial_ones_do() -> None:
    geometry, grid = (
        ConeBeam.circular(
            source_to_origin=30, source_to_detector=50, angles=[0.1, 0.9], detector=FlatDetector((5, 6), 1.7)
        ),
        Grid((4, 5, 6)),
    )
    beam, place = (geometry.vectors, True), (grid.spacing, grid.center)
    x, y = noise(grid.shape, 0, torch.float64, CPU), noise(geometry.projection_shape, 1, torch.float64, CPU)
    for op, argument, shape, more in (
        (joseph, x, (5, 6), ()),
        (joseph_adjoint, y, grid.shape, ()),
        (backproject, y, grid.shape, ("fdk",)),
        (backproject_adjoint, x, (5, 6), ("fdk",)),
    ):
        axial, general = (op(argument, *beam, shape, *place, *more, path) for path in ("axial", "general"))
        assert distance(general, axial) <= 1e-10


@pytest.mark.usefixtures("emulated")
def test_nothing_where_nothing_is_met(blind_case: Any) -> None:
    for one in every_operator(*blind_case):
        assert one(torch.randn(one.domain_shape)).abs().max() == 0


@pytest.mark.usefixtures("emulated")
def test_batches(tiny_case: Any) -> None:
    for one in every_operator(*tiny_case)[:4]:
        x = noise((1, 3, *one.domain_shape), 0, torch.float32, CPU)
        result = one(x)
        assert all(torch.equal(result[0, j], one(x[0, j])) for j in range(3))
        assert one(x[:0]).shape == (0, 3, *one.range_shape)
        turned = x.transpose(0, 1).contiguous().transpose(0, 1)
        assert torch.equal(one(turned), result)


@pytest.mark.usefixtures("emulated")
def test_blocks_of_views_add_up() -> None:
    geometry = ConeBeam.circular(
        source_to_origin=30, source_to_detector=50, angles=[0.1, 0.9, 2.0], detector=FlatDetector((5, 6), 1.7)
    )
    projections, volume = noise((3, 5, 6), 0, torch.float64, CPU), noise((4, 5, 6), 1, torch.float64, CPU)
    expected = volume + Backprojection(geometry, Grid((4, 5, 6)))(projections)
    for view in range(3):
        add_backprojection(volume, projections[view : view + 1], geometry.vectors[view : view + 1], True, *PLACE)
    assert distance(volume, expected) <= 1e-14


ORBIT: dict[str, Any] = dict(source_to_origin=30.0, source_to_detector=50.0, angles=[0.1, 0.9])
BEAMS: dict[str, Geometry] = {
    "parallel 2-D, flat": ParallelBeam([0.1, 0.9], FlatDetector(9, 1.6)),
    "fan, flat": FanBeam.circular(**ORBIT, detector=FlatDetector(9, 1.6)),
    "fan, curved": FanBeam.circular(**ORBIT, detector=CurvedDetector(9, 1.6)),
    "parallel, flat": ParallelBeam([0.1, 0.9], FlatDetector((7, 9), (1.7, 1.6))),
    "cone, flat": ConeBeam.circular(**ORBIT, detector=FlatDetector((7, 9), (1.7, 1.6))),
    "cone, curved": ConeBeam.circular(**ORBIT, detector=CurvedDetector((7, 9), (1.7, 1.6))),
}


@per_dtype
@pytest.mark.parametrize("path", ["axial", "general"])
@pytest.mark.parametrize("beam", BEAMS)
def test_every_beam_detector_and_path_has_its_kernels(
    beam: str, path: str, dtype: torch.dtype, emulated: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And these do what those of the CPU do. Parallel beams of curved detectors do not exist (test_joseph.py)."""
    geometry, whole = BEAMS[beam], Grid((6, 8, 7))
    grid = whole if geometry.ndim == 3 else Grid(whole.shape[1:])
    volume, projections = noise(grid.shape, 0, dtype, CPU), noise(geometry.projection_shape, 1, dtype, CPU)
    for op, x, shape in (
        (joseph, volume, geometry.detector.shape),
        (joseph_adjoint, projections, grid.shape),
        (backproject, projections, grid.shape),
        (backproject_adjoint, volume, geometry.detector.shape),
    ):
        weighting = () if op in (joseph, joseph_adjoint) else ("fdk" if geometry.divergent else "none",)
        arguments = x, geometry.vectors, geometry.divergent, shape, grid.spacing, grid.center, *weighting, path
        start = len(emulated.launched)
        actual = op(*arguments)
        with monkeypatch.context() as patch:
            patch.setattr(native, "runs_on_gpu", lambda tensor: False)
            assert distance(actual, op(*arguments)) <= AGREEMENT[dtype]
        kernels = {name for _, name, _, _ in emulated.launched[start:]}
        kind = path if geometry.ndim == 3 else "planar"
        assert kernels and all(kind in name for name in kernels)


class TestTiles:
    """How blocks cover volumes and detector columns."""

    @pytest.mark.parametrize("depth, levels", [(1, 1), (32, 1), (33, 2), (64, 2), (65, 4), (2000, 4)])
    def test_volumes(self, depth: int, levels: int) -> None:
        shape = (depth, 21, 30)
        tile = tile_of(shape, columns=4, levels=4)
        assert tile == Tile(8, 4, levels)
        covered = tile.blocks(shape) * 8 * 4 * 32 * levels
        assert covered >= depth * 21 * 30
        assert tile.blocks((32 * levels, 4, 8)) == 1
        assert tile.macros == {"WARPS": 8, "COLUMNS": 4, "LEVELS": levels}

    @pytest.mark.parametrize(
        "rows, warps, levels", [(1, 1, 1), (33, 2, 1), (256, 8, 1), (257, 8, 2), (700, 8, 4), (5000, 8, 4)]
    )
    def test_columns_of_the_detector(self, rows: int, warps: int, levels: int) -> None:
        strip = strip_of(rows)
        assert strip == Strip(warps, levels)
        assert strip.blocks(rows) * 32 * warps * levels >= rows
        assert strip.blocks(32 * warps * levels) == 1

    def test_equal_scans_share_programs(self, emulated: Emulator) -> None:
        """Numbers of a scan are arguments, not macros: another scan compiles nothing."""
        programs = set()
        for voxels, angle in ((5, 0.1), (7, 0.4)):
            geometry = ConeBeam.circular(
                source_to_origin=30, source_to_detector=50, angles=[angle], detector=FlatDetector((5, voxels), 1.7)
            )
            start = len(emulated.launched)
            XRayTransform(geometry, Grid((4, 5, voxels)))(torch.zeros(4, 5, voxels))
            programs.add(emulated.launched[start][0])
        assert len(programs) == 1
        assert not programs.pop().contracted


class TestTables:
    @staticmethod
    def scan(angle: float = 0.1, spacing: float = 1.0) -> projection_tables.Scan:
        geometry = ConeBeam.circular(
            source_to_origin=30, source_to_detector=50, angles=[angle, 1.0], detector=FlatDetector((5, 6), 1.7)
        )
        spacings = (spacing, 1.0, 1.0)
        return projection_tables.Scan(geometry.vectors, True, (5, 6), (4, 5, 6), spacings, (0.0, 0.0, 0.5), 2)

    def test_header(self) -> None:
        """In the order and with the sizes of `struct Scan`."""
        header = self.scan(spacing=0.25).header()
        assert header.nbytes == 168
        z, y, x = (4, 0.25, 0.0, 0, 0), (5, 1.0, 0.0, 0, 0), (6, 1.0, 0.5, 0, 0)
        assert header.tolist()[0] == (*z, *y, *x, 5, 6, 0, 0, 1, 2)

    def test_header_of_a_part(self) -> None:
        """Slices 3 to 6 of 20, rows 7 to 11 of 40."""
        part = projection_tables.Portion(3, 20, 7, 40)
        header = dataclasses.replace(self.scan(), part=part).header()
        assert header.tolist()[0] == (4, 1.0, 0.0, 3, 20, 5, 1.0, 0.0, 0, 0, 6, 1.0, 0.5, 0, 0, 5, 6, 7, 0, 1, 2)
        assert part.flipped(5) == projection_tables.Portion(3, 20, 28, 40)

    def test_copied_once_for_each_scan_and_device(self) -> None:
        cache = projection_tables.TableCache()
        first = cache.get(self.scan(), CPU)
        assert cache.get(self.scan(), CPU) is first
        assert cache.get(self.scan(angle=0.2), CPU) is not first
        assert cache.get(self.scan(spacing=2.0), CPU) is not first
        assert cache.get(self.scan(), torch.device("meta")).views.device.type == "meta"
        assert torch.equal(first.vectors, self.scan().vectors)
        assert first.views.shape == (2, 16)

    def test_the_oldest_make_room(self) -> None:
        cache = projection_tables.TableCache(size=2)
        first = cache.get(self.scan(), CPU)
        cache.get(self.scan(angle=0.2), CPU)
        assert cache.get(self.scan(), CPU) is first
        cache.get(self.scan(angle=0.3), CPU)
        assert cache.get(self.scan(), CPU) is first
        assert len(cache.kept) == 2

    def test_graphs_keep_theirs_and_want_a_first_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cache = projection_tables.TableCache(size=1)
        first = cache.get(self.scan(), CPU)
        monkeypatch.setattr(device_cache, "capturing", lambda device: True)
        with pytest.raises(RuntimeError, match="run the same call once before the capture of a CUDA graph"):
            cache.get(self.scan(angle=0.2), CPU)
        assert cache.get(self.scan(), CPU) is first
        monkeypatch.setattr(device_cache, "capturing", lambda device: False)
        cache.get(self.scan(angle=0.2), CPU)
        assert cache.get(self.scan(), CPU) is first


class TestDevices:
    """What is said of tensors that are not where they should be."""

    def test_vectors_stay_on_the_cpu(self) -> None:
        vectors = TestTables.scan().vectors.to("meta")
        with pytest.raises(ValueError, match=r"vectors: expected a tensor on the CPU, .* got meta"):
            native.Call(vectors, True, (5, 6), (4, 5, 6), *PLACE)

    def test_a_target_elsewhere(self) -> None:
        scan = TestTables.scan()
        volume = torch.zeros(4, 5, 6, device="meta")
        with pytest.raises(ValueError, match=r"volume: expected it on the device of projections, cpu, got meta"):
            add_backprojection(volume, torch.zeros(2, 5, 6), scan.vectors, True, *PLACE)

    def test_other_devices(self) -> None:
        scan = TestTables.scan()
        with pytest.raises(ValueError, match=r"volume: expected a tensor on the CPU or CUDA, got one on meta"):
            native.check_shape("volume", torch.zeros(4, 5, 6, device="meta"), "grid", (4, 5, 6), "zyx")
        assert scan.detector == (5, 6)


PROGRAMS: dict[str, dict[str, int]] = {
    "axial_backprojection.cu": {"WARPS": 8, "COLUMNS": 4, "LEVELS": 4},
    "axial_joseph.cu": {"WARPS": 8, "COLUMNS": 2, "LEVELS": 4},
    "general_backprojection.cu": {"CURVED": 0, "LEVELS": 4},
    "general_joseph.cu": {"CURVED": 0},
    "planar.cu": {"IMAGES": 4},
}


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"])
@pytest.mark.parametrize("file", PROGRAMS)
def test_compiles_for_every_generation(file: str, arch: str) -> None:
    """NVRTC needs no GPU for that. The kernels are in the code, under their names."""
    pytest.importorskip("cuda.core", reason="needs cuda-core: pip install 'sinograd[cuda]'")
    macros, real = PROGRAMS[file], "double" if arch in ("sm_80", "sm_100") else "float"
    if arch != "sm_90":  # less to unroll
        macros = {name: min(size, 8 if name == "WARPS" else 1) for name, size in macros.items()}
    kinds = [{"CURVED": curved} for curved in (0, 1)] if "CURVED" in macros else [{}]
    codes = [Program.of(file, contracted=False, REAL=real, **{**macros, **kind}).compile(arch) for kind in kinds]
    names = {
        "axial_backprojection.cu": ["backproject_axial", "backproject_axial_adjoint"],
        "axial_joseph.cu": ["joseph_axial", "joseph_axial_rays", "joseph_axial_adjoint"],
        "general_backprojection.cu": ["backproject_general", "backproject_general_adjoint"],
        "general_joseph.cu": ["joseph_general", "joseph_general_rays", "joseph_general_adjoint"],
        "planar.cu": ["backproject_planar", "joseph_planar_fans", "joseph_planar_adjoint"],
    }[file]
    assert all(code.code_type == "cubin" for code in codes)
    assert all(f".text.{name}".encode() in bytes(code.code) for name in names for code in codes)
