"""`Registry`: the choices of one kind, each entered once, by name.

An entry is a name, where the thing lies ("module:attribute", imported when it is used) and what can be told without
importing it (a line of help, suffixes, default rates ...). So help texts and lists of choices import nothing.
Other packages add entries through an entry point of the registry's group, or by `REGISTRY.add(...)`.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata as packages
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from sinograd.errors import InputError, InputTypeError, PluginWarning, SinogradError

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One choice.

    Attributes:
        name: as users write it.
        target: "module:attribute", or the thing itself.
        help: one line for lists of choices.
        about: further facts, by name; which there are is said where the registry is defined.
        plugin: the package that added it; None for sinograd's own.
    """

    name: str
    target: str | T
    help: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    plugin: str | None = None

    def load(self) -> T:
        """The thing, imported on first use.

        Raises InputError, which names the entry and its target, where that cannot be imported; an error of the package
        itself, such as one of a missing extra, as it is.
        """
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        try:
            found: Any = importlib.import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
        except SinogradError:
            raise
        except (ImportError, AttributeError) as error:
            raise InputError(f"{self.name!r} cannot be imported from {self.target!r}: {error}") from error
        return found


class Registry(Generic[T]):
    """Choices by name, in the order in which they were entered; those of plugins follow.

    Args:
        kind: what an entry is, for messages: "network".
        group: the entry points of other packages that add to it, such as "sinograd.networks". An entry point loads
            to an `Entry`, or to the thing itself, which is then entered under the entry point's name.
        facts: what is told about each entry, by name; of a plugin without an `Entry`, the thing's attributes.
        only: facts that all entries share. Where a group serves several registries, the plugins of the others are
            left out, so that listing the names imports them.
    """

    def __init__(
        self, kind: str, group: str | None = None, *, facts: tuple[str, ...] = (), only: Mapping[str, Any] | None = None
    ) -> None:
        self.kind, self.group = kind, group
        self.facts, self.only = facts, dict(only or {})
        self._entries: dict[str, Entry[T]] = {}
        self._plugins: dict[str, packages.EntryPoint] | None = None

    def add(self, name: str, target: str | T, help: str = "", *, first: bool = False, **about: Any) -> Entry[T]:
        """Enter a choice; `first`: before those that are there, so that it is asked before them.

        Raises InputTypeError for a name that is no text, InputError for one that is taken or a target that is a
        text but not "module:attribute".
        """
        if not isinstance(name, str):
            raise InputTypeError(f"name of a {self.kind} must be a text, got {type(name).__name__}")
        if isinstance(target, str) and not all(target.partition(":")[::2]):
            raise InputError(
                f"target of {self.kind} {name!r} must be 'module:attribute' or the thing itself, got {target!r}"
            )
        if name in self._entries:
            raise InputError(f"{self.kind} {name!r} is registered already: {self._entries[name].target}")
        entry = Entry(name, target, help, MappingProxyType({**self.only, **about}))
        self._entries = {name: entry, **self._entries} if first else {**self._entries, name: entry}
        return entry

    def remove(self, name: str) -> None:
        """Take a choice out again; InputError where there is none of this name."""
        self.entry(name)
        del self._entries[name]

    def names(self) -> tuple[str, ...]:
        """All names, those of plugins too, which are not imported for that (unless their group is shared: `only`)."""
        if self.only:
            return tuple(entry.name for entry in self.entries())
        return (*self._entries, *(name for name in self._entry_points() if name not in self._entries))

    def entries(self, *, plugins: bool = True) -> tuple[Entry[T], ...]:
        """All entries; plugins are imported, and left out with a PluginWarning where that fails.

        plugins=False: those alone that are there without importing anything.
        """
        for name in tuple(self._entry_points()) if plugins else ():
            if name not in self._entries:
                self._load_plugin(name)
        return tuple(self._entries.values())

    def entry(self, name: str) -> Entry[T]:
        """The entry of a name.

        Raises InputError, which lists the names, for an unknown one or a plugin that cannot be imported.
        """
        if name not in self._entries and name in self._entry_points():
            self._load_plugin(name)
        if name not in self._entries:
            known = ", ".join(self.names()) or "none"
            raise InputError(f"{self.kind} must be one of {known}, got {name!r}")
        return self._entries[name]

    def load(self, name: str) -> T:
        """The thing of a name; raises as `entry`."""
        return self.entry(name).load()

    def name_of(self, thing: object) -> str | None:
        """The name under which something is entered; None where it is not."""
        return next((entry.name for entry in self.entries() if entry.load() is thing), None)

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def __repr__(self) -> str:
        return f"<Registry of {self.kind}s: {', '.join(self.names())}>"

    def _entry_points(self) -> dict[str, packages.EntryPoint]:
        if self._plugins is None:
            points = packages.entry_points(group=self.group) if self.group else ()
            self._plugins = {point.name: point for point in points}
        return self._plugins

    def _load_plugin(self, name: str) -> None:
        point = self._entry_points()[name]
        package = point.dist.name if point.dist is not None else point.value
        try:
            loaded = point.load()
        except Exception as error:
            warnings.warn(
                f"the {self.kind} {name!r} of the package {package} is left out: {point.value} cannot be imported "
                f"({type(error).__name__}: {error})",
                PluginWarning,
                stacklevel=4,
            )
            del self._entry_points()[name]
            return
        if isinstance(loaded, Entry):
            entry = loaded
        else:
            about = {fact: getattr(loaded, fact, None) for fact in self.facts}
            entry = Entry(name, loaded, getattr(loaded, "HELP", ""), about)
        if any(entry.about.get(fact) != value for fact, value in self.only.items()):
            del self._entry_points()[name]
            return
        self._entries[name] = Entry(name, entry.target, entry.help, entry.about, package)
