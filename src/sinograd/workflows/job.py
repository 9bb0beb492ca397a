"""What all jobs share: a report, and words for an interrupt and for too little memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sinograd.errors import OutOfMemory, Stopped
from sinograd.files.inputs import inputs
from sinograd.workflows.report import Position, Report, opened_report

NO_MEMORY = "not enough memory for this scan and grid: fewer or larger voxels (`shape`, `voxel_mm`) need less"


@contextmanager
def job(report: Report | str | bool | None, kept: str = "nothing was kept") -> Iterator[Position]:
    """Gives the report of a job; an interrupt becomes `Stopped`, too little memory `OutOfMemory`.

    No file that is read inside is replaced (`sinograd.files.inputs`).

    kept: what an interrupt leaves, unless the `Stopped` that the work raises says it.
    """
    with inputs(), opened_report(report) as opened, enough_memory():
        position = Position(opened)
        try:
            yield position
        except Stopped as stopped:
            raise Stopped(stopped.stage or str(position), stopped.kept or kept) from None
        except KeyboardInterrupt:
            raise Stopped(str(position), kept) from None


@contextmanager
def enough_memory() -> Iterator[None]:
    """Inside, what NumPy, torch and CUDA raise where memory is lacking becomes `OutOfMemory`."""
    try:
        yield
    except OutOfMemory:
        raise
    except MemoryError as error:
        raise OutOfMemory(NO_MEMORY) from error
    except RuntimeError as error:
        # torch has a class of its own for GPUs alone, and a text for the CPU.
        if type(error).__name__ != "OutOfMemoryError" and "can't allocate memory" not in str(error):
            raise
        raise OutOfMemory(NO_MEMORY) from error


def goes_on(name: str, what: str) -> str:
    """What an interrupt leaves in a file or folder that `resume=True` takes."""
    return f"`resume=True` goes on from there ({name} holds {what})"


def no_partial(name: str) -> str:
    """What an interrupt leaves of an output that is written at once."""
    return f"no partial {name} was left"
