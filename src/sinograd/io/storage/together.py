"""Outputs of one job that take their names in one step: after an interrupt or a crash there are all or none.

Inside `together()` the writers of `sinograd.io.storage.atomic` leave what they made under its temporary name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from sinograd.files.commit import Made, replace_all
from sinograd.files.temporary import remove
from sinograd.interrupts import deferred
from sinograd.io.storage.write_errors import writing


@dataclass(frozen=True)
class Output:
    """A whole output: what it is, the check that it may have its names, and how it takes them on its own."""

    made: Made
    check: Callable[[], object]
    take: Callable[[], None]

    @property
    def path(self) -> Path:
        """Its first name, for messages."""
        return self.made.folder / next(iter(self.made.names))

    @property
    def temporaries(self) -> set[Path]:
        """The temporary files or folders."""
        return {self.made.folder / Path(source).parts[0] for source in self.made.names.values()}


@dataclass
class _Waiting:
    outputs: list[Output] = field(default_factory=list)

    def take(self) -> None:
        for output in self.outputs:
            output.check()
        if len(self.outputs) == 1:
            with writing(self.outputs[0].path):
                self.outputs[0].take()
        elif self.outputs:
            with writing(self.outputs[0].path):
                replace_all([output.made for output in self.outputs])


_WAITING: ContextVar[_Waiting | None] = ContextVar("waiting", default=None)


@contextmanager
def together() -> Iterator[None]:
    """Inside, outputs wait for their names; they take them when the block ends without an error.

    They cannot be read by their names before. Where the block is inside another one, that one ends for both.
    """
    if _WAITING.get() is not None:
        yield
        return
    waiting = _Waiting()
    token = _WAITING.set(waiting)
    try:
        yield
        waiting.take()
    finally:
        _WAITING.reset(token)
        with deferred():
            for output in waiting.outputs:
                for path in output.temporaries:
                    remove(path)


def finish(output: Output) -> None:
    """Give an output its names: now, or inside `together()` when that ends."""
    output.check()
    waiting = _WAITING.get()
    if waiting is None:
        output.take()
    else:
        waiting.outputs.append(output)


def discard(temporary: Path) -> None:
    """Remove a temporary file or folder, unless it belongs to an output that waits."""
    waiting = _WAITING.get()
    with deferred():
        if waiting is None or all(temporary not in output.temporaries for output in waiting.outputs):
            remove(temporary)
