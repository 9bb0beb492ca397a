"""What all geometries share: positions and rays, selections of views, printing, storing, comparing."""

from __future__ import annotations

import copy
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sinograd.geometry import (
    ConeBeam,
    CurvedDetector,
    FanBeam,
    FlatDetector,
    Geometry,
    ParallelBeam,
    full_scan,
    load_geometry,
    short_scan,
)

NAMES = {
    "torch": torch,
    "full_scan": full_scan,
    "short_scan": short_scan,
    "ConeBeam": ConeBeam,
    "FanBeam": FanBeam,
    "ParallelBeam": ParallelBeam,
    "FlatDetector": FlatDetector,
    "CurvedDetector": CurvedDetector,
}
mm = st.floats(-5, 5)
turn = st.floats(-0.3, 0.3)


@st.composite
def scans(draw: st.DrawFn, views: int | None = None) -> Geometry:
    """Any angle scan, with at most 6 views so that every number is printed; distances from um to m."""
    beam = draw(st.sampled_from(["parallel", "fan", "cone"]))
    views = views or draw(st.integers(1, 6))
    scale = draw(st.sampled_from([1e-3, 1.0, 1e3]))
    line = beam == "fan" or (beam == "parallel" and draw(st.booleans()))
    columns = draw(st.integers(1, 8))
    shape = columns if line else (draw(st.integers(1, 8)), columns)
    offset = draw(mm) * scale if line else (draw(mm) * scale, draw(mm) * scale)
    curved = beam != "parallel" and draw(st.booleans())
    detector = (CurvedDetector if curved else FlatDetector)(shape, draw(st.floats(0.1, 2)) * scale, offset=offset)
    pair = st.tuples(mm, mm)

    def displacement(size: int | None) -> object:
        one = mm if line else pair
        return torch.tensor(draw(st.lists(one, min_size=size, max_size=size)), dtype=torch.float64) * scale

    options: dict = {}
    if draw(st.booleans()):
        options["axis_offset"] = draw(mm) * scale
    elif draw(st.booleans()):
        options["axis_offset"] = [scale * k for k in range(views)]
    if draw(st.booleans()):
        options["shifts"] = displacement(views)
    if not line:
        options |= {"tilt": draw(turn), "in_plane_rotation": draw(turn)}
    angles = draw(
        st.sampled_from([full_scan(views, 0.3), full_scan(views), -full_scan(views)])
        | st.lists(st.floats(-50, 50), min_size=views, max_size=views)
    )
    if beam == "parallel":
        return ParallelBeam(angles, detector, **options)
    options |= {"source_to_origin": draw(st.floats(50, 100)) * scale, "source_to_detector": 150 * scale}
    if draw(st.booleans()):
        options["source_offset"] = displacement(views) if draw(st.booleans()) else displacement(1)[0].tolist()
    if beam == "fan":
        kind: type[FanBeam] | type[ConeBeam] = FanBeam
    else:
        kind = ConeBeam
        options["yaw"] = draw(turn)
        if draw(st.booleans()):  # a source that also moves outward
            options["source_offset"] = [
                [draw(mm) * scale for _ in range(3)] for _ in range(draw(st.sampled_from([1, views])))
            ]
            if len(options["source_offset"]) != views:
                options["source_offset"] = options["source_offset"][0]
    if beam == "cone" and draw(st.booleans()):
        z_start = draw(st.none() | mm)
        return ConeBeam.helical(angles=angles, detector=detector, pitch=draw(mm) * scale, z_start=z_start, **options)
    if views > 1 and draw(st.booleans()):
        return kind.short_scan(views=views, start=draw(mm), detector=detector, **options)
    return kind.circular(angles=angles, detector=detector, **options)


@settings(max_examples=150)
@given(scans())
def test_repr_evaluates_to_an_equal_geometry(geometry: Geometry) -> None:
    """It prints as the call that made it."""
    assert eval(repr(geometry), NAMES).equals(geometry)


@settings(max_examples=150)
@given(scans())
def test_dict_holds_everything(geometry: Geometry) -> None:
    """from_dict(to_dict) is the identity to rounding, through the base class and through its own."""
    data = geometry.to_dict()
    assert Geometry.from_dict(data).equals(geometry)
    assert type(geometry).from_dict(data).scan == geometry.scan


@settings(max_examples=30)
@given(geometry=scans())
def test_yaml_round_trip(geometry: Geometry, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A saved file reads back equal to 1e-12."""
    path = tmp_path_factory.mktemp("yaml") / "scan.yaml"
    geometry.save(path)
    assert load_geometry(path).equals(geometry)


@settings(max_examples=100)
@given(geometry=scans(views=5), data=st.data())
def test_selection_commutes_with_vectors(geometry: Geometry, data: st.DataObject) -> None:
    """g[i].vectors is g.vectors[i] bit for bit, and the selection still prints and stores itself."""
    chosen = data.draw(st.lists(st.integers(-5, 4), min_size=1, max_size=6))
    part = geometry[chosen]
    assert torch.equal(part.vectors, geometry.vectors[chosen])
    assert eval(repr(part), NAMES).equals(part)
    assert Geometry.from_dict(part.to_dict()).equals(part)
    if geometry.angles is not None and part.angles is not None:
        assert torch.equal(part.angles, geometry.angles[chosen])


@settings(max_examples=50)
@given(scans())
def test_vectors_rebuild_the_geometry(geometry: Geometry) -> None:
    """from_vectors with the lowered vectors has the same pixels and rays; so vectors say everything."""
    vectors, flat_z = geometry.vectors, slice(None) if geometry.ndim == 3 else slice(2)
    first, centers, u, v = (vectors[:, i, flat_z] for i in range(4))
    kind, shape, spacing = type(geometry.detector), geometry.detector.shape, geometry.detector.spacing
    radius = {}
    if isinstance(geometry.detector, CurvedDetector):
        radius = {"radius": (vectors[0, 1] - vectors[0, 4]).norm().item()}
    arguments = {"centers": centers, "u": u, "detector": kind(shape, spacing, **radius)}
    if isinstance(geometry, FanBeam):
        again: Geometry = FanBeam.from_vectors(sources=first, **arguments)
    elif isinstance(geometry, ConeBeam):
        again = ConeBeam.from_vectors(sources=first, v=v, **arguments)
    else:
        extra = {"v": v} if geometry.ndim == 3 else {}
        again = ParallelBeam.from_vectors(directions=first, **extra, **arguments)
    size = vectors.norm(dim=-1).max()
    assert torch.allclose(again.vectors, vectors, rtol=0, atol=1e-12 * size)
    assert eval(repr(again[:1]), NAMES).equals(again[:1])
    assert Geometry.from_dict(again.to_dict()).equals(again)


@settings(max_examples=50)
@given(scans())
def test_rays_run_through_the_pixels(geometry: Geometry) -> None:
    """Unit directions; a divergent ray leaves the source and meets its pixel, a parallel one starts there."""
    pixels, (origin, direction) = geometry.pixel_positions(), geometry.rays()
    assert pixels.shape == origin.shape == direction.shape == (*geometry.projection_shape, 3)
    assert torch.allclose(direction.norm(dim=-1), torch.ones((), dtype=torch.float64))
    between = pixels - origin
    if geometry.divergent:
        assert torch.allclose(origin, geometry.vectors[:, 0].reshape(-1, *[1] * (geometry.ndim - 1), 3))
        size = between.norm(dim=-1, keepdim=True)
        assert torch.allclose(between / size, direction)
    else:
        assert between.abs().max() == 0
    part = geometry.rays(-1)
    assert torch.equal(part[0], origin[-1:])
    assert torch.equal(part[1], direction[-1:])


@settings(max_examples=30)
@given(scans())
def test_scan_scaled_is_the_same_scan(geometry: Geometry) -> None:
    """With every length times 1000 (mm for um), vectors scale, angles and counts stay."""
    data = geometry.to_dict()
    for key in ("source_to_origin", "source_to_detector", "axis_offset", "source_offset", "shifts", "pitch"):
        if key in data:
            data[key] = (np.asarray(data[key]) * 1000).tolist()
    if "z_start" in data:
        data["z_start"] *= 1000
    for key in ("spacing", "offset"):
        if key in data["detector"]:
            data["detector"][key] = (np.asarray(data["detector"][key]) * 1000).tolist()
    large = Geometry.from_dict(data)
    factor = torch.full((geometry.vectors.shape[1], 1), 1000.0, dtype=torch.float64)
    if not geometry.divergent:
        factor[0] = 1
    if geometry.ndim == 2:
        factor[3] = 1
    expected = geometry.vectors * factor
    assert torch.allclose(large.vectors, expected, rtol=1e-12, atol=1e-12 * expected.abs().max())
    assert large.fan_angle == pytest.approx(geometry.fan_angle, abs=1e-12)
    assert large.cone_angle == pytest.approx(geometry.cone_angle, abs=1e-12)
    assert large.field_of_view == pytest.approx(1000 * geometry.field_of_view)


@pytest.fixture
def cone() -> ConeBeam:
    return ConeBeam.circular(
        source_to_origin=1000,
        source_to_detector=1500,
        angles=full_scan(8),
        detector=FlatDetector((4, 6), 1.6),
    )


def test_pixel_positions_count_from_minus_u_and_minus_v(cone: ConeBeam) -> None:
    """The first element of view 0 lies at -x and -z, one spacing from its neighbours."""
    pixels = cone.pixel_positions(0)
    assert pixels.shape == (1, 4, 6, 3)
    assert pixels[0, 0, 0].tolist() == pytest.approx([-4, 500, -2.4])
    assert pixels[0, 0, 1].tolist() == pytest.approx([-2.4, 500, -2.4])
    assert pixels[0, 1, 0].tolist() == pytest.approx([-4, 500, -0.8])


def test_numbers(cone: ConeBeam) -> None:
    """Counts and shapes of a 3-D and a 2-D geometry."""
    assert (len(cone), cone.views, cone.rows, cone.columns, cone.ndim) == (8, 8, 4, 6, 3)
    assert cone.projection_shape == (8, 4, 6)
    flat = ParallelBeam(full_scan(5), FlatDetector(6, 1.0))
    assert (flat.projection_shape, flat.ndim, flat.rows, flat.divergent) == ((5, 6), 2, 1, False)
    assert flat.pixel_positions().shape == (5, 6, 3)


def test_selections(cone: ConeBeam) -> None:
    """Slices (also backwards), ints, lists, tensors and masks; an int keeps the dimension of views."""
    assert torch.equal(cone[::-2].vectors, cone.vectors[[7, 5, 3, 1]])
    assert torch.equal(cone[-1].vectors, cone.vectors[7:])
    assert torch.equal(cone[torch.tensor([3, 1])].vectors, cone.vectors[[3, 1]])
    assert torch.equal(cone[torch.tensor(2)].vectors, cone.vectors[2:3])
    assert torch.equal(cone[np.int64(2)].vectors, cone.vectors[2:3])  # type: ignore[index]
    mask = torch.arange(8) % 3 == 0
    assert torch.equal(cone[mask].vectors, cone.vectors[mask])
    assert len(list(cone)) == 8  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (8, IndexError, "view 8 is out of range for 8 views"),
        ([0, -9], IndexError, "view -9 is out of range for 8 views"),
        (slice(3, 3), ValueError, "no views chosen"),
        ([], ValueError, "no views chosen"),
        (True, TypeError, "got True"),
        ([True, False], TypeError, r"several by a bool tensor \[8\]; got True"),
        (torch.ones(7, dtype=torch.bool), IndexError, r"must be \[8\], got \[7\]"),
        (1.0, TypeError, "float"),
    ],
)
def test_wrong_selections_are_named(cone: ConeBeam, index, error: type[Exception], message: str) -> None:
    """Out of range, empty and bool selections raise."""
    with pytest.raises(error, match=message):
        cone[index]


def test_prints_as_a_person_would_write(cone: ConeBeam) -> None:
    """Defaults are left out, whole numbers have no point, even angles are a call, long tensors a summary."""
    start = "ConeBeam.circular(source_to_origin=1000, source_to_detector=1500, angles="
    end = ", detector=FlatDetector(shape=(4, 6), spacing=1.6))"
    assert repr(cone) == f"{start}full_scan(8){end}"
    assert repr(cone[::2]) == f"{start}full_scan(4){end}"
    assert repr(cone[[0, 1, 3]]) == f"{start}[0, 0.7853981633974483, 2.356194490192345]{end}"
    uneven = ParallelBeam(torch.linspace(0, 3, 40, dtype=torch.float64) ** 2, FlatDetector(8, 1.0))
    assert "angles=<40 angles from 0 to 9 rad>" in repr(uneven)
    shifted = ParallelBeam(full_scan(40, 0.5), FlatDetector((8, 8), 1.0), shifts=torch.ones(40, 2))
    assert "angles=full_scan(40, start=0.5)" in repr(shifted)
    assert "shifts=<[40, 2] values>" in repr(shifted)
    assert "angles=short_scan(200, 0.25)" in repr(ParallelBeam(short_scan(200, 0.25), FlatDetector(8, 1.0)))
    half = ParallelBeam(torch.linspace(0, 1.5, 9, dtype=torch.float64), FlatDetector(8, 1.0))
    assert "angles=torch.linspace(0, 1.5, 9, dtype=torch.float64)" in repr(half)
    short = FanBeam.short_scan(
        source_to_origin=100, source_to_detector=150, views=90, detector=FlatDetector(8, 1.0), start=0.5
    )
    assert repr(short) == (
        "FanBeam.short_scan(source_to_origin=100, source_to_detector=150, views=90, "
        "detector=FlatDetector(shape=8, spacing=1), start=0.5)"
    )


@pytest.mark.parametrize("views", [2, 7, 360, 549, 1601, 4001])
def test_even_angles_stay_even_in_files(views: int) -> None:
    """Even scans are stored as start, step and views, whatever their number; the rest as lists."""
    detector = FlatDetector(8, 1.0)
    for angles in (full_scan(views, -math.pi), short_scan(views, 0.2), -full_scan(views)):
        geometry = ParallelBeam(angles, detector)
        stored = geometry.to_dict()["angles_deg"]
        assert stored["views"] == views
        assert Geometry.from_dict(geometry.to_dict()).equals(geometry)
    assert isinstance(ParallelBeam(full_scan(views + 2) ** 2, detector).to_dict()["angles_deg"], list)


def test_equals_ignores_how_it_was_made(cone: ConeBeam) -> None:
    """Vectors and detector decide; other types, detectors and small displacements differ."""
    source, center, u, v = cone.vectors.unbind(1)
    again = ConeBeam.from_vectors(sources=source, centers=center, u=u, v=v, detector=cone.detector)
    assert cone.equals(again)
    assert again.angles is None
    assert again.source_to_origin is None
    assert not cone.equals(cone[:4])
    assert not cone.equals("cone")
    nudged = ConeBeam.from_vectors(sources=source + 1e-6, centers=center, u=u, v=v, detector=cone.detector)
    assert not cone.equals(nudged)
    line, sheet = FlatDetector(4, 1.0), FlatDetector((1, 4), 1.0)
    assert not ParallelBeam([0.0], line).equals(ParallelBeam([0.0], sheet))


def test_is_immutable(cone: ConeBeam) -> None:
    """Neither attributes nor the tensors given out or taken in change a geometry."""
    with pytest.raises(AttributeError, match="ConeBeam is immutable"):
        cone.views = 3  # type: ignore[misc]
    angles = full_scan(8)
    geometry = ParallelBeam(angles, FlatDetector(8, 1.0))
    angles += 1
    geometry.vectors.zero_()
    assert geometry.angles is not None
    geometry.angles.zero_()
    assert torch.equal(geometry.angles, full_scan(8))
    assert geometry.equals(ParallelBeam(full_scan(8), FlatDetector(8, 1.0)))


def test_copies(cone: ConeBeam) -> None:
    """Copying and pickling give an equal geometry, as modules that hold one need."""
    for again in (copy.copy(cone), copy.deepcopy(cone), pickle.loads(pickle.dumps(cone))):
        assert again.equals(cone)
        assert repr(again) == repr(cone)


def test_angles_come_in_any_array_form() -> None:
    """Tuples; reversed, read-only, byte-swapped arrays; ints; tensors: always float64."""
    expected = ParallelBeam([2.0, 1.0, 0.0], FlatDetector(8, 1.0))
    frozen = np.array([2.0, 1.0, 0.0])
    frozen.flags.writeable = False
    swapped = np.array([2.0, 1.0, 0.0]).astype(">f8")
    for angles in (
        (2, 1, 0), np.arange(3.0)[::-1], frozen, swapped, np.array([2, 1, 0], np.float32),
        torch.tensor([2, 1, 0]), torch.tensor([2.0, 1.0, 0.0], requires_grad=True).detach(),
    ):  # fmt: skip
        geometry = ParallelBeam(angles, FlatDetector(8, 1.0))
        assert geometry.equals(expected)
        assert geometry.vectors.dtype == torch.float64
        assert not geometry.vectors.requires_grad


def test_stays_on_the_cpu_in_float64() -> None:
    """Torch's default device and dtype do not leak in."""
    torch.set_default_device("meta")
    try:
        geometry = ConeBeam.circular(
            source_to_origin=100, source_to_detector=150, angles=full_scan(4),
            detector=CurvedDetector((3, 4), 1.0), axis_offset=1.0, source_offset=(1, 2), tilt=0.1,
            shifts=[[1, 2]] * 4,
        )  # fmt: skip
        tensors = [
            geometry.vectors,
            geometry.pixel_positions(),
            *geometry.rays(),
            *geometry.default_grid().axes(),
        ]
        short = FanBeam.short_scan(source_to_origin=100, source_to_detector=150, views=4, detector=FlatDetector(4, 1.0))
        tensors += [short.vectors, Geometry.from_dict(short.to_dict()).vectors, short[1:].vectors]
        assert "full_scan(4)" in repr(geometry)
    finally:
        torch.set_default_device(None)
    assert {(t.device.type, t.dtype) for t in tensors} == {("cpu", torch.float64)}


DETECTOR = {"shape": 8, "spacing": 1}
FAN = {
    "beam": "fan",
    "scan": "circular",
    "source_to_origin": 100,
    "source_to_detector": 150,
    "angles_deg": [0, 90],
    "detector": DETECTOR,
}


def test_degrees_in_dictionaries() -> None:
    """Three ways to write the same angles, in degrees; stop is included."""
    expected = FanBeam.from_dict({**FAN, "angles_deg": [0, 30, 60, 90]})
    assert expected.angles is not None
    assert expected.angles[-1].item() == pytest.approx(math.pi / 2)
    for angles in ({"start": 0, "step": 30, "views": 4}, {"start": 0, "stop": 90, "views": 4}):
        assert FanBeam.from_dict({**FAN, "angles_deg": angles}).equals(expected)
    tilted = {**FAN, "beam": "cone", "detector": {"shape": [4, 8], "spacing": 1}, "tilt_deg": 2}
    again = Geometry.from_dict(tilted).to_dict()
    assert again["tilt_deg"] == pytest.approx(2)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"beam": "pencil"}, ValueError, "beam must be one of cone, fan, parallel, got 'pencil'"),
        ({"scan": "helical"}, ValueError, "scan of a fan beam must be one of circular, short_scan, vectors"),
        ({"scan": None}, ValueError, "circular, short_scan, vectors, got .None."),
        (
            {"sod": 3},
            ValueError,
            "unknown fan circular geometry key sod; allowed: beam, scan, source_to_origin",
        ),
        ({"tilt_deg": 3}, ValueError, "unknown fan circular geometry key tilt_deg"),
        ({"angles": [0, 1]}, ValueError, "unknown fan circular geometry key angles; allowed: .*angles_deg"),
        ({"detector": 8}, TypeError, "detector must be a mapping, got 8"),
        ({"angles_deg": {"start": 0, "views": 4}}, ValueError, "angles_deg lacks step"),
        (
            {"angles_deg": {"start": 0, "stop": 4, "step": 1, "views": 4}},
            ValueError,
            "unknown angles_deg key step",
        ),
        ({"angles_deg": {"start": 0, "stop": 9, "views": 1}}, ValueError, "needs at least 2 views, got 1"),
        ({"angles_deg": "all"}, TypeError, "angles_deg must be real numbers"),
        ({"source_to_origin": "100 mm"}, TypeError, "source_to_origin must be a number, got '100 mm'"),
    ],
)
def test_wrong_dictionaries_are_named(change: dict, error: type[Exception], message: str) -> None:
    """Errors name the key, the allowed ones, and what came."""
    with pytest.raises(error, match=message):
        Geometry.from_dict({**FAN, **change})


def test_dictionary_of_another_beam() -> None:
    """A class reads only its own kind; a mapping is needed."""
    with pytest.raises(ValueError, match="beam must be one of cone, got 'fan'"):
        ConeBeam.from_dict(FAN)
    with pytest.raises(TypeError, match="a geometry is a mapping"):
        Geometry.from_dict([1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fan circular geometry lacks angles_deg"):
        Geometry.from_dict({key: value for key, value in FAN.items() if key != "angles_deg"})


def test_saving_through_the_geometry(cone: ConeBeam, tmp_path: Path) -> None:
    """`save` writes what `load_geometry` reads, and takes force."""
    cone.save(tmp_path / "a.yaml")
    with pytest.raises(FileExistsError):
        cone.save(str(tmp_path / "a.yaml"))
    cone[:2].save(tmp_path / "a.yaml", force=True)
    assert load_geometry(tmp_path / "a.yaml").equals(cone[:2])


def test_a_geometry_without_its_scan_is_told_so() -> None:
    with pytest.raises(ValueError, match="a parallel beam must be one of circular, vectors, but there is none"):
        Geometry.from_dict({"beam": "parallel", "detector": {"shape": [4, 5], "spacing": 1}})
