"""`OperatorContract` from another package: right operators pass, wrong ones fail where they are wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import sinograd.testing

TEST_OF_ANOTHER_PACKAGE = """
import sinograd as sg
from sinograd.testing import OperatorContract

class Doubled(sg.LinearOperator):
    def _apply_operator(self, x): return 2 * x
    def _apply_adjoint(self, y): return FACTOR * y

class TestDoubled(OperatorContract):
    cases = {"tiny": (3, 4), "usual": (20, 30)}

    def make(self, case): return Doubled(case, case)
    def reference(self, operator, x): return x + x

class TestOneCase(OperatorContract):
    def make(self, case): return Doubled((2, 3), (2, 3))
    def reference(self, operator, x): return x + x
"""


def pytest_of_another_package(folder: Path, factor: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_doubled.py").write_text(TEST_OF_ANOTHER_PACKAGE.replace("FACTOR", factor), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "--rootdir", str(folder)]
    command += ["-W", "ignore:`torch.jit.script` is deprecated:DeprecationWarning"]  # torch's own, in forward mode
    environment = {**os.environ, "PYTHONPATH": str(Path(sinograd.testing.__file__).parents[2])}
    return subprocess.run(
        [*command, *options, str(folder)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_right_operator(tmp_path: Path) -> None:
    done = pytest_of_another_package(tmp_path, "2")
    assert done.returncode == 0, done.stdout
    assert "failed" not in done.stdout
    assert int(done.stdout.split(" passed")[0].split()[-1]) > 60


def test_a_wrong_adjoint(tmp_path: Path) -> None:
    """The message has the numbers, as pytest writes them for a test's own assertions."""
    done = pytest_of_another_package(tmp_path, "3", "-k", "adjoint or reference")
    assert done.returncode == 1
    assert "FAILED test_doubled.py::TestDoubled::test_adjoint[usual-float32] - assert " in done.stdout
    assert "FAILED test_doubled.py::TestDoubled::test_matrix_of_the_adjoint_is_the_transpose[tiny]" in done.stdout
    assert "TestDoubled::test_reference" not in done.stdout.split("short test summary")[1]
    assert "where 1e-06 = " in done.stdout or "ADJOINT_TOLERANCE[dtype]" in done.stdout


def test_names() -> None:
    for name in sinograd.testing.__all__:
        assert getattr(sinograd.testing, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Contract'"):
        sinograd.testing.Contract  # noqa: B018
