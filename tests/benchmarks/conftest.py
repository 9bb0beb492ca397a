"""What tests of several benchmarks use."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def load(project_root: Path, monkeypatch: pytest.MonkeyPatch):
    """Imports a module of benchmarks/ by its name."""
    monkeypatch.syspath_prepend(project_root / "benchmarks")

    def load(name: str) -> ModuleType:
        return __import__(name)

    return load
