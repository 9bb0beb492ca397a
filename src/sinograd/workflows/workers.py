"""Dask workers of a job whose result is made in this process: what they read and write lies beside the output."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.errors import InputError
from sinograd.files.temporary import remove, temporary_path
from sinograd.ops.stored import Space
from sinograd.workflows.cluster import Executor, executor_on

if TYPE_CHECKING:
    from sinograd.workflows.values import Where


@dataclass(frozen=True, eq=False)
class Workers:
    """Who computes, and where what they share lies.

    Attributes:
        run: calls a function with every item on a worker; (item, result) in the order in which they end.
        space: of stored tensors that all workers see; it goes with the job.
    """

    run: Executor
    space: Space


@contextmanager
def workers_of(where: Where, output: Path | None, inputs: list[Path | None], kept: str) -> Iterator[Workers | None]:
    """The workers, which are looked at first; None where this process computes.

    Args:
        where: who computes.
        output: beside which the shared files lie.
        inputs: files that workers read, too; None for what is in memory.
        kept: what an interrupt leaves, in words.

    Raises:
        InputError: workers that do not answer, have another version or do not see the files.
    """
    if not where:
        yield None
        return
    assert output is not None
    folder = temporary_path(output.absolute())
    try:
        folder.mkdir()
    except OSError as error:
        text = os.strerror(error.errno or 0)
        raise InputError(f"`output`: files of workers cannot lie in {folder.parent}: {text}") from error
    try:
        files: list[Any] = [folder, *(path.resolve() for path in inputs if path is not None)]
        with executor_on(where, files, kept) as run:
            yield Workers(run, Space(folder))
    finally:
        remove(folder)
