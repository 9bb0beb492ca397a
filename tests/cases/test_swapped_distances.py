"""A detector between source and axis is taken for two swapped distances."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import sinograd as sg
from sinograd.errors import InputError

LINE, PANEL = sg.FlatDetector(8, 1.0), sg.FlatDetector((4, 8), 1.0)
MAKERS: dict[str, Callable[..., object]] = {
    "fan": lambda **d: sg.FanBeam.circular(angles=sg.full_scan(4), detector=LINE, **d),
    "fan, short": lambda **d: sg.FanBeam.short_scan(views=9, detector=LINE, **d),
    "cone": lambda **d: sg.ConeBeam.circular(angles=sg.full_scan(4), detector=PANEL, **d),
    "cone, short": lambda **d: sg.ConeBeam.short_scan(views=9, detector=PANEL, **d),
    "cone, helical": lambda **d: sg.ConeBeam.helical(angles=sg.full_scan(4), pitch=3.0, detector=PANEL, **d),
}


@pytest.mark.parametrize("name", MAKERS)
def test_circular_scans(name: str) -> None:
    with pytest.raises(InputError, match=r"source_to_detector.*source_to_origin, 800 mm, got 400 mm.*swapped"):
        MAKERS[name](source_to_origin=800, source_to_detector=400)
    MAKERS[name](source_to_origin=400, source_to_detector=400)  # the detector stands on the axis


def test_vectors_take_them() -> None:
    source, center = torch.tensor([[0.0, -800.0, 0.0]]), torch.tensor([[0.0, -400.0, 0.0]])
    u, v = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    sg.ConeBeam.from_vectors(sources=source, centers=center, u=u, v=v, detector=PANEL)


def test_geometry_files_name_the_file(tmp_path: Path) -> None:
    geometry = sg.FanBeam.circular(source_to_origin=400, source_to_detector=800, angles=sg.full_scan(4), detector=LINE)
    path = tmp_path / "scan.yaml"
    geometry.save(path)
    text = path.read_text()
    path.write_text(text.replace("source_to_origin: 400", "source_to_origin: 1200"))
    assert path.read_text() != text
    with pytest.raises(InputError, match=r"scan\.yaml.*source_to_detector.*swapped"):
        sg.load_geometry(path)
