"""Many scans with one call: those that cannot be done are listed, the others are done."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import sinograd as sg
from sinograd.cli.app import app
from sinograd.errors import ConfigError
from sinograd.workflows.batch import COLUMNS, read_jobs, reconstruct_all

pytestmark = pytest.mark.filterwarnings("ignore::sinograd.errors.SinogradWarning")


@pytest.fixture
def night(cone: Path) -> Path:
    """Four scans, one of them damaged, and their jobs."""
    for name in ("a.h5", "b.h5", "d.h5"):
        shutil.copy(cone, cone.with_name(name))
    cone.with_name("c.h5").write_bytes(cone.read_bytes()[:5000])
    path = cone.with_name("jobs.yaml")
    path.write_text(
        """
defaults: {window: hann, shape: "8,12,12"}
jobs:
  - {scan: a.h5, output: a_volume.h5}
  - {scan: b.h5, output: b.npy, name: second, options: {window: cosine, mask: true, preview: b.png}}
  - {scan: c.h5, output: c_volume.h5, name: third}
  - {scan: d.h5, output: d_volume.h5, options: {voxel-mm: 0.7}}
"""
    )
    return path


@pytest.mark.slow
@pytest.mark.parametrize("cluster", [[], ["--cluster", "local:2"]], ids=["here", "workers"])
def test_forty_scans_of_which_one_is_damaged(cone: Path, cluster: list[str]) -> None:
    if cluster:
        pytest.importorskip("distributed")
    jobs = ["defaults: {shape: '8,12,12'}", "jobs:"]
    for number in range(40):
        shutil.copy(cone, cone.with_name(f"s{number}.h5"))
        jobs.append(f"  - {{scan: s{number}.h5, output: v{number}.zarr}}")
    cone.with_name("s17.h5").write_bytes(cone.read_bytes()[:5000])
    cone.with_name("jobs.yaml").write_text("\n".join(jobs) + "\n")
    result = CliRunner().invoke(app, ["batch", str(cone.with_name("jobs.yaml")), *cluster])
    assert result.exit_code == 1 and "39 of 40 done; table:" in result.output
    assert [line for line in result.output.splitlines() if "failed" in line and "s17.h5" in line]
    expected = sg.reconstruct(cone, shape=(8, 12, 12)).values
    made = sorted(cone.parent.glob("v*.zarr"))
    assert len(made) == 39 and all(torch.equal(sg.read_volume(path).values, expected) for path in made)


def test_the_others_are_done(night: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # paths are those of the file
    result = CliRunner().invoke(app, ["batch", str(night)])
    assert result.exit_code == 1
    lines = [line for line in result.output.splitlines() if "failed" in line]
    assert len(lines) == 1 and "third" in lines[0] and "c.h5 is a truncated or damaged HDF5 file" in lines[0]
    assert "3 of 4 done; table:" in result.output
    with open(night.with_name("batch.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["status"] for row in rows] == ["done", "done", "failed", "done"]
    assert [row["name"] for row in rows] == ["a.h5", "second", "third", "d.h5"]
    assert rows[1]["voxels"] == "8 x 12 x 12" and rows[2]["voxels"] == "" and "damaged" in rows[2]["error"]
    folder = night.parent
    expected = sg.reconstruct(folder / "b.h5", window="cosine", shape=(8, 12, 12), mask=True)
    assert torch.equal(sg.read_volume(folder / "b.npy").values, expected.values)
    assert sg.read_volume(folder / "d_volume.h5").spacing == (0.7, 0.7, 0.7)
    assert (folder / "b.png").exists() and not (folder / "c_volume.h5").exists()


def test_all_done_is_success(night: Path) -> None:
    night.write_text("jobs: [{scan: a.h5, output: x.h5, options: {memory: 50MB}}]\n")
    result = CliRunner().invoke(app, ["batch", str(night), "--quiet"])
    assert result.exit_code == 0 and result.output == ""
    assert [outcome.error for outcome in reconstruct_all(night)] != [""]  # the volume exists by now


@pytest.mark.parametrize(
    "text, words",
    [
        ("jobs: []", "expected the key jobs with at least one scan"),
        ("[]", "expected the key jobs with at least one scan"),
        ("jobs: [{scan: a.h5}]", r"jobs\[0\]: output must be a path, got None"),
        ("jobs: [{scan: a.h5, output: v.h5, option: {}}]", r"jobs\[0\]: unknown key option"),
        ("defaults: {windows: hann}\njobs: [{scan: a.h5, output: v.h5}]", r"defaults: unknown key windows"),
        ("defaults: {part: 1/2}\njobs: [{scan: a.h5, output: v.h5}]", r"defaults: unknown key part"),
        (
            "jobs: [{scan: a.h5, output: v.h5}, {scan: b.h5, output: v.h5}]",
            "b.h5: `output` and a.h5: `output` would",
        ),
        ("jobs: [{scan: a.h5, output: v.npy}, {scan: b.h5, output: v.raw}]", "would be one file, .*v.yaml"),
        ("jobs: [{scan: a.h5, output: batch.csv}]", "`output` and the table of the batch would be one file"),
        (
            "jobs: [{scan: a.h5, output: v.h5, options: {preview: p.png}}, {scan: b.h5, output: w.h5, "
            "options: {preview: ./p.png}}]",
            "b.h5: `preview` and a.h5: `preview` would be one file",
        ),
        ("jobs: [{scan: a.h5, output: v.h5, name: x}, {scan: b.h5, output: w.h5, name: x}]", "two jobs have the name"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "jobs.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_jobs(path)


@pytest.mark.parametrize(
    "job", ["output: b.h5", "output: link.h5", "output: jobs.npy", "output: v.h5, options: {preview: hard.png}"]
)
def test_no_job_replaces_what_another_one_reads(night: Path, job: str) -> None:
    folder = night.parent
    (folder / "link.h5").symlink_to("b.h5")
    os.link(folder / "b.h5", folder / "hard.png")
    night.write_text(f"defaults: {{force: true}}\njobs: [{{scan: a.h5, {job}}}, {{scan: b.h5, output: w.h5}}]\n")
    before = (folder / "b.h5").read_bytes(), night.read_bytes()
    result = CliRunner().invoke(app, ["batch", str(night)])
    assert result.exit_code == 2 and "is the jobs file or the scan of a job" in result.output
    assert ((folder / "b.h5").read_bytes(), night.read_bytes()) == before and not (folder / "w.h5").exists()


def test_a_file_with_the_table_s_name_stays(night: Path) -> None:
    table = night.with_name("batch.csv")
    table.write_text("my,own,numbers\n")
    result = CliRunner().invoke(app, ["batch", str(night)])
    assert result.exit_code == 2 and "is no table of a batch" in result.output
    assert table.read_text() == "my,own,numbers\n" and not night.with_name("a_volume.h5").exists()


def test_forty_scans(cone: Path) -> None:
    """39 volumes and one line that says which failed."""
    lines = []
    for number in range(40):
        lines.append(f"  - {{scan: {number}.h5, output: {number}.npy}}")
        content = cone.read_bytes()
        cone.with_name(f"{number}.h5").write_bytes(content[: len(content) // 2] if number == 17 else content)
    cone.with_name("jobs.yaml").write_text('defaults: {shape: "2,4,4"}\njobs:\n' + "\n".join(lines))
    result = CliRunner().invoke(app, ["batch", str(cone.with_name("jobs.yaml")), "-q"])
    failed = [line for line in result.output.splitlines() if "failed" in line]
    assert result.exit_code == 1 and len(failed) == 1 and "17.h5" in failed[0]
    assert len(list(cone.parent.glob("*.npy"))) == 39
