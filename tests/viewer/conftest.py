from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


class Window:
    """A page of the viewer in a headless Chromium: controls by their data-testid."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, url: str, wait: bool = True) -> None:
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(url)
        if wait:
            self.ready()

    def ready(self, seconds: float = 30) -> None:
        self.until(lambda: self.driver.execute_script("return document.body.dataset.ready") == "yes", seconds)

    def until(self, holds: Callable[[], Any], seconds: float = 20) -> Any:
        end = time.monotonic() + seconds
        while not (found := holds()):
            assert time.monotonic() < end, f"not within {seconds} s; the page says: {self.text('message')!r}"
            time.sleep(0.03)
        return found

    def __getitem__(self, testid: str) -> Any:
        return self.driver.find_element("css selector", f'[data-testid="{testid}"]')

    def text(self, testid: str) -> str:
        return self[testid].text

    def data(self, testid: str, name: str) -> str:
        return self[testid].get_attribute(f"data-{name}")

    def set(self, testid: str, value: object) -> None:
        """As a user's slider or field: input, then change."""
        self.driver.execute_script(
            "const e = arguments[0]; e.value = arguments[1]; e.dispatchEvent(new Event('input'));"
            "e.dispatchEvent(new Event('change'));",
            self[testid],
            str(value),
        )

    def pixel(self, testid: str, across: float, down: float) -> list[int]:
        """Red, green, blue of a canvas at shares of its width and height."""
        return self.driver.execute_script(
            "const c = arguments[0];"
            "return [...c.getContext('2d').getImageData(arguments[1] * c.width, arguments[2] * c.height, 1, 1).data]"
            ".slice(0, 3)",
            self[testid],
            across,
            down,
        )

    def drag(self, testid: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """With the left button, from and to shares of the width and height of an element."""
        from selenium.webdriver import ActionChains

        element = self[testid]
        size = element.size
        places = [(round((x - 0.5) * size["width"]), round((y - 0.5) * size["height"])) for x, y in (start, end)]
        chain = ActionChains(self.driver, duration=20).move_to_element_with_offset(element, *places[0]).click_and_hold()
        chain.move_to_element_with_offset(element, *places[1]).release().perform()

    def errors(self) -> list[str]:
        """What the console says of errors since the page was opened."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def strangers(self) -> list[str]:
        """Requests of the page since it was opened that leave the machine."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        own = ("http://127.0.0.1:", "data:", "blob:", "chrome://", "chrome-untrusted://")
        return [url for url in found if not url.startswith(own)]


_SOFTWARE_WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")


def opened(profile: Path, *flags: str) -> Iterator[Window]:
    """Headless Chromium, 1400 x 900; no name but 127.0.0.1 is found."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs the programs chromium and chromedriver")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1400,900",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={profile}",
        *flags,
    ):
        options.add_argument(flag)
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    yield Window(made)
    made.quit()


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    """A browser with WebGL in software."""
    yield from opened(tmp_path_factory.mktemp("profile"), *_SOFTWARE_WEBGL)


@pytest.fixture
def window_without_webgl(tmp_path: Path) -> Iterator[Window]:
    """A browser in which WebGL is switched off."""
    yield from opened(tmp_path / "profile", "--disable-gpu", "--disable-3d-apis")
