"""The public names of `sinograd`: written in three places of one file, imported when they are used first."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import sinograd


def imported_for_type_checkers() -> dict[str, tuple[str, ...]]:
    """Module -> names, of the imports under `if TYPE_CHECKING`."""
    tree = ast.parse(Path(sinograd.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {str(node.module): tuple(sorted(alias.asname or alias.name for alias in node.names)) for node in imports}


def test_the_three_lists_are_one() -> None:
    homes = {module: tuple(sorted(names)) for module, names in sinograd._HOMES.items()}
    assert imported_for_type_checkers() == homes
    assert sorted(sinograd.__all__) == sorted(name for names in homes.values() for name in names)
    assert len(set(sinograd.__all__)) == len(sinograd.__all__)


def test_every_name_is_what_its_home_has() -> None:
    for module, names in sinograd._HOMES.items():
        for name in names:
            assert getattr(sinograd, name) is getattr(importlib.import_module(module), name)


def test_every_package_is_an_attribute() -> None:
    """And every package and public module on the disk is listed."""
    folder = Path(sinograd.__file__).parent
    on_disk = {path.name for path in folder.iterdir() if (path / "__init__.py").is_file()}
    on_disk |= {path.stem for path in folder.glob("[a-z]*.py")}
    assert on_disk == sinograd._PACKAGES
    for name in sinograd._PACKAGES:
        assert getattr(sinograd, name) is importlib.import_module(f"sinograd.{name}")


def test_dir_lists_names_and_packages() -> None:
    assert {*sinograd.__all__, *sinograd._PACKAGES, "__version__"} <= {*dir(sinograd)}


def test_another_name() -> None:
    with pytest.raises(AttributeError, match="module 'sinograd' has no attribute 'reconstrukt'"):
        sinograd.reconstrukt  # noqa: B018


@pytest.mark.parametrize(
    "statement",
    ["import sinograd", "import sinograd; dir(sinograd)", "import sinograd.errors", "import sinograd.testing"],
)
def test_nothing_is_loaded_before_it_is_used(statement: str) -> None:
    heavy = ("torch", "numpy", "h5py", "yaml", "scipy", "pytest")
    code = f"import sys; {statement}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_first_use_loads_what_it_needs() -> None:
    code = "import sys, sinograd; sinograd.FlatDetector(3, 1.0); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
