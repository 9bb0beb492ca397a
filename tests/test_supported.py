"""What sinograd says on machines that it does not run on. Truth: files as such machines have them."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sinograd import supported

OLD = "vendor_id\t: GenuineIntel\nflags\t\t: fpu sse sse2 ssse3 cx16\nbugs\t\t:\n"
NEW = "vendor_id\t: GenuineIntel\nflags\t\t: fpu sse sse2 ssse3 sse4_1 sse4_2 cx16\nbugs\t\t:\n"


def imported(path: Path) -> subprocess.CompletedProcess[str]:
    """`import sinograd` where `path` comes first."""
    package = Path(supported.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path), str(package)])}
    command = [sys.executable, "-c", "import sinograd, sys; print('torch' in sys.modules)"]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def put_torch(folder: Path, text: str) -> None:
    (folder / "torch").mkdir()
    (folder / "torch" / "__init__.py").write_text("raise SystemExit('torch was imported')")
    (folder / "torch" / "version.py").write_text(text)


def test_an_old_torch_is_named_when_sinograd_is_imported(tmp_path: Path) -> None:
    put_torch(tmp_path, "from typing import Optional\n__version__ = '2.5.1+cu124'\ndebug = False\n")
    result = imported(tmp_path)
    assert result.returncode == 1
    line = result.stderr.strip().splitlines()[-1]
    assert "sinograd needs torch 2.6 or newer, found 2.5.1+cu124: pip install --upgrade 'torch>=2.6'" in line


@pytest.mark.parametrize("started", [["bin/sinograd", "doctor"], ["-m", "sinograd.cli", "doctor"]])
def test_the_command_says_it_in_one_line(started: list[str], tmp_path: Path) -> None:
    """A script as pip writes it, and the module."""
    put_torch(tmp_path, "__version__ = '2.5.1+cu124'\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sinograd").write_text("from sinograd.cli import main\nmain()\n")
    package = Path(supported.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(package)])}
    result = subprocess.run([sys.executable, *started], cwd=tmp_path, env=environment, capture_output=True, text=True)
    needed = "sinograd needs torch 2.6 or newer, found 2.5.1+cu124: pip install --upgrade 'torch>=2.6'"
    assert (result.returncode, result.stderr) == (1, f"sinograd: cannot start: {needed}\n")


@pytest.mark.parametrize("text", ["__version__ = '2.6.0'\n", "__version__ = '10.0'\n", "nothing\n", ""])
def test_new_and_unknown_ones_are_not_imported_for_that(text: str, tmp_path: Path) -> None:
    put_torch(tmp_path, text)
    result = imported(tmp_path)
    assert (result.returncode, result.stdout.strip()) == (0, "False"), result.stderr


def test_the_oldest_torch_is_that_of_the_requirements(project_root: Path) -> None:
    project = tomllib.loads((project_root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"torch>={'.'.join(map(str, supported.TORCH))}" in project["dependencies"]


@pytest.mark.parametrize(("text", "told"), [(OLD, True), (NEW, False)])
def test_a_processor_without_sse4(text: str, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supported.platform, "machine", lambda: "x86_64")
    (tmp_path / "cpuinfo").write_text(text)
    problem = supported.processor_problem(tmp_path / "cpuinfo")
    assert (problem is not None) == told
    if problem:
        assert "this processor lacks SSE4.1 and SSE4.2" in problem and "qemu: -cpu max" in problem


def test_what_tells_nothing_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supported.platform, "machine", lambda: "x86_64")
    assert supported.processor_problem(tmp_path / "absent") is None
    (tmp_path / "cpuinfo").write_bytes(b"\xff\x00processor")
    assert supported.processor_problem(tmp_path / "cpuinfo") is None
    monkeypatch.setattr(supported.platform, "machine", lambda: "aarch64")
    (tmp_path / "cpuinfo").write_text(OLD)
    assert supported.processor_problem(tmp_path / "cpuinfo") is None


def test_musl_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(supported.sys, "platform", "linux")
    monkeypatch.setattr(os, "confstr", absent)
    monkeypatch.setattr(supported, "torch_version", lambda: None)
    monkeypatch.setattr(supported.importlib.util, "find_spec", lambda name: None)
    assert supported.uses_musl()
    problem = supported.torch_problem()
    assert problem is not None and "Alpine" in problem and "python:3.12-slim" in problem
