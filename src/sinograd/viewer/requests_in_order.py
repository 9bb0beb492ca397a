"""Requests that a newer one replaces: what a slider's last position asks for counts, those before need no answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_AT_ONCE = 2  # pieces of work that run side by side


class Superseded(Exception):
    """A newer request of the same channel came."""


class Latest:
    """Knows the newest request of each channel; several threads may use it."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._lock = threading.Lock()
        self._free = threading.Semaphore(_AT_ONCE)

    def note(self, channel: str, number: int) -> None:
        """A request came."""
        with self._lock:
            if len(self._newest) > 1000:
                self._newest.clear()
            self._newest[channel] = max(number, self._newest.get(channel, number))

    def check(self, channel: str | None, number: int) -> None:
        """Raises Superseded where a newer request of the channel came; a request without channel always counts."""
        with self._lock:
            if channel is not None and self._newest.get(channel, number) > number:
                raise Superseded

    @contextmanager
    def turn(self, channel: str | None, number: int) -> Iterator[None]:
        """Wait until it is this request's turn; raises Superseded where it is not needed any more."""
        if channel is not None:
            self.note(channel, number)
        with self._free:
            self.check(channel, number)
            yield
