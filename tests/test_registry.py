"""A registry refuses what it could not use later."""

from __future__ import annotations

from typing import Any

import pytest

from sinograd.errors import InputError
from sinograd.io.formats import known_formats, path_suffix, suffixes_of
from sinograd.registry import Registry


@pytest.mark.parametrize("target", ["module", "module:", ":Class", ""])
def test_targets_name_module_and_attribute(target: str) -> None:
    registry: Registry[Any] = Registry("network")
    with pytest.raises(
        InputError, match="target of network 'mine' must be 'module:attribute' or the thing itself, got"
    ):
        registry.add("mine", target)
    assert registry.names() == ()


def test_names_are_text_and_unique() -> None:
    registry: Registry[Any] = Registry("network")
    with pytest.raises(TypeError, match="name of a network must be a text, got NoneType"):
        registry.add(None, "module:Class")  # type: ignore[arg-type]
    registry.add("mine", "module:Class")
    with pytest.raises(InputError, match="network 'mine' is registered already: module:Class"):
        registry.add("mine", "other:Class")


def test_a_format_without_suffixes_is_known_by_its_content(tmp_path: Any) -> None:
    registry: Registry[Any] = Registry("volume format")
    entry = registry.add("mine", "module:Class", "Mine")
    registry.add("other", "module:Other", "Other", suffixes=(".oth", ""))
    assert suffixes_of(entry) == ()
    assert path_suffix(registry, tmp_path / "a.b.oth") == ".oth"
    assert known_formats(registry) == "Mine; Other (.oth)"
