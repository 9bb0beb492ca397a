"""`sinograd bone`. Truth: the functions of `sinograd.morphometry`, and plates that are known."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import sinograd as sg
from sinograd.morphometry import tmd_map
from sinograd.workflows import measure_bone

GRID = sg.Grid((16, 40, 20), (0.34, 0.172, 0.172), (1.0, 2.0, 3.0))
ARGUMENTS = ("--threshold", "225", "--diameter", "1.1")


def plates() -> torch.Tensor:
    values = torch.full(GRID.shape, 50.0)
    values[:, torch.arange(40) % 10 < 3] = 600.0
    return values


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    mask = torch.zeros(GRID.shape, dtype=torch.uint8)
    mask[:, 10:30] = 1
    sg.write_volume(sg.Volume(plates(), GRID, "mg/cm3"), "bone.h5")
    sg.write_volume(sg.Volume((plates() + 20) / 0.8, GRID, "HU"), "hu.h5")
    sg.write_volume(sg.Volume(plates(), GRID), "unknown.h5")
    sg.write_volume(sg.Volume(mask, GRID, "1"), "mask.h5")
    return tmp_path


def test_the_report(sinograd: Any, files: Path) -> None:
    """Table, CSV, JSON, maps as volumes and a page with pictures say the same."""
    result = sinograd("bone", "bone.h5", *ARGUMENTS, "--mask", "mask.h5", "-o", "report")
    assert result.exit_code == 0, result.output
    record = json.loads((files / "report" / "bone.json").read_text(encoding="utf-8"))
    measures = {name: entry["value"] for name, entry in record["measures"].items()}
    wanted = {"BMD": 215, "BV/TV": 0.3, "TMD": 600, "Tb.Th": 0.516, "Tb.Sp": 7 * 0.172, "DA": 1}
    assert {name: measures[name] for name in wanted} == pytest.approx(wanted, rel=1e-5)
    assert record["measures"]["Tb.Th"]["unit"] == "mm" and record["provenance"]["options"]["threshold"] == 225
    with (files / "report" / "bone.csv").open(encoding="utf-8") as stream:
        table = {row["symbol"]: row for row in csv.DictReader(stream)}
    assert float(table["BV/TV"]["value"]) == measures["BV/TV"] and table["BMD"]["unit"] == "mg/cm3"
    for line in ("BMD     215 mg/cm³", "BV/TV   0.3 ", "Tb.Th   0.516 mm", "bone: at least 225 mg/cm³"):
        assert line.replace(" ", "") in result.output.replace(" ", ""), result.output
    page = (files / "report" / "report.html").read_text(encoding="utf-8")
    assert (
        page.count("data:image/png;base64,") == 7
        and "<td>0.516 mm</td>" in page
        and "@" not in page.split("<body>")[1][:500]
    )
    local = sg.read_volume("report/tmd.h5")
    assert local.unit == "mg/cm3" and local.grid.equals(GRID)
    mask = sg.read_volume("mask.h5").values
    expected = tmd_map(plates(), GRID.spacing, 1.1, 225, mask=mask)
    torch.testing.assert_close(local.values, expected, equal_nan=True, rtol=1e-5, atol=1e-2)
    assert sg.read_volume("report/thickness.h5").provenance["quantity_unit"] == "mm"
    assert sorted(p.name for p in (files / "report").glob("*.h5")) == [
        "bmd.h5", "bvtv.h5", "sd.h5", "separation.h5", "thickness.h5", "tmd.h5",
    ]  # fmt: skip


def test_json_and_calibration(sinograd: Any, files: Path) -> None:
    """HU with a line are the same numbers; without a folder nothing is written; empty values are null."""
    before = sorted(files.iterdir())
    told = [json.loads(sinograd("bone", *more, "--threshold", "225", "--json").stdout) for more in (
        ("bone.h5",), ("hu.h5", "--density", "0.8,-20"), ("unknown.h5", "--unit", "mg/cm3")
    )]  # fmt: skip
    assert told[0]["measures"]["TMD"]["value"] == pytest.approx(600)
    assert told[0]["command"] == "bone" and {"version", "warnings", "duration_s"} <= set(told[0])
    for other in told[1:]:
        assert other["measures"]["BMD"]["value"] == pytest.approx(told[0]["measures"]["BMD"]["value"], rel=1e-6)
    assert sorted(files.iterdir()) == before
    marrow = torch.zeros(GRID.shape)
    marrow[:, 13:19] = 1
    sg.write_volume(sg.Volume(marrow, GRID, "1"), "marrow.h5")
    empty = json.loads(sinograd("bone", "bone.h5", "--threshold", "225", "--mask", "marrow.h5", "--json").stdout)
    assert empty["measures"]["TMD"]["value"] is None and empty["measures"]["BV/TV"]["value"] == 0
    analysis = measure_bone("bone.h5", threshold=225, mask="marrow.h5")
    assert math.isnan(analysis["Tb.Th"]) and analysis["Tb.Sp"] == pytest.approx(7 * 0.172)


BAD = {
    ("bone.h5", "--threshold", "9999"): "error: threshold 9999 mg/cm3 is outside the data, 50 to 600",
    ("bone.h5",): "Missing option '--threshold'",
    ("hu.h5", "--threshold", "225"): "error: --density: missing; hu.h5 is in HU, and bone is measured in mg/cm3",
    ("unknown.h5", "--threshold", "225"): "the unit of the volume is not known; say what it is: --unit mg/cm3",
    ("bone.h5", "--threshold", "225", "--density", "1,0"): "error: --density: bone.h5 is in mg/cm3 already",
    ("hu.h5", "--threshold", "225", "--density", "0,1"): "error: --density: expected slope (not 0) and intercept",
    ("bone.h5", "--threshold", "225", "--diameter", "9"): "larger than the volume of 16 x 40 x 20",
    ("bone.h5", "--threshold", "225", "--diameter", "-1"): "error: --diameter: expected a positive number, got -1",
    ("bone.h5", "--threshold", "225", "--mask", "other.h5"): "error: mask is on another grid than the volume",
    ("bone.h5", "--threshold", "225", "--mask", "bone.h5"): "error: --mask: expected true and false, or 0 and 1",
    ("bone.h5", "--threshold", "225", "--mask", "none.h5"): "none.h5",
    ("bone.h5", "--threshold", "225", "-o", "bone.h5"): "it is a file, a folder is expected",
    ("bone.h5", "--threshold", "225", "-o", "no/where"): "the folder no does not exist",
    ("bone.h5", "--threshold", "225", "-o", "full"): "bone.csv already exists: use --force to replace it",
    ("full/bmd.h5", "--threshold", "225", "--diameter", "1", "-o", "full", "--force"): "bmd.h5 is an input",
}


@pytest.mark.parametrize("arguments", BAD, ids=lambda a: " ".join(a))
def test_bad_input_is_one_line(sinograd: Any, files: Path, arguments: tuple[str, ...]) -> None:
    (files / "full").mkdir()
    (files / "full" / "bone.csv").write_text("mine")
    sg.write_volume(sg.Volume(plates(), GRID, "mg/cm3"), "full/bmd.h5")
    sg.write_volume(sg.Volume(torch.ones(GRID.shape), sg.Grid(GRID.shape, 0.2), "1"), "other.h5")
    before = sorted(files.rglob("*"))
    result = sinograd("bone", *arguments)
    assert result.exit_code == 2 and BAD[arguments] in " ".join(result.output.split()), result.output
    assert len(result.stderr.strip().splitlines()) == 1 and sorted(files.rglob("*")) == before
    assert (files / "full" / "bone.csv").read_text() == "mine"
