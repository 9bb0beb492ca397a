"""Contracts for what can be added to sinograd, as pytest classes to subclass, in other packages too.

Each name is imported when it is used first, with pytest's own messages for its assertions.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sinograd.testing.network_contract import NetworkContract

__all__ = ["NetworkContract"]

_HOME = {
    "NetworkContract": "sinograd.testing.network_contract",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sinograd.testing' has no attribute {name!r}")
    home = _HOME[name]
    if home not in sys.modules:
        import pytest

        pytest.register_assert_rewrite(home)
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
