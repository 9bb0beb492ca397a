"""Arrays and the YAML files that describe them: digests, old files without them, and arrays of one name."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import sinograd as sg
from sinograd.data import Scan, Volume
from sinograd.errors import ExistingFileError, FormatError
from sinograd.geometry import FanBeam, FlatDetector, Grid, full_scan
from sinograd.io import open_volume

VALUES = torch.arange(24.0).reshape(2, 3, 4)
READERS: list[Callable[[Path], Any]] = [sg.read_volume, open_volume]


def write(path: Path, spacing: float = 0.25, values: torch.Tensor = VALUES, force: bool = False) -> Path:
    sg.write_volume(Volume(values, Grid((2, 3, 4), spacing), "1/mm"), path, force=force)
    return path


def scan() -> Scan:
    geometry = FanBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=full_scan(6), detector=FlatDetector(4, 0.5)
    )
    return Scan(torch.rand(6, 4), geometry)


@pytest.mark.parametrize("suffix", [".npy", ".raw"])
@pytest.mark.parametrize("read", READERS, ids=["whole", "lazily"])
def test_an_old_sidecar_beside_a_new_array(tmp_path: Path, suffix: str, read: Callable[[Path], Any]) -> None:
    path = write(tmp_path / f"v{suffix}")
    newer = write(tmp_path / f"w{suffix}", 1.0, VALUES + 1)
    shutil.copy(newer, path)
    with pytest.raises(FormatError, match=rf"v\{suffix} is not the array that v\.yaml describes: v\{suffix} is newer"):
        read(path)
    os.utime(path, ns=(0, 0))
    with pytest.raises(FormatError, match=rf"v\.yaml is newer than v\{suffix}"):
        read(path)


def test_digests_are_those_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "v.npy")
    entry = yaml.safe_load((tmp_path / "v.yaml").read_text())["digests"]["v.npy"]
    assert entry["blake2b"] == hashlib.blake2b(path.read_bytes(), digest_size=32).hexdigest()


@pytest.mark.parametrize("suffix", [".npy", ".raw"])
@pytest.mark.parametrize("read", READERS, ids=["whole", "lazily"])
def test_a_sidecar_without_digests(tmp_path: Path, suffix: str, read: Callable[[Path], Any]) -> None:
    path = write(tmp_path / f"v{suffix}")
    record = yaml.safe_load((tmp_path / "v.yaml").read_text())
    del record["digests"]
    (tmp_path / "v.yaml").write_text(yaml.safe_dump(record))
    volume = read(path).load()
    assert torch.equal(volume.values, VALUES) and volume.grid.spacing == (0.25,) * 3


def test_a_scan_without_digests(tmp_path: Path) -> None:
    made = scan()
    sg.write_scan(made, tmp_path / "s.npy")
    record = yaml.safe_load((tmp_path / "s.yaml").read_text())
    assert list(record.pop("digests")) == ["s.npy"]
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(record))
    assert torch.equal(sg.read(tmp_path / "s.npy").load(), made.load())


@pytest.mark.parametrize(("first", "second"), [(".npy", ".raw"), (".raw", ".npy")])
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("digests", [True, False])
def test_two_arrays_of_one_name(tmp_path: Path, first: str, second: str, force: bool, digests: bool) -> None:
    path = write(tmp_path / f"v{first}")
    if not digests:
        record = yaml.safe_load((tmp_path / "v.yaml").read_text())
        del record["digests"]
        (tmp_path / "v.yaml").write_text(yaml.safe_dump(record))
    with pytest.raises(ExistingFileError, match=rf"v\{second}: v\.yaml describes v\{first} .* choose another name"):
        write(tmp_path / f"v{second}", 1.0, VALUES + 1, force=force)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(["v.yaml", path.name])
    assert sg.read_volume(write(path, 0.5, force=True)).grid.spacing == (0.5,) * 3


def test_a_scan_and_a_volume_of_one_name(tmp_path: Path) -> None:
    write(tmp_path / "v.raw")
    with pytest.raises(ExistingFileError, match=r"v\.npy: v\.yaml describes v\.raw"):
        sg.write_scan(scan(), tmp_path / "v.npy", force=True)
    assert torch.equal(sg.read_volume(tmp_path / "v.raw").values, VALUES)


@pytest.mark.parametrize(("first", "second"), [(".npy", ".raw"), (".raw", ".npy")])
def test_an_array_beside_the_sidecar_of_another_one(tmp_path: Path, first: str, second: str) -> None:
    """As versions before this check left them: right shape, wrong spacing."""
    path = write(tmp_path / f"v{first}")
    other = write(tmp_path / f"w{second}", 1.0, VALUES + 1)
    other.rename(tmp_path / f"v{second}")
    with pytest.raises(FormatError, match=rf"v\.yaml describes 'v\{first}', not v\{second}"):
        sg.read_volume(tmp_path / f"v{second}")
    assert torch.equal(sg.read_volume(path).values, VALUES)


def test_a_packed_scan_beside_the_sidecar_of_another_one(tmp_path: Path) -> None:
    made = scan()
    sg.write_scan(made, tmp_path / "s.npy")
    np.savez(tmp_path / "s.npz", projections=np.zeros((6, 4), np.float32))
    with pytest.raises(FormatError, match=r"s\.yaml describes 's\.npy', not s\.npz"):
        sg.read(tmp_path / "s.npz")
    assert torch.equal(sg.read(tmp_path / "s.npy").load(), made.load())
