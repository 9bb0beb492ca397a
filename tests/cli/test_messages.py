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
        ):
            assert as_options(text) == expected
    assert as_options("use `force=True`") == "use `force=True`"


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
