"""Names of outputs with a dot: a folder where the input is one, else an error that lists the formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sinograd as sg
from sinograd.io import read_volume

VOLUME = sg.Volume(np.arange(60, dtype=np.float32).reshape(3, 4, 5), sg.Grid((3, 4, 5), 0.5), "1/mm")


def test_names_with_a_dot(tmp_path: Path) -> None:
    sg.write_volume(VOLUME, tmp_path / "in")
    sg.write_volume(VOLUME, tmp_path / "in.h5")
    sg.convert(tmp_path / "in", tmp_path / "out_v1.2")
    assert (tmp_path / "out_v1.2").is_dir()
    assert read_volume(tmp_path / "out_v1.2").values.equal(VOLUME.values)
    for name in ("out_v1.2", "out.vti", "out.final"):
        with pytest.raises(ValueError, match=rf"cannot write the volume .*{name}: its name must end in .h5, .*have no"):
            sg.convert(tmp_path / "in.h5", tmp_path / name, force=True)
    with pytest.raises(ValueError, match="its name must end in"):
        sg.convert(tmp_path / "in", tmp_path / "out.vti")
    sg.convert(tmp_path / "in", tmp_path / "out.nii.gz")
    assert (tmp_path / "out.nii.gz").is_file()
