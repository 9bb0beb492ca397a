"""Names of outputs with a dot: a folder after a number or of a folder, else an error that lists the formats."""

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
    for name in ("file_v1.2", "voxels_2.5um"):  # no suffix begins with a digit
        sg.convert(tmp_path / "in.h5", tmp_path / name)
        assert read_volume(tmp_path / name).values.equal(VOLUME.values)
    for name in ("out.vti", "out.final", "out.2.vti"):
        with pytest.raises(ValueError, match=rf"cannot write the volume .*{name}: its name must end in .h5, .*have no"):
            sg.convert(tmp_path / "in.h5", tmp_path / name, force=True)
    with pytest.raises(ValueError, match="its name must end in"):
        sg.convert(tmp_path / "in", tmp_path / "out.vti")
    sg.convert(tmp_path / "in", tmp_path / "out.nii.gz")
    assert (tmp_path / "out.nii.gz").is_file()


def test_scans_too(tmp_path: Path) -> None:
    geometry = sg.ParallelBeam(angles=sg.full_scan(8), detector=sg.FlatDetector((2, 12), 1.0))
    scan = sg.Scan(sg.shepp_logan_3d(radius=4, value=0.1).project(geometry), geometry)
    sg.write_scan(scan, tmp_path / "scan.h5")
    sg.convert(tmp_path / "scan.h5", tmp_path / "stack_v1.2")
    assert sg.read(tmp_path / "stack_v1.2").shape == (8, 2, 12)
    made = sg.reconstruct(tmp_path / "scan.h5", tmp_path / "volume_v1.2")
    assert read_volume(tmp_path / "volume_v1.2").values.equal(made.values)
    sg.reconstruct(tmp_path / "scan.h5", tmp_path / "slices_v1.2", unit="HU", water=0.02)
    assert len(list((tmp_path / "slices_v1.2").glob("*.dcm"))) == 2
