"""Volumes and scans at the end of a notebook's cell. Truth: the picture read by Pillow, and counted reads."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import sinograd as sg
from sinograd.data.html_repr import grey_png


def picture(text: str) -> np.ndarray:
    found = re.search(r'src="data:image/png;base64,([^"]+)"', text)
    assert found is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))


class Counted:
    """A source that knows what was read of it."""

    dtype = torch.float32

    def __init__(self, shape: tuple[int, ...], block: int = 1, error: Exception | None = None) -> None:
        self.shape, self.block, self.error, self.read_slices = shape, block, error, 0

    def read(self, first: int, end: int) -> torch.Tensor:
        if self.error is not None:
            raise self.error
        self.read_slices += end - first
        return torch.full((end - first, *self.shape[1:]), float(first))


def test_greys_of_a_png() -> None:
    image = np.array([[0.0, 0.5, 1.0], [2.0, -1.0, np.nan]])
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(grey_png(image, (0, 1))))), [[0, 128, 255], [255, 0, 0]]
    )
    for odd in (np.full((2, 2), np.nan), np.full((2, 2), 3.0)):
        assert Image.open(io.BytesIO(grey_png(odd))).size == (2, 2)


def test_a_volume_and_an_image() -> None:
    values = torch.rand(4, 20, 300)
    text = sg.Volume(values, sg.Grid((4, 20, 300), 0.002), "1/mm")._repr_html_()
    assert "4 x 20 x 300 (z, y, x)" in text and "2 x 2 x 2 um" in text and "float32, 1/mm" in text
    small = picture(text)
    assert small.shape == (7, 100)  # every third pixel
    shown = values[2, ::3, ::3].numpy()
    assert np.corrcoef(small.ravel(), shown.ravel())[0, 1] > 0.99
    assert "Image" in sg.Volume(values[0], sg.Grid((20, 300), 1.0))._repr_html_()


def test_little_is_read() -> None:
    source = Counted((500, 30, 40))
    assert "img" in sg.Volume(source, sg.Grid(source.shape, 1.0))._repr_html_() and source.read_slices == 1
    whole = Counted((5000, 100, 100), block=5000)  # a file that can only be read whole
    assert "img" not in sg.Volume(whole, sg.Grid(whole.shape, 1.0))._repr_html_() and whole.read_slices == 0


@pytest.mark.parametrize("error", [OSError("gone"), sg.SinogradError("damaged")])
def test_what_cannot_be_read_has_no_picture(error: Exception) -> None:
    source = Counted((5, 6, 7), error=error)
    text = sg.Volume(source, sg.Grid(source.shape, 1.0), file=Path("<b>.h5"))._repr_html_()
    assert "img" not in text and "&lt;b&gt;.h5" in text


def test_scans(tmp_path: Path) -> None:
    detector = sg.FlatDetector((6, 8), 1.0)
    angles = sg.full_scan(10)
    cone = sg.ConeBeam.circular(source_to_origin=60, source_to_detector=90, angles=angles, detector=detector)
    values = torch.rand(10, 6, 8)
    sg.write_scan(sg.Scan(values, cone, {"sample": "<script>" + 90 * "x"}), tmp_path / "scan.h5")
    text = sg.read(tmp_path / "scan.h5")._repr_html_()
    assert "10 views, 6 rows, 8 columns" in text and "ConeBeam" in text and "&lt;script&gt;" in text
    assert "<script>" not in text and "xxx..." in text
    assert np.corrcoef(picture(text)[::-1].ravel(), values[5].numpy().ravel())[0, 1] > 0.99
    fan: Any = sg.FanBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=angles, detector=sg.FlatDetector(8, 1.0)
    )
    assert picture(sg.Scan(torch.rand(10, 8), fan)._repr_html_()).shape == (10, 8)
