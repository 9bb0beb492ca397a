"""A command that answers at once: help, version and a mistyped option import nothing heavy. Truth: sys.modules."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sinograd.cli.app import COMMANDS

HEAVY = ("torch", "numpy", "scipy", "h5py", "yaml", "matplotlib", "tifffile", "pydicom", "lightning")
CODE = """
import sys
from sinograd.cli import main
sys.argv[1:] = {arguments!r}
try:
    main()
except SystemExit as end:
    code = end.code
print(*sorted({heavy!r} & set(sys.modules)), "|", code or 0)
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["--hepl"], 2),
        (["recontsruct"], 2),
        *(
            (["reconstruct", "scan.h5", "-o", "out.h5", *wrong], 2)
            for wrong in (["--windwo", "hann"], ["--window", "x"])
        ),
        *(([name, "--help"], 0) for name in COMMANDS),
    ],
)
def test_nothing_heavy_is_imported(arguments: list[str], code: int) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    program = CODE.format(arguments=arguments, heavy=set(HEAVY))
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].strip() == f"| {code}", done.stdout + done.stderr


def test_the_list_of_commands_is_what_each_says() -> None:
    from sinograd.cli.app import _Modules

    for name, command in _Modules().items():
        assert command.name == name and command.help and COMMANDS[name].endswith(".")
