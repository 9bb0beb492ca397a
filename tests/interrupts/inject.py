"""A command in a child process that a signal meets at one of its file operations.

The operations are those that Python tells audit hooks of (opening, renaming, removing, making ...) for paths in the
folder of the job, and those of HDF5 files and of flushing, which are wrapped. The child is a fork of this process,
which imports what its first child had to import, so that a job takes a fraction of a second.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

EVENTS = {
    "open",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.scandir",
}


def run_child(arguments: Sequence[str], folder: Path, point: int = 0, number: int = 0) -> tuple[int, int, str]:
    """Run `sinograd ARGUMENTS`; before operation `point`, counted from 1, it gets the signal `number`.

    Returns:
        The exit code (minus the signal that ended it), how many operations there were, and what was printed.
    """
    counted, told, imported = (folder.parent / name for name in ("counted", "told", "imported"))
    child = os.fork()
    if child == 0:
        _child(arguments, folder, (point, number), counted, told, None if point else imported)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    count = int(counted.read_text() or 0) if counted.exists() else 0
    if not point and imported.exists():
        _import(imported.read_text().split())
    return status, count, told.read_text(errors="replace")


def _import(names: Sequence[str]) -> None:
    """Import what a child imported, in its order: the next ones need not."""
    for name in names:
        if name not in sys.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def _child(
    arguments: Sequence[str], folder: Path, at: tuple[int, int], counted: Path, told: Path, imported: Path | None
) -> None:
    code: Any = 99
    before = set(sys.modules)
    try:
        output = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        os.chdir(folder)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        operation = _counter(folder, at, counted)
        _wrap(operation)
        sys.argv = ["sinograd", *arguments]
        from sinograd.cli import main

        main()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
    finally:
        if imported is not None:
            imported.write_text("\n".join(name for name in sys.modules if name not in before))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1 if code else 0)


def _counter(folder: Path, at: tuple[int, int], counted: Path) -> Callable[[], None]:
    point, number = at
    count, inside = 0, os.fsencode(folder)
    report = os.open(counted, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def operation() -> None:
        nonlocal count
        count += 1
        os.pwrite(report, str(count).encode(), 0)
        if count == point:
            os.kill(os.getpid(), number)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in EVENTS and any(_names(value, inside) for value in arguments[:2]):
            operation()

    sys.addaudithook(hook)
    return operation


def _names(value: object, inside: bytes) -> bool:
    """Whether a value is a path in the folder, or a relative one."""
    if not isinstance(value, str | bytes | os.PathLike):
        return False
    path = os.fsencode(value)
    return path.startswith(inside) or (not path.startswith(b"/") and len(path) > 3)


def _wrap(operation: Callable[[], None]) -> None:
    """Operations that tell no audit hook: flushing, and HDF5 files."""
    import h5py

    def around(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any, **named: Any) -> Any:
            operation()
            result = call(*given, **named)
            operation()
            return result

        return wrapped

    os.fsync = around(os.fsync)
    h5py.File.close = around(h5py.File.close)
    h5py.h5f.create = around(h5py.h5f.create)
