"""Pictures of slices. Truth: the pixels of the file, read with matplotlib."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch

from sinograd.geometry import Grid
from sinograd.view import check_picture_path, save_preview
from sinograd.view.slices import _middle_slices, _window


def grey_pixels(path: Path) -> np.ndarray:
    """[rows, columns] of a PNG, NaN where it has colour."""
    pixels = matplotlib.image.imread(path)[..., :3]
    return np.where(np.ptp(pixels, axis=-1) < 0.02, pixels.mean(-1), np.nan)


@pytest.mark.parametrize("shape", [(12, 10, 8), (10, 8)])
@pytest.mark.parametrize("with_truth", [False, True])
def test_a_picture_of_every_kind(tmp_path: Path, shape: tuple[int, ...], with_truth: bool) -> None:
    grid, volume = Grid(shape, 0.1), torch.rand(shape, requires_grad=True)
    truth = torch.rand(shape, dtype=torch.float64).numpy() if with_truth else None
    save_preview(volume, grid, tmp_path / "out.png", truth=truth, title="noise")
    pixels = matplotlib.image.imread(tmp_path / "out.png")
    assert min(pixels.shape[:2]) > 300
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


def test_y_runs_down_and_x_to_the_right(tmp_path: Path) -> None:
    """One bright pixel at large x and small y is drawn in the upper right."""
    image = torch.zeros(9, 9)
    image[1, 7] = 1
    save_preview(image, Grid((9, 9)), tmp_path / "out.png", window=(0, 1))
    pixels = grey_pixels(tmp_path / "out.png")
    pixels = pixels[:, : int(0.88 * pixels.shape[1])]  # without the colour bar
    rows, columns = np.nonzero(pixels == 0)
    inside = pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    bright = np.argwhere(inside[2:-2, 2:-2] > 0.9).mean(0) / np.array(inside.shape)
    np.testing.assert_allclose(bright, [1.5 / 9, 7.5 / 9], atol=0.03)


def test_slices_pass_through_the_middle() -> None:
    grid = Grid((5, 4, 3), (0.5, 0.4, 0.3), (10.0, 20.0, 30.0))
    across, along_y, along_x = _middle_slices(grid, "mm")
    assert across.title == "z = 30 mm" and across.index[0] == 2
    assert along_y.title == "y = 20.2 mm" and along_y.index[1] == 2
    assert along_x.title == "x = 10 mm" and along_x.index[2] == 1
    assert across.extent == pytest.approx((9.55, 10.45, 20.8, 19.2))
    assert along_y.extent == pytest.approx((9.55, 10.45, 28.75, 31.25))
    assert along_x.extent == pytest.approx((19.2, 20.8, 28.75, 31.25))


def test_the_window_ignores_outliers_and_bad_numbers() -> None:
    values = np.linspace(0, 1, 10001)
    values[:3] = (1e9, np.nan, -np.inf)
    low, high = _window([values])
    assert low == pytest.approx(0.005, abs=1e-3) and high == pytest.approx(0.995, abs=1e-3)
    assert _window([np.zeros(5)]) == (-0.5, 0.5)
    assert _window([np.full(5, np.nan)]) == (0.0, 1.0)
    almost_empty = np.zeros(10000)
    almost_empty[7] = 3.0
    assert _window([almost_empty]) == (0.0, 3.0)


def test_wrong_arguments(tmp_path: Path) -> None:
    grid, image = Grid((4, 5)), torch.zeros(4, 5)
    with pytest.raises(ValueError, match=r"volume \[5, 4\] does not match grid.shape \(4, 5\)"):
        save_preview(image.T, grid, tmp_path / "out.png")
    with pytest.raises(ValueError, match=r"truth \[5, 4\] does not match"):
        save_preview(image, grid, tmp_path / "out.png", truth=image.T)
    with pytest.raises(ValueError, match=r"low < high, got \(1, 0\)"):
        save_preview(image, grid, tmp_path / "out.png", window=(1, 0))
    with pytest.raises(ValueError, match="volume: expected finite values in the middle slices"):
        save_preview(torch.full((4, 5), torch.nan), grid, tmp_path / "out.png")
    with pytest.raises(ValueError, match=r"must end in \.png"):
        check_picture_path(tmp_path / "out.jpg")
    assert not list(tmp_path.iterdir())
    (tmp_path / "out.png").touch()
    with pytest.raises(FileExistsError, match="`force=True`"):
        save_preview(image, grid, tmp_path / "out.png")


def test_no_library_before_it_is_needed() -> None:
    """Importing sinograd.io loads no picture or format library."""
    code = (
        "import sys, sinograd.io; "
        "print(sorted({'matplotlib', 'h5py', 'tifffile', 'pydicom', 'olefile'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    output = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"


def panels(shape: tuple[int, ...], spacing: float | tuple[float, ...] = 1.0) -> tuple[list[str], str]:
    """Titles of the panels of a volume, and the line below them."""
    from sinograd.data import Volume
    from sinograd.view.slices import preview_figure

    figure = preview_figure(Volume(torch.rand(shape), Grid(shape, spacing)), None, None, None)
    return [axes.get_title()[:1] for axes in figure.axes if axes.get_images()], figure.get_supxlabel()


def test_panels_of_a_thin_volume_are_left_out() -> None:
    assert panels((30, 30, 30))[0] == ["z", "y", "x"]
    titles, below = panels((2, 100, 100))
    assert titles == ["z"] and "+y is drawn downwards" in below and "+z" not in below
    titles, below = panels((100, 2, 100))
    assert titles == ["y"] and "+z is drawn upwards" in below and "+y" not in below
    assert panels((2, 100, 100), (5.0, 1.0, 1.0))[0] == ["z", "y", "x"]  # slices are thick
    assert panels((1, 1, 300))[0] != []


class Boxes:
    """A source that knows how many voxels were read of it."""

    dtype, block = torch.float32, 1

    def __init__(self, values: torch.Tensor, boxes: bool) -> None:
        self.values, self.shape, self.count = values, tuple(values.shape), 0
        if boxes:
            self.read_box = self._read_box

    def read(self, first: int, end: int) -> torch.Tensor:
        self.count += self.values[first:end].numel()
        return self.values[first:end]

    def _read_box(self, box: tuple[slice, slice, slice]) -> torch.Tensor:
        self.count += self.values[box].numel()
        return self.values[box]


@pytest.mark.parametrize(
    ("shape", "boxes", "count"),
    [
        ((40, 30, 20), True, 30 * 20 + 40 * 20 + 40 * 30),
        ((40, 30, 20), False, 40 * 30 * 20),
        ((3, 100, 200), False, 3 * 100 * 200),
    ],
)
def test_no_more_is_read_than_is_drawn(shape: tuple[int, ...], boxes: bool, count: int, tmp_path: Path) -> None:
    from sinograd.data import Volume

    source = Boxes(torch.rand(shape), boxes)
    save_preview(Volume(source, Grid(shape)), tmp_path / "lazy.png")
    assert source.count == count
    save_preview(Volume(source.values, Grid(shape)), tmp_path / "eager.png")
    assert (tmp_path / "lazy.png").read_bytes() == (tmp_path / "eager.png").read_bytes()
