"""Matrices, vectors and errors of cone beams."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sinograd.geometry import ConeBeam, CurvedDetector, FlatDetector, full_scan

DETECTOR = FlatDetector((6, 8), (2.0, 1.0))
mm = st.floats(-5, 5)
turn = st.floats(-0.3, 0.3)


@st.composite
def cones(draw: st.DrawFn) -> ConeBeam:
    """Displaced cone beams without detector offset (shifts instead), from um to m, left- and right-handed."""
    scale = draw(st.sampled_from([1e-3, 1.0, 1e3]))
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    detector = FlatDetector(shape, (draw(st.floats(0.1, 2)) * scale, draw(st.floats(0.1, 2)) * scale))
    geometry = ConeBeam.circular(
        source_to_origin=draw(st.floats(50, 100)) * scale, source_to_detector=150 * scale,
        angles=full_scan(4, draw(mm)), detector=detector, axis_offset=draw(mm) * scale,
        source_offset=(draw(mm) * scale, draw(mm) * scale), tilt=draw(turn), yaw=draw(turn),
        in_plane_rotation=draw(turn), shifts=[[draw(mm) * scale, draw(mm) * scale]] * 4,
    )  # fmt: skip
    if draw(st.booleans()):
        source, center, u, v = geometry.vectors.unbind(1)
        geometry = ConeBeam.from_vectors(sources=source, centers=center, u=u, v=-v, detector=detector)
    return geometry


origins = st.sampled_from([(0.0, 0.0), (1.0, 1.0), (0.5, 0.5), (-3.0, 7.0)])
units = st.sampled_from(["pixel", "mm"])


@settings(max_examples=60)
@given(geometry=cones(), origin=origins, unit=units, factor=st.sampled_from([1.0, -1.0, 1e-4, -300.0]))
def test_matrices_round_trip(geometry: ConeBeam, origin: tuple[float, float], unit: str, factor: float) -> None:
    """Through matrices of any scale, sign, handedness, origin and unit and back: the same to 1e-9."""
    matrices = geometry.to_matrices(pixel_origin=origin, unit=unit) * factor  # type: ignore[arg-type]
    again = ConeBeam.from_matrices(matrices, geometry.detector, pixel_origin=origin, unit=unit)  # type: ignore[arg-type]
    lengths = geometry.vectors.norm(dim=-1)
    assert ((again.vectors - geometry.vectors).norm(dim=-1) <= 1e-9 * lengths.amax(dim=1, keepdim=True)).all()
    steps = (again.vectors - geometry.vectors)[:, 2:].norm(dim=-1)
    assert (steps <= 1e-9 * lengths[:, 2:]).all()


@settings(max_examples=60)
@given(geometry=cones(), origin=origins, unit=units)
def test_matrices_project_pixels_onto_their_index(geometry: ConeBeam, origin: tuple[float, float], unit: str) -> None:
    """P of a detector element's own position is its (column, row), counted as asked; w is positive there."""
    matrices = geometry.to_matrices(pixel_origin=origin, unit=unit)  # type: ignore[arg-type]
    pixels = geometry.pixel_positions()
    homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
    column, row, w = torch.einsum("vij,vrcj->ivrc", matrices, homogeneous)
    steps = (1.0, 1.0) if unit == "pixel" else geometry.detector.spacing
    rows = torch.arange(geometry.rows, dtype=torch.float64)[:, None] * steps[0] + origin[0]
    columns = torch.arange(geometry.columns, dtype=torch.float64) * steps[1] + origin[1]
    size = max(geometry.detector.size) + 1
    assert (w > 0).all()
    assert torch.allclose(column / w, columns.expand_as(w), rtol=1e-9, atol=1e-9 * size)
    assert torch.allclose(row / w, rows.expand_as(w), rtol=1e-9, atol=1e-9 * size)


def test_a_matrix_written_by_hand() -> None:
    """The textbook matrix K [R | t] at angle 0: focal length SDD / pixel, principal point in the middle."""
    focal, middle_row, middle_column, distance = 150.0, 2.5, 3.5, 100.0
    k = torch.tensor([[focal, 0, middle_column], [0, focal / 2, middle_row], [0, 0, 1]], dtype=torch.float64)
    # camera axes: x = world x, y = world z, depth = world y + distance
    pose = torch.tensor([[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, distance]], dtype=torch.float64)
    expected = ConeBeam.circular(source_to_origin=100, source_to_detector=150, angles=[0.0], detector=DETECTOR)
    assert ConeBeam.from_matrices((k @ pose)[None], DETECTOR).equals(expected)
    assert torch.allclose(expected.to_matrices()[0], k @ pose, atol=1e-12)


def test_front_decides_the_side_of_the_detector() -> None:
    """With the object on the other side of the source the detector is there too."""
    geometry = ConeBeam.circular(source_to_origin=100, source_to_detector=150, angles=[0.0], detector=DETECTOR)
    behind = ConeBeam.from_matrices(geometry.to_matrices(), DETECTOR, front=(0, -200, 0))
    assert torch.allclose(behind.vectors[0, 1], torch.tensor([0.0, -250.0, 0.0], dtype=torch.float64))


def test_wrong_matrices_are_named() -> None:
    """Parallel projections, sources level with the front, other pixel sizes, wrong shapes."""
    geometry = ConeBeam.circular(source_to_origin=100, source_to_detector=150, angles=[0.0, 1.0], detector=DETECTOR)
    good = geometry.to_matrices()
    parallel = good.clone()
    parallel[1, 2, :3] = 0
    with pytest.raises(ValueError, match=r"matrices\[1\] has a singular left 3x3 block"):
        ConeBeam.from_matrices(parallel, DETECTOR)
    with pytest.raises(ValueError, match=r"matrices\[0\]: front .* is level with the source"):
        ConeBeam.from_matrices(good, DETECTOR, front=(5, -100, 3))
    with pytest.raises(
        ValueError,
        match=r"matrices\[0\] gives rows 2 mm apart for columns 1 mm apart, not detector.row_spacing 2.1 mm",
    ):
        ConeBeam.from_matrices(good, FlatDetector((6, 8), (2.1, 1.0)))
    with pytest.raises(ValueError, match=r"matrices must be \[views, 3, 4\], got \[3, 4\]"):
        ConeBeam.from_matrices(good[0], DETECTOR)
    with pytest.raises(ValueError, match="from_matrices needs a FlatDetector"):
        ConeBeam.from_matrices(good, CurvedDetector((6, 8), (2.0, 1.0)))
    with pytest.raises(ValueError, match=r"detector\.offset must be 0 where vectors are given"):
        ConeBeam.from_matrices(good, FlatDetector((6, 8), (2.0, 1.0), offset=(0, 1)))
    with pytest.raises(ValueError, match='unit must be "pixel" or "mm", got \'inch\''):
        ConeBeam.from_matrices(good, DETECTOR, unit="inch")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="pixel_origin must be a pair"):
        ConeBeam.from_matrices(good, DETECTOR, pixel_origin=1)  # type: ignore[arg-type]
    curved = ConeBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=[0.0], detector=CurvedDetector((6, 8), 1.0)
    )
    with pytest.raises(ValueError, match="to_matrices needs a FlatDetector"):
        curved.to_matrices()


def test_curved_from_vectors_curves_towards_the_source() -> None:
    """Focused if no radius is given, of either handedness; a radius puts the centre on the source's side."""
    steps = {"sources": [[0, -100, 0]], "centers": [[0, 50, 0]], "u": [[1, 0, 0]]}
    for v in ([[0, 0, 2]], [[0, 0, -2]]):
        focused = ConeBeam.from_vectors(**steps, v=v, detector=CurvedDetector((6, 8), (2.0, 1.0)))
        assert focused.vectors[0, 4].tolist() == [0, -100, 0]
        tight = ConeBeam.from_vectors(**steps, v=v, detector=CurvedDetector((6, 8), (2.0, 1.0), radius=20))
        assert tight.vectors[0, 4].tolist() == [0, 30, 0]


CIRCULAR = {"source_to_origin": 100, "source_to_detector": 150, "angles": [0.0, 1.0], "detector": DETECTOR}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"source_to_origin": 0}, ValueError, "source_to_origin must be positive, got 0"),
        ({"source_to_origin": -5}, ValueError, "source_to_origin must be positive, got -5"),
        ({"source_to_detector": math.inf}, ValueError, "source_to_detector must be finite, got inf"),
        ({"source_to_detector": True}, TypeError, "source_to_detector must be a number, got True"),
        ({"source_to_detector": "far"}, TypeError, "source_to_detector must be a number, got 'far'"),
        ({"angles": []}, ValueError, "angles is empty"),
        ({"angles": 3.0}, ValueError, r"angles must be \[views\], got \[\]"),
        ({"angles": [0.0, math.nan]}, ValueError, r"angles must be finite, got nan at \[1\]"),
        ({"angles": [[0.0], [1.0]]}, ValueError, r"angles must be \[views\], got \[2, 1\]"),
        ({"angles": [True, False]}, TypeError, "angles must be real numbers"),
        ({"angles": ["a"]}, TypeError, "angles must be real numbers"),
        ({"angles": [[1.0], [1.0, 2.0]]}, TypeError, "angles must be numbers"),
        ({"angles": torch.tensor([1j])}, TypeError, "angles must be real numbers, got torch.complex64"),
        ({"detector": FlatDetector(8, 1.0)}, ValueError, r"ConeBeam needs a 2-D detector.* got shape \(8,\)"),
        ({"detector": (6, 8)}, TypeError, r"ConeBeam needs a 2-D detector.* got \(6, 8\) \(tuple\)"),
        ({"axis_offset": [1.0]}, ValueError, r"axis_offset must be \[2\], got \[1\]"),
        (
            {"source_offset": 3.0},
            ValueError,
            r"source_offset must be a pair \(row, column\), .* or \[views, 3\], got 3",
        ),
        ({"source_offset": [[0, 0, 0]]}, ValueError, r"source_offset must be \[2, 3\], got \[1, 3\]"),
        ({"source_offset": [[0, 0]]}, ValueError, r"source_offset must be \[2, 2\], got \[1, 2\]"),
        ({"shifts": [0.0, 0.0]}, ValueError, r"shifts must be \[2, 2\], got \[2\]"),
        ({"shifts": [[0, 0], [0, math.inf]]}, ValueError, r"shifts must be finite, got inf at \[1, 1\]"),
        ({"tilt": math.nan}, ValueError, "tilt must be finite, got nan"),
        ({"detector": CurvedDetector((6, 500), 1.0)}, ValueError, "cover a half circle"),
        (
            {"tilt": math.pi / 2},
            ValueError,
            "ConeBeam view 0: the source .* lies in the plane of the detector",
        ),
    ],
)
def test_bad_input_is_named(change: dict, error: type[Exception], message: str) -> None:
    """Errors name the argument, what was expected and what came."""
    with pytest.raises(error, match=message):
        ConeBeam.circular(**{**CIRCULAR, **change})


VECTORS = {
    "sources": [[0, -100, 0]],
    "centers": [[0, 50, 0]],
    "u": [[1, 0, 0]],
    "v": [[0, 0, 2]],
    "detector": DETECTOR,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"centers": [[0, 50, 0]] * 2}, r"centers must be \[1, 3\], got \[2, 3\]"),
        ({"sources": [[0, -100]]}, r"sources must be \[views, 3\], got \[1, 2\]"),
        ({"u": [[1.1, 0, 0]]}, "length 1.1 mm in view 0 does not match detector.column_spacing 1 mm"),
        ({"v": [[0, 0, 1]]}, "length 1 mm in view 0 does not match detector.row_spacing 2 mm"),
        ({"v": [[2, 0, 0]]}, r"ConeBeam view 0: u \[1.0, 0.0, 0.0\] and v \[2.0, 0.0, 0.0\] are parallel"),
        ({"sources": [[7, 50, 3]]}, "lies in the plane of the detector"),
        ({"detector": FlatDetector((6, 8), (2.0, 1.0), offset=(1, 0))}, "detector.offset must be 0"),
    ],
)
def test_bad_vectors_are_named(change: dict, message: str) -> None:
    """Vectors must fit each other and the detector."""
    with pytest.raises(ValueError, match=message):
        ConeBeam.from_vectors(**{**VECTORS, **change})


def test_has_no_bare_constructor() -> None:
    """The error lists the ways to make one."""
    with pytest.raises(TypeError, match=r"use one of ConeBeam.circular, .*ConeBeam.from_vectors"):
        ConeBeam()


def test_distances_are_kept() -> None:
    """As given; a selection keeps them."""
    geometry = ConeBeam.circular(**CIRCULAR)
    assert (geometry.source_to_origin, geometry.source_to_detector, geometry.scan) == (100, 150, "circular")
    assert geometry[1:].source_to_detector == 150
    short = ConeBeam.short_scan(source_to_origin=100, source_to_detector=150, views=9, detector=DETECTOR)
    assert (short.scan, short[::2].scan) == ("short_scan", "circular")


def test_a_flying_focal_spot_moves_the_source_alone() -> None:
    """In cylindrical coordinates: focal centre (rho, phi, z), source (rho + d_rho, phi + d_phi, z + d_z)."""
    rho, reach, pitch = 595.0, 1085.6, 20.0
    phi = torch.linspace(0.3, 15.0, 40, dtype=torch.float64)
    z = 7.0 + pitch * (phi - phi[0]) / (2 * math.pi)
    d_phi, d_z, d_rho = (
        torch.tensor(pair, dtype=torch.float64).repeat(20) for pair in ((1e-3, -2e-3), (-0.66, 0.0), (5.45, 0.0))
    )
    offset = torch.stack([d_z, (rho + d_rho) * d_phi.sin(), (rho + d_rho) * d_phi.cos() - rho], 1)
    detector = CurvedDetector((4, 9), (1.1, 1.3), offset=(0.2, 1.4))
    options = {"source_to_origin": rho, "source_to_detector": reach, "angles": phi, "pitch": pitch, "z_start": 7.0}
    still = ConeBeam.helical(**options, detector=detector).vectors
    flying = ConeBeam.helical(**options, detector=detector, source_offset=offset).vectors
    source = torch.stack([(rho + d_rho) * (phi + d_phi).sin(), -(rho + d_rho) * (phi + d_phi).cos(), z + d_z], 1)
    torch.testing.assert_close(flying[:, 0], source, rtol=0, atol=1e-9)
    assert torch.equal(flying[:, 1:], still[:, 1:])
    focal_center = torch.stack([rho * phi.sin(), -rho * phi.cos(), z + 0.2], 1)  # level with the detector's middle
    torch.testing.assert_close(flying[:, 4], focal_center, rtol=0, atol=1e-9)
