"""Waiting threads of the command sleep. Truth: what OpenMP itself says when torch loads it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_RUN = """
import sys
from sinograd.cli import main
sys.argv = ["sinograd", "--version"]
try:
    main()
except SystemExit:
    assert "torch" not in sys.modules
    import torch
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "active"}, "ACTIVE"), ({"GOMP_SPINCOUNT": "7"}, "PASSIVE")],
)
def test_the_command_lets_them_sleep_unless_told_otherwise(given: dict[str, str], expected: str) -> None:
    """GNU's OpenMP says passive where nothing is set, too: of the spin count it shows the number."""
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    run = [sys.executable, "-c", _RUN]
    environment |= {"OMP_DISPLAY_ENV": "verbose"} | given
    told = subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stderr
    if "OMP_WAIT_POLICY" not in told:
        pytest.skip("this torch's OpenMP does not show its settings")
    assert f"OMP_WAIT_POLICY = '{expected}'" in told
    if "GOMP_SPINCOUNT" in told:
        count = int(told.split("GOMP_SPINCOUNT = '")[1].split("'")[0])
        assert count == {"PASSIVE": int(given.get("GOMP_SPINCOUNT", 0))}.get(expected, count)
