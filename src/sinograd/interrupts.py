"""Ctrl-C, SIGTERM and SIGHUP: noted until the work that is running has ended, put off, or raised as one exception.

All of them become KeyboardInterrupt, so that whatever cleans up after Ctrl-C cleans up after the others, too.
`received()` says which one it was.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a process unless it catches them, apart from SIGINT, which Python catches."""

_SIGNALS = (signal.SIGINT, *ENDING)
_received: list[int] = []


class Interrupts:
    """A context manager that notes the first interrupt instead of raising it; the second one is raised.

    Outside the main thread, where signals cannot be caught, it does nothing.

    Args:
        signals: which to catch.

    Attributes:
        requested: whether there was an interrupt since it was entered.
    """

    def __init__(self, signals: Sequence[int] = _SIGNALS) -> None:
        self.requested = False
        self._signals = tuple(signals)
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        try:
            self.catch()
        except BaseException:
            _restore(self._before)
            raise
        return self

    def catch(self) -> None:
        """Catch the signals, also after someone else has taken them."""
        if threading.current_thread() is threading.main_thread():
            for number in self._signals:
                before = signal.getsignal(number)
                if before is not signal.SIG_IGN and before != self._note:
                    self._before.setdefault(number, before)
                    signal.signal(number, self._note)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _restore(self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        _received.append(number)
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def deferred() -> Iterator[None]:
    """Inside, signals wait; the first of them arrives when the block has ended.

    For a few file operations that belong together, and for cleaning up. Outside the main thread, where Python
    delivers no signals, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    before: dict[int, Any] = {}
    try:
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if handler is not signal.SIG_IGN and handler is not None:
                before[number] = handler
                signal.signal(number, lambda n, _: waiting.append(n))
        yield
    finally:
        _restore(before)
        if waiting:
            signal.raise_signal(waiting[0])


@contextmanager
def raised_as_interrupts() -> Iterator[None]:
    """Inside, signals that would end the process at once raise KeyboardInterrupt, as Ctrl-C does.

    Those that are caught or ignored already stay as they are (nohup ignores SIGHUP).
    """
    _received.clear()
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        usual = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(ENDING, signal.SIG_DFL)}
        for number, handler in usual.items():
            if signal.getsignal(number) == handler:
                before[number] = handler
    try:
        for number in before:
            signal.signal(number, _raise)
        yield
    finally:
        _restore(before)


def quiet() -> None:
    """Ignore interrupts from here on: the process is about to end."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def received() -> int | None:
    """The number of the last signal that was noted or raised here since `raised_as_interrupts`; None without one."""
    return _received[-1] if _received else None


def _raise(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt


def _restore(before: dict[int, Any]) -> None:
    """Put all handlers back, also where a signal raises in between."""
    while before:
        number, handler = before.popitem()
        try:
            signal.signal(number, handler)
        finally:
            if before:
                _restore(before)
