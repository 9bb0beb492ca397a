"""The order of image files by their names. Truth: the order in which the names were made."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sinograd.errors import InputError, ScanWarning
from sinograd.io.scans.file_order import missing_numbers, ordered_files, without_strays

Name = Callable[[int, float], str]
GOLDEN = (np.arange(180) * 111.24611797) % 180
NAMES: dict[str, tuple[np.ndarray, Name]] = {
    "index": (np.arange(180), lambda i, a: f"p_{i}"),
    "index in steps of five from 100": (np.arange(30), lambda i, a: f"p{100 + 5 * i}"),
    "index before a signed angle": (np.arange(-90, 90), lambda i, a: f"tomo_idx{i:05d}_{a:+07.2f}deg"),
    "index before a falling angle": (np.arange(60, -61, -2), lambda i, a: f"tomo_{i:03d}_{a:.0f}"),
    "whole falling angle before an index": (np.arange(180, 0, -1), lambda i, a: f"{a:.0f}deg_{i}"),
    "signed, padded": (np.arange(-90, 90), lambda i, a: f"tomo_{a:+07.2f}deg"),
    "signed, plain": (np.arange(-60, 61, 2), lambda i, a: f"tilt_{a:.0f}"),
    "glued sign": (np.arange(-60, 61, 2), lambda i, a: f"tilt{a:.0f}"),
    "all negative": (np.arange(-60, 0, 2), lambda i, a: f"tilt_{a:.0f}"),
    "signed decimals": (np.arange(-3, 3, 0.25), lambda i, a: f"a{a}_exposure0.5s"),
    "minus sign of Unicode": (np.arange(-60, 61, 2), lambda i, a: f"tilt_{a:.0f}".replace("-", "\u2212")),
    "n and p": (np.arange(-60, 61, 2), lambda i, a: f"tilt_{'n' if a < 0 else 'p'}{abs(a):.0f}"),
    "n and nothing": (np.arange(-60, 61, 2), lambda i, a: f"tilt_{'n' if a < 0 else ''}{abs(a):.0f}"),
    "m and p": (np.arange(-60, 61, 2), lambda i, a: f"{'M' if a < 0 else 'P'}{abs(a):.0f}_roi"),
    "neg and pos": (np.arange(-60, 61, 2), lambda i, a: f"tilt_{'neg' if a < 0 else 'pos'}{abs(a):05.1f}"),
    "quarters": (np.arange(0, 180, 0.25), lambda i, a: f"p_{a}"),
    "two decimals": (np.arange(0, 180, 1.15), lambda i, a: f"p_{a:.2f}"),
    "growing angles whose decimals fall": (np.arange(5) * 0.97, lambda i, a: f"p_{a:.2f}"),
    "comma": (np.arange(0, 180, 0.25), lambda i, a: f"p_{a}".replace(".", ",")),
    "comma and sign": (np.arange(-90, 90, 0.5), lambda i, a: f"p_{a}".replace(".", ",")),
    "underscore for the point": (np.arange(0, 90, 0.25), lambda i, a: f"p_{a}".replace(".", "_")),
    "p for the point": (np.arange(0, 90, 0.25), lambda i, a: f"x_{a}deg".replace(".", "p")),
    "golden angle and index": (GOLDEN, lambda i, a: f"GR_{a:.4f}".rstrip("0").rstrip(".") + f"_{i:03d}"),
    "clock time and index": (np.arange(180), lambda i, a: f"p_{9 + i // 60}-{i % 60}-{(i * 7) % 60}_{i}"),
    "date and index": (np.arange(30), lambda i, a: f"2024.01.{15 + i // 20}_{i}"),
    "number behind a dot": (np.arange(1, 31), lambda i, a: f"scan.2024.{i}"),
    "hyphens": (np.arange(30), lambda i, a: f"scan-{i + 1}"),
    "two runs": (np.arange(30), lambda i, a: f"run{1 + i // 15}_{i % 15}"),
    "time stamps": (np.arange(30), lambda i, a: f"{9 + i // 20:02d}-{3 * (i % 20):02d}"),
    "voltage and index": (np.arange(30), lambda i, a: f"bone_80kV_0.5s_{i}"),
    "index with gaps": (np.array([0, 1, 2, 5, 6, 9, 10, 11]), lambda i, a: f"p_{a:.0f}"),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", [".tif", ".TIFF"])
def test_as_taken(name: str, suffix: str) -> None:
    """Without a geometry, and with one whose angles are the views' own; without a warning."""
    values, make = NAMES[name]
    files = [Path(f"/scan/{make(i, a)}{suffix}") for i, a in enumerate(values.tolist())]
    mixed = random.Random(1).sample(files, len(files))
    assert ordered_files(mixed) == files
    assert ordered_files(mixed, values.astype(float)) == files


@pytest.mark.parametrize("sign", [1, -1])
def test_angles_that_pair_with_the_geometry(sign: int) -> None:
    """Golden angles without an index: only the geometry knows their order; and one that is taken from outside in."""
    inside_out = np.array([0, 3, -3, 6, -6, 9, -9, 12.5])
    for degrees, text in ((GOLDEN, "GR_{:.3f}.tif"), (inside_out, "tilt_{:.1f}.tif")):
        files = [Path(text.format(a)) for a in degrees]
        for own in (sign * degrees, sign * degrees + 360):
            assert ordered_files(sorted(files), own) == files


def test_doubts_are_said() -> None:
    golden = [Path(f"GR_{a:.3f}.tif") for a in GOLDEN]
    with pytest.warns(ScanWarning, match=r"do not follow those of the geometry; sorted by the angle: GR_0\.000\.tif"):
        assert ordered_files(golden, np.linspace(0, 90, 180) ** 2) == [golden[i] for i in np.argsort(GOLDEN)]
    countdown = [Path(f"p_{i}_{29 - i}.tif") for i in range(30)]
    with pytest.warns(ScanWarning, match="two numbers of the names count the images; sorted by the last one"):
        assert ordered_files(countdown) == countdown[::-1]
    with pytest.warns(ScanWarning, match="no number of the names is different in every image; sorted by all of them"):
        ordered_files([Path(f"p_{i}_{k}.tif") for i in (1, 2, 10) for k in (3, 5, 10, 17)])
    tilts = [Path(f"tilt_{a}.tif") for a in range(-60, 61, 2)]
    with pytest.warns(ScanWarning, match="the angles in the names fit the geometry either way"):
        assert ordered_files(tilts, np.arange(60, -61, -2.0)) == tilts[::-1]
    ordered_files(golden, np.linspace(0, 90, 180) ** 2, warn=False)


def test_strays_are_named() -> None:
    files = [Path(f"S_{i:03d}.tif") for i in range(180)]
    stray = Path("S_180deg.tif")
    with pytest.warns(ScanWarning, match=r"S_180deg\.tif is named unlike the other 180 images .* left out"):
        assert without_strays([*files, stray], 180, "or so") == files
    with pytest.raises(InputError, match=r"S_180deg\.tif is named unlike the other 180 images"):
        without_strays([*files, stray], 90, "or so")
    assert without_strays([*files, stray], 181, "or so") == [*files, stray]
    assert without_strays(files, 90, "or so") == files
    assert missing_numbers([*files[:4], *files[6:]]) == [4, 5]
    assert missing_numbers(files) == []
