"""Progress where bars cannot be drawn (a pipe, a log file): a line every few seconds."""

from __future__ import annotations

import sys
import time

from sinograd.workflows.durations import time_text

SECONDS = 5.0  # between two lines


class ProgressLines:
    """Stands in for `rich.progress.Progress`; writes to stderr, nothing for work that takes less than `SECONDS`."""

    def __init__(self) -> None:
        self._name, self._start = "", 0.0
        self._written = time.monotonic()

    def start(self) -> None:
        """The first stage may start."""

    def stop(self) -> None:
        """Nothing is left to close."""

    def add_task(self, name: str, total: float | None = None, count: str = "") -> int:
        """A stage; its number."""
        self._name, self._start = name, time.monotonic()
        if total is None:
            self._write(name)
        return 0

    def update(self, task: int, *, total: float | None = None, completed: float = 0, count: str | None = None) -> None:
        """How far it is, for example "reconstructing: 120/360 views, 33 %, 8 s, 16 s left"."""
        if count is None:
            return
        share = f", {100 * completed / total:.0f} %" if total else ""
        self._write(f"{self._name}: {count}{share}, {time_text(time.monotonic() - self._start, completed, total)}")

    def print_line(self, text: str, style: str = "") -> None:
        """A line of somebody else."""
        print(text, file=sys.stderr, flush=True)

    def _write(self, line: str) -> None:
        now = time.monotonic()
        if now - self._written >= SECONDS:
            self._written = now
            print(line, file=sys.stderr, flush=True)
