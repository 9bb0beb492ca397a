"""Packages whose names are imported when they are used first.

    if TYPE_CHECKING:
        from sinograd.recon.iterative.cgls import cgls

    __all__ = ["cgls"]
    attach(__name__)

The imports under TYPE_CHECKING are the one list of where names live: type checkers read it, and so does `attach`. So
importing the package imports none of its modules, and `from sinograd.recon.iterative import cgls` only the one.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import sys
from types import ModuleType
from typing import Any


class LazyPackage(ModuleType):
    """A package that looks its names up in `_homes`, by name: (module, name there)."""

    _homes: dict[str, tuple[str, str]]

    def __getattr__(self, name: str) -> Any:
        """A public name, or a module of the package."""
        if name in self._homes:
            module, attribute = self._homes[name]
            value = getattr(importlib.import_module(module), attribute)
            super().__setattr__(name, value)
            return value
        submodule = f"{self.__name__}.{name}"
        if name.startswith("_") or importlib.util.find_spec(submodule) is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return importlib.import_module(submodule)

    def __setattr__(self, name: str, value: Any) -> None:
        """As always, but `package.cgls` stays the function when Python enters the imported module `cgls` there."""
        if isinstance(value, ModuleType) and name in self._homes:
            return
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        """Public names and modules, imported or not."""
        modules = (module.name for module in pkgutil.iter_modules(self.__path__))
        return sorted({*self.__dict__, *self._homes, *(name for name in modules if not name.startswith("_"))})


def attach(package: str) -> None:
    """Make a package lazy; its `__init__` calls this, at its end."""
    module = sys.modules[package]
    loader: Any = module.__spec__ and module.__spec__.loader
    module.__dict__["_homes"] = _homes(loader.get_source(package))
    module.__class__ = LazyPackage


def _homes(source: str) -> dict[str, tuple[str, str]]:
    """Names that are imported under TYPE_CHECKING."""
    return {
        alias.asname or alias.name: (str(statement.module), alias.name)
        for block in ast.parse(source).body
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
