"""How a reconstruction is asked for, interrupted, gone on with and repeated. Truth: the same run at once."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml

from sinograd.io import read, read_volume, write_volume

BLOCKS = "sinograd.recon.analytic.view_blocks"


def volume_of(path: Path) -> torch.Tensor:
    return read_volume(path).values


def interrupt_after(monkeypatch: pytest.MonkeyPatch, views: int) -> None:
    """Ctrl-C when `views` views are done, in blocks of 8."""
    from sinograd.workflows.report import Position as Progress

    monkeypatch.setattr(f"{BLOCKS}.BLOCK_BYTES", 1)
    monkeypatch.setattr(f"{BLOCKS}.BLOCK_VIEWS", 8)
    stage = Progress.stage

    def watched(self: Progress, name: str, total: int, unit: str = "views") -> Any:
        advance = stage(self, name, total, unit)

        def tell(done: int, of: int, note: str = "") -> None:
            advance(done, of, note)
            if name == "reconstructing" and done == views:
                os.kill(os.getpid(), signal.SIGINT)

        return tell

    monkeypatch.setattr(Progress, "stage", watched)


def test_an_interrupted_run_goes_on(
    sinograd: Any, scan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--window", "hann")
    with monkeypatch.context() as patched:
        interrupt_after(patched, 8)
        stopped = sinograd(*run)
    assert stopped.exit_code == 130
    assert "while reconstructing, after 8 of 24 views; --resume goes on from there" in stopped.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"scan.h5", "out.h5.partial.h5"}

    other = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--resume")
    assert other.exit_code == 2 and "was made from another scan, with other options" in other.stderr
    monkeypatch.setattr(f"{BLOCKS}.BLOCK_BYTES", 1)
    monkeypatch.setattr(f"{BLOCKS}.BLOCK_VIEWS", 8)
    assert sinograd(*run, "--resume").exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"scan.h5", "out.h5"}
    assert sinograd(*run[:3], tmp_path / "once.h5", *run[4:]).exit_code == 0
    torch.testing.assert_close(volume_of(tmp_path / "out.h5"), volume_of(tmp_path / "once.h5"), rtol=0, atol=0)


def test_a_run_of_other_data_is_not_resumed(
    sinograd: Any, scan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another scan of the same name, size and time; the same scan that was only copied; a flat field that changed."""
    run = ("reconstruct", scan_file, "-o", tmp_path / "out.h5")
    with monkeypatch.context() as patched:
        interrupt_after(patched, 8)
        assert sinograd(*run).exit_code == 130
    status, content = scan_file.stat(), scan_file.read_bytes()
    with h5py.File(scan_file, "r+") as file:
        values = np.asarray(file["projections"])
        values[20, 3, 3] += 0.5
        file["projections"][...] = values  # pyright: ignore[reportIndexIssue]
    os.utime(scan_file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert scan_file.stat().st_size == status.st_size
    other = sinograd(*run, "--resume")
    assert other.exit_code == 2 and "(different: projections); start without --resume" in other.stderr
    assert other.stderr.count("\n") == 1 and (tmp_path / "out.h5.partial.h5").exists()
    wrong = sinograd(*run, "--resume", "--cutoff", "0.5")
    assert wrong.exit_code == 2 and "(different: projections, options)" in wrong.stderr
    scan_file.unlink()
    scan_file.write_bytes(content)
    assert sinograd(*run, "--resume").exit_code == 0


@pytest.mark.parametrize(
    "record", [{}, {"key": "0" * 64, "done": 8}, {"work": [1], "done": 8}, {"work": {}, "done": "x"}]
)
def test_a_file_that_is_no_state_of_a_run(
    sinograd: Any, scan_file: Path, tmp_path: Path, record: dict[str, Any]
) -> None:
    grid = read(scan_file).geometry.default_grid()
    write_volume(torch.zeros(grid.shape), tmp_path / "out.h5.partial.h5", grid, unit="1/mm", provenance=record)
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--resume")
    assert result.exit_code == 2 and "was made from another scan" in result.stderr and result.stderr.count("\n") == 1


def test_nothing_to_resume(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--resume")
    assert result.exit_code == 2 and "there is no" in result.stderr and "of an interrupted run" in result.stderr


def test_long_runs_are_saved_in_between(
    sinograd: Any, scan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sinograd.workflows.checkpoint import Partial

    saved: list[int] = []
    monkeypatch.setattr(f"{BLOCKS}.BLOCK_BYTES", 1)
    monkeypatch.setattr(f"{BLOCKS}.BLOCK_VIEWS", 8)
    monkeypatch.setattr("sinograd.workflows.checkpoint.SAVE_SECONDS", -1.0)
    monkeypatch.setattr(Partial, "save", lambda self, volume, views: saved.append(views))
    assert sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5").exit_code == 0
    assert saved == [8, 16]


def test_a_configuration_file(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    config = tmp_path / "options.yaml"
    config.write_text(yaml.safe_dump({"window": "hann", "shape": [4, 10, 12], "voxel-mm": 0.4, "cutoff": 0.5}))
    run = ("reconstruct", scan_file, "--config", config, "-o")
    assert sinograd(*run, tmp_path / "a.h5", "--cutoff", 0.8).exit_code == 0
    saved = read_volume(tmp_path / "a.h5")
    volume, grid, provenance = saved.values, saved.grid, saved.provenance
    assert grid.shape == (4, 10, 12) and grid.spacing == (0.4, 0.4, 0.4)
    assert provenance["options"]["cutoff"] == 0.8 and provenance["options"]["window"] == "hann"

    # The volume repeats itself, and takes other options from the command line.
    again = ("reconstruct", scan_file, "--config", tmp_path / "a.h5", "-o")
    assert sinograd(*again, tmp_path / "b.h5").exit_code == 0
    torch.testing.assert_close(volume_of(tmp_path / "b.h5"), volume, rtol=0, atol=0)
    assert sinograd(*again, tmp_path / "c.h5", "--window", "ram-lak").exit_code == 0
    assert not torch.equal(volume_of(tmp_path / "c.h5"), volume)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("windwo: hann", "unknown option windwo; known: "),
        ("window: box", "'box' is not one of"),
        ("- window", "must hold lines like"),
        ("window: [", "is not a YAML file"),
        ("shape: {z: 1}", "shape must be a number, a word or a list"),
        ("cutoff: high", "cutoff: expected a number from 0 to 1, got 'high'"),
        ("iterations: 3.7", "iterations: expected a whole number, got 3.7"),
        ("iterations: true", "iterations: "),
    ],
)
def test_wrong_configurations(sinograd: Any, scan_file: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "options.yaml").write_text(text)
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--config", tmp_path / "options.yaml")
    assert result.exit_code == 2 and message in result.stderr and "\n" not in result.stderr.strip()
    assert not (tmp_path / "out.h5").exists()


def test_configurations_from_other_files(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--config", scan_file)
    assert result.exit_code == 2 and "--config takes a .yaml file or a volume" in result.stderr
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--config", tmp_path / "none.yaml")
    assert result.exit_code == 2 and "No such file" in result.stderr


def test_a_dry_run_writes_nothing(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--dry-run", "--binning", 2)
    assert result.exit_code == 0, result.output
    for text in ("cone beam", "coverage", "8 x 16 x 16 voxels of 500 um", "binning 2", "memory", "about", "seconds"):
        assert text in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["scan.h5"]
    (tmp_path / "out.h5").write_bytes(b"precious")
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--dry-run")
    assert result.exit_code == 2 and "already exists" in result.stderr


def test_json(sinograd: Any, scan_file: Path, wedge_file: Path, tmp_path: Path) -> None:
    result = sinograd("reconstruct", wedge_file, "-o", tmp_path / "out.h5", "--json", "--page", tmp_path / "out.html")
    told = json.loads(result.stdout)
    assert told["geometry"]["beam"] == "fan" and told["files"] == {"page": str(tmp_path / "out.html")}
    assert len(told["warnings"]) == 1 and "rays" in told["warnings"][0]["message"]
    assert (tmp_path / "out.html").stat().st_size > 5000
    plan = json.loads(sinograd("reconstruct", scan_file, "-o", tmp_path / "o.h5", "--dry-run", "--json").stdout)
    assert plan["memory_bytes"] > 0 and plan["warnings"] == []


def test_a_part_of_the_views(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--views", "::2")
    assert result.exit_code == 0 and "12 views x 20 rows" in result.stdout
    for text, message in (("30:", "no view of"), ("1", "expected FIRST:END"), ("::0", "expected FIRST:END")):
        result = sinograd("reconstruct", scan_file, "-o", tmp_path / "no.h5", "--views", text)
        assert result.exit_code == 2 and message in result.stderr


def test_info_with_a_picture(sinograd: Any, scan_file: Path, wedge_file: Path, tmp_path: Path) -> None:
    for scan, name in ((scan_file, "cone.png"), (wedge_file, "fan.png")):
        result = sinograd("info", scan, "--picture", tmp_path / name)
        assert result.exit_code == 0 and str(tmp_path / name) in result.stdout
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert sinograd("info", scan, "--picture", tmp_path / name).exit_code == 2
        assert sinograd("info", scan, "--picture", tmp_path / name, "--force").exit_code == 0
