"""The page of volumes in a browser. Truth: NumPy slices, and the colours that a window gives them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sinograd.data import Volume
from sinograd.geometry import Grid
from sinograd.io import write_volume
from sinograd.viewer import LocalServer, serve_volumes

SHAPE = (10, 12, 16)
GRID = Grid(SHAPE, (2.0, 1.0, 0.5))


def ramp() -> torch.Tensor:
    """Each value tells its place: 1000 z + 100 y + x."""
    z, y, x = torch.meshgrid(*(torch.arange(float(n)) for n in SHAPE), indexing="ij")
    return 1000 * z + 100 * y + x


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    folder = tmp_path_factory.mktemp("volumes")
    write_volume(Volume(ramp(), GRID, "HU"), folder / "ramp.h5")
    write_volume(Volume(ramp() + 50.0, GRID, "HU"), folder / "other.h5")
    mask = (ramp() >= 5000).to(torch.uint8)
    write_volume(Volume(mask, GRID, "1"), folder / "mask.h5")
    with serve_volumes([folder / f"{name}.h5" for name in ("ramp", "other", "mask")]) as server:
        yield server


@pytest.fixture
def page(window: Any, volumes: LocalServer) -> Iterator[Any]:
    window.open(volumes.url)
    yield window
    assert window.errors() == [] and window.strangers() == []


def choose(page: Any, testid: str, value: str) -> None:
    page.set(testid, value)
    page.ready()


def test_sliders_show_slices(page: Any) -> None:
    """The value at the cross-hair, and the slices that the page holds."""
    for axis, index in (("z", 7), ("y", 3), ("x", 11)):
        page.set(f"slice-{axis}", index)
        page.ready()
        assert page.data(f"axis-{axis}", "index") == str(index)
    page.until(lambda: page.data("value", "value") == "7311")
    assert page.text("value") == "7311 HU"
    assert "x 1.75, y -2.5, z 5" in page.text("position") and "voxel x 11, y 3, z 7" in page.text("position")
    assert page.data("axis-z", "shape") == "12,16" and page.data("axis-x", "shape") == "10,12"


def test_the_window_gives_the_grey_values(page: Any) -> None:
    page["crosshair"].click()
    page.set("slice-z", 4)
    page.ready()
    page.set("window-low", 4000)
    page.set("window-high", 5200)
    picture = page["axis-z"].size
    # the slice is 12 mm high and 8 mm wide in the middle of the canvas
    wide = 8 / 12 * picture["height"] / picture["width"]
    for y, x in ((0, 0), (11, 15), (6, 3)):
        across, down = 0.5 + wide * ((x + 0.5) / 16 - 0.5), (y + 0.5) / 12
        expected = 255 * (4000 + 100 * y + x - 4000) / 1200
        assert all(abs(c - expected) <= 1 for c in page.pixel("axis-z", across, down)), (y, x)
    page["window-full"].click()
    assert page["window-low"].get_attribute("value") == "0"
    assert float(page["window-high"].get_attribute("value")) == 10115
    page["window-auto"].click()
    low, high = np.percentile(ramp().numpy(), (0.5, 99.5))
    assert float(page["window-low"].get_attribute("value")) == pytest.approx(low, rel=1e-4)
    assert float(page["window-high"].get_attribute("value")) == pytest.approx(high, rel=1e-4)


def test_planes_across_y_and_x_are_drawn_with_z_upwards(page: Any) -> None:
    page["crosshair"].click()
    page.set("window-low", 0)
    page.set("window-high", 10000)
    page.ready()
    for axis in ("y", "x"):
        assert page.pixel(f"axis-{axis}", 0.5, 0.02)[0] > 200 and page.pixel(f"axis-{axis}", 0.5, 0.98)[0] < 50


def test_the_mouse_moves_the_cross_hair_and_reads_values(page: Any) -> None:
    from selenium.webdriver import ActionChains

    canvas = page["axis-z"]
    ActionChains(page.driver).move_to_element_with_offset(canvas, 20, 40).click().perform()
    page.ready()
    scale = canvas.size["height"] / 12
    x, y = int((20 / scale + 4) / 0.5), int(40 / scale + 6)
    assert page["slice-x"].get_attribute("value") == str(x) and page["slice-y"].get_attribute("value") == str(y)
    page.until(lambda: page.data("value", "value") == str(5000 + 100 * y + x))
    ActionChains(page.driver).move_to_element_with_offset(canvas, -30, -40).perform()
    x, y = int((-30 / scale + 4) / 0.5), int(-40 / scale + 6)
    page.until(lambda: page.data("value", "value") == str(5000 + 100 * y + x))


def test_the_wheel_and_the_keys_step_through_slices(page: Any) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
    from selenium.webdriver.common.keys import Keys

    origin = ScrollOrigin.from_element(page["axis-z"])
    ActionChains(page.driver).scroll_from_origin(origin, 0, -100).perform()
    page.until(lambda: page["slice-z"].get_attribute("value") == "6")
    page["axis-z"].send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    page.until(lambda: page["slice-z"].get_attribute("value") == "4")
    page.ready()
    assert page.data("axis-z", "index") == "4"


def test_a_distance_a_profile_and_a_region(page: Any) -> None:
    height, width = (page["axis-z"].size[name] for name in ("height", "width"))
    wide = 8 / 12 * height / width
    start, end = (0.5 - wide / 2 * 0.75, 0.25), (0.5 + wide / 2 * 0.75, 0.75)
    page["tool-distance"].click()
    page.drag("axis-z", start, end)
    assert float(page.text("distance").removesuffix(" mm")) == pytest.approx(np.hypot(6, 6), rel=0.01)
    page["tool-profile"].click()
    page.drag("axis-z", start, end)
    values = page.until(lambda: page.data("measure-plot", "values"))
    found = np.array([float(v) for v in values.strip("[]").split(",")])
    assert len(found) == int(page.text("profile-points")) and np.all(np.diff(found) > 0)
    assert found[0] == pytest.approx(5000 + 100 * 2.5 + 1.5, abs=12)
    assert found[-1] == pytest.approx(5000 + 100 * 8.5 + 13.5, abs=12)
    page["tool-region"].click()
    page.drag("axis-z", start, end)
    page.until(lambda: page.driver.find_elements("css selector", '[data-testid="region-mean"]'))
    top, bottom, left, right = (int(n) for n in page.data("measures", "box").split(","))
    part = ramp()[5, top:bottom, left:right].double()
    assert int(page.text("region-count")) == part.numel() > 50
    assert page.text("region-mean") == f"{float(f'{part.mean():.5g}'):g} HU"
    assert float(page.text("region-sd").split()[0]) == pytest.approx(float(part.std()), rel=1e-4)


def test_two_volumes_and_their_difference(page: Any) -> None:
    choose(page, "mode", "difference")
    page.until(lambda: page.data("value", "value") == "-50")
    page["crosshair"].click()
    page.set("difference-range", 100)
    red, green, blue = page.pixel("axis-z", 0.5, 0.5)
    assert blue > 200 and abs(red - 127) <= 2 and red == green
    choose(page, "mode", "beside")
    page.set("slice-z", 8)
    page.ready()
    assert page.data("axis-z", "index") == page.data("axis-z-b", "index") == "8"
    page.set("slice-y-b", 2)
    page.ready()
    assert page.data("axis-y", "index") == page.data("axis-y-b", "index") == "2"
    choose(page, "mode", "flicker")
    page.set("window-low", 8000)
    page.set("window-high", 9500)
    seen: set[int] = set()
    page.until(lambda: seen.add(page.pixel("axis-z", 0.5, 0.6)[0]) or len(seen) > 1)
    assert max(seen) - min(seen) in (8, 9)  # 50 of 1500 HU
    choose(page, "mode", "one")


def test_a_mask_lies_over_the_volume(page: Any) -> None:
    choose(page, "other", "2")
    choose(page, "mode", "overlay")
    page["crosshair"].click()
    page.set("opacity", 1)
    page.set("slice-z", 4)
    page.ready()
    assert len(set(page.pixel("axis-z", 0.5, 0.5))) == 1
    page.set("slice-z", 6)
    page.ready()
    assert page.pixel("axis-z", 0.5, 0.5) == [230, 90, 60]
    page.set("opacity", 0)
    assert len(set(page.pixel("axis-z", 0.5, 0.5))) == 1


def test_projections_and_oblique_planes(page: Any) -> None:
    page.set("window-low", 0)
    page.set("window-high", 10115)
    for kind, value in (("max", 9000 + 6 * 100 + 8), ("mean", 4500 + 6 * 100 + 8)):
        page.set("extra", kind)
        page.until(lambda kind=kind: page.data("axis-extra", "kind") == kind)
        grey = page.pixel("axis-extra", 0.502, 0.54)[0]
        assert grey == pytest.approx(255 * value / 10115, abs=2)
    page.set("extra", "oblique")
    page.until(lambda: page.data("axis-extra", "kind") == "oblique")
    page.set("oblique-tilt", 90)
    page.until(lambda: "tilt 90" in page.text("place-extra"))
    page.until(lambda: page.pixel("axis-extra", 0.5, 0.6)[0] > page.pixel("axis-extra", 0.5, 0.4)[0] + 20)


def test_the_volume_in_3d(page: Any) -> None:
    """Its picture changes where the window does, and shows something."""

    def colours() -> set[int]:
        import io

        from PIL import Image

        return set(Image.open(io.BytesIO(page["render-3d"].screenshot_as_png)).convert("L").resize((40, 40)).tobytes())

    page.set("extra", "3d")
    page.until(lambda: page.data("render-3d", "ready") == "yes", 60)
    page.until(lambda: len(colours()) > 10)
    page.set("window-high", 30000)
    page.set("window-low", 20000)
    page.until(lambda: len(colours()) <= 3)
    page.set("extra", "oblique")


def test_without_webgl_the_planes_work(window_without_webgl: Any, volumes: LocalServer) -> None:
    window = window_without_webgl
    window.open(volumes.url)
    assert window.driver.execute_script("return document.createElement('canvas').getContext('webgl2')") is None
    window.set("extra", "3d")
    window.until(lambda: "no WebGL2" in window.text("note-extra"))
    window.set("slice-z", 4)
    window.ready()
    window["crosshair"].click()
    window.set("window-low", 4000)
    window.set("window-high", 5200)
    assert window.data("axis-z", "index") == "4"
    assert abs(window.pixel("axis-z", 0.501, 0.54)[0] - 255 * 608 / 1200) <= 1
    window.set("extra", "max")
    window.until(lambda: window.data("axis-extra", "kind") == "max")
    assert window.errors() == []


def test_dark_and_light(page: Any) -> None:
    colours = []
    for scheme in ("light", "dark"):
        page.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        colours.append(page.driver.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert colours[0] == "rgb(244, 245, 246)" and colours[1] == "rgb(22, 24, 27)"


def test_no_control_lies_outside_a_small_window(page: Any) -> None:
    for width, height in ((1400, 900), (900, 700)):
        page.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        found = page.driver.execute_script(
            "return [...document.querySelectorAll('[data-testid]')].filter(e => e.offsetParent).filter(e => {"
            "const b = e.getBoundingClientRect(); return b.left < 0 || b.right > innerWidth + 1 || b.width < 4})"
            ".map(e => e.dataset.testid)"
        )
        assert found == []
        assert page.driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize(
    ("values", "words"),
    [(torch.full((4, 5, 6), float("nan")), "none of its values is finite"), (torch.full((1, 5, 6), 2.0), "")],
)
def test_volumes_of_nothing_and_of_one_slice(window: Any, tmp_path: Path, values: torch.Tensor, words: str) -> None:
    write_volume(Volume(values, Grid(tuple(values.shape), 1.0), "1/mm"), tmp_path / "v.h5")
    with serve_volumes([tmp_path / "v.h5"]) as server:
        window.open(server.url)
        window.until(lambda: words in window.text("message"))
        assert window.data("axis-z", "shape") == "5,6"
        assert window.errors() == []


def test_an_image_has_one_picture(window: Any, tmp_path: Path) -> None:
    write_volume(Volume(torch.rand(20, 30), Grid((20, 30), 0.001), "1/mm"), tmp_path / "image.h5")
    with serve_volumes([tmp_path / "image.h5"]) as server:
        window.open(server.url)
        assert len(window.driver.find_elements("css selector", ".pane")) == 1
        assert "20 x 30 voxels of 1 um" in window.text("about") and window.errors() == []


def test_names_with_html_are_shown_as_text(window: Any, tmp_path: Path) -> None:
    path = tmp_path / "<img src=x onerror=document.title=7>.h5"
    write_volume(Volume(torch.rand(3, 4, 5), Grid((3, 4, 5), 1.0), "1/mm"), path)
    with serve_volumes([path]) as server:
        window.open(server.url)
        assert window.text("title") == path.name and window.driver.title.startswith("<img")
        assert window.errors() == []


def test_a_server_that_has_ended_is_told(window: Any, tmp_path: Path) -> None:
    write_volume(Volume(torch.rand(3, 4, 5), Grid((3, 4, 5), 1.0), "1/mm"), tmp_path / "v.h5")
    with serve_volumes([tmp_path / "v.h5"]) as server:
        window.open(server.url)
    window.set("slice-z", 2)
    window.until(lambda: "The server has ended" in window.text("message"))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A volume of more voxels than a pane has pixels; each tells its place: 10000 y + x in every slice."""
    pytest.importorskip("zarr")
    folder = tmp_path_factory.mktemp("large")
    y, x = torch.meshgrid(torch.arange(1400.0), torch.arange(1400.0), indexing="ij")
    write_volume(Volume((10000 * y + x).expand(3, 1400, 1400), Grid((3, 1400, 1400), 0.1), "1"), folder / "large.zarr")
    with serve_volumes([folder / "large.zarr"]) as server:
        yield server


def test_of_a_zoomed_plane_only_what_is_seen_is_sent(window: Any, large: LocalServer) -> None:
    window.open(large.url)
    assert window.data("axis-z", "part") == "" and window.data("axis-z", "level") != "0"
    window.driver.execute_script(
        "const c = arguments[0], box = c.getBoundingClientRect();"
        "for (let i = 0; i < 8; i++) c.dispatchEvent(new WheelEvent('wheel', { deltaY: -100, ctrlKey: true, "
        "clientX: box.left + box.width * .7, clientY: box.top + box.height * .4, cancelable: true }));",
        window["axis-z"],
    )
    window.until(lambda: window.data("axis-z", "part") != "")
    window.ready()
    first, end, left, right = map(int, window.data("axis-z", "part").split(","))
    assert window.data("axis-z", "level") == "0" and (end - first) * (right - left) < 0.5 * 1400 * 1400
    assert window.data("axis-z", "shape") == f"{end - first},{right - left}"
    window["crosshair"].click()
    for share in (0.1, 0.5, 0.9):  # values and colours lie where they belong
        hovered = (
            "const c = arguments[0], box = c.getBoundingClientRect(); c.dispatchEvent(new PointerEvent('pointermove',"
            "{ clientX: box.left + box.width * arguments[1], clientY: box.top + box.height * arguments[1] }));"
        )
        window.driver.execute_script(hovered, window["axis-z"], share)
        window.until(lambda: window.data("value", "exact") == "true")
        shown = float(window.data("value", "value"))
        voxel = window.text("position").partition("voxel x ")[2].split(", ")
        assert shown == 10000 * int(voxel[1].split()[1]) + int(voxel[0])
        window.set("window-low", shown - 255 * 20000)
        window.set("window-high", shown + 255 * 20000)
        assert all(abs(c - 128) <= 2 for c in window.pixel("axis-z", share, share))
    assert window.errors() == []


def test_a_slider_that_turns_back_ends_sharp(window: Any, large: LocalServer) -> None:
    """Answers that come late, and after the picture was moved back to where it was."""
    window.open(large.url)
    window.driver.execute_script(
        "const real = window.fetch; window.fetch = async (...a) => {"
        "if (String(a[0]).includes('slice')) await new Promise(r => setTimeout(r, 250)); return real(...a); };"
    )
    for _ in range(3):
        for index in (2, 1):
            window.set("slice-z", index)
        window.ready()
        assert window.data("axis-z", "place") == "1"
    level = window.data("axis-z", "level")
    window.driver.refresh()
    window.ready()
    assert window.data("axis-z", "level") == level


def test_plots_follow_the_theme(page: Any) -> None:
    picture = "return document.querySelector('#histogram canvas').toDataURL()"
    seen = []
    for theme in ("light", "dark"):
        media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        page.until(lambda: page.driver.execute_script(picture) not in seen)
        seen.append(page.driver.execute_script(picture))
