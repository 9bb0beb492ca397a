"""Starts a library in its own interpreter and talks to it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from cases import Case

HERE = Path(__file__).resolve().parent
IN_THIS_INTERPRETER = ("ours", "fourier", "sitk")
PEERS_PYTHON = HERE.parent / ".venv-peers" / "bin" / "python"


class Library:
    """One library, running in a process of its own until the `with` block ends.

    Args:
        name: "ours", "fourier", "rtk", "astra", "skimage" or "sitk". "ours", "fourier" (both sinograd) and "sitk"
            (SimpleITK is an extra of it) run in this interpreter, the others in the one made by `make peers`.
        threads: how many it may use.
        peers_python: the peers' interpreter.
        seconds: how long the next command may take; the process is ended after that, and TimeoutError raised.
    """

    def __init__(
        self, name: str, threads: int, peers_python: Path = PEERS_PYTHON, seconds: Callable[[], float] | None = None
    ) -> None:
        self.name = name
        self.seconds = seconds
        python = Path(sys.executable) if name in IN_THIS_INTERPRETER else peers_python
        if not python.exists():
            raise FileNotFoundError(f"{python} does not exist: run `make peers` first")
        self._process = subprocess.Popen(
            [str(python), str(HERE / "worker.py"), name, str(threads)],
            env=_environment(name, threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Library:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def versions(self) -> dict[str, str]:
        """Versions of the library and what it computes with."""
        return self._ask("versions")

    def load(self, case: Case, path: Path | None) -> dict[str, int]:
        """Makes a case ready to run; bytes of the idle process and of the input."""
        return self._ask("load", case=asdict(case), path=str(path) if path else None)

    def run(self) -> dict[str, float]:
        """Runs the case once: seconds, processor_seconds, peak (bytes)."""
        return self._ask("run")

    def save(self, path: Path) -> dict[str, int]:
        """Writes the last result to a .npy file; its bytes."""
        return self._ask("save", path=str(path))

    def _ask(self, command: str, **arguments: object) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
        self._process.stdin.flush()
        if self.seconds is not None and not select.select([self._process.stdout], [], [], self.seconds())[0]:
            self._process.kill()
            raise TimeoutError(f"{self.name}: no answer to {command!r} in time")
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name} stopped during {command!r}; its own words are above")
        return json.loads(answer)


def _environment(name: str, threads: int) -> dict[str, str]:
    counts = (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    )
    environment = {**os.environ, **dict.fromkeys(counts, str(threads))}
    if name not in IN_THIS_INTERPRETER:
        environment.pop("PYTHONPATH", None)  # the peers have their own numpy
    return environment
