"""Displays of notebooks. Truth: arrays that were shown, points of the geometry, and the page in a browser."""

from __future__ import annotations

import html
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.view.geometry_scene import scene_of
from sinograd.view.wiping import wiped

GRID = sg.Grid((6, 8, 10), 0.5)
DETECTOR = sg.FlatDetector((4, 6), 2.0)
CIRCLE: dict[str, Any] = {"source_to_origin": 60, "source_to_detector": 90, "angles": sg.full_scan(12)}


def geometries() -> dict[str, sg.Geometry]:
    line = sg.FlatDetector(6, 2.0)
    return {
        "cone": sg.ConeBeam.circular(**CIRCLE, detector=DETECTOR),
        "curved": sg.ConeBeam.circular(**CIRCLE, detector=sg.CurvedDetector((4, 6), 2.0)),
        "helix": sg.ConeBeam.helical(**CIRCLE, pitch=5.0, detector=DETECTOR),
        "parallel": sg.ParallelBeam(sg.full_scan(12), DETECTOR),
        "fan": sg.FanBeam.circular(**CIRCLE, detector=line),
        "lines": sg.ParallelBeam(sg.full_scan(12), line),
    }


def test_a_volume_is_a_picture_and_a_page() -> None:
    shown = sg.show(torch.rand(GRID.shape), GRID, unit="1/mm", title="<b>bone")
    assert shown.png.startswith(b"\x89PNG") and shown.page is not None and "1/mm" in shown.page
    text = shown._repr_html_()
    (frame,) = re.findall(r'srcdoc="([^"]*)"', text)
    assert html.unescape(frame) == shown.page and 'sandbox="allow-scripts"' in text
    assert text.index("<img") < text.index("<details>")
    plain = shown.page.replace("/*! https://github.com/leeoniya/uPlot", "")  # a comment in a library
    assert not re.search(r"https?://", plain) and "Volume" not in repr(shown)[:1] and "1/mm" in repr(shown)


def test_what_has_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = sg.Volume(torch.rand(GRID.shape), GRID, "HU")
    assert sg.show(volume, max_voxels=0).page is None
    sg.write_volume(volume, tmp_path / "v.h5")
    assert sg.show(sg.read_volume(tmp_path / "v.h5")).page is not None
    from sinograd.io import open_volume

    monkeypatch.setattr(sys.modules["sinograd.view.show"], "PAGE_BYTES", 100)
    assert sg.show(open_volume(tmp_path / "v.h5")).page is None
    scan = sg.Scan(torch.rand(12, 4, 6), geometries()["cone"])
    assert sg.show(scan).page is None and sg.show(scan)._repr_html_().startswith("<img")


def test_displays_are_written(tmp_path: Path) -> None:
    shown = sg.show(sg.Volume(torch.rand(GRID.shape), GRID, "HU"))
    shown.save(tmp_path / "v.png")
    shown.save(tmp_path / "v.html")
    assert (tmp_path / "v.png").read_bytes() == shown.png == shown._repr_png_()
    assert (tmp_path / "v.html").read_text() == shown.page
    with pytest.raises(FileExistsError):
        shown.save(tmp_path / "v.png")
    with pytest.raises(ValueError, match=r"must end in \.png or \.html"):
        shown.save(tmp_path / "v.jpg")
    with pytest.raises(ValueError, match=r"must end in \.png$"):
        sg.show(shown_image(), max_voxels=0).save(tmp_path / "w.html")


def shown_image() -> sg.Volume:
    return sg.Volume(torch.rand(8, 10), sg.Grid((8, 10), 0.5), "HU")


@pytest.mark.parametrize("name", geometries())
def test_a_scene_is_the_geometry(name: str) -> None:
    geometry = geometries()[name]
    scene = scene_of(geometry, None)
    vectors, pixels = geometry.vectors.numpy(), geometry.pixel_positions().numpy().reshape(12, -1, 3)
    if geometry.divergent:
        np.testing.assert_allclose(scene.places, vectors[:, 0])
    else:  # rays from the drawn start to a corner run along the direction
        ray = scene.corners - scene.starts
        np.testing.assert_allclose(np.cross(ray, vectors[:, None, 0]), 0, atol=1e-9)
        assert ((ray * vectors[:, None, 0]).sum(-1) > 0).all()
    # corners are half a pixel beyond the outer pixels' centres
    last = scene.corners[:, -1] - pixels[:, -1]
    assert np.linalg.norm(last, axis=-1) == pytest.approx(np.hypot(1, 1) if geometry.ndim == 3 else 1.0, rel=0.01)
    np.testing.assert_allclose(scene.outlines[:, 0], scene.corners[:, 0])
    grid = geometry.default_grid()
    size = scene.box.reshape(-1, 3).max(0) - scene.box.reshape(-1, 3).min(0)
    np.testing.assert_allclose(size[: grid.ndim], grid.size[::-1])
    assert len(scene.box) == (12 if geometry.ndim == 3 else 4)


@pytest.mark.parametrize("name", ["cone", "parallel", "fan"])
def test_a_geometry_is_drawn(name: str) -> None:
    shown = sg.show_geometry(geometries()[name], view=3)
    assert shown.png.startswith(b"\x89PNG") and shown.page is not None and "12 views" in repr(shown)
    found = re.search(r'id="meta">(.*?)</script>', shown.page, re.S)
    assert found is not None
    meta = json.loads(found[1])
    assert meta["view"] == 3 and meta["unit"] == "mm" and len(meta["places"]) == 12


def test_many_views_and_no_default_grid() -> None:
    geometry = sg.ConeBeam.circular(**{**CIRCLE, "angles": sg.full_scan(1000)}, detector=DETECTOR)
    assert len(scene_of(geometry, None).views) == 180
    aside = sg.ConeBeam.circular(**CIRCLE, detector=sg.FlatDetector((4, 6), 2.0, (0.0, 40.0)))
    assert scene_of(aside, None).box.size == 0 and sg.show_geometry(aside).png
    assert len(scene_of(aside, GRID).box) == 12


def test_what_cannot_be_shown() -> None:
    with pytest.raises(TypeError, match="volume: expected a Volume, a Scan, or a tensor with its grid, got a int"):
        sg.show(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="grid must be a Grid"):
        sg.show(torch.rand(3, 4))


def test_geometries_that_cannot_be_shown() -> None:
    cone = geometries()["cone"]
    with pytest.raises(TypeError, match="geometry must be a Geometry, got str"):
        sg.show_geometry("cone")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="grid must be a Grid, got int"):
        sg.show_geometry(cone, 5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="grid has 2 dimensions, the geometry 3"):
        sg.show_geometry(cone, sg.Grid((4, 5), 1.0))
    with pytest.raises(IndexError, match="view: expected 0 to 11, got 12"):
        sg.show_geometry(cone, view=12)


def test_a_comparison_wipes() -> None:
    figure = sg.show_comparison(torch.rand(8, 10), torch.rand(8, 10), titles=['"a" & <b>', "b"])
    text = figure._repr_html_()
    assert text.startswith("<img") and text.count("data:image/png") == 3 and "<b>" not in text
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert sg.show_comparison(torch.rand(8, 10))._repr_html_().count("data:image/png") == 1


def written(tmp_path: Path, body: str) -> Path:
    path = tmp_path / "cell.html"
    path.write_text(f"<!DOCTYPE html><meta charset='utf-8'><body>{body}</body>", encoding="utf-8")
    return path


def test_in_a_browser(browser: Any, tmp_path: Path) -> None:
    """The wipe, a volume's page in its frame, and a geometry that turns."""
    black, white = np.zeros((8, 10)), np.ones((8, 10))
    browser.get(written(tmp_path, wiped([black, white], ["black", "white"], (0, 1))).as_uri())
    script = (
        "document.querySelector('details').open = true; const s = document.querySelector('input');"
        "s.value = arguments[0]; s.dispatchEvent(new Event('input'));"
        "return [document.querySelector('output').textContent, document.querySelectorAll('img')[1].style.clipPath]"
    )
    assert browser.execute_script(script, 0.25) == ["black", "inset(0px 75% 0px 0px)"]
    assert browser.execute_script(script, 1) == ["white", "inset(0px 0% 0px 0px)"]

    browser.get(written(tmp_path, sg.show(torch.rand(GRID.shape), GRID)._repr_html_()).as_uri())
    browser.execute_script("document.querySelector('details').open = true")
    browser.switch_to.frame(browser.find_element("css selector", "iframe"))
    wait(browser, "return document.body.dataset.ready === 'yes'")
    browser.switch_to.default_content()

    sg.show_geometry(geometries()["cone"]).save(tmp_path / "geometry.html")
    browser.get((tmp_path / "geometry.html").as_uri())
    wait(browser, "return document.body.dataset.ready === 'yes'")
    scene = browser.find_element("css selector", '[data-testid="scene"]')
    before = scene.get_attribute("data-turn")
    from selenium.webdriver import ActionChains

    ActionChains(browser, duration=20).drag_and_drop_by_offset(scene, 60, 20).perform()
    assert scene.get_attribute("data-turn") != before and float(scene.get_attribute("data-above")) > 0.5
    browser.execute_script(
        "const s = document.getElementById('view'); s.value = 3; s.dispatchEvent(new Event('input'))"
    )
    where = browser.find_element("css selector", '[data-testid="where"]').text
    numbers = [float(v) for v in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", where.split("at")[1])]
    assert where.startswith("4:") and numbers == pytest.approx(geometries()["cone"].vectors[3, 0].tolist(), abs=0.01)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def wait(browser: Any, script: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 30).until(lambda b: b.execute_script(script))
