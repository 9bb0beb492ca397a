"""Single-slice rebinning. Truth: exact projections of a fan beam through the slice, and a slow loop for one ray."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.errors import InputError
from sinograd.ops import SingleSliceRebinning
from sinograd.phantoms import Ellipsoids
from sinograd.phantoms.balls import balls
from sinograd.testing import CtPdStyle, OperatorContract, write_ct_pd

TURN = 72
ORBIT = {"source_to_origin": 595.0, "source_to_detector": 1085.6}
CURVED = sg.CurvedDetector((16, 60), (2.0, 12.0), offset=(0.6, 3.0))
FLAT = sg.FlatDetector((16, 60), (2.0, 12.0), offset=(0.6, 3.0))
COLLIMATION = 16 * 2.0 * 595 / 1085.6  # mm at the axis
# endless along z: cylinders of elliptical section
RODS = Ellipsoids(
    center=[(40.0, 10.0, 0.0), (-60.0, 50.0, 0.0), (0.0, -30.0, 0.0)],
    semi_axes=[(30.0, 20.0, 1e6), (20.0, 45.0, 1e6), (90.0, 80.0, 1e6)],
    value=[0.01, 0.02, 0.01],
)


def helix(
    detector: Any = CURVED, *, turns: float = 4, pitch: float = 12.0, turn: float = 1.0, **more: Any
) -> sg.ConeBeam:
    angles = turn * torch.arange(round(turns * TURN), dtype=torch.float64) * 2 * math.pi / TURN + 0.4
    return sg.ConeBeam.helical(**ORBIT, angles=angles, detector=detector, pitch=pitch, z_start=-20.0, **more)


def flying(geometry: sg.ConeBeam, outward: float = 5.45) -> Tensor:
    """In columns, in z and outward: four places in turn."""
    pattern = torch.tensor([[-0.6, 0.7, outward], [0.0, 0.7, 0.0], [-0.6, -0.7, outward], [0.0, -0.7, 0.0]])
    return pattern.double().repeat(geometry.views // 4, 1)


def scan_of(phantom: Ellipsoids, geometry: sg.ConeBeam) -> sg.Scan:
    return sg.Scan(phantom.project(geometry, dtype=torch.float64), geometry)


def plane(phantom: Ellipsoids, fan: sg.FanBeam, z: float) -> Tensor:
    """The exact line integrals in the slice: a cone beam of one row that lies in it, [views, columns]."""
    source, center, u = (fan.vectors[:, row].clone() for row in range(3))
    source[:, 2], center[:, 2] = z, z
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(fan.views, 3)
    old = fan.detector
    detector: Any = sg.FlatDetector((1, old.columns), (1.0, old.column_spacing))
    if isinstance(old, sg.CurvedDetector):
        radius = old.radius or ORBIT["source_to_detector"]
        detector = sg.CurvedDetector((1, old.columns), (1.0, old.column_spacing), radius=radius)
    row = sg.ConeBeam.from_vectors(sources=source, centers=center, u=u, v=up, detector=detector)
    return phantom.project(row, dtype=torch.float64)[:, 0]


@pytest.mark.parametrize("detector", [CURVED, FLAT], ids=["curved", "flat"])
@pytest.mark.parametrize(("pitch", "turn"), [(12.0, 1.0), (-12.0, 1.0), (12.0, -1.0), (24.0, 1.0)])
@pytest.mark.parametrize("spot", ["still", "flying", "flying in columns"])
def test_objects_that_do_not_vary_along_z_are_exact(detector: Any, pitch: float, turn: float, spot: str) -> None:
    """To rounding (of rods 2 km long), for both table directions and every place of the focal spot."""
    geometry = helix(detector, pitch=pitch, turn=turn)
    if spot != "still":
        offset = flying(geometry, 5.45 if spot == "flying" else 0.0)
        geometry = helix(detector, pitch=pitch, turn=turn, source_offset=offset)
    heights = geometry.vectors[:, 0, 2]
    middle = float(heights[[0, -1]].mean())
    slices = sg.rebin(scan_of(RODS, geometry), [middle + 3.3, middle])
    assert [z for z, _ in slices] == [middle + 3.3, middle]
    for z, scan in slices:
        assert isinstance(scan.geometry, sg.FanBeam) and scan.metadata["z_mm"] == z
        scan.check_shape()
        fan = scan.geometry
        assert fan.views == TURN if abs(pitch) < 20 else TURN / 2 < fan.views < TURN
        torch.testing.assert_close(scan.projections, plane(RODS, fan, z), rtol=1e-7, atol=1e-8)
        # the focal spots are those of the helix
        source = geometry.vectors[:, 0, :2]
        first = int((source - fan.vectors[0, 0, :2]).norm(dim=1).lt(1e-9).nonzero()[-1 if turn < 0 else 0])
        assert first >= 0


def test_a_small_cone_is_nearly_exact() -> None:
    """A ball, where rays are tilted by less than half a degree: its slice is within 1 % of the exact one."""
    detector = sg.CurvedDetector((16, 60), (0.8, 12.0))
    geometry = helix(detector, pitch=5.0, turns=8)
    phantom = balls([80.0, 40.0], [0.02, -0.01], [(20.0, 10.0, 0.0), (-20.0, 30.0, 5.0)])
    ((z, scan),) = sg.rebin(scan_of(phantom, geometry), 1.0)
    exact = plane(phantom, scan.geometry, z)
    error = (scan.projections - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    assert float(error) < 0.01


def test_a_ray_by_hand() -> None:
    """One ray of a flat detector: v = dz (u^2 + D^2) / (R D), and the factor of equation 8."""
    geometry = helix(sg.FlatDetector((16, 60), (2.0, 12.0)))
    projections = torch.rand(geometry.projection_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = 1.7
    ((_, scan),) = sg.rebin(sg.Scan(projections, geometry), z)
    operator = SingleSliceRebinning(geometry, z)
    view, column = 11, 47
    helical = operator.views[view]
    u, distance, radius = (column - 29.5) * 12.0, 1085.6, 595.0
    rise = z - float(geometry.vectors[helical, 0, 2])
    v = rise * (u**2 + distance**2) / (radius * distance)
    row = v / 2.0 + 7.5
    low = math.floor(row)
    factors = [math.sqrt(u**2 + distance**2) / math.hypot(u, distance, (r - 7.5) * 2.0) for r in (low, low + 1)]
    values = [float(projections[helical, r, column]) for r in (low, low + 1)]
    expected = (low + 1 - row) * factors[0] * values[0] + (row - low) * factors[1] * values[1]
    assert float(scan.projections[view, column]) == pytest.approx(expected, rel=1e-12)


def test_slices_reconstruct() -> None:
    """FBP of a slice, with a flying focal spot, has the values of the rods."""
    geometry = helix(sg.CurvedDetector((16, 180), (2.0, 4.0)), turns=4)
    geometry = helix(geometry.detector, turns=4, source_offset=flying(geometry, 0.0))
    ((_, scan),) = sg.rebin(scan_of(RODS, geometry), 3.0)
    grid = sg.Grid((48, 48), 5.0)
    found = sg.fbp(scan.projections, scan.geometry, grid)
    y, x = torch.meshgrid(*[(torch.arange(48) - 23.5) * 5.0] * 2, indexing="ij")
    middle = ((x - 40) / 30) ** 2 + ((y - 10) / 20) ** 2 < 0.3
    assert float(found[middle].mean()) == pytest.approx(0.02, rel=0.03)


class TestOperator(OperatorContract):
    """The adjoint, gradients of any order and bits, as of every operator of the package."""

    cases = {  # noqa: RUF012
        "tiny": sg.ConeBeam.helical(
            source_to_origin=50.0,
            source_to_detector=80.0,
            angles=torch.arange(14, dtype=torch.float64) * 2 * math.pi / 8,
            detector=sg.CurvedDetector((3, 4), (4.0, 3.0)),
            pitch=5.0,
            source_offset=torch.tensor([[0.3, 0.1, 0.5], [0.0, -0.1, 0.0]], dtype=torch.float64).repeat(7, 1),
        ),
        "helix": helix(turns=3),
    }

    def make(self, case: sg.ConeBeam) -> SingleSliceRebinning:
        return SingleSliceRebinning(case, float(case.vectors[:, 0, 2].mean()))

    def reference(self, operator: SingleSliceRebinning, x: Tensor) -> Tensor:
        """Ray by ray, from the world positions of source and pixels."""
        geometry = next(one for one in self.cases.values() if one.projection_shape == operator.domain_shape)
        pixels, source = geometry.pixel_positions(), geometry.vectors[:, 0]
        result = torch.zeros(operator.range_shape, dtype=torch.float64)
        for place, view in enumerate(operator.views):
            for column in range(geometry.columns):
                line = pixels[view, :, column] - source[view]
                foot = -(source[view, :2] @ line[0, :2]) / (line[0, :2] @ line[0, :2])
                met = source[view, 2] + foot * line[:, 2]
                row = float((operator.z - met[0]) / (met[1] - met[0]))
                row = min(max(row, 0.0), geometry.rows - 1.0)
                low = min(int(row), geometry.rows - 2)
                for r, weight in ((low, low + 1 - row), (low + 1, row - low)):
                    cosine = line[r, :2].norm() / line[r].norm()
                    result[place, column] += weight * cosine * x[view, r, column]
        return result


def test_projections_get_gradients_through_a_scan() -> None:
    geometry = helix(turns=2)
    projections = torch.rand(geometry.projection_shape, dtype=torch.float64).requires_grad_()
    ((_, scan),) = sg.rebin(sg.Scan(projections, geometry), 1.0)
    weights = torch.rand(scan.projections.shape, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((scan.projections * weights).sum(), projections)
    assert torch.equal(gradient, SingleSliceRebinning(geometry, 1.0).T(weights))


def test_raw_scans_are_read_once_and_keep_their_photons(tmp_path: Path) -> None:
    """A folder of DICOM-CT-PD gives the same slices as the scan it was made of."""
    geometry = helix(turns=2)
    made = sg.Scan(RODS.project(geometry).float(), geometry)
    photons = torch.linspace(1e4, 1e5, geometry.columns) * torch.linspace(1, 2, geometry.views)[:, None]
    write_ct_pd(made, tmp_path / "raw", photons=photons, style=CtPdStyle(mode="FFSNONE"))
    scan = sg.read(tmp_path / "raw")
    reads: list[slice] = []

    class Watched:
        shape, dtype = scan.projections.shape, scan.projections.dtype

        def __getitem__(self, views: Any) -> Any:
            reads.append(views)
            return scan.projections[views]

    heights = [-2.0, 1.0, 4.0]
    watched = sg.Scan(Watched(), scan.geometry, calibration=scan.calibration)
    slices = sg.rebin(watched, heights)
    assert sum(part.stop - part.start for part in reads) <= geometry.views
    for (_, one), (_, other) in zip(slices, sg.rebin(made, heights), strict=True):
        torch.testing.assert_close(one.projections, other.projections, rtol=1e-3, atol=1e-3)
        assert one.calibration is not None and one.calibration.photons is not None
        assert one.calibration.photons.shape == one.projections.shape


@pytest.mark.parametrize(
    ("geometry", "z", "words"),
    [
        (
            helix(),
            60.0,
            r"the slice at 60 mm is seen by 0 views in a row .* supports slices from -2\d\.\d+ to 2\d\.\d+ mm",
        ),
        (
            helix(pitch=60.0),
            100.0,
            r"the pitch, 60 mm a turn, is too large for a view that sees 1\d\.\d+ mm of the axis",
        ),
        (helix(turns=0.4), -18.0, "the scan has 29 views in all"),
        (helix(), math.nan, "z must be finite"),
        (helix(tilt=0.1), 0.0, "detector rows along z, this one is tilted"),
    ],
)
def test_what_cannot_be_rebinned_is_said_with_numbers(geometry: sg.ConeBeam, z: float, words: str) -> None:
    scan = sg.Scan(torch.zeros(geometry.projection_shape), geometry)
    with pytest.raises(InputError, match=words):
        sg.rebin(scan, z)


def test_other_scans_are_refused() -> None:
    fan = sg.FanBeam.circular(**ORBIT, angles=sg.full_scan(8), detector=sg.FlatDetector(9, 1.0))
    with pytest.raises(TypeError, match="must be a ConeBeam, got FanBeam"):
        sg.rebin(sg.Scan(torch.zeros(8, 9), fan), 0.0)
    counts = sg.Scan(torch.zeros(helix().projection_shape), helix(), kind="counts")
    with pytest.raises(InputError, match="holds counts"):
        sg.rebin(counts, 0.0)
