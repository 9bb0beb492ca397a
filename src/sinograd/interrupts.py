"""Ctrl-C and SIGTERM let the piece of work that is running end, so that nothing is lost; a second one stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """A context manager that notes the first interrupt instead of raising it; the second one is raised.

    Outside the main thread, where signals cannot be caught, it does nothing.

    Args:
        signals: which to catch.

    Attributes:
        requested: whether there was an interrupt since it was entered.
    """

    def __init__(self, signals: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)) -> None:
        self.requested = False
        self._signals = tuple(signals)
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        self.catch()
        return self

    def catch(self) -> None:
        """Catch the signals, also after someone else has taken them."""
        if threading.current_thread() is threading.main_thread():
            for number in self._signals:
                before = signal.signal(number, self._note)
                self._before.setdefault(number, before)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
