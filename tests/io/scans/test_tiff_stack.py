"""TIFF stacks with a YAML file. Truth: the arrays that tifffile wrote, and a phantom."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import yaml

from scanner_files import COLUMNS, ROWS, VIEWS, WHITE, check_phantom, counts, phantom
from sinograd.data import Calibration, Scan
from sinograd.geometry import ConeBeam, FanBeam, FlatDetector, full_scan
from sinograd.io import read, write_scan


def small(views: int = 6) -> ConeBeam:
    return ConeBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=full_scan(views), detector=FlatDetector((4, 5), 0.3)
    )


def draw(images: int = 6, rows: int = 4, columns: int = 5, dtype: Any = np.uint16) -> np.ndarray:
    return np.random.default_rng(images).integers(0, 250, (images, rows, columns)).astype(dtype)


def write(folder: Path, images: np.ndarray, name: str = "scan_{}.tif", first: int = 0, **options: Any) -> None:
    folder.mkdir(exist_ok=True)
    for index, image in enumerate(images):
        tifffile.imwrite(folder / name.format(index + first), image, photometric="minisblack", **options)


def write_yaml(path: Path, **entries: Any) -> None:
    path.write_text(yaml.safe_dump({"geometry": small().to_dict(), **entries}))


@pytest.mark.parametrize("flipped", [False, True])
def test_a_phantom_comes_back(tmp_path: Path, flipped: bool) -> None:
    """Array rows along +v as the README says, or image rows from the top and columns against +u, told in the YAML."""
    geometry = ConeBeam.circular(
        source_to_origin=60,
        source_to_detector=150,
        angles=full_scan(VIEWS, 0.3),
        detector=FlatDetector((ROWS, COLUMNS), 0.5, (0.7, -1.3)),
        axis_offset=0.4,
    )
    images = counts(phantom().project(geometry))
    write(tmp_path, images[:, ::-1, ::-1] if flipped else images)
    entries: dict[str, Any] = {"flip_rows": True, "flip_columns": True} if flipped else {}
    (tmp_path / "scan.yaml").write_text(yaml.safe_dump({"geometry": geometry.to_dict(), "reference": WHITE, **entries}))
    scan = read(tmp_path).validate()
    assert scan.kind == "counts" and scan.calibration is not None
    check_phantom(scan.load(), float(scan.calibration.load("reference").mean()), scan.geometry)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": True},
        {"bigtiff": True},
        {"tile": (16, 16)},
        {"imagej": True},
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("pages", [False, True])
def test_kinds_of_tiff(tmp_path: Path, options: dict[str, Any], dtype: Any, pages: bool) -> None:
    images = draw(dtype=dtype)
    if dtype == np.float32 and "predictor" in options:
        options = {"compression": "zlib"}  # tifffile needs another package to predict floats
    if pages:
        tifffile.imwrite(tmp_path / "scan.tif", images, photometric="minisblack", **options)
        small().save(tmp_path / "scan.yaml")
        scan = read(tmp_path / "scan.tif")
    else:
        write(tmp_path, images, **options)
        small().save(tmp_path / "geometry.yaml")
        scan = read(tmp_path)
    assert scan.projections.dtype == dtype
    assert scan.kind == ("line integrals" if dtype == np.float32 else "counts")
    for views in (slice(None), 2, -1, [5, 0, 0], slice(4, 1, -2)):
        np.testing.assert_array_equal(scan.load(views).numpy(), images[views])
    again = pickle.loads(pickle.dumps(scan.projections))
    np.testing.assert_array_equal(again[1:3], images[1:3])


def test_order_and_kinds_of_images_by_name(tmp_path: Path) -> None:
    images, flats, darks = draw(12), draw(3), draw(2)
    write(tmp_path, images, "Proj{}.TIF")
    write(tmp_path, flats[:2], "Flat-Field_{}.tif")
    write(tmp_path / "Refs", flats[2:], "{}.tif")
    write(tmp_path, darks, "bone_darks_{:03d}.tiff")
    write(tmp_path / "old", draw(1), "{}.tif")
    write(tmp_path, draw(1), ".hidden_{}.tif")
    small(12).save(tmp_path / "geometry.yml")
    scan = read(tmp_path)
    np.testing.assert_array_equal(scan.load().numpy(), images)
    assert scan.calibration is not None
    np.testing.assert_array_equal(scan.calibration.load("reference").numpy(), flats)
    np.testing.assert_array_equal(scan.calibration.load("dark").numpy(), darks)
    assert scan.calibration.reference_views is None


def test_files_named_in_the_yaml(tmp_path: Path) -> None:
    """Patterns, lists, Windows paths and numbers; the flat_* images are then projections."""
    images, flats = draw(6), draw(2)
    write(tmp_path / "in", images, "flat_{}.tif")
    write(tmp_path, flats, "air{}.tif")
    write_yaml(
        tmp_path / "scan.yaml",
        projections="in\\flat_*.tif",
        reference=["C:\\scans\\air0.tif", "air1.tif"],
        reference_views=[-1, 6],
        dark=100,
        shifts=[[0.5, -1.0]] * 6,
        exposure=[1, 1, 1, 1, 1, 2],
        kind="counts",
        grid={"shape": [4, 5, 6], "spacing": 0.1},
        metadata={"sample": "Knöchel"},
        provenance={"software": "bench"},
    )
    scan = read(tmp_path)
    np.testing.assert_array_equal(scan.load().numpy(), images)
    calibration = scan.calibration
    assert calibration is not None and calibration.reference_views is not None
    np.testing.assert_array_equal(calibration.load("reference").numpy(), flats)
    assert calibration.reference_views.tolist() == [-1, 6]
    assert bool((calibration.load("dark") == 100).all())
    assert calibration.shifts is not None and calibration.exposure is not None
    assert calibration.shifts[3].tolist() == [0.5, -1.0] and calibration.exposure[-1] == 2
    assert scan.grid is not None and scan.grid.shape == (4, 5, 6)
    assert scan.metadata == {"sample": "Knöchel"} and scan.provenance == {"software": "bench"}
    (tmp_path / "in" / "flat_5.tif").unlink()
    with pytest.raises(ValueError, match="views 5 != 6"):
        read(tmp_path)


def test_a_geometry_named_in_the_yaml_or_given(tmp_path: Path) -> None:
    write(tmp_path, draw())
    small().save(tmp_path / "bench.yaml")
    write_yaml(tmp_path / "scan.yaml", geometry="D:\\scans\\bench.yaml", reference=7)
    assert read(tmp_path).geometry.equals(small())
    other = small()[::-1]
    scan = read(tmp_path, other)
    assert scan.geometry is other and scan.calibration is not None
    (tmp_path / "scan.yaml").unlink()
    assert read(tmp_path, tmp_path / "bench.yaml").calibration is None
    assert read(tmp_path, other, kind="transmission").kind == "transmission"
    with pytest.raises(TypeError, match="has no option gain; its options are kind"):
        read(tmp_path, other, gain=2)


def test_fan_beams(tmp_path: Path) -> None:
    """One image is a sinogram; so are images of one row."""
    geometry = FanBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=full_scan(6), detector=FlatDetector(5, 0.3)
    )
    sinogram = np.random.default_rng(0).random((6, 5), dtype=np.float32)
    tifffile.imwrite(tmp_path / "one.tif", sinogram, photometric="minisblack")
    geometry.save(tmp_path / "geometry.yaml")
    np.testing.assert_array_equal(read(tmp_path / "one.tif").load().numpy(), sinogram)
    np.testing.assert_array_equal(read(tmp_path).load().numpy(), sinogram)
    write(tmp_path / "rows", sinogram[:, None])
    geometry.save(tmp_path / "rows" / "geometry.yaml")
    np.testing.assert_array_equal(read(tmp_path / "rows").load().numpy(), sinogram)


def test_no_geometry_says_how_to_write_one(tmp_path: Path) -> None:
    write(tmp_path, draw())
    for path, name in ((tmp_path, "geometry.yaml"), (tmp_path / "scan_0.tif", "scan_0.yaml")):
        with pytest.raises(
            ValueError, match=rf"write it to .*{name}, in mm and degrees, for example {{beam: cone, scan: circular"
        ):
            read(path)


def test_mixed_images_name_the_file(tmp_path: Path) -> None:
    write(tmp_path, draw())
    small().save(tmp_path / "geometry.yaml")
    for odd in (draw(1, 4, 6)[0], draw(1, dtype=np.uint8)[0]):
        tifffile.imwrite(tmp_path / "scan_3.tif", odd)
        with pytest.raises(ValueError, match=r"scan_3\.tif holds 4 x . uint\d+ but scan_0\.tif 4 x 5 uint16"):
            read(tmp_path)
    tifffile.imwrite(tmp_path / "scan_3.tif", np.zeros((4, 5, 3), np.uint8), photometric="rgb")
    with pytest.raises(ValueError, match=r"scan_3\.tif: expected a grey image .*, got \[4, 5, 3\] of 3 x 8 bits"):
        read(tmp_path)
    write(tmp_path, draw())
    tifffile.imwrite(tmp_path / "flat_0.tif", draw(1, 3, 5)[0])
    with pytest.raises(ValueError, match=r"calibration\.reference \[1, 3, 5\] does not match projections \[6, 4, 5\]"):
        read(tmp_path)


def test_folders_that_are_no_scan(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(IsADirectoryError, match="is a folder, and no known scan format is one"):
        read(tmp_path)
    write(tmp_path, draw(3), "flat_{}.tif")
    small().save(tmp_path / "geometry.yaml")
    with pytest.raises(ValueError, match=r"no projections, only 3 references and 0 dark images .*geometry\.yaml"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"reference": "none_*.tif"}, r"reference 'none_\*\.tif' was not found"),
        ({"reference": "C:\\data\\none.tif"}, r"nor 'none\.tif' in"),
        ({"reference": [1, 2]}, "reference must be a file name"),
        ({"reference": float("nan")}, None),
        ({"references": "flat.tif"}, "unknown key references; a scan has geometry, kind,"),
        ({"kind": "photons"}, "kind must be one of line integrals, transmission, counts, got 'photons'"),
        ({"shifts": [[1, 2]]}, "shifts has 1 entries for 6 views"),
        ({"shifts": "none"}, "shifts must be numbers"),
        ({"exposure": [0] * 6}, "exposure"),
        ({"flip_rows": "yes please"}, "flip_rows must be true or false, got 'yes please'"),
        ({"metadata": [1]}, r"metadata must be a mapping, got \[1\]"),
        ({"grid": {"shape": [0, 1, 1]}}, "Grid shape"),
        ({"geometry": {"beam": "cone"}}, "scan of a cone beam must be one of"),
        ({"geometry": None}, "geometry must be a mapping, a file or the name of a scanner, got None"),
        ({"geometry": "moon"}, "no scanner named 'moon'"),
        ({"projections": 5}, "projections must name files"),
    ],
)
def test_wrong_entries_are_named(tmp_path: Path, entries: dict[str, Any], message: str | None) -> None:
    write(tmp_path, draw())
    write_yaml(tmp_path / "scan.yaml", **entries)
    if message is None:
        assert read(tmp_path).calibration is not None
        return
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        read(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_decimal_commas(tmp_path: Path) -> None:
    """Angles, distances and calibration as a spreadsheet of another country writes them."""
    write(tmp_path, draw())
    angles = "\n".join(f"    - {12.5 * i:.1f}".replace(".", ",") for i in range(6))
    (tmp_path / "scan.yaml").write_text(
        f"geometry:\n  beam: parallel\n  scan: circular\n  angles_deg:\n{angles}\n"
        "  detector:\n    kind: flat\n    shape: [4, 5]\n    spacing: 0,25\n"
        "reference: 1000,5\nmetadata:\n  sample: 1,5\n"
    )
    scan = read(tmp_path)
    assert scan.geometry.angles is not None and scan.calibration is not None
    np.testing.assert_allclose(np.degrees(scan.geometry.angles.numpy()), 12.5 * np.arange(6))
    assert scan.geometry.detector.spacing == (0.25, 0.25) and scan.metadata["sample"] == "1,5"
    assert bool((scan.calibration.load("reference") == 1000.5).all())


def test_yaml_that_is_none(tmp_path: Path) -> None:
    write(tmp_path, draw())
    for text, message in (
        ("a: [1", "is not a YAML file"),
        ("- 1", "must be a mapping of keys to values"),
        ("spacing_mm: [1, 1, 1]", "describes a volume, not a scan"),
        ("geometry: {}\ngeometry: {}", "given twice"),
        ("[" * 5_000, "is not a YAML file"),
    ):
        (tmp_path / "scan.yaml").write_text(text)
        with pytest.raises(ValueError, match=message):
            read(tmp_path)


def test_truncated_images(tmp_path: Path) -> None:
    write(tmp_path, draw(6, 40, 50))
    geometry = ConeBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=full_scan(6), detector=FlatDetector((40, 50), 0.3)
    )
    geometry.save(tmp_path / "geometry.yaml")
    whole = (tmp_path / "scan_4.tif").read_bytes()
    scan = read(tmp_path)
    for length in (0, 3, 8, 100, 300, len(whole) // 2, len(whole) - 1):
        (tmp_path / "scan_4.tif").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"scan_4\.tif"):
            read(tmp_path)
        with pytest.raises(ValueError, match=r"scan_4\.tif was cut since it was opened"):
            scan.load()
    assert scan.load(slice(0, 4)).shape == (4, 40, 50)


@pytest.fixture
def measured(cone_scan: Scan) -> Scan:
    """Counts with everything that can belong to them."""
    calibration = Calibration(
        reference=draw(3), reference_views=[-1, 2.5, 6], dark=draw(2), shifts=np.ones((6, 2)), exposure=np.ones(6)
    )
    return dataclasses.replace(cone_scan, projections=draw(), kind="counts", calibration=calibration)


def test_round_trip(tmp_path: Path, measured: Scan) -> None:
    seen: list[tuple[int, int]] = []
    write_scan(measured, tmp_path / "out", progress=lambda done, total: seen.append((done, total)), format="tiff")
    assert seen == [(i + 1, 6) for i in range(6)]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names[:3] == ["dark_00000.tif", "dark_00001.tif", "flat_00000.tif"] and len(names) == 12
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
    again = read(tmp_path / "out").validate()
    assert again.projections.dtype == np.uint16
    np.testing.assert_array_equal(again.projections[:], measured.projections)
    assert again.geometry.equals(measured.geometry) and again.kind == "counts"
    assert again.grid is not None and again.grid.equals(measured.grid) and again.metadata == measured.metadata
    first, second = measured.calibration, again.calibration
    assert first is not None and second is not None
    for name in ("reference", "reference_views", "dark", "shifts", "exposure"):
        np.testing.assert_array_equal(getattr(second, name)[:], getattr(first, name)[:])


def test_round_trip_of_line_integrals(tmp_path: Path, fan_scan: Scan) -> None:
    double = dataclasses.replace(fan_scan, projections=torch.rand(7, 9, dtype=torch.float64))
    write_scan(double, tmp_path / "out", format="tiff")
    again = read(tmp_path / "out")
    assert again.projections.dtype == np.float32 and again.kind == "line integrals"
    torch.testing.assert_close(again.load(), double.load(), rtol=0, atol=0)


def test_only_own_folders_are_replaced(tmp_path: Path, measured: Scan) -> None:
    out = tmp_path / "out"
    write_scan(measured, out, format="tiff")
    with pytest.raises(FileExistsError, match="already exists: use `force=True`"):
        write_scan(measured, out, format="tiff")
    write_scan(measured[:3], out, force=True, format="tiff")
    assert len(read(out).geometry) == 3
    (out / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds other files than those that would be written"):
        write_scan(measured, out, force=True, format="tiff")
    assert len(read(out).geometry) == 3 and (out / "notes.txt").read_text() == "mine"
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="it is a file"):
        write_scan(measured, tmp_path / "file", force=True, format="tiff")
    with pytest.raises(FileNotFoundError, match=r"the folder .*missing does not exist"):
        write_scan(measured, tmp_path / "missing" / "out", format="tiff")


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(5, "Input/output error")])
def test_a_write_that_stops_leaves_nothing(
    tmp_path: Path, measured: Scan, monkeypatch: pytest.MonkeyPatch, existing: bool, error: BaseException
) -> None:
    if existing:
        write_scan(measured, tmp_path / "out", format="tiff")

    def stop(file: int) -> None:
        raise error

    monkeypatch.setattr("os.fsync", stop)
    with pytest.raises(type(error)):
        write_scan(measured[:2], tmp_path / "out", force=True, format="tiff")
    assert [path.name for path in tmp_path.iterdir()] == ["out"] * existing
    assert not existing or len(read(tmp_path / "out").geometry) == 6


def test_a_folder_without_a_geometry_is_told_one_that_fits(tmp_path: Path) -> None:
    """The example in the error, written to the file that it names, reads the folder: its views, rows and columns."""
    for view in range(6):
        tifffile.imwrite(tmp_path / f"proj_{view}.tif", np.full((4, 5), 100 + view, np.uint16))
    tifffile.imwrite(tmp_path / "flat_0.tif", np.full((4, 5), 200, np.uint16))
    with pytest.raises(ValueError, match="does not say in which geometry") as error:
        read(tmp_path)
    text = str(error.value)
    (tmp_path / "geometry.yaml").write_text(text[text.index("{beam") : text.rindex("}") + 1])
    assert "shape: [4, 5]" in text and "views: 6" in text
    scan = read(tmp_path)
    assert scan.shape == (6, 4, 5) and scan.geometry.angles is not None
    np.testing.assert_allclose(scan.geometry.angles.rad2deg().numpy(), np.arange(6) * 60)


@pytest.mark.parametrize("name", ["projections", "tomo"])
def test_projections_in_a_folder_of_their_own(tmp_path: Path, name: str) -> None:
    """scan/projections, scan/flats, scan/darks: with and without a geometry; two folders of images are none."""
    images = draw(6)
    for folder, part in ((name, images), ("flats", images[:2]), ("darks", images[2:3])):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, part)
    with pytest.raises(ValueError, match=r"step: 60, views: 6\}, detector: \{shape: \[4, 5\]"):
        read(tmp_path)
    small().save(tmp_path / "geometry.yaml")
    scan = read(tmp_path)
    assert np.array_equal(scan.load().numpy(), images.astype(np.float32)) and scan.calibration is not None
    assert scan.calibration.reference.shape == (2, 4, 5) and scan.calibration.dark.shape == (1, 4, 5)
    (tmp_path / "others").mkdir()
    write(tmp_path / "others", images)
    with pytest.raises(ValueError, match=r"`projections: FOLDER/\*\.tif`"):
        read(tmp_path)
    (tmp_path / "geometry.yaml").unlink()
    write_yaml(tmp_path / "scan.yaml", projections=f"{name}/*.tif")
    assert read(tmp_path).shape == (6, 4, 5)
