"""The page of a volume, by itself and in a browser."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable
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
    facts = json.loads(meta[1])
    codes = np.frombuffer(zlib.decompress(base64.b64decode(data[1])), "<u2").reshape(facts["shape"])
    return facts, np.where(codes == 0, np.nan, facts["low"] + (codes - 1.0) * facts["step"])


def open_page(browser: Any, page: Path) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(page.as_uri())
    WebDriverWait(browser, 20).until(lambda b: b.execute_script("return document.body.dataset.ready") == "yes")


def found(browser: Any, testid: str) -> Any:
    return browser.find_element("css selector", f'[data-testid="{testid}"]')


def move(browser: Any, testid: str, value: object) -> None:
    browser.execute_script(
        "const e = arguments[0]; e.value = arguments[1];"
        "e.dispatchEvent(new Event('input')); e.dispatchEvent(new Event('change'));",
        found(browser, testid),
        value,
    )


def until(browser: Any, holds: Callable[[], Any]) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 30).until(lambda _: holds())


def grey(browser: Any, axis: str, row: float, column: float) -> int:
    """Of the pixel at shares of the slice's height and width, whatever room it has on the canvas."""
    return browser.execute_script(
        "const c = arguments[0], [h, w] = arguments[1], s = Math.min(c.width / w, c.height / h);"
        "const x = c.width / 2 + s * w * (arguments[3] - .5), y = c.height / 2 + s * h * (arguments[2] - .5);"
        "return c.getContext('2d').getImageData(x, y, 1, 1).data[0]",
        found(browser, f"axis-{axis}"),
        {"z": (8, 5), "y": (12, 5), "x": (12, 8)}[axis],  # mm
        row,
        column,
    )


def test_values_and_places_survive(tmp_path: Path) -> None:
    save_page(ramp(), GRID, tmp_path / "v.html", title="a </script> title")
    meta, values = decode(tmp_path / "v.html")
    np.testing.assert_allclose(values, ramp(), atol=meta["step"])
    assert meta["shape"] == [6, 8, 10] and meta["spacing"] == [2.0, 1.0, 0.5]
    assert meta["first"] == [float(axis[0]) for axis in GRID.axes()]
    assert meta["title"] == "a </script> title"


def test_nothing_is_fetched(tmp_path: Path) -> None:
    """Nor named: but in the comment that the library of curves begins with."""
    save_page(ramp(), GRID, tmp_path / "v.html")
    text = re.sub(
        r"/\*! https://github.com/leeoniya/uPlot .*?\*/", "", (tmp_path / "v.html").read_text(encoding="utf-8")
    )
    assert not re.search(r"https?://|\bsrc=|@import|url\(|/static/(?!vendor/niivue)", text)


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
    assert browser.title.startswith("ramp") and "algorithm" in found(browser, "details").text
    found(browser, "crosshair").click()

    # Slice 5 across z: +y runs down, +x to the right.
    move(browser, "slice-z", 5)
    until(browser, lambda: found(browser, "axis-z").get_attribute("data-index") == "5")
    assert abs(grey(browser, "z", 0.02, 0.02) - 500 / 579 * 255) <= 1
    assert abs(grey(browser, "z", 0.98, 0.98) - 255) <= 1
    assert "5 mm, 6 of 6" in found(browser, "place-z").text
    # Across y, +z runs up.
    move(browser, "slice-y", 0)
    until(browser, lambda: found(browser, "axis-y").get_attribute("data-index") == "0")
    assert grey(browser, "y", 0.98, 0.02) <= 1
    assert abs(grey(browser, "y", 0.02, 0.02) - 500 / 579 * 255) <= 1

    # A narrow window turns the slice black and white; "auto" brings the first one back.
    move(browser, "window-low", 539)
    move(browser, "window-high", 540)
    assert grey(browser, "z", 0.02, 0.02) == 0 and grey(browser, "z", 0.98, 0.98) == 255
    found(browser, "window-auto").click()
    assert abs(grey(browser, "z", 0.02, 0.02) - 500 / 579 * 255) <= 1

    # A click moves the cross-hair, and all slices; the value is the one there.
    move(browser, "slice-x", 0)
    until(browser, lambda: found(browser, "value").get_attribute("data-value") != "")
    until(browser, lambda: float(found(browser, "value").get_attribute("data-value")) == pytest.approx(500, abs=0.01))
    assert "x -2.25, y -3.5" in found(browser, "position").text
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_measures_of_a_page_are_those_of_numpy(tmp_path: Path, browser: Any) -> None:
    """What a server computes otherwise: profiles, regions, projections, oblique planes, NIfTI files."""
    volume = ramp()
    volume[0, 0, 0] = torch.nan
    save_page(volume, GRID, tmp_path / "v.html")
    open_page(browser, tmp_path / "v.html")
    asked = "const [name, values, done] = arguments; module_api.{}(name, values).then(done, e => done(String(e)))"

    def json_of(name: str, **values: object) -> Any:
        return browser.execute_async_script(asked.format("json"), name, values)

    def array_of(name: str, **values: object) -> np.ndarray:
        script = "const [name, values, done] = arguments; module_api.array(name, values)"
        held = browser.execute_async_script(f"{script}.then(f => done([f.shape, [...f.data]]))", name, values)
        return np.array(held[1], dtype=np.float64).reshape(held[0])

    truth = ramp().double().numpy()
    region = json_of("region", axis="z", index=2, box="1,5,2,8")
    part = truth[2, 1:5, 2:8]
    assert (region["count"], region["size"]) == (24, [4, 3])
    measured = [region[name] for name in ("mean", "sd", "median", "low", "high")]
    expected = [part.mean(), part.std(ddof=1), np.median(part), part.min(), part.max()]
    assert measured == pytest.approx(expected, abs=0.02)
    assert json_of("region", axis="z", index=0, box="0,2,0,2")["missing"] == 1
    profile = json_of("profile", axis="y", index=3, line="1,2,4,8")
    assert profile["length"] == pytest.approx(np.hypot(6, 3)) and len(profile["value"]) == 7
    np.testing.assert_allclose(profile["value"], 100 * np.linspace(1, 4, 7) + 30 + np.linspace(2, 8, 7), atol=0.02)
    np.testing.assert_allclose(array_of("projection", axis="x", kind="max")[1:], truth.max(2)[1:], atol=0.01)
    np.testing.assert_allclose(array_of("projection", axis="z", kind="mean")[1:], truth.mean(0)[1:], atol=0.01)
    middle = GRID.axes()
    place = ",".join(str(float(axis[n // 2])) for axis, n in zip(middle[::-1], GRID.shape[::-1], strict=True))
    plane = array_of("oblique", middle=place, angles="0,0")
    assert np.nanmin(np.abs(plane - truth[3, 4, 5])) < 0.5 and np.isnan(plane[0, 0])
    length = browser.execute_async_script(
        "const done = arguments[0]; module_api.bytes().then(b => done([b.byteLength, new Int16Array(b, 40, 4).join()]))"
    )
    assert length == [352 + 4 * truth.size, "3,10,8,6"]


def test_3d_comes_along_where_it_is_asked_for(tmp_path: Path) -> None:
    save_page(ramp(), GRID, tmp_path / "plain.html")
    save_page(ramp(), GRID, tmp_path / "3d.html", with_3d=True)
    plain, large = ((tmp_path / name).stat().st_size for name in ("plain.html", "3d.html"))
    assert plain < 150_000 and 2_200_000 < large - plain < 2_400_000
    assert 'id="niivue"' not in (tmp_path / "plain.html").read_text()


def test_an_image_in_a_browser(tmp_path: Path, browser: Any) -> None:
    grid = Grid(shape=(8, 10), spacing=1.0)
    save_page(ramp()[0], grid, tmp_path / "v.html", unit="1/mm")
    open_page(browser, tmp_path / "v.html")
    assert len(browser.find_elements("css selector", ".pane")) == 1
    until(browser, lambda: found(browser, "value").text == "45 1/mm")
    assert found(browser, "position").text.startswith("x 0.5, y 0.5 mm")
