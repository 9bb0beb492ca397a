"""The ways through the kernels agree: axial and general, every instruction set, and after a fork."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sinograd import (
    Backprojection,
    ConeBeam,
    CurvedDetector,
    FanBeam,
    FlatDetector,
    Geometry,
    Grid,
    LinearOperator,
    ParallelBeam,
    XRayTransform,
    _native,
    full_scan,
)
from sinograd.ops import backproject, backproject_adjoint, joseph, joseph_adjoint
from sinograd.ops.kernel_views import is_axial
from sinograd.testing.operator_contract import DTYPES, distance, noise, per_dtype

CPU = torch.device("cpu")
PATH_TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-10}

# Voxels per detector row and lengths of lines, around the widths and limits of vector kernels.
STEPS = (0.07, 0.4, 0.97, 1.0, 1.003, 1.03, 1.5, 1.66, 1.67, 1.9999, 2.0, 2.0001, 2.6, 3.0, 4.0, 5.5, 7.9, 8.0, 8.6)
HEIGHTS = (2, 9, 17, 40)
PIXELS = (0.07, 0.6, 0.93, 1.0, 1.3, 1.85, 2.1, 4.0)
WIDTHS = (1, 2, 7, 8, 9, 15, 16, 17, 33, 65)
LENGTHS = ((1, 1), (1, 40), (9, 1), (7, 16), (16, 15), (17, 33), (40, 64), (65, 31), (131, 130), (530, 70))


def through(path: str, operator: LinearOperator, adjoint: bool, x: Tensor) -> Tensor:
    """The operator or its adjoint by one of the paths."""
    geometry, grid = operator.geometry, operator.grid
    beam = geometry.vectors, geometry.divergent
    volume_in = isinstance(operator, XRayTransform) != adjoint
    shape = geometry.detector.shape if volume_in else grid.shape
    if isinstance(operator, Backprojection):
        op = backproject_adjoint if adjoint else backproject
        return op(x, *beam, shape, grid.spacing, grid.center, operator.weighting, path)
    op = joseph_adjoint if adjoint else joseph
    return op(x, *beam, shape, grid.spacing, grid.center, path)


def operators(geometry: Geometry, grid: Grid) -> list[LinearOperator]:
    """One of each kind."""
    return [XRayTransform(geometry, grid), Backprojection(geometry, grid, "fdk" if geometry.divergent else "none")]


def footprints(geometry: Geometry, grid: Grid) -> list[LinearOperator]:
    """The operator of footprints, where the geometry has one."""
    if geometry.ndim == 3 and not is_axial(geometry.vectors, geometry.divergent, geometry.detector.shape):
        return []
    return [XRayTransform(geometry, grid, model="footprint")]


def one_line(step: float, voxels: int, rows: int) -> tuple[Geometry, Grid]:
    """Lines of voxels, `step` rows apart, and lines of the detector."""
    geometry = ParallelBeam([0.3, 1.9], FlatDetector((rows, 3), 1.0, offset=(0.37, 0.2)))
    return geometry, Grid((voxels, 2, 3), (step, 1.1, 0.9))


def of_width(width: int) -> list[tuple[Geometry, Grid]]:
    """Slices, and volumes seen by tilted detectors: the kernels that run along x or along rows."""
    circle: dict[str, Any] = dict(source_to_origin=150, source_to_detector=250, angles=[0.3, 1.9, 4.4])
    geometries = (
        ParallelBeam([0.3, 1.9, 4.4], FlatDetector(width, 1.0)),
        FanBeam.circular(**circle, detector=FlatDetector(width, 1.6)),
        FanBeam.circular(**circle, detector=CurvedDetector(width, 1.6)),
        ParallelBeam([0.3, 1.9], FlatDetector((4, width), 1.0), tilt=0.1),
        ConeBeam.circular(**circle, detector=FlatDetector((4, width), 1.6), in_plane_rotation=0.1),
    )
    return [(geometry, Grid((3, 5, width)[-geometry.ndim :], 1.0)) for geometry in geometries]


def of_pixels(spacing: float) -> list[LinearOperator]:
    """Backprojections of slices with pixels `spacing` mm wide along x (columns are 1 mm wide there): vectors of them
    meet few columns or many, some beside the detector, some behind the source."""
    circle: dict[str, Any] = dict(angles=[0.0, 0.8, 1.6, 4.4], source_to_origin=60)
    fan = FanBeam.circular(**circle, source_to_detector=120, detector=FlatDetector(61, 2.0, offset=3.0))
    parallel = ParallelBeam([0.0, 0.7, 1.6, 4.4], FlatDetector(61, 1.0, offset=-2.2))
    found: list[LinearOperator] = []
    for width, centre in ((300, (0.5, 0.0)), (83, (-2.0, 9.0)), (16, (0.0, 20.0)), (5, (1.0, 0.1))):
        reach = min(width, int(90 / spacing))
        grid = Grid((3, reach), (1.3, spacing), centre)
        found += [Backprojection(fan, grid, weighting) for weighting in ("none", "fan", "fdk")]
        found.append(Backprojection(parallel, grid))
    return found


def of_height(height: int) -> list[tuple[Geometry, Grid]]:
    """Volumes seen by detectors that are turned, and so far away that neighbouring rays and voxels look alike: the
    kernels that take vectors of them along z."""
    circle: dict[str, Any] = dict(source_to_origin=700, source_to_detector=1000, angles=[0.3, 0.8, 4.4])
    turns: list[dict[str, Any]] = [
        dict(tilt=0.03),
        dict(tilt=-0.4),
        dict(in_plane_rotation=0.5),
        dict(tilt=0.1, yaw=-0.2, in_plane_rotation=2.9),
        dict(tilt=0.1, in_plane_rotation=1.5),
    ]
    grid, pixel = Grid((height, 6, 5), (1.0, 1.3, 1.1)), (1.6, 1.4)
    cones = [ConeBeam.circular(**circle, detector=FlatDetector((height, 7), pixel), **turn) for turn in turns]
    rays = ParallelBeam([0.3, 1.9], FlatDetector((height, 7), 0.9), tilt=0.1, in_plane_rotation=0.05)
    return [(geometry, grid) for geometry in (*cones, rays)]


class TestPaths:
    @staticmethod
    def accepts(geometry: Geometry) -> bool:
        return geometry.ndim == 3 and is_axial(geometry.vectors, geometry.divergent, geometry.detector.shape)

    @per_dtype
    def test_axial_and_general_agree(self, case: Any, dtype: torch.dtype) -> None:
        """Two implementations that share no loop."""
        geometry, grid = case
        fan = [Backprojection(geometry, grid, "fan")] if geometry.divergent else []
        for operator in (*operators(geometry, grid), Backprojection(geometry, grid), *fan):
            for adjoint, shape in ((False, operator.domain_shape), (True, operator.range_shape)):
                x = noise(shape, 0, dtype, CPU)
                axial, general = (through(path, operator, adjoint, x) for path in ("axial", "general"))
                assert distance(axial, general) <= PATH_TOLERANCE[dtype]
                assert torch.equal(axial, through("auto", operator, adjoint, x))


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("turn", ["tilt", "in_plane_rotation"])
def test_axial_path_is_refused_where_rows_are_not_parallel_to_the_axis(turn: str, adjoint: bool) -> None:
    geometry = ConeBeam.circular(
        source_to_origin=30,
        source_to_detector=50,
        angles=full_scan(3),
        detector=FlatDetector((5, 6), 1.7),
        **{turn: 0.1},
    )
    for operator in operators(geometry, Grid((4, 5, 6))):
        x = torch.randn(operator.range_shape if adjoint else operator.domain_shape)
        with pytest.raises(ValueError, match="axial"):
            through("axial", operator, adjoint, x)


def run(script: str, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    """A Python of its own. It gets a time limit by `communicate`."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str], seconds: float = 300) -> tuple[int, str]:
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        pytest.fail(f"no end after {seconds} s: {output}")
    return process.returncode, output


APPLY = '''
import pickle, sys
import torch
from sinograd import _native

def poisoned(operator, x):
    """Free memory is full of NaN, which no weight of zero hides, when the operator asks for some."""
    poison = [torch.full((2**k,), torch.nan) for k in range(6, 15) for _ in range(3)]
    del poison
    return operator(x)

torch.set_num_threads(1)
with open(sys.argv[1], "rb") as file:
    jobs = pickle.load(file)
results = [(poisoned(operator, x), poisoned(operator.T, y)) for operator, x, y in jobs]
with open(sys.argv[2], "wb") as file:
    pickle.dump((_native.instruction_set(), results), file)
'''


class TestInstructionSets:
    @pytest.fixture(scope="class")
    @classmethod
    def jobs(cls, every_case: list[Any]) -> list[tuple[LinearOperator, Tensor, Tensor]]:
        scans = [*every_case, *(one_line(step, *lengths) for step in STEPS for lengths in LENGTHS)]
        scans += [scan for width in WIDTHS for scan in of_width(width)]
        scans += [scan for height in HEIGHTS for scan in of_height(height)]
        made = [operator for scan in scans for operator in (*operators(*scan), *footprints(*scan))]
        made += [operator for spacing in PIXELS for operator in of_pixels(spacing)]
        return [
            (operator, noise(operator.domain_shape, 0, dtype, CPU), noise(operator.range_shape, 1, dtype, CPU))
            for operator in made
            for dtype in DTYPES
        ]

    @pytest.fixture(scope="class")
    @classmethod
    def results(cls, jobs: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[Tensor, Tensor]]]:
        """What every instruction set of this machine makes of the jobs, each in a process of its own."""
        folder = tmp_path_factory.mktemp("instruction_sets")
        (folder / "jobs").write_bytes(pickle.dumps(jobs))
        children = {
            name: run(APPLY, folder / "jobs", folder / name, SINOGRAD_SIMD=name) for name in _native.instruction_sets()
        }
        results = {}
        for name, child in children.items():
            code, output = finish(child)
            assert code == 0, output
            used, results[name] = pickle.loads((folder / name).read_bytes())
            assert used == name
        return results

    def test_each_agrees_with_the_general_kernels(self, jobs: Any, results: Any) -> None:
        """Those of this process, in float64, which the contract holds to the reference."""
        for i, (operator, x, y) in enumerate(jobs):
            if operator.geometry.ndim == 2 or getattr(operator, "model", "") == "footprint":
                continue  # no general kernels: the contract holds them to the reference
            sides = [(side, through("general", operator, side == 1, z.double())) for side, z in enumerate((x, y))]
            for name, (side, expected) in ((name, side) for name in results for side in sides):
                if expected.norm() == 0:
                    assert results[name][i][side].norm() == 0
                    continue
                error = distance(results[name][i][side], expected)
                assert error <= PATH_TOLERANCE[x.dtype], (name, operator, side)

    def test_all_agree_with_one_another(self, jobs: Any, results: Any) -> None:
        """Slices, too; the contract holds the best one to the reference."""
        portable = results["portable"]
        for name, others in results.items():
            for (operator, x, _), first, second in zip(jobs, portable, others, strict=True):
                for a, b in zip(first, second, strict=True):
                    tolerance = {torch.float32: 1e-6, torch.float64: 1e-13}[x.dtype]
                    assert (a - b).norm() <= tolerance * a.norm(), (name, operator)

    def test_unknown_name(self) -> None:
        """The message names the variable, what came and what this machine has."""
        script = "from sinograd import _native; _native.instruction_set()"
        code, output = finish(run(script, SINOGRAD_SIMD="mmx"))
        assert code != 0
        message = output.splitlines()[-1]
        assert message.startswith("ValueError: SINOGRAD_SIMD")
        assert all(word in message for word in ("mmx", *_native.instruction_sets()))

    def test_best_one_is_the_default(self) -> None:
        expected = os.environ.get("SINOGRAD_SIMD") or _native.instruction_sets()[-1]
        assert _native.instruction_set() == expected


FORK = """
import torch
from torch.utils.data import DataLoader, Dataset
import sinograd as sg

class Projections(Dataset):
    def __init__(self, operator):
        self.operator = operator
    def __len__(self):
        return 4
    def __getitem__(self, i):
        return self.operator(torch.full(self.operator.domain_shape, float(i)))

if __name__ == "__main__":
    torch.set_num_threads(2)
    geometry = sg.ConeBeam.circular(source_to_origin=30, source_to_detector=50, angles=sg.full_scan(8),
                                    detector=sg.FlatDetector((8, 9), 1.7))
    operator = sg.XRayTransform(geometry, sg.Grid((6, 40, 40), 0.2))
    expected = operator(torch.ones(operator.domain_shape))
    loader = DataLoader(Projections(operator), batch_size=2, num_workers=2, multiprocessing_context="fork")
    for batch in loader:
        print([round((p / expected).nanmean().item(), 3) for p in batch])
    assert torch.equal(operator(torch.ones(operator.domain_shape)), expected)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_data_loader_workers_after_the_parent_used_its_threads() -> None:
    """A pool of threads does not survive a fork: with an explicit number of threads the workers would hang."""
    code, output = finish(run(FORK))
    assert code == 0, output
    assert output.splitlines() == ["[0.0, 1.0]", "[2.0, 3.0]"]


INSIDE = """
import torch
import sinograd as sg
from sinograd.ops import backproject, backproject_adjoint, joseph, joseph_adjoint

geometry = sg.ConeBeam.circular(source_to_origin=2.3, source_to_detector=12, angles=sg.full_scan(5),
                                detector=sg.FlatDetector((70, 90), 0.3))
place = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
beam = geometry.vectors, True
for dtype in (torch.float32, torch.float64):
    x, y = torch.randn(6, 8, 7, dtype=dtype), torch.randn(5, 70, 90, dtype=dtype)
    for _ in range(3):
        joseph(x, *beam, (70, 90), *place)
        joseph_adjoint(y, *beam, (6, 8, 7), *place)
        backproject(y, *beam, (6, 8, 7), *place)
        backproject_adjoint(x, *beam, (70, 90), *place)
"""


def test_source_inside_the_grid_breaks_no_memory() -> None:
    """`XRayTransform` and `Backprojection` refuse it, the functions below them need not, but must not crash."""
    code, output = finish(run(INSIDE, MALLOC_PERTURB_="165"))
    assert code == 0, output
