"""The public names of the packages: each written twice in `__init__.py`, and imported when it is used first."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import sinograd
from sinograd.lazy import LazyPackage


def lazy_packages() -> list[str]:
    """Names of the packages that import nothing of their own."""
    root = Path(sinograd.__file__).parent
    files = sorted(root.rglob("__init__.py"))
    attached = [file.parent for file in files if "attach(__name__)" in file.read_text(encoding="utf-8")]
    return [".".join(folder.relative_to(root.parent).parts) for folder in attached]


@pytest.mark.parametrize("name", lazy_packages())
def test_the_lists_of_a_package_are_one(name: str) -> None:
    """What type checkers import, `__all__`, and what the homes of the names have."""
    package = importlib.import_module(name)
    assert isinstance(package, LazyPackage)
    assert sorted(package.__all__) == sorted(package._homes)
    for public, (home, attribute) in package._homes.items():
        assert getattr(package, public) is getattr(importlib.import_module(home), attribute)
    assert {*package.__all__} <= {*dir(package)}
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'reconstrukt'"):
        package.reconstrukt  # noqa: B018


def test_sinograd_has_its_packages() -> None:
    folder = Path(sinograd.__file__).parent
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    assert "sinograd" in lazy_packages()
    assert {*packages, "__version__", "errors", "registry"} <= {*dir(sinograd)}
    for name in packages:
        assert getattr(sinograd, name) is importlib.import_module(f"sinograd.{name}")


@pytest.mark.parametrize("name", [*lazy_packages(), "sinograd.errors", "sinograd.registry", "sinograd.choices"])
def test_nothing_is_loaded_before_it_is_used(name: str) -> None:
    heavy = ("torch", "numpy", "h5py", "yaml", "scipy", "pytest")
    code = f"import sys, {name}; dir({name}); print([each for each in {heavy} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_first_use_loads_what_it_needs() -> None:
    code = "import sys, sinograd; sinograd.FlatDetector(3, 1.0); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_a_function_named_like_its_module_stays_the_function() -> None:
    """`sinograd.ops.stack` is both; whichever is imported first, the package has the function."""
    for first in ("import sinograd.ops.stack", "from sinograd.ops import stack", "import sinograd.ops.linear_operator"):
        code = f"{first}; import sinograd.ops.stack; from sinograd import ops; print(type(ops.stack).__name__)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "function"
