"""`sinograd evaluate`, from files to tables."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import Result

from sinograd.geometry import Grid
from sinograd.io import write_volume
from sinograd.models import bilateral_stack, save_model

Command = Callable[..., Result]
GRID = Grid((3, 32, 36), 1.0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: two patients in HU as input/NAME and target/NAME, a file of these pairs, a model."""
    monkeypatch.chdir(tmp_path)
    generator = torch.Generator().manual_seed(0)
    for part in ("input", "target"):
        (tmp_path / part).mkdir()
    for name in ("p1", "p2"):
        coarse = 150 * torch.randn(1, 1, 3, 5, 5, generator=generator)
        clean = torch.nn.functional.interpolate(coarse, GRID.shape, mode="trilinear", align_corners=True)[0, 0]
        write_volume(clean, tmp_path / "target" / f"{name}.h5", GRID)
        write_volume(clean + 40 * torch.randn(GRID.shape, generator=generator), tmp_path / "input" / f"{name}.h5", GRID)
    (tmp_path / "pairs.yaml").write_text("pairs: {layout: volumes, unit: HU, folder: .}\n", encoding="utf-8")
    save_model(bilateral_stack(1, sigma_spatial=(0.2, 0.9, 0.9), sigma_range=0.05, input_scale=4096), "model.yaml")
    return tmp_path


def test_pairs_file(sinograd: Command, folder: Path) -> None:
    found = sinograd(
        "evaluate", "pairs.yaml", "-m", "one=model.yaml", "-m", "gaussian", "--protocol", "full-range", "-o", "results",
        "--disc", "1,-2,5,p1"
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    names = {"volumes.csv", "summary.csv", "differences.csv", "curves.csv", "discs.csv"}
    names |= {"table.tex", "noise.tex", "report.html", "provenance.json"}
    assert {path.name for path in (folder / "results").iterdir()} == names
    with open(folder / "results" / "summary.csv", newline="", encoding="utf-8") as file:
        rmse = {row["method"]: float(row["mean"]) for row in csv.DictReader(file) if row["metric"] == "rmse"}
    assert rmse["gaussian"] < rmse["one"] < rmse["input"] == pytest.approx(40, rel=0.05)
    for text in ("data range: 4096 HU", "over 2 patients", "one - input", "gaussian*", "results: results",
                 "noise left (HU)", "disc at (1, -2) mm, radius 5 mm of p1"):  # fmt: skip
        assert text in found.output, found.output
    assert "p1" in (folder / "results" / "report.html").read_text(encoding="utf-8")

    again = sinograd("evaluate", "pairs.yaml", "--protocol", "full-range", "-o", "results")
    assert again.exit_code == 2 and "volumes.csv already exists: use --force" in again.output
    again = sinograd("evaluate", "pairs.yaml", "--protocol", "full-range", "-o", "results", "--force", "-q")
    assert again.exit_code == 0 and again.output == ""


def test_volumes(sinograd: Command, folder: Path) -> None:
    volumes = ["input/p1.h5", "input/p2.h5", "--target", "target/p1.h5", "--target", "target/p2.h5", "--unit", "HU"]
    found = sinograd(
        "evaluate",
        *volumes,
        "--group",
        "abdomen",
        "--protocol",
        "ldct-benchmark",
        "-m",
        "median",
        "--against",
        "median",
    )
    assert found.exit_code == 0, found.output
    assert "input - median" in found.output and "abdomen -150 to 249" in found.output
    assert {path.name for path in folder.iterdir()} == {"input", "target", "pairs.yaml", "model.yaml"}


def test_a_model_in_another_unit_is_told(sinograd: Command, folder: Path) -> None:
    save_model(bilateral_stack(1, sigma_range=0.01, input_scale=0.05), folder / "per-mm.yaml")
    found = sinograd("evaluate", "pairs.yaml", "-m", "per-mm.yaml", "--protocol", "full-range")
    assert found.exit_code == 0 and "warning: per-mm left every volume as it was" in found.output


LOW = ("input/p1.h5", "--target", "target/p1.h5")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pairs.yaml",), "--protocol: missing; scores depend on it: ldct-benchmark"),
        (("pairs.yaml", "--protocol", "mayo"), "no protocol 'mayo': expected one of ldct-benchmark, full-range"),
        (("pairs.yaml", "--protocol", "full-range", "-m", "nlm"), "no method 'nlm': expected one of input, gaussian"),
        (("pairs.yaml", "--protocol", "full-range", "--against", "x"), "--against: expected one of input, got 'x'"),
        (("pairs.yaml", "--protocol", "ldct-benchmark"), "expected the group chest, abdomen, neuro, got ''"),
        (("pairs.yaml", "--protocol", "full-range", "--unit", "HU"), "--unit: for volumes; pairs.yaml itself says"),
        (("pairs.yaml", "a.h5", "--protocol", "full-range"), "expected one file of pairs, or volumes, got 2 files"),
        (("none.yaml", "--protocol", "full-range"), "no file of pairs at none.yaml"),
        (("pairs.yaml", "--protocol", "full-range", "--device", "tpu"), "--device tpu: expected cpu"),
        (("pairs.yaml", "--protocol", "full-range", "--device", "cuda:"), "--device cuda:: expected cpu, cuda"),
        (("pairs.yaml", "--protocol", "full-range", "--device", "cuda:99"), "--device cuda:99: expected one"),
        (("pairs.yaml", "--protocol", "full-range", "-m", "model.yaml", "-m", "model.yaml"), "is there twice"),
        (("pairs.yaml", "--protocol", "full-range", "-o", "a/b"), "the folder a does not exist"),
        (("input/p1.h5", "--protocol", "full-range"), "--target: expected one for each low-dose volume, got 0 for 1"),
        (
            (*LOW, "--protocol", "full-range"),
            "--unit: expected what the volumes are in, HU, 1/mm, mg/cm3, 1, none, got nothing",
        ),
        ((*LOW, "--protocol", "full-range", "--unit", "1/mm"), "p1.h5: its values are in 1/mm, the protocol"),
        ((*LOW, "--protocol", "full-range", "--unit", "none"), "in no known unit, the protocol full-range scores HU"),
        ((*LOW, "--protocol", "full-range", "--unit", "HU", "--data-range", "-5"), "the data range must be a positive"),
        (("pairs.yaml", "--protocol", "full-range", "--disc", "1,2"), "disc: expected X,Y,RADIUS[,VOLUME]"),
        (("pairs.yaml", "--protocol", "full-range", "--disc", "0,0,5,p9"), "expected a volume of p1, p2"),
        (("pairs.yaml", "--protocol", "full-range", "--water-per-mm", "0"), "--water-per-mm: expected a positive"),
    ],
)  # fmt: skip
def test_bad_input(sinograd: Command, folder: Path, arguments: tuple[str, ...], message: str) -> None:
    found = sinograd("evaluate", *arguments)
    assert found.exit_code == 2 and message in found.output and found.output.startswith("sinograd: error:")
    assert not (folder / "results").exists()


def test_more_bad_input(sinograd: Command, folder: Path) -> None:
    """Sizes that differ, and keys that are none."""
    write_volume(torch.zeros(3, 32, 35), folder / "other.h5", Grid((3, 32, 35), 1.0))
    found = sinograd("evaluate", "input/p1.h5", "--target", "other.h5", "--unit", "HU", "--protocol", "full-range")
    assert found.exit_code == 2 and "target has 3 x 32 x 35 voxels, the input 3 x 32 x 36" in found.output
    for text, message in (
        ("pairs: {layout: volumes, unit: HU, foldr: .}", "bad.yaml: pairs.foldr: unknown key (did you mean folder?)"),
        ("pairs: {layout: mayo}", "bad.yaml: pairs.layout: expected mayo2016"),
        ("", "bad.yaml: pairs: missing"),
        ("pairs: [", "bad.yaml is not a YAML file"),
    ):
        (folder / "bad.yaml").write_text(text, encoding="utf-8")
        found = sinograd("evaluate", "bad.yaml", "--protocol", "full-range")
        assert found.exit_code == 2 and message in found.output, found.output
