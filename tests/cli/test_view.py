"""`sinograd view` as a user starts it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from sinograd.data import Volume
from sinograd.geometry import Grid
from sinograd.io import write_volume

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


@pytest.fixture
def volume_file(tmp_path: Path) -> Path:
    write_volume(Volume(torch.rand(4, 5, 6), Grid((4, 5, 6), 1.0), "1/mm"), tmp_path / "v.h5")
    return tmp_path / "v.h5"


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "sinograd.cli", *map(str, arguments)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_one_line_and_ends_with_a_signal(volume_file: Path, number: int) -> None:
    with started("view", volume_file, "--port", 0, "--no-browser") as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=\S+", url)
        with urllib.request.urlopen(url, timeout=20) as answer:
            assert answer.status == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert process.returncode == 0 and out == "" and err == ""


def test_json(volume_file: Path) -> None:
    with started("view", volume_file, "--no-browser", "--json") as process:
        assert process.stdout is not None
        text = ""
        while not text.endswith("\n}\n"):
            text += process.stdout.readline()
        found = json.loads(text)
        assert found["command"] == "view" and found["url"].endswith(f":{found['port']}/?token={found['token']}")


def test_tune_prints_one_line(scan_file: Path, tmp_path: Path) -> None:
    with started("tune", scan_file, "-o", tmp_path / "tuned.h5", "--no-browser") as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(url, timeout=20) as answer:
            assert b"sinograd tune" in answer.read()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "") and process.returncode == 0


def test_bad_input(sinograd: Any, volume_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.txt").write_text("neither scan nor volume")
    for arguments, words in (
        (["view", tmp_path / "missing.h5"], "does not exist"),
        (["view", tmp_path / "text.txt"], "text.txt"),
        (["view", volume_file, "--port", "99999"], "--port: expected 0 to 65535, got 99999"),
    ):
        done = sinograd(*arguments, "--no-browser")
        assert done.exit_code == 2 and words in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = sinograd("view", volume_file, "--no-browser")
    assert done.exit_code == 2 and "pip install 'sinograd[view]'" in done.stderr
