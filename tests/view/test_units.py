"""Pictures and pages name the unit of what they show. Truth: the text of the file, and of the figure's axes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

import sinograd as sg
from dicom_slices import tissue, write_slices
from sinograd.io import open_volume
from view.test_page import decode

TEXTS = {
    "HU": ("CT number (HU)", "HU"),
    "1/mm": ("attenuation (1/mm)", "1/mm"),
    "mg/cm3": ("density (mg/cm\N{SUPERSCRIPT THREE})", "mg/cm\N{SUPERSCRIPT THREE}"),
    "1": ("value (no unit)", ""),
    None: ("value (unit unknown)", "(unit unknown)"),
}
GRID = sg.Grid((4, 5, 6), 0.5)


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Labels of all axes of the figures that are drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    texts: list[str] = []
    draw = FigureCanvasAgg.print_png

    def noted(canvas: FigureCanvasAgg, *arguments: object, **options: object) -> None:
        texts.extend(axes.get_ylabel() for axes in canvas.figure.axes)
        draw(canvas, *arguments, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(FigureCanvasAgg, "print_png", noted)
    return texts


@pytest.mark.parametrize("unit", TEXTS, ids=str)
def test_the_unit_is_shown(tmp_path: Path, labels: list[str], unit: str | None) -> None:
    bar, short = TEXTS[unit]
    volume = sg.Volume(torch.rand(GRID.shape), GRID, unit)
    sg.save_preview(volume, tmp_path / "v.png")
    assert bar in labels
    with Image.open(tmp_path / "v.png") as picture:
        assert picture.info["Description"] == bar
    sg.save_page(volume, tmp_path / "v.html")
    meta, _ = decode(tmp_path / "v.html")
    assert meta["unit"] == short and meta["about"].endswith(f" {short}" if short else "1")
    labels.clear()
    sg.save_preview(volume.values, GRID, tmp_path / "w.png", unit=unit, truth=volume)
    assert bar in labels and any(label.startswith("error (") for label in labels)


def test_lazy_volumes(tmp_path: Path, labels: list[str]) -> None:
    """Of DICOM slices, read one by one: the same picture and page as of the tensor."""
    write_slices(tmp_path / "series", tissue((5, 6, 7)))
    lazy = open_volume(tmp_path / "series")
    sg.save_preview(lazy, tmp_path / "lazy.png")
    assert "CT number (HU)" in labels
    sg.save_preview(lazy.values, lazy.grid, tmp_path / "eager.png", unit="HU")
    assert (tmp_path / "lazy.png").read_bytes() == (tmp_path / "eager.png").read_bytes()
    sg.save_page(lazy, tmp_path / "lazy.html", max_voxels=60)
    sg.save_page(lazy.values, lazy.grid, tmp_path / "eager.html", unit="HU", max_voxels=60)
    assert (tmp_path / "lazy.html").read_text() == (tmp_path / "eager.html").read_text()


def test_bad_input(tmp_path: Path) -> None:
    volume = sg.Volume(torch.rand(GRID.shape), GRID, "HU")
    for save, name in ((sg.save_preview, "v.png"), (sg.save_page, "v.html")):
        with pytest.raises(ValueError, match=r"`unit='1/mm'`, but the volume is in HU"):
            save(volume, tmp_path / name, unit="1/mm")
        with pytest.raises(ValueError, match="grid is another one than the volume's"):
            save(volume, sg.Grid((4, 5, 6), 0.1), tmp_path / name)
        with pytest.raises(TypeError, match="path must be the name of a file, got NoneType"):
            save(volume.values, GRID)
        with pytest.raises(ValueError, match="unit: expected one of"):
            save(volume.values, GRID, tmp_path / name, unit="cm")
    assert not list(tmp_path.iterdir())
