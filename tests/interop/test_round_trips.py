"""There and back again gives the same scan to 1e-12, without any of the toolkits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from interop.scans import CONES, CURVED, FLAT_2D, PARALLEL_3D, grid_of, same_vectors
from sinograd.geometry import ConeBeam, CurvedDetector, FanBeam, FlatDetector, Geometry, Grid, ParallelBeam
from sinograd.interop import (
    from_astra,
    from_leap,
    from_pyronn,
    from_rtk_volume,
    from_tigre,
    read_rtk,
    to_astra,
    to_leap,
    to_pyronn,
    to_rtk_volume,
    to_tigre,
    write_rtk,
)

PIXELS = FlatDetector((5, 7), (1.5, 2.0))
LEFT_HANDED = ConeBeam.from_vectors(
    sources=[[0, -100, 0]],
    centers=[[0, 50, 0]],
    u=[[2, 0, 0]],
    v=[[0, 0, -1.5]],
    detector=PIXELS,
)
SKEWED = ConeBeam.from_vectors(
    sources=[[0, -100, 0]],
    centers=[[0, 50, 0]],
    u=[[2, 0, 0]],
    v=[[0.9, 0, 1.2]],
    detector=PIXELS,
)


def cases(*groups: dict[str, Geometry]) -> pytest.MarkDecorator:
    every = {name: geometry for group in groups for name, geometry in group.items()}
    return pytest.mark.parametrize("geometry", every.values(), ids=every.keys())


@cases(CONES, PARALLEL_3D, FLAT_2D)
@pytest.mark.parametrize("form", ["auto", "vectors"])
def test_astra(geometry: Geometry, form: str) -> None:
    grid = grid_of(geometry)
    again, voxels = from_astra(*to_astra(geometry, grid, form))  # type: ignore[arg-type]
    same_vectors(geometry, again)
    assert voxels.equals(grid)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("circle", "cone"),
        ("offset", "cone_vec"),
        ("helix", "cone_vec"),
        ("parallel", "parallel3d"),
        ("parallel offset", "parallel3d_vec"),
        ("fan", "fanflat"),
        ("fan offset", "fanflat_vec"),
        ("parallel 2-D", "parallel"),
    ],
)
def test_astra_takes_the_simplest_exact_form(name: str, kind: str) -> None:
    geometry = {**CONES, **PARALLEL_3D, **FLAT_2D}[name]
    vectors = to_astra(geometry, grid_of(geometry))[0]
    assert vectors["type"] == kind


@cases(CONES, PARALLEL_3D)
def test_tigre(geometry: Geometry) -> None:
    grid = grid_of(geometry)
    again, voxels = from_tigre(to_tigre(geometry, grid), center=grid.center)
    same_vectors(geometry, again)
    assert voxels.equals(grid)
    relative, voxels = from_tigre(vars(to_tigre(geometry, grid)))
    moved = torch.tensor(voxels.center, dtype=torch.float64) - torch.tensor(grid.center, dtype=torch.float64)
    same_vectors(geometry, relative, moved)
    if geometry.angles is not None:
        assert moved[:2].abs().max() < 1e-12


@cases(CONES)
def test_pyronn(geometry: Geometry) -> None:
    grid = grid_of(geometry)
    again, voxels = from_pyronn(to_pyronn(geometry, grid))
    same_vectors(geometry, again)
    assert voxels.equals(grid)


@cases(CONES, PARALLEL_3D)
def test_rtk(geometry: Geometry, tmp_path: Path) -> None:
    path = tmp_path / "geometry.xml"
    write_rtk(geometry, path)
    detector = FlatDetector(geometry.detector.shape, geometry.detector.spacing)
    same_vectors(geometry, read_rtk(path, detector))
    assert [file.name for file in tmp_path.iterdir()] == ["geometry.xml"]


def test_rtk_volume() -> None:
    grid = Grid((2, 3, 4), (1.0, 2.0, 3.0), (10.0, 20.0, 30.0))
    volume = torch.arange(24.0).reshape(grid.shape)
    array, spacing, origin = to_rtk_volume(volume, grid)
    again, voxels = from_rtk_volume(array.numpy(), spacing, origin)
    assert torch.equal(again, volume) and voxels.equals(grid)
    # voxel (z, y, x) = (1, 0, 3) by hand: RTK's y is z, its z is -y
    x, y, z = (o + i * s for o, i, s in zip(origin, (3, 1, 2), spacing, strict=True))
    assert array[2, 1, 3] == volume[1, 0, 3] and (x, y, z) == (14.5, 30.5, -18.0)


@cases(CONES, PARALLEL_3D, FLAT_2D, {"curved": CURVED})
@pytest.mark.parametrize("modular", [False, True])
def test_leap(geometry: Geometry, modular: bool) -> None:
    grid = grid_of(geometry)
    grid = Grid(grid.shape, (*grid.spacing[:-2], grid.spacing[-1], grid.spacing[-1]), grid.center)
    undisplaced = getattr(geometry, "scan", "") != "vectors" and "shifts" not in geometry.to_dict()
    if not isinstance(geometry, ConeBeam) and (modular or not undisplaced or _varies(geometry)):
        with pytest.raises(ValueError, match=r"LEAP's (Fan|Parallel)Beam is circular"):
            to_leap(geometry, grid, modular=modular)
        return
    if modular and geometry is CURVED:
        with pytest.raises(ValueError, match="LEAP's modular beam knows flat"):
            to_leap(geometry, grid, modular=modular)
        return
    if isinstance(geometry, ParallelBeam) and geometry.ndim == 3:
        with pytest.raises(ValueError, match="of a parallel beam LEAP's slices are the detector's rows, 5 slices"):
            to_leap(geometry, grid)
        row = float(geometry.vectors[0, 1, 2])
        spacing = (geometry.detector.row_spacing, *grid.spacing[1:])
        grid = Grid((geometry.rows, *grid.shape[1:]), spacing, (*grid.center[:2], row))
    again, voxels = from_leap(to_leap(geometry, grid, modular=modular))
    same_vectors(geometry, again)
    assert voxels.equals(grid)


def _varies(geometry: Geometry) -> bool:
    return isinstance(geometry.to_dict().get("axis_offset"), list)


@pytest.mark.parametrize(
    ("name", "method"),
    [("circle", "set_conebeam"), ("offset", "set_conebeam"), ("short", "set_conebeam"), ("helix", "set_modularbeam")],
)
def test_leap_takes_the_simplest_exact_form(name: str, method: str) -> None:
    assert list(to_leap(CONES[name], Grid((4, 5, 5), 1.0))) == [method, "set_volume"]


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (CURVED, "flat detectors only"),
        (LEFT_HANDED, "u x v towards the source"),
        (SKEWED, r"u and v at right angles \(view 0, 1 of 1 views\)"),
        (FLAT_2D["fan"], "3-D scans only, got a FanBeam"),
        (ParallelBeam([0.0], FlatDetector((5, 7), 2.0), tilt=0.2), "right angles to the detector"),
        (
            ConeBeam.from_vectors(
                sources=[[0, -100, 0]],
                centers=[[0, 50, 0]],
                u=[[2.001, 0, 0]],
                v=[[0, 0, 1.5]],
                detector=PIXELS,
            ),
            "the u step is not detector.spacing 2 mm",
        ),
    ],
    ids=["curved", "left-handed", "skewed", "2-D", "tilted parallel", "spacing"],
)
@pytest.mark.parametrize("toolkit", ["RTK", "TIGRE"])
def test_what_cannot_be_expressed(geometry: Geometry, message: str, toolkit: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        write_rtk(geometry, tmp_path / "g.xml") if toolkit == "RTK" else to_tigre(geometry, grid_of(geometry))
    assert list(tmp_path.iterdir()) == []


def test_what_else_cannot_be_expressed() -> None:
    curved_slice = FanBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=[0.0], detector=CurvedDetector(7, 2.0)
    )
    with pytest.raises(ValueError, match="ASTRA knows flat detectors only"):
        to_astra(curved_slice, grid_of(curved_slice))
    with pytest.raises(ValueError, match="PYRO-NN knows cone beams only, got a FanBeam"):
        to_pyronn(FLAT_2D["fan"], grid_of(FLAT_2D["fan"]))
    with pytest.raises(ValueError, match="as wide along y as along x"):
        to_leap(CONES["circle"], Grid((4, 5, 6), (1.0, 2.0, 1.0)))
    with pytest.raises(ValueError, match="LEAP's curved detectors are those of cone beams, not of a FanBeam"):
        to_leap(curved_slice, Grid((5, 5), 1.0))
    leaning = ParallelBeam.from_vectors(
        directions=[[0, 0.8, 0.6]],
        centers=[[0, 0, 0]],
        u=[[2, 0, 0]],
        v=[[0, -1.2, 1.6]],
        detector=FlatDetector((5, 7), 2.0),
    )
    with pytest.raises(ValueError, match="leans in 1 of 1 views"):
        to_tigre(leaning, grid_of(leaning))
    with pytest.raises(ValueError, match="2-D geometry needs a 2-D grid"):
        to_astra(FLAT_2D["fan"], Grid((4, 4, 4)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "sparse_matrix"}, "type 'sparse_matrix'; sinograd converts cone, "),
        ({"Vectors": [[0.0] * 6]}, r"Vectors must be \[views, 12\], got \[1, 6\]"),
        ({"DetectorRowCount": None}, "lacks DetectorRowCount; it has type, "),
    ],
)
def test_bad_astra(change: dict, message: str) -> None:
    given, volume = to_astra(CONES["displaced"], grid_of(CONES["displaced"]))
    given = {key: value for key, value in {**given, **change}.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        from_astra(given, volume)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "helical"}, "mode must be 'cone' or 'parallel', got 'helical'"),
        ({"DSO": None}, "lacks DSO"),
        ({"offDetector": [1.0, 2.0, 3.0]}, r"offDetector must have 2 numbers or \[7, 2\], got \[3\]"),
        ({"nVoxel": [4, 5]}, r"nVoxel must have 3 numbers"),
        ({"angles": [[0.0, 1.0]]}, r"\[views\] or \[views, 3\], got \[1, 2\]"),
        ({"mode": "parallel"}, "leaves rotDetector out of parallel beams"),
    ],
)
def test_bad_tigre(change: dict, message: str) -> None:
    given = {**vars(to_tigre(CONES["displaced"], grid_of(CONES["displaced"]))), **change}
    with pytest.raises(ValueError, match=message):
        from_tigre(given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"set_conebeam": None}, "expected one of set_parallelbeam, "),
        ({"set_conebeam": {"helicalPitch": 2.0}}, "helicalPitch 2.0 is not converted"),
        ({"set_volume": None}, "LEAP's calls lacks set_volume"),
        ({"set_conebeam": {"sod": None}}, "LEAP's set_conebeam lacks sod"),
    ],
)
def test_bad_leap(change: dict, message: str) -> None:
    calls = to_leap(CONES["circle"], Grid((4, 5, 5), 1.0))
    for method, arguments in change.items():
        calls[method] = None if arguments is None else {**calls[method], **arguments}
        if arguments:
            calls[method] = {key: value for key, value in calls[method].items() if value is not None}
    calls = {method: arguments for method, arguments in calls.items() if arguments is not None}
    with pytest.raises(ValueError, match=message):
        from_leap(calls)


def test_bad_pyronn() -> None:
    given = to_pyronn(CONES["circle"], grid_of(CONES["circle"]))
    with pytest.raises(ValueError, match="PYRO-NN's parameters lacks projection_matrices"):
        from_pyronn({key: value for key, value in given.items() if key != "projection_matrices"})
    with pytest.raises(ValueError, match=r"volume_shape is \[5, 6\]"):
        from_pyronn({**given, "volume_shape": [5, 6]})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<RTKThree", "<?", "is not an RTK geometry file"),
        ("RTKThreeDCircularGeometry", "Geometry", "expected <RTKThreeDCircularGeometry>, got <Geometry>"),
        ("<SourceOffsetX>", "<SourceOffsetX>one", "SourceOffsetX of projection 0 is 'one"),
        ("<Matrix>", "<Matrix>1 ", "Matrix of projection 0 has 13 numbers"),
        ("<GantryAngle>", "<GantryAngle>1", "is not that of its nine parameters"),
        ("SourceToIsocenterDistance", "Unknown", "projection 0 has no SourceToIsocenterDistance"),
        (
            'version="3">',
            'version="3"><RadiusCylindricalDetector>9</RadiusCylindricalDetector>',
            "cylindrical detector",
        ),
        ("<Projection>", "<Other>", "is not an RTK geometry file"),
    ],
)
def test_bad_rtk_files(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "geometry.xml"
    write_rtk(CONES["displaced"], path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_rtk(path, FlatDetector((5, 7), (1.5, 2.0)))


def test_rtk_collimators_are_told(tmp_path: Path) -> None:
    path = tmp_path / "geometry.xml"
    write_rtk(CONES["circle"], path)
    text = path.read_text().replace("<Matrix>", "<CollimationUInf>5</CollimationUInf><Matrix>", 2)
    path.write_text(text)
    with pytest.warns(UserWarning, match="2 of 7 projections have collimators"):
        read_rtk(path, FlatDetector((5, 7), (1.5, 2.0)))
    with pytest.raises(FileExistsError, match="force=True"):
        write_rtk(CONES["circle"], path)
    write_rtk(CONES["circle"], path, force=True)
    with pytest.raises(FileNotFoundError, match="no geometry file"):
        read_rtk(tmp_path / "other.xml", FlatDetector((5, 7), 1.0))
