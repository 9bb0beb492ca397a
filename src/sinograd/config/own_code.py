"""Code that a configuration names, as "module:attribute": imported where the caller allows it, and nowhere else."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from sinograd.errors import ConfigError

_ALLOWED: ContextVar[bool] = ContextVar("allowed", default=False)


@contextmanager
def importing(allowed: bool, folder: Path | None = None) -> Iterator[None]:
    """Inside, `imported` imports if that is allowed; modules beside the configuration, in `folder`, too."""
    token = _ALLOWED.set(allowed or _ALLOWED.get())
    added = str(folder) if allowed and folder is not None and str(folder) not in sys.path else None
    if added:
        sys.path.insert(0, added)
    try:
        yield
    finally:
        _ALLOWED.reset(token)
        if added and added in sys.path:
            sys.path.remove(added)


def imported(path: str) -> Any:
    """What "module:attribute" names.

    Raises ConfigError, which starts with "path: ", where imports are not allowed, or it cannot be imported.
    """
    module, _, attribute = path.partition(":")
    if not (module and attribute):
        raise ConfigError(f"path: expected module:name of what is to be imported, got {path!r}")
    if not _ALLOWED.get():
        raise ConfigError(
            f"path: {path} is code of this machine, which runs when it is imported: `allow_import=True` allows that"
        )
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # whatever the module does when it is run
        raise ConfigError(f"path: {path} cannot be imported: {type(error).__name__}: {error}") from error
    return found


def path_of(thing: Any) -> str:
    """The name by which `imported` finds a class or function, or the class of an object, as far as there is one."""
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}:{named.__qualname__}"
