from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting threads leave a busy machine to others

import pytest
import torch

from sinograd.data import Scan
from sinograd.geometry import ConeBeam, FanBeam, FlatDetector, Grid, full_scan

pytest.register_assert_rewrite("bilateral_cases", "emulated_cuda")

# The same examples in every run, however slow the machine. A GPU's machine may lack hypothesis.
if importlib.util.find_spec("hypothesis"):
    from hypothesis import settings

    settings.register_profile("sinograd", deadline=None, derandomize=True, print_blob=True)
    settings.load_profile("sinograd")


def pytest_configure() -> None:
    """Workers of xdist ignore SIGINT; tests send it to themselves."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="cpu", help="device that operators are tested on: cpu, cuda, cuda:1 ...")


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> torch.device:
    """The device that operators are tested on."""
    return torch.device(pytestconfig.getoption("device"))


@pytest.fixture(autouse=True)
def seed() -> None:
    """Every test draws the same random numbers, alone or in company."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The checkout that the tests belong to."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data(project_root: Path) -> Path:
    """The folder of real scans beside the checkout; it is not part of the repository."""
    folder = project_root.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real scans, and {folder} does not exist")
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium without a network."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs the programs chromium and chromedriver")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    profile = tmp_path_factory.mktemp("profile")
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1400,1000",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(flag)
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    yield window
    window.quit()


@pytest.fixture
def cone_scan() -> Scan:
    """Six views of 4 x 5 pixels of random line integrals."""
    geometry = ConeBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=full_scan(6), detector=FlatDetector((4, 5), 0.3)
    )
    metadata = {"vendor": "test bench", "sample": "Knöchel", "voltage_kV": 80.5}
    return Scan(torch.rand(6, 4, 5), geometry, metadata, Grid((4, 5, 6), 0.2, (0.1, 0.2, -0.3)))


@pytest.fixture
def fan_scan() -> Scan:
    """Seven views of 9 pixels of random line integrals."""
    geometry = FanBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=full_scan(7), detector=FlatDetector(9, 0.3)
    )
    return Scan(torch.rand(7, 9), geometry)
