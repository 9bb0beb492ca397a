"""Volumes that sinograd 0.1.0 wrote still load, with a unit where one can be believed. Truth: as `test_files_0_1_0`."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import sinograd as sg
from compatibility.numbers_of import EXPECTED, FILES, assert_same, grid_numbers, tensor_numbers
from sinograd.cli.app import app
from sinograd.errors import UnitWarning

# 0.1.0 stamped "1/mm" on every .h5 and .zarr; `convert` and `denoise` did not know better. A converted volume has the
# record of its source, none where that was a NIfTI file.
TRUSTED = {"reconstructed.h5", "cgls.h5", "from-config.h5", "normal.h5", "low.h5", "written.zarr"}
TRUSTED |= {"converted-attenuation.h5"}
UNTRUSTED = {"hounsfield.h5", "hounsfield.zarr", "denoised.h5"}


@pytest.mark.parametrize("name", EXPECTED["volumes"])
def test_volumes(name: str) -> None:
    """The same values, grid and record; the unit where 0.1.0's own commands made the values."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        volume = sg.read_volume(FILES / name)
    expected = EXPECTED["volumes"][name]
    assert_same(tensor_numbers(volume.values), expected["values"], name)
    assert_same(grid_numbers(volume.grid), expected["grid"], name)
    assert volume.provenance.get("command") == expected["command"]
    assert_same(volume.provenance.get("options"), expected["options"], name)
    assert volume.unit == ("1/mm" if name in TRUSTED else None)
    told = [str(warning.message) for warning in caught if issubclass(warning.category, UnitWarning)]
    assert len(told) == len(caught) == (name in UNTRUSTED)
    assert all(name in text and "unit" in text for text in told)


def test_options_of_a_reconstruction(files: Path) -> None:
    """From a configuration file, and from the volume that 0.1.0 made with it: the same volume as 0.1.0's.

    Up to 2e-5 of its largest value: 0.1.0 took the edges of a detector of few columns from its mean fan angle, and
    weighted redundant rays by them; now they are where the detector ends.
    """
    expected = EXPECTED["volumes"]["from-config.h5"]
    for number, config in enumerate(("reconstruct.yaml", "from-config.h5")):
        output = files / f"again-{number}.h5"
        arguments = ["reconstruct", files / "line-integrals.h5", "-o", output, "--config", files / config]
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        volume = sg.read_volume(output)
        assert_same(grid_numbers(volume.grid), expected["grid"], config)
        assert_same(volume.provenance["options"], {"window": "cosine", "mask": True}, config)
        old = sg.read_volume(FILES / "from-config.h5")
        torch.testing.assert_close(volume.values, old.values, rtol=0.0, atol=2e-5 * float(old.values.max()))
