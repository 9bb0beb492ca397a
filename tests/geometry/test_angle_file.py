"""Angles in text files. Truth: the numbers that were written into them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sinograd.errors import FormatError, ScanWarning
from sinograd.geometry import load_geometry
from sinograd.geometry.angle_file import read_angles
from sinograd.io import read

TEXTS = {
    "one a line": ("0\n0.5\n1\n1.5\n", [0, 0.5, 1, 1.5]),
    "windows, comments, empty lines": (
        "\ufeff# deg\r\n\r\n0 # a\r\n 90\t\r\n% end\r\n180 // b\r\n",
        [0, 90, 180],
    ),
    "spaces and tabs": ("0 30\t60\n90 120 150", [0, 30, 60, 90, 120, 150]),
    "commas": ("0,30,60\n90, 120, 150,\n", [0, 30, 60, 90, 120, 150]),
    "semicolons": ("0;-30; 6e1", [0, -30, 60]),
    "two a line": ("0,30\n60,90\n120,150", [0, 30, 60, 90, 120, 150]),
    "decimal commas": ("0,00\n0,25\n0,50\n0,75", [0, 0.25, 0.5, 0.75]),
    "decimal commas, some whole": ("-0,5\n0\n0,5\n1", [-0.5, 0, 0.5, 1]),
    "points and commas": ("0.5,1.0\n1.5,2.0", [0.5, 1, 1.5, 2]),
}


@pytest.mark.parametrize(("text", "angles"), TEXTS.values(), ids=list(TEXTS))
def test_texts(text: str, angles: list[float], tmp_path: Path) -> None:
    (tmp_path / "angles.txt").write_bytes(text.encode())
    assert read_angles(tmp_path / "angles.txt") == angles


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"0\n1\nangle\n", r"angles.txt, line 3: expected an angle in degrees, got 'angle' \(comments start with #\)"),
        (b"0\n\n# x\nnan\n", "line 4: expected an angle in degrees, got 'nan'"),
        (b"0 1e999", "line 1: expected an angle"),
        (b"# nothing\n", "holds no angles"),
        (b"\x93NUMPY\x00\xff", "is no text"),
        (b"0,1\n2,3\n4,5", "line 1: '0,1' can be one number or two"),
    ],
)
def test_bad_texts(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "angles.txt").write_bytes(content)
    with pytest.raises(FormatError, match=message):
        read_angles(tmp_path / "angles.txt")


def test_in_geometries_and_scans(tmp_path: Path) -> None:
    (tmp_path / "angles.txt").write_text("0\n45\n90\n")
    geometry = "beam: parallel\nscan: circular\nangles_deg: angles.txt\ndetector: {shape: 4, spacing: 1}\n"
    (tmp_path / "a.yaml").write_text(geometry)
    np.testing.assert_allclose(np.degrees(np.asarray(load_geometry(tmp_path / "a.yaml").angles)), [0, 45, 90])
    np.save(tmp_path / "a.npy", np.zeros((3, 4), np.float32))
    assert read(tmp_path / "a.npy").shape == (3, 4)
    (tmp_path / "a.yaml").write_text("geometry:\n" + "".join(f"  {line}\n" for line in geometry.splitlines()))
    assert len(read(tmp_path / "a.npy").geometry) == 3
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.yaml").write_text(geometry.replace("angles.txt", "../angles.txt"))
    with pytest.raises(FormatError, match=r"a text file in the folder of this file, got '../angles.txt'"):
        load_geometry(tmp_path / "sub" / "b.yaml")
    (tmp_path / "a.yaml").write_text(geometry.replace("angles.txt", "none.txt"))
    with pytest.raises(FileNotFoundError, match=r"file of angles .*none.txt does not exist"):
        load_geometry(tmp_path / "a.yaml")


def test_radians_are_suspected(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "angles.txt", np.linspace(0, np.pi, 90))
    with pytest.warns(ScanWarning, match=r"90 angles span 3.1416, as radians would"):
        read_angles(tmp_path / "angles.txt")
