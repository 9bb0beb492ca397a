from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sinograd.geometry import (
    ConeBeam,
    CurvedDetector,
    FanBeam,
    FlatDetector,
    Geometry,
    ParallelBeam,
    full_scan,
    load_geometry,
    save_geometry,
    scanner_names,
)

SCANNERS = ["c-arm", "htc2022", "siemens-definition-as", "tigre-default", "walnut", "zeiss-xradia-620"]


@pytest.fixture
def scan() -> ParallelBeam:
    return ParallelBeam(full_scan(6), FlatDetector((3, 4), (0.5, 0.25), (1, 2)), tilt=0.1)


def test_all_scanners_are_there() -> None:
    """The promised names, and no stray file."""
    assert scanner_names() == SCANNERS


@pytest.mark.parametrize("name", SCANNERS)
def test_scanners_load_and_round_trip(name: str, tmp_path: Path) -> None:
    """Each loads by name, sees its axis, and survives being saved."""
    geometry = load_geometry(name)
    assert geometry.field_of_view > 0
    save_geometry(geometry, tmp_path / "copy.yml")
    assert load_geometry(tmp_path / "copy.yml").equals(geometry)


def test_known_scanners_have_their_published_numbers() -> None:
    """Effective pixels and fields of view that the data sets publish themselves."""
    # effectivePixelSizePost in the HTC2022 files
    assert load_geometry("htc2022").default_grid().spacing[0] == pytest.approx(0.1483223173330444)
    # a clinical CT's field of view is 500 mm
    definition = load_geometry("siemens-definition-as")
    assert isinstance(definition.detector, CurvedDetector)
    assert definition.field_of_view == pytest.approx(500, abs=5)
    # the walnut paper's magnification, 199 / 66
    assert load_geometry("walnut").magnification == pytest.approx(199 / 66)
    # 200 degrees is a short scan for this fan
    c_arm = load_geometry("c-arm")
    assert c_arm.angles is not None
    assert math.pi + c_arm.fan_angle < (c_arm.angles[-1] - c_arm.angles[0]).item() < math.radians(201)


def test_any_beam_is_the_first_thing_that_a_process_loads(tmp_path: Path, scan: ParallelBeam) -> None:
    """The classes of beams are imported when they are needed."""
    save_geometry(scan, tmp_path / "parallel.yaml")
    code = "import sinograd, sys; print(type(sinograd.load_geometry(sys.argv[1])).__name__)"
    for name, kind in ((tmp_path / "parallel.yaml", "ParallelBeam"), ("htc2022", "FanBeam"), ("walnut", "ConeBeam")):
        command = [sys.executable, "-c", code, str(name)]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == kind


def test_htc2022_agrees_with_the_measured_file(shared_data: Path) -> None:
    """The numbers inside the published .mat file."""
    from scipy.io import loadmat

    file = loadmat(shared_data / "htc2022" / "tb_30deg_original.mat", simplify_cells=True)
    parameters = file["CtDataLimited"]["parameters"]
    geometry = load_geometry("htc2022")
    assert isinstance(geometry, FanBeam)
    assert geometry.source_to_origin == parameters["distanceSourceOrigin"]
    assert geometry.source_to_detector == parameters["distanceSourceDetector"]
    assert geometry.columns == parameters["numDetectorsPost"]
    assert geometry.detector.column_spacing == parameters["pixelSizePost"]


def test_file_is_plain_yaml_in_degrees(scan: ParallelBeam, tmp_path: Path) -> None:
    """What a person reads and edits."""
    save_geometry(scan, tmp_path / "scan.yaml")
    assert (tmp_path / "scan.yaml").read_text() == (
        "beam: parallel\n"
        "scan: circular\n"
        "angles_deg: {start: 0.0, step: 60.0, views: 6}\n"
        "detector:\n"
        "  kind: flat\n"
        "  shape: [3, 4]\n"
        "  spacing: [0.5, 0.25]\n"
        "  offset: [1.0, 2.0]\n"
        f"tilt_deg: {math.degrees(0.1)!r}\n"
    )


def test_vectors_are_stored(tmp_path: Path) -> None:
    """A geometry of given vectors keeps every number."""
    source, center, u, v = ConeBeam.circular(
        source_to_origin=100,
        source_to_detector=150,
        angles=full_scan(50, 0.1),
        detector=FlatDetector((6, 8), 1.0),
    ).vectors.unbind(1)
    geometry = ConeBeam.from_vectors(sources=source, centers=center, u=u, v=v, detector=FlatDetector((6, 8), 1.0))
    save_geometry(geometry, tmp_path / "vectors.yaml")
    assert torch.equal(load_geometry(tmp_path / "vectors.yaml").vectors, geometry.vectors)


def test_never_overwrites_unasked(scan: ParallelBeam, tmp_path: Path) -> None:
    """An existing file stays as it is unless forced; nothing else is left in the folder."""
    path = tmp_path / "scan.yaml"
    save_geometry(scan, path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"scan\.yaml exists; give force=True"):
        save_geometry(scan[:2], path)
    assert path.read_bytes() == before
    save_geometry(scan[:2], path, force=True)
    assert load_geometry(path).equals(scan[:2])
    assert os.listdir(tmp_path) == ["scan.yaml"]


def test_failed_write_leaves_the_old_file(scan: ParallelBeam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk while writing: the old file is whole, and no part is left."""
    path = tmp_path / "scan.yaml"
    save_geometry(scan, path)
    before = path.read_bytes()

    def full_disk(self: Path, text: str, **_: object) -> int:
        self.write_bytes(text.encode()[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_geometry(scan[:2], path, force=True)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["scan.yaml"]


def test_bad_targets_are_named(scan: ParallelBeam, tmp_path: Path) -> None:
    """Suffix, folder, type."""
    with pytest.raises(ValueError, match=r"ends in .yaml or .yml, got '.*scan.json'"):
        save_geometry(scan, tmp_path / "scan.json")
    with pytest.raises(FileNotFoundError, match=r"folder .*none does not exist"):
        save_geometry(scan, tmp_path / "none" / "scan.yaml")
    with pytest.raises(TypeError, match="geometry must be a Geometry, got str"):
        save_geometry("walnut", tmp_path / "scan.yaml")  # type: ignore[arg-type]


def test_missing_sources_are_named(tmp_path: Path) -> None:
    """Unknown names list the known ones; missing files name the path."""
    with pytest.raises(
        FileNotFoundError, match=r"no scanner named 'walnuts'; known: c-arm, htc2022, .*or give the path"
    ):
        load_geometry("walnuts")
    with pytest.raises(FileNotFoundError, match=r"no geometry file at .*walnut.yaml"):
        load_geometry(tmp_path / "walnut.yaml")


FAN = """
beam: fan
scan: circular
source_to_origin: 1e2
source_to_detector: 150
angles_deg: {start: 0, step: 90, views: 4}
detector: {shape: 8, spacing: 2.5e-1}
"""


def test_reads_what_people_write(tmp_path: Path) -> None:
    """Exponents without a point are numbers, and a flat detector needs no kind."""
    path = tmp_path / "fan.yaml"
    path.write_text(FAN)
    expected = FanBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=full_scan(4), detector=FlatDetector(8, 0.25)
    )
    assert load_geometry(str(path)).equals(expected)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            FAN + "sdd: 3\n",
            ValueError,
            "fan.yaml: unknown fan circular geometry key sdd; allowed: beam, scan",
        ),
        (FAN + "scan: circular\n", ValueError, "not a YAML file: key 'scan' is given twice"),
        (FAN.replace("150", "yes"), TypeError, "fan.yaml: source_to_detector must be a number, got True"),
        (FAN.replace("150", "-150"), ValueError, "fan.yaml: source_to_detector must be positive, got -150"),
        ("beam: [fan\n", ValueError, "fan.yaml is not a YAML file"),
        ("just text", TypeError, "fan.yaml: a geometry is a mapping of keys to values, got 'just text'"),
        ("", TypeError, "fan.yaml: a geometry is a mapping of keys to values, got None"),
        ("!!python/object:os.system {}", ValueError, "not a YAML file"),
    ],
)
def test_bad_files_are_named(text: str, error: type[Exception], message: str, tmp_path: Path) -> None:
    """Every error names the file; tags that run code are refused."""
    path = tmp_path / "fan.yaml"
    path.write_text(text)
    with pytest.raises(error, match=message):
        load_geometry(path)


def test_base_class_reads_every_kind() -> None:
    """Named scanners come as the class they are."""
    kinds = {name: type(load_geometry(name)) for name in SCANNERS}
    assert kinds.pop("htc2022") is FanBeam
    assert set(kinds.values()) == {ConeBeam}
    assert all(issubclass(kind, Geometry) for kind in kinds.values())
