"""The page of a volume, by itself and in a browser."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sinograd.geometry import Grid
from sinograd.view import save_page

GRID = Grid(shape=(6, 8, 10), spacing=(2.0, 1.0, 0.5))


def ramp() -> torch.Tensor:
    """Each value tells its place: 100 z + 10 y + x."""
    z, y, x = torch.meshgrid(*(torch.arange(float(n)) for n in GRID.shape), indexing="ij")
    return 100 * z + 10 * y + x


def decode(page: Path) -> tuple[dict[str, Any], np.ndarray]:
    text = page.read_text(encoding="utf-8")
    meta, data = (re.search(rf'id="{name}">(.*?)</script>', text, re.S) for name in ("meta", "data"))
    assert meta is not None and data is not None
    found = json.loads(meta[1])
    codes = np.frombuffer(zlib.decompress(base64.b64decode(data[1])), "<u2").reshape(found["shape"])
    return found, np.where(codes == 0, np.nan, found["low"] + (codes - 1.0) * found["step"])


def open_page(browser: Any, page: Path) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(page.as_uri())
    WebDriverWait(browser, 20).until(lambda b: b.execute_script("return document.body.dataset.ready") == "yes")


def move(browser: Any, element: str, value: float) -> None:
    browser.execute_script(
        "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
        "e.dispatchEvent(new Event('input')); e.dispatchEvent(new Event('change'));",
        element,
        value,
    )


def grey(browser: Any, view: str, across: float, down: float) -> int:
    return browser.execute_script(
        "const c = document.getElementById(arguments[0]);"
        "return c.getContext('2d').getImageData(arguments[1] * c.width, arguments[2] * c.height, 1, 1).data[0]",
        view,
        across,
        down,
    )


def test_values_and_places_survive(tmp_path: Path) -> None:
    save_page(ramp(), GRID, tmp_path / "v.html", title="a </script> title")
    meta, values = decode(tmp_path / "v.html")
    np.testing.assert_allclose(values, ramp(), atol=meta["step"])
    assert meta["shape"] == [6, 8, 10] and meta["spacing"] == [2.0, 1.0, 0.5]
    assert meta["first"] == [float(axis[0]) for axis in GRID.axes()]
    assert meta["title"] == "a </script> title"


def test_nothing_is_fetched(tmp_path: Path) -> None:
    save_page(ramp(), GRID, tmp_path / "v.html")
    assert not re.search(r"https?://|\bsrc=|@import|url\(", (tmp_path / "v.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize("shape", [(6, 8, 10), (5, 7, 9)])
def test_large_volumes_are_shown_as_means(tmp_path: Path, shape: tuple[int, ...]) -> None:
    grid, volume = Grid(shape=shape, spacing=1.0), torch.rand(shape)
    save_page(volume, grid, tmp_path / "v.html", max_voxels=80)
    meta, values = decode(tmp_path / "v.html")
    assert values.shape == tuple(-(-n // 2) for n in shape)
    np.testing.assert_allclose(values[0, 0, 0], volume[:2, :2, :2].mean(), atol=1e-4)
    last = [2 * (n - 1) for n in values.shape]
    np.testing.assert_allclose(values[-1, -1, -1], volume[last[0] :, last[1] :, last[2] :].mean(), atol=1e-4)
    assert meta["first"] == [float(axis[0]) + 0.5 for axis in grid.axes()]
    assert "means over 2 voxels" in meta["about"]


def test_a_constant_volume_and_missing_values(tmp_path: Path) -> None:
    volume = torch.ones(GRID.shape)
    volume[0, 0, 0] = float("nan")
    save_page(volume, GRID, tmp_path / "v.html")
    meta, values = decode(tmp_path / "v.html")
    assert np.isnan(values[0, 0, 0]) and values[1, 1, 1] == 1.0 and meta["window"] == [0.5, 1.5]


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="grid must be a Grid"):
        save_page(ramp(), (6, 8, 10), tmp_path / "v.html")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"does not match grid\.shape"):
        save_page(ramp()[1:], GRID, tmp_path / "v.html")
    with pytest.raises(ValueError, match=r"must end in \.html"):
        save_page(ramp(), GRID, tmp_path / "v.png")
    with pytest.raises(ValueError, match="finite"):
        save_page(ramp() * float("nan"), GRID, tmp_path / "v.html")
    with pytest.raises(ValueError, match="low < high"):
        save_page(ramp(), GRID, tmp_path / "v.html", window=(1.0, 1.0))
    with pytest.raises(ValueError, match="max_voxels must be at least 1"):
        save_page(ramp(), GRID, tmp_path / "v.html", max_voxels=0)
    save_page(ramp(), GRID, tmp_path / "v.html")
    with pytest.raises(FileExistsError):
        save_page(ramp(), GRID, tmp_path / "v.html")


def test_in_a_browser(tmp_path: Path, browser: Any) -> None:
    save_page(ramp(), GRID, tmp_path / "v.html", window=(0.0, 579.0), title="ramp", details={"algorithm": "FDK"})
    open_page(browser, tmp_path / "v.html")
    assert browser.title == "ramp" and "algorithm" in browser.find_element("id", "details").text
    browser.execute_script("document.getElementById('cross').click()")

    # Slice 5 across z: +y runs down, +x to the right.
    move(browser, "slider-z", 5)
    assert abs(grey(browser, "view-z", 0.01, 0.01) - 500 / 579 * 255) <= 1
    assert abs(grey(browser, "view-z", 0.99, 0.99) - 255) <= 1
    assert "z = 5 mm" in browser.find_element("id", "views").text
    # Across y, +z runs up.
    move(browser, "slider-y", 0)
    assert abs(grey(browser, "view-y", 0.01, 0.99) - 0) <= 1
    assert abs(grey(browser, "view-y", 0.01, 0.01) - 500 / 579 * 255) <= 1

    # A narrow window turns the slice black and white; "auto" brings the first one back.
    move(browser, "levelNumber", 539.5)
    move(browser, "windowNumber", 1)
    assert grey(browser, "view-z", 0.01, 0.01) == 0 and grey(browser, "view-z", 0.99, 0.99) == 255
    browser.find_element("id", "auto").click()
    assert abs(grey(browser, "view-z", 0.01, 0.01) - 500 / 579 * 255) <= 1

    # The value under the pointer, which also moves the other slices.
    from selenium.webdriver import ActionChains

    canvas = browser.find_element("id", "view-z")
    ActionChains(browser).move_to_element_with_offset(canvas, 2 - canvas.size["width"] // 2, 0).click().perform()
    assert browser.find_element("id", "probe").text.startswith("x -2.25, y ")
    assert browser.find_element("id", "slider-x").get_attribute("value") == "0"
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_an_image_in_a_browser(tmp_path: Path, browser: Any) -> None:
    grid = Grid(shape=(8, 10), spacing=1.0)
    save_page(ramp()[0], grid, tmp_path / "v.html", unit="1/mm")
    open_page(browser, tmp_path / "v.html")
    assert browser.find_elements("css selector", "#views input") == []
    assert browser.find_element("id", "probe").text == "x 0.5, y 0.5 mm: 45 1/mm"
