"""Progress on the terminal, and how far the work came when it is interrupted."""

from __future__ import annotations

from types import TracebackType

from sinograd.workflows.report import Bars, Position, Silent


class Progress(Position):
    """Bars with an estimate of the time left, on stderr and only where that is a terminal.

    Used as a context manager; `stage` opens the next bar and returns the callback that moves it.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._bars = None if quiet else Bars()
        super().__init__(self._bars or Silent())

    def __enter__(self) -> Progress:
        if self._bars is not None:
            self._bars.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.__exit__(kind, error, trace)

    def position(self) -> str:
        """For example "while reconstructing, after 120 of 360 views"."""
        return str(self)
