"""MRC tilt series. Truth: the table of MRC2014 (`write_mrc`), and a phantom that comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import sinograd as sg
from scanner_files import GRID, match, phantom, write_mrc
from sinograd.errors import FormatError, ScanWarning
from sinograd.geometry import FlatDetector, ParallelBeam

IMAGES = np.random.default_rng(0).integers(0, 4000, (5, 4, 5)).astype(np.uint16)
TILTS = [-60.0, -30.0, 0.0, 30.5, 60.0]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("mode", "kind"), [(1, "counts"), (2, "line integrals"), (6, "counts"), (12, "line integrals")]
)
@pytest.mark.parametrize("extended", [0, 4096 + 3])
def test_every_type_and_byte_order(tmp_path: Path, mode: int, kind: str, order: str, extended: int) -> None:
    images = IMAGES // 2 if mode != 12 else IMAGES / 1000
    scan = sg.read(write_mrc(tmp_path / "a.mrc", images, TILTS, mode=mode, order=order, extended=extended)).validate()
    expected = images.astype("f2") if mode == 12 else images
    assert scan.kind == kind and torch.equal(scan.load(), torch.from_numpy(expected.astype(np.float32)))
    np.testing.assert_allclose(np.degrees(scan.geometry.angles.numpy()), [-tilt for tilt in TILTS])
    assert scan.geometry.detector.column_spacing == pytest.approx(500 / 5 * 1e-7)  # 100 Angstrom
    assert scan.metadata["pixel_size_nm"] == pytest.approx(10)


def test_bytes_are_signed_unless_imod_says_otherwise(tmp_path: Path) -> None:
    images = np.arange(-50, 50).reshape(5, 4, 5)
    for name, flags in (("a.mrc", None), ("b.mrc", 1)):
        scan = sg.read(write_mrc(tmp_path / name, images, TILTS, mode=0, imod_flags=flags))
        assert torch.equal(scan.load(), torch.from_numpy(images.astype(np.float32)))
    scan = sg.read(write_mrc(tmp_path / "c.mrc", images + 150, TILTS, mode=0, imod_flags=0))
    assert torch.equal(scan.load(), torch.from_numpy((images + 150).astype(np.float32)))


def test_a_phantom_comes_back(tmp_path: Path) -> None:
    """A sample that turns counter-clockwise is seen as by a gantry that turns the other way."""
    tilts = np.arange(0.0, 180.0, 2.5)
    geometry = ParallelBeam(np.radians(-tilts), FlatDetector((48, 56), 0.25))
    images = phantom().project(geometry).numpy()
    path = write_mrc(tmp_path / "a.mrc", images, tilts.tolist(), mode=2, width=56 * 0.25e7)
    scan = sg.read(path)
    assert match(sg.fbp(scan.load(), scan.geometry, GRID)) > 0.95
    other = sg.read(path, reverse=True)
    assert match(sg.fbp(other.load(), other.geometry, GRID)) < 0.7


def test_aligned_angles_come_first_and_kind_can_be_said(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.st", IMAGES, TILTS)
    path.with_suffix(".tlt").write_text("-1,5\n2,25\n3\n4,0\n5\n")
    np.testing.assert_allclose(np.degrees(sg.read(path).geometry.angles.numpy()), [1.5, -2.25, -3, -4, -5])
    path.with_suffix(".tlt").write_text("1\n2\n3\n4\n5\n")
    scan = sg.read(path, kind="transmission")
    assert scan.kind == "transmission"
    np.testing.assert_allclose(np.degrees(scan.geometry.angles.numpy()), [-1, -2, -3, -4, -5])


def test_what_is_missing_or_wrong_is_said(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc", IMAGES, None)
    with pytest.raises(ValueError, match=r"a\.mrc: there are no angles, neither in a\.tlt nor in a\.rawtlt beside it"):
        sg.read(path)
    geometry = ParallelBeam(np.radians(TILTS), FlatDetector((4, 5), 0.1))
    assert sg.read(path, geometry=geometry).geometry.equals(geometry)
    for text, words in (
        ("1\n2\n", "must hold 5 finite angles.*got 2"),
        ("1 2 3 4 five", "one angle in degrees a line"),
    ):
        path.with_suffix(".tlt").write_text(text)
        with pytest.raises(FormatError, match=rf"a\.tlt {words}|a\.tlt must hold {words}"):
            sg.read(path)
    content = bytearray(write_mrc(tmp_path / "b.mrc", IMAGES, TILTS).read_bytes())
    content[12] = 4
    (tmp_path / "b.mrc").write_bytes(content)
    with pytest.raises(
        FormatError, match=r"b\.mrc: MODE is 4; known are 0 int8, 1 int16, 2 float32, 6 uint16, 12 float16"
    ):
        sg.read(tmp_path / "b.mrc")
    with pytest.warns(ScanWarning, match=r"c\.mrc does not say how large its pixels are: lengths are in pixels"):
        scan = sg.read(write_mrc(tmp_path / "c.mrc", IMAGES, TILTS, width=None))
    assert scan.geometry.detector.column_spacing == 1 and scan.volume_unit == "1/pixel"
