"""The library's messages name arguments, the command's name options. Truth: the sources, and the commands' options."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.main import get_command

import sinograd as sg
from sinograd.cli.app import app
from sinograd.cli.errors import as_options


def options() -> set[str]:
    """The long names of all options of all commands."""
    commands = get_command(app).commands.values()  # pyright: ignore[reportAttributeAccessIssue]
    flags = {flag for command in commands for p in command.params for flag in (*p.opts, *p.secondary_opts)}
    return {flag for flag in flags if flag.startswith("--")}


def strings(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_no_message_of_the_library_names_an_option(project_root: Path) -> None:
    flags = re.compile(rf"(?<![\w-])({'|'.join(sorted(options()))})(?![\w-])")
    package = project_root / "src" / "sinograd"
    named = [
        f"{path.relative_to(package)}:{line}: {text!r}"
        for path in sorted(package.rglob("*.py"))
        if path.relative_to(package).parts[0] not in ("cli", "viewer", "testing")  # options of testing are pytest's
        for line, text in strings(path)
        if flags.search(text)
    ]
    assert named == []


def test_arguments_become_options() -> None:
    command = get_command(app).commands["reconstruct"]  # pyright: ignore[reportAttributeAccessIssue]
    with command.make_context("reconstruct", ["scan.h5", "-o", "out.h5"]):
        for text, expected in (
            ("exists: use `force=True` to replace it", "exists: use --force to replace it"),
            ("`center_picture` shows", "--center-picture shows"),
            ("start on `device='cpu'`", "start on --device cpu"),
            ("with `non_negative=False`", "with --any-sign"),
            ("`output` is the scan itself", "-o is the scan itself"),
            ("`json` too, and `scan`", "--json too, and SCAN"),
            ("`volume.to('HU')` and `water=0.02`", "`volume.to('HU')` and --water 0.02"),
            ("ring_width: expected at least 1 column", "--ring-width: expected at least 1 column"),
            ("binning must be at least 1, got 0", "--binning must be at least 1, got 0"),
            ("dead, hot: expected 0 <= dead", "--dead, --hot: expected 0 <= dead"),
            ("strength: expected a number", "strength: expected a number"),
            ("dead, alive: expected", "dead, alive: expected"),
            ("the shape must", "the shape must"),
        ):
            assert as_options(text) == expected
    assert as_options("use `force=True`") == "use `force=True`"


@pytest.mark.parametrize(
    "given, words",
    [
        (("--cutoff", 2), "--cutoff: expected a number from 0 to 1, got '2'"),
        (("--voxel-mm", "1um"), "--voxel-mm: expected a number, got '1um'"),
        (("--iterations", 3.5), "--iterations: expected a whole number, got '3.5'"),
        (("--algorithm", "sirtt"), "--algorithm: 'sirtt' is not one of 'auto', 'fdk'"),
        (("--binning", 0), "--binning must be at least 1, got 0"),
        (("--rows", "5:2"), "--rows: expected (first, end) with 0 <= first < end, got (5, 2)"),
        (("--dead", 2), "--dead, --hot: expected 0 <= dead < 1 < hot, got 2.0, 2.0"),
        (("--smallest", 2), "--smallest: expected a transmitted fraction"),
        (("--pixel-mm", 0), "--pixel-mm must be positive, got 0"),
        (("--tv-strength", -1, "--algorithm", "fista-tv"), "--tv-strength must not be negative, got -1"),
        (("--unit", "HU", "--water", 0), "--water must be positive, got 0 1/mm"),
        (("--shape", "0,4,4"), "--shape: expected numbers of voxels of at least 1, got 0,4,4"),
    ],
)
def test_wrong_values_name_the_option(
    sinograd: Any, scan_file: Path, tmp_path: Path, given: tuple[Any, ...], words: str
) -> None:
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "v.h5", *given)
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(f"sinograd: error: {words}"), result.stderr


def test_messages_of_a_batch_have_the_keys_of_its_file(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.yaml"
    jobs.write_text(f"jobs: [{{scan: {scan_file}, output: v.h5}}]\n")
    assert sinograd("batch", jobs).exit_code == 0
    again = sinograd("batch", jobs)
    assert again.exit_code == 1 and "already exists: use `force: true` to replace it" in again.stderr
    jobs.write_text(f"jobs: [{{scan: {scan_file}, output: v.h5, options: {{force: true}}}}]\n")
    assert sinograd("batch", jobs).exit_code == 0
    jobs.write_text("jobs: []\n")
    assert "expected the key jobs with at least one scan, as {jobs: [{scan:" in sinograd("batch", jobs).stderr


def test_an_uncertain_centre_is_recorded(sinograd: Any, tmp_path: Path) -> None:
    """Noise has no centre: the warning is a line, in the JSON object and in the volume."""
    geometry = sg.ConeBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=sg.full_scan(24), detector=sg.FlatDetector((20, 24), 0.75)
    )
    noise = torch.rand(geometry.projection_shape, generator=torch.Generator().manual_seed(0))
    sg.write_scan(sg.Scan(noise, geometry), tmp_path / "noise.h5")
    result = sinograd("reconstruct", tmp_path / "noise.h5", "-o", tmp_path / "out.h5", "--center", "auto", "--json")
    assert result.exit_code == 0, result.output
    lines = [line.removeprefix("warning: ") for line in result.stderr.splitlines()]
    assert any("centre" in line for line in lines)
    assert [warning["message"] for warning in json.loads(result.stdout)["warnings"]] == lines
    provenance = sg.read_volume(tmp_path / "out.h5").provenance
    assert provenance["warnings"] == lines


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("[enforce fail] can't allocate memory: 8 bytes")])
def test_too_little_memory_is_an_error_of_the_family(error: Exception) -> None:
    from sinograd.workflows.job import job

    with pytest.raises(sg.errors.OutOfMemory, match="`shape`, `voxel_mm`"), job(None):
        raise error


def test_an_interrupt_says_where_and_what_is_kept() -> None:
    from sinograd.workflows.job import job

    with pytest.raises(sg.errors.Stopped) as raised, job(None, "nothing was kept") as report:
        report.stage("reading", 24)(7, 24)
        raise KeyboardInterrupt
    assert (raised.value.stage, raised.value.kept) == ("while reading, after 7 of 24 views", "nothing was kept")
    assert str(raised.value) == "while reading, after 7 of 24 views; nothing was kept"
