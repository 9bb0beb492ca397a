"""The command that repeats what the sliders say: its files, and the command itself as a process with progress."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.errors import ExistingFileError, InputError

if TYPE_CHECKING:
    from sinograd.data import Scan
    from sinograd.viewer.settings import Settings

_PROGRESS = re.compile(r"^(?P<stage>[\w ]+?)(?:: (?P<done>\d+)/(?P<total>\d+) (?P<unit>\w+).*)?$")
_LINES = 200


class TunedJob:
    """`sinograd reconstruct SCAN --config FILE -o OUTPUT`, once at a time.

    Args:
        path: of the scan.
        scan: what it holds.
        output: the volume to write; beside it NAME.tune.yaml and, where the geometry is tuned, NAME.geometry.yaml.
        force: whether files may be replaced.
    """

    def __init__(self, path: Path, scan: Scan, output: Path, force: bool = False) -> None:
        self.path, self.scan, self.output, self.force = path, scan, output, force
        stem = output.name.split(".")[0]
        self.config = output.with_name(f"{stem}.tune.yaml")
        self.geometry = output.with_name(f"{stem}.geometry.yaml")
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []
        self._cancelled, self._written = False, False

    @property
    def command(self) -> list[str]:
        """Arguments of `sinograd`."""
        forced = ["--force"] if self.force else []
        return ["reconstruct", str(self.path), "--config", str(self.config), "-o", str(self.output), *forced]

    def write_config(self, settings: Settings) -> dict[str, Any]:
        """Write the files of the settings; their names and the command that takes them.

        Raises ExistingFileError where they exist and were not written here.
        """
        from sinograd.config.text_files import write_text
        from sinograd.config.yaml import dump_yaml
        from sinograd.geometry import save_geometry

        options = settings.options(self.scan)
        mine = self.force or self._written
        for path in (self.config, self.geometry):
            if path.exists() and not mine:
                raise ExistingFileError(f"{path} exists; `force=True` replaces it")
        if settings.turned:
            save_geometry(settings.geometry(self.scan.geometry), self.geometry, force=True)
            options["geometry"] = str(self.geometry.absolute())
        write_text(dump_yaml(options or {"window": settings.window}), self.config, True)
        self._written = True
        files = [self.config, *([self.geometry] if settings.turned else [])]
        return {"files": [str(path) for path in files], "command": shlex.join(["sinograd", *self.command])}

    def start(self, settings: Settings) -> dict[str, Any]:
        """Write the files and start the command; InputError while it runs."""
        if self.running:
            raise InputError("a reconstruction is running")
        said = self.write_config(settings)
        self._lines, self._cancelled = [], False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sinograd.cli", *self.command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=(self._process,), name="reconstruct", daemon=True).start()
        return said

    @property
    def running(self) -> bool:
        """Whether the command runs."""
        return self._process is not None and self._process.poll() is None

    def cancel(self) -> None:
        """Interrupt the command as Ctrl-C does."""
        if self.running and self._process is not None:
            self._cancelled = True
            self._process.send_signal(signal.SIGINT)

    def close(self) -> None:
        """End the command, if it runs."""
        self.cancel()
        if self._process is not None:
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def status(self) -> dict[str, Any]:
        """state: "none", "running", "done", "failed" or "cancelled"; stage and share of it while it runs; lines."""
        if self._process is None:
            return {"state": "none"}
        code = self._process.poll()
        found: dict[str, Any] = {"state": "running", "lines": self._lines[-20:], "output": str(self.output)}
        for line in reversed(self._lines):
            if (match := _PROGRESS.match(line)) is not None:
                found["stage"] = match["stage"]
                found["share"] = int(match["done"]) / max(1, int(match["total"])) if match["done"] else None
                break
        if code is not None:
            found["state"] = "done" if code == 0 else "cancelled" if self._cancelled else "failed"
        return found

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr as stream:
            for line in stream:
                self._lines = [*self._lines, line.strip()][-_LINES:]
        process.wait()
