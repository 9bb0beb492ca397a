"""Progress on the terminal, and how far the work came when it is interrupted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any


class Progress:
    """Bars with an estimate of the time left, on stderr and only where that is a terminal.

    Used as a context manager; `stage` opens the next bar and returns the callback that moves it. `position`
    tells in words how far the current stage is.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._stage = "starting"
        self._unit = "views"
        self._done = 0
        self._total = 0
        self._unit = "views"
        self._bars: Any = None
        self._task: Any = None
        if not quiet and sys.stderr.isatty():
            self._bars = _bars()

    def __enter__(self) -> Progress:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            if kind is None:
                self._close()
            self._bars.stop()

    def stage(self, name: str, total: int, unit: str = "views") -> Callable[..., None]:
        """Start the stage `name`; the callback takes (views done, views in all) and words to show beside them.

        Instead of views it may be what `unit` says.
        A stage of 0 views is one whose length is not known.
        """
        self._close()
        self._stage, self._unit, self._done, self._total = name, unit, 0, total
        if self._bars is not None:
            self._task = self._bars.add_task(name, total=total or None, count="")
        return self._advance

    def _advance(self, done: int, total: int, note: str = "") -> None:
        self._done, self._total = done, total
        if self._bars is not None:
            self._bars.update(self._task, completed=done, total=total, count=f"{done}/{total} {self._unit}{note}")

    def _close(self) -> None:
        """A stage of unknown length is done."""
        if self._task is not None and self._total == 0:
            self._bars.update(self._task, total=1, completed=1)

    def position(self) -> str:
        """For example "while reconstructing, after 120 of 360 views"."""
        if self._total == 0:
            return f"while {self._stage}"
        return f"while {self._stage}, after {self._done} of {self._total} {self._unit}"


def _bars() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    return Bars(
        TextColumn("{task.description:<14}"),
        BarColumn(bar_width=40),
        TextColumn("{task.fields[count]:>14}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
