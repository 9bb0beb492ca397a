"""`sinograd pairs`. Truth: `simulate` and `reconstruct` by themselves, to the bit; the readers of pairs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import sinograd as sg
from sinograd.cli.app import app
from sinograd.errors import ExistingFileError, InputError, MissingFileError, Stopped
from sinograd.evaluation.pairs_file import read_pairs_file
from sinograd.phantoms.cylinders import water
from sinograd.testing import write_ct_pd

GRID: dict[str, Any] = {"voxel_mm": 8.0, "shape": (4, 24, 24), "center_mm": (0.0, 0.0, 20.0)}
OPTIONS = ["--voxel-mm", "8", "--shape", "4,24,24", "--center-mm", "0,0,20", "--kernel", "hann", "--dose", "0.1", "-q"]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two helical scans of water in other sizes, as DICOM-CT-PD."""
    folder = tmp_path_factory.mktemp("raw")
    helix = sg.ConeBeam.helical(
        source_to_origin=595.0,
        source_to_detector=1085.6,
        angles=torch.arange(4 * 48, dtype=torch.float64) * 2 * math.pi / 48,
        detector=sg.CurvedDetector((12, 64), (6.5, 9.0)),
        pitch=30.0,
        z_start=-40.0,
    )
    for name, radius in (("L067", 80.0), ("L096", 70.0)):
        scan = sg.Scan(water(radius, 0.0192).project(helix), helix)
        write_ct_pd(scan, folder / name, photons=1e5)
    return folder / "L067", folder / "L096"


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["pairs", *map(str, arguments)])


def test_two_patients(raw: tuple[Path, Path], tmp_path: Path) -> None:
    """Both doses of each, seeds that differ, and a file that evaluation reads."""
    result = run(*raw, *OPTIONS, "--group", "abdomen", "--seed", 5, "-o", tmp_path / "pairs")
    assert result.exit_code == 0, result.output
    pairs = read_pairs_file(tmp_path / "pairs" / "pairs.yaml")
    assert [(pair.name, pair.patient, pair.group) for pair in pairs] == [
        ("L067", "L067", "abdomen"),
        ("L096", "L096", "abdomen"),
    ]
    for seed, (pair, scan) in enumerate(zip(pairs, raw, strict=True), 5):
        low = sg.reconstruct(sg.simulate(scan, dose=0.1, seed=seed), unit="HU", window="hann", **GRID)
        normal = sg.reconstruct(scan, unit="HU", window="hann", **GRID)
        assert pair.target is not None and pair.unit == "HU"
        torch.testing.assert_close(pair.inputs[0].read(0, 4), low.values, rtol=0, atol=0.5001)
        torch.testing.assert_close(pair.target.read(0, 4), normal.values, rtol=0, atol=0.5001)
        assert not torch.equal(low.values, normal.values)


def test_an_interrupt_keeps_whole_pairs(
    raw: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first pair stays and is not made again; the end is as without an interrupt."""
    import sinograd.workflows.reconstruction as reconstruction

    options: dict[str, Any] = {"dose": 0.1, "format": "h5", **GRID}
    whole = sg.make_pairs(raw, tmp_path / "whole", **options)
    plain, calls = reconstruction.reconstruct, []

    def interrupted(*arguments: Any, **more: Any) -> Any:
        calls.append(arguments[1])
        if len(calls) == 4:
            raise KeyboardInterrupt
        return plain(*arguments, **more)

    monkeypatch.setattr(reconstruction, "reconstruct", interrupted)
    with pytest.raises(Stopped, match=r"whole pairs stay.*resume"):
        sg.make_pairs(raw, tmp_path / "out", **options)
    assert [pair.name for pair in read_pairs_file(tmp_path / "out" / "pairs.yaml")] == ["L067"]
    with pytest.raises(ExistingFileError, match=r"holds pairs.*resume"):
        sg.make_pairs(raw, tmp_path / "out", **options)
    with pytest.raises(InputError, match="made with other seed and options"):
        sg.make_pairs(raw, tmp_path / "out", seed=2, resume=True, **{**options, "dose": 0.2})
    calls.clear()
    sg.make_pairs(raw, tmp_path / "out", resume=True, **options)
    assert [path.name for path in calls] == ["L096-normal.h5", "L096-low.h5"]
    assert (tmp_path / "out" / "pairs.yaml").read_text() == whole.read_text()
    for name in ("L067-low", "L067-normal", "L096-low", "L096-normal"):
        one, other = (sg.read_volume(tmp_path / folder / f"{name}.h5").values for folder in ("whole", "out"))
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_json(raw: tuple[Path, Path], tmp_path: Path) -> None:
    result = run(raw[1], *OPTIONS[:-1], "--json", "--format", "nii.gz", "-o", tmp_path / "out")
    record = json.loads(result.stdout)
    assert record["pairs"] == ["L096"] and Path(record["file"]).name == "pairs.yaml"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "L096-low.nii.gz",
        "L096-normal.nii.gz",
        "made.yaml",
        "pairs.yaml",
    ]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"scans": ["missing"]}, MissingFileError, "no scan at missing"),
        ({"scans": []}, InputError, "at least one scan"),
        ({"dose": 1.0}, InputError, "above 0 and below 1, got 1"),
        ({"format": "png"}, InputError, "format.*dicom, nii.gz, h5"),
        ({"seed": -1}, InputError, "seed.*from 0 on"),
        ({"window": "square"}, InputError, "window.*ram-lak"),
        ({"group": 3}, TypeError, "group.*text"),
        ({"output": "no/folder"}, MissingFileError, "does not exist"),
    ],
)
def test_bad_values(
    raw: tuple[Path, Path], tmp_path: Path, change: dict[str, Any], error: type[Exception], words: str
) -> None:
    """Said before any work; nothing is made."""
    values: dict[str, Any] = {"scans": raw, "output": tmp_path / "out", "dose": 0.1} | change
    with pytest.raises(error, match=words):
        sg.make_pairs(**values)
    assert not (tmp_path / "out").exists()


def test_names_and_folders_that_are_taken(raw: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(ExistingFileError, match="is not empty"):
        sg.make_pairs(raw, tmp_path / "full", dose=0.1)
    with pytest.raises(InputError, match="L067 is the name of several scans"):
        sg.make_pairs([raw[0], raw[0]], tmp_path / "out", dose=0.1)


def test_what_a_killed_run_leaves_is_no_obstacle(raw: tuple[Path, Path], tmp_path: Path) -> None:
    """An empty folder, or one with an unfinished file of a process that is gone."""
    import subprocess
    import sys

    folder = tmp_path / "out"
    folder.mkdir()
    made = "import sys; from sinograd.files.temporary import make_file, temporary_path; from pathlib import Path; "
    made += "import os, signal; make_file(temporary_path(Path(sys.argv[1]))); os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", made, str(folder / "made.yaml")], check=False)
    assert len(list(folder.iterdir())) == 1
    sg.make_pairs(raw[1], folder, dose=0.5, format="h5", **GRID)
    assert sorted(path.name for path in folder.iterdir()) == [
        "L096-low.h5",
        "L096-normal.h5",
        "made.yaml",
        "pairs.yaml",
    ]
