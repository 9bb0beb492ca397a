"""The JSON objects of commands. Truth: `docs/json.md`, which names everything, and the files that were made."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import sinograd as sg
from sinograd.models import bilateral_stack, save_model

EVERYWHERE = {"command", "version", "warnings"}


@pytest.fixture
def documented(project_root: Path) -> dict[str, set[str]]:
    """The names in the tables of the page, by what stands in the first column."""
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", (project_root / "docs" / "json.md").read_text(), flags=re.M)
    return {first.replace("`", ""): set(re.findall(r"`(\w+)`", names)) for first, names in rows}


def record(result: Any, code: int = 0) -> dict[str, Any]:
    assert result.exit_code == code, result.output
    found = json.loads(result.stdout)
    assert set(found) >= EVERYWHERE
    return found


def check(found: dict[str, Any], documented: dict[str, set[str]], row: str) -> None:
    """Every name is documented, and every documented one is there; so in the objects inside."""
    assert set(found) - EVERYWHERE == documented[row], row
    for name, value in found.items():
        if name in documented and isinstance(value, dict):
            extra = {n for n in value if not n.startswith("range_")} - documented[name]
            assert not extra, (name, extra)
    for text in values(found):
        assert not isinstance(text, str) or not re.search(r"\d (mm|deg|seconds|MB|GB)\b", text)


def values(found: Any) -> list[Any]:
    if isinstance(found, dict):
        return [text for name, v in found.items() if name not in ("warnings", "metadata") for text in values(v)]
    return [text for v in found for text in values(v)] if isinstance(found, list) else [found]


def test_reconstruct(sinograd: Any, wedge_file: Path, tmp_path: Path, documented: dict[str, set[str]]) -> None:
    result = sinograd("reconstruct", wedge_file, "-o", tmp_path / "out.h5", "--json")
    found = record(result)
    check(found, documented, "reconstruct")
    volume = sg.read_volume(tmp_path / "out.h5")
    assert found["volume"]["range_per_mm"] == pytest.approx([float(v) for v in volume.values.aminmax()])
    assert found["volume"]["grid"]["voxel_mm"] == list(volume.grid.spacing)
    assert found["duration_s"] == pytest.approx(sum(found["stages_s"].values())) and found["duration_s"] > 0
    assert found["geometry"]["source_to_axis_mm"] == pytest.approx(60)
    (warning,) = found["warnings"]
    assert warning["kind"] == "CoverageWarning" and "% low where rays are missing" in warning["details"]
    assert result.stderr == f"warning: {warning['message']}\n"


def test_dry_run(sinograd: Any, scan_file: Path, tmp_path: Path, documented: dict[str, set[str]]) -> None:
    found = record(sinograd("reconstruct", scan_file, "-o", tmp_path / "o.h5", "--dry-run", "--json"))
    check(found, documented, "reconstruct --dry-run")
    assert found["file_bytes"] == 4 * 8 * 16 * 16 and found["memory_bytes"] > 1e6
    assert not (tmp_path / "o.h5").exists()


def test_info(sinograd: Any, scan_file: Path, tmp_path: Path, documented: dict[str, set[str]]) -> None:
    found = record(sinograd("info", scan_file, "--json"))
    check(found, documented, "info of a scan")
    assert (found["scan"]["views"], found["scan"]["rows"], found["scan"]["columns"]) == (24, 20, 24)
    assert found["geometry"]["detector"] == {"kind": "flat", "shape": [20, 24], "spacing_mm": [0.75, 0.75]}
    assert found["coverage"]["missing_fraction"] == 0
    sg.write_volume(
        sg.Volume(0.0 * sg.read(scan_file).load()[:4], sg.Grid((4, 20, 24), 0.5), "1/mm"), tmp_path / "v.h5"
    )
    ramp = torch.arange(201.0).reshape(3, 1, 67)
    sg.write_volume(sg.Volume(ramp, sg.Grid((3, 1, 67), 0.5), "HU"), tmp_path / "ramp.h5")
    volume = record(sinograd("info", tmp_path / "ramp.h5", "--json"))["volume"]
    assert volume["range_hu"] == [0, 200] and volume["percentiles_hu"] == {"0.5": 1, "50": 100, "99.5": 199}
    assert volume["finite_fraction"] == 1 and volume["slices_read"] == 3
    refused = sinograd("info", tmp_path / "ramp.h5", "--json", "--pixel-mm", 1)
    assert refused.exit_code == 2 and "is a volume: --pixel-mm is for scans" in refused.stderr
    found = record(sinograd("info", tmp_path / "v.h5", "--json"))
    assert set(found) - EVERYWHERE == {"volume", "files"}
    assert found["volume"]["grid"] == {"shape": [4, 20, 24], "voxel_mm": [0.5] * 3, "center_mm": [0.0] * 3}


def test_simulate(sinograd: Any, scan_file: Path, tmp_path: Path, documented: dict[str, set[str]]) -> None:
    found = record(
        sinograd("simulate", scan_file, "-o", tmp_path / "low.h5", "--dose", "0.5", "--photons", "1e4", "--json")
    )
    check(found, documented, "simulate")
    assert found["noise"]["dose_fraction"] == 0.5 and found["noise"]["photons"] == 5000


def test_denoise(sinograd: Any, tmp_path: Path, documented: dict[str, set[str]]) -> None:
    save_model(bilateral_stack(1, sigma_spatial=(0.2, 0.9, 0.9), sigma_range=0.5), tmp_path / "m.yaml")
    noise = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(0))
    sg.write_volume(sg.Volume(noise, sg.Grid((3, 12, 12), 1.0), "1/mm"), tmp_path / "v.h5")
    out = tmp_path / "o.h5"
    found = record(sinograd("denoise", tmp_path / "v.h5", "--model", tmp_path / "m.yaml", "-o", out, "--json"))
    check(found, documented, "denoise")
    assert found["scan"] is None and len(found["volume"]["range_per_mm"]) == 2
    options = ("--unit", "1/mm", "--protocol", "full-range", "--data-range", "1", "-m", "gaussian")
    scores = record(sinograd("evaluate", tmp_path / "v.h5", "--target", tmp_path / "v.h5", *options, "--json"))
    check(scores, documented, "evaluate")
    assert set(scores["methods"]) == {"input", "gaussian"}
    assert scores["methods"]["gaussian"]["rmse_per_mm"]["mean"] >= 0


def test_doctor(sinograd: Any, documented: dict[str, set[str]]) -> None:
    found = record(sinograd("doctor", "--json"))
    check(found, documented, "doctor")
    assert {c["name"]: c["limit"] for c in found["checks"] if c["limit"]} == {"adjoint": 1e-6, "FDK of a ball": 0.02}


def test_errors_leave_stdout_empty(sinograd: Any, tmp_path: Path) -> None:
    result = sinograd("reconstruct", tmp_path / "none.h5", "-o", tmp_path / "out.h5", "--json")
    assert (result.exit_code, result.stdout) == (2, "")


def test_train(sinograd: Any, tmp_path: Path, documented: dict[str, set[str]]) -> None:
    noise = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(0))
    for name, scale in (("low", 1.0), ("clean", 0.1)):
        sg.write_volume(sg.Volume(scale * noise, sg.Grid((3, 12, 12), 1.0), "1/mm"), tmp_path / f"{name}.h5")
    (tmp_path / "train.yaml").write_text(
        "data: {training: [{input: low.h5, target: clean.h5}]}\n"
        "model: {name: bilateral, filters: 1, window: 3, sigma_range: 0.2}\nstop: {max_steps: 2}\n",
        encoding="utf-8",
    )
    found = record(sinograd("train", tmp_path / "train.yaml", "-o", tmp_path / "run", "--json"))
    assert set(found) - EVERYWHERE <= documented["train"]
    assert (found["steps"], found["most_steps"], found["stopped"]) == (2, 2, "max_steps")
    assert len(found["training_loss"]) == 3 and found["duration_s"] > 0
