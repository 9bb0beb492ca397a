"""Draws docs/howto/pictures/view.png, the viewer's page with two volumes: `python docs/view_picture.py [FILE]`."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import sinograd as sg
from sinograd.viewer import serve_volumes

PICTURE = Path(__file__).resolve().parent / "howto" / "pictures" / "view.png"
WIDTH, HEIGHT = 1200, 780
COLOURS = 96


def draw(path: Path) -> None:
    """A phantom with noise, a region, and the volume in 3-D."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        files = _volumes(Path(folder))
        with serve_volumes(files) as server:
            window = _window(Path(folder))
            try:
                window.get(server.url)
                _until(lambda: window.execute_script("return document.body.dataset.ready") == "yes")
                _act(window)
                picture = Image.open(io.BytesIO(window.get_screenshot_as_png()))
            finally:
                window.quit()
    picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)


def _volumes(folder: Path) -> list[Path]:
    torch.manual_seed(0)
    grid = sg.Grid(shape=(96, 128, 128), spacing=0.5)
    truth = sg.shepp_logan_3d(radius=28, value=0.02).voxelize(grid)
    for name, values in (("noisy", truth + 5e-4 * torch.randn(truth.shape)), ("truth", truth)):
        sg.write_volume(values, folder / f"{name}.h5", grid, unit="1/mm")
    return [folder / "noisy.h5", folder / "truth.h5"]


def _window(folder: Path) -> Any:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    flags = ("headless", "no-sandbox", "use-angle=swiftshader", "enable-unsafe-swiftshader", "ignore-gpu-blocklist")
    for flag in (*flags, f"window-size={WIDTH},{HEIGHT}", f"user-data-dir={folder / 'profile'}"):
        options.add_argument(f"--{flag}")
    service = webdriver.ChromeService(executable_path=str(shutil.which("chromedriver")))
    return webdriver.Chrome(options=options, service=service)


def _act(window: Any) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.support.ui import Select

    def found(name: str) -> Any:
        return window.find_element("css selector", f'[data-testid="{name}"]')

    Select(found("extra")).select_by_value("3d")
    _until(lambda: found("render-3d").get_attribute("data-ready") == "yes")
    found("tool-region").click()
    chain = ActionChains(window).move_to_element_with_offset(found("axis-z"), -20, 50).click_and_hold()
    chain.move_by_offset(60, 40).release().perform()
    _until(lambda: window.find_elements("css selector", '[data-testid="region-mean"]'))
    time.sleep(0.5)


def _until(holds: Any) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
