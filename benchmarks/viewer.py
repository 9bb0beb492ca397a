"""`sinograd view` of a large volume: time to open, to show a slice, memory, and a minute of clicks.

    python benchmarks/viewer.py --size 2048 --folder large -o benchmarks/results/viewer.json

The volume is made if it is not there: OME-Zarr, int16 HU, a ball in noise (about 10 GB at 2048^3); 16 slabs are
computed, the others are copies of their files. Its pages are dropped from the system's cache before the command starts.
Then, in a headless Chromium, a few times with a cold cache: seconds from the start of the command to its address, from
that to the first picture of all three planes and to the sharp ones, and the processor time of the server until then.
In the last of these servers: the time that a slider's move to a random slice takes until that slice is drawn, at some
level, and until all planes are sharp; slices and parts of them (512 x 512) as programs ask for them; `--clicks` clicks
a second for `--seconds` in the slice across z, with the time that other requests wait meanwhile, and the time until the
page rests; the largest memory that the server had. Times are median, least and 95 %. Prints one JSON object, and writes
it with `-o`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch

import sinograd as sg
from sinograd.io.volumes.ome_zarr_sink import ZarrSink

WRITTEN = 16  # slabs of the volume that are computed
PART = 512  # voxels a side

WATCHING = """
window.watched = [0, 0];
const watch = new MutationObserver(() => {
  if (!watched[0] && document.querySelectorAll("canvas[data-place]").length >= 3) watched[0] = performance.now();
  if (watched[0] && !watched[1] && document.body.dataset.ready === "yes") watched[1] = performance.now();
});
watch.observe(document, { attributes: true, childList: true, subtree: true });
"""

# JavaScript: what the browser has to do comes first.
PAUSE = """
const pause = () => new Promise(next => { const channel = new MessageChannel();
  channel.port1.onmessage = next; channel.port2.postMessage(0); });
"""

MOVING = (
    PAUSE
    + """
const [axis, places, done] = arguments, canvas = document.querySelector(`[data-testid="axis-${axis}"]`);
const slider = document.querySelector(`[data-testid="slice-${axis}"]`), took = [];
(async () => {
  for (const place of places) {
    const start = performance.now();
    slider.value = place;
    slider.dispatchEvent(new Event("input"));
    while (canvas.dataset.place !== String(place)) await pause();
    const shown = performance.now() - start;
    while (document.body.dataset.ready !== "yes") await pause();
    took.push([shown, performance.now() - start]);
  }
  done(took);
})();
"""
)

CLICKING = """
const [clicks, done] = [arguments[0], arguments[arguments.length - 1]];
const canvas = document.querySelector('[data-testid="axis-z"]');
let left = clicks.count;
const event = (name, x, y, buttons) => canvas.dispatchEvent(new PointerEvent(name,
  { clientX: x, clientY: y, button: 0, buttons, pointerId: 1, bubbles: true }));
canvas.setPointerCapture = () => {};
const timer = setInterval(() => {
  const box = canvas.getBoundingClientRect(), x = box.left + box.width * (.3 + .4 * Math.random());
  const y = box.top + box.height * (.3 + .4 * Math.random());
  event("pointerdown", x, y, 1);
  event("pointerup", x, y, 0);
  if (--left === 0) { clearInterval(timer); done(true); }
}, 1000 / clicks.rate);
"""


class Noise:
    """A ball of 1000 HU in air with noise of 100 HU, int16: in every slice the same noise, rolled by random places."""

    dtype, block = torch.int16, 1

    def __init__(self, size: int) -> None:
        self.size, self.shape = size, (size, size, size)
        self.noise = (100 * np.random.default_rng(24).standard_normal((size, size), np.float32)).astype(np.int16)

    def read(self, first: int, end: int) -> torch.Tensor:
        """Slices first to end - 1."""
        axis = np.linspace(-1, 1, self.size, dtype=np.float32)
        across = axis[:, None] ** 2 + axis[None] ** 2
        slices = np.empty((end - first, *self.shape[1:]), np.int16)
        for z, made in zip(range(first, end), slices, strict=True):
            rolled = np.random.default_rng(z).integers(0, self.size, 2)
            made[:] = np.roll(self.noise, rolled, (0, 1)) - 1000
            made[across + axis[z] ** 2 < 0.8] += 2000
        return torch.from_numpy(slices)


def main() -> None:
    """One run with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--folder", type=Path, default=Path("large"))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clicks", type=float, default=20, help="a second")
    parser.add_argument("--slices", type=int, default=20, help="of every kind")
    parser.add_argument("--opens", type=int, default=5, help="times that the command is started")
    parser.add_argument("--seed", type=int, default=24)
    parser.add_argument("-o", "--output", type=Path, help="a JSON file")
    arguments = parser.parse_args()
    path = made_volume(arguments.folder / f"noise-{arguments.size}.zarr", arguments.size)
    found = {**machine.describe(), "size": arguments.size, **measured(path, arguments)}
    machine.keep(found, arguments.output)


def made_volume(path: Path, size: int) -> Path:
    """The volume where it is not there: some slabs are written, the others are copies of their files."""
    if path.exists():
        return path
    header = sg.Volume(Noise(size), sg.Grid((size, size, size), 0.01), "HU")
    making = path.with_name(f"making-{path.name}")
    making.parent.mkdir(parents=True, exist_ok=True)
    sink = ZarrSink(making, header)
    sink.create()
    slabs = list(range(0, size, sink.unit))
    written = slabs[:: max(1, len(slabs) // WRITTEN)][:WRITTEN]
    for first in written:
        sink.write(first, header.read(first, min(first + sink.unit, size), None).numpy())
    for number, first in enumerate(slabs):
        if first not in written:
            copy_slab(making, written[number % len(written)] // sink.unit, number)
    sink.finish(header)
    making.rename(path)
    return path


def copy_slab(folder: Path, source: int, target: int) -> None:
    """The shards of a slab in all levels that have them."""
    for shards in folder.glob(f"[0-9]*/c/{source}"):
        if not (other := shards.with_name(str(target))).exists():
            shutil.copytree(shards, other)


def drop_cache(path: Path) -> None:
    """Make the system forget what it has read of a folder."""
    os.sync()
    for file in path.rglob("*"):
        if file.is_file():
            with file.open("rb") as stream:
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measured(path: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures: `--opens` runs of the command, the last of which is looked at further."""
    opened: list[dict[str, float]] = []
    for number in range(arguments.opens):
        drop_cache(path)
        last = number == arguments.opens - 1
        with serving(path) as (server, address), browser() as driver:
            opened.append({"address": address.pop("seconds"), **first_pictures(driver, server.pid, address)})
            if not last:
                continue
            seconds = {name: spread([run[name] for run in opened]) for name in opened[0]}
            facts: dict[str, Any] = {"open_seconds": seconds}
            facts["moves"] = moves(driver, server.pid, address, arguments)
            facts["slices"] = slices(address, arguments)
            facts["clicks"] = clicked(driver, address, arguments)
            facts["peak_bytes"] = _peak(server.pid)
            facts["console_errors"] = sum(entry["level"] == "SEVERE" for entry in driver.get_log("browser"))
            return facts
    raise SystemExit("--opens: at least 1")


@contextmanager
def serving(path: Path, name: str = "view") -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A command of this name, and what it prints with the seconds that it took."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "sinograd.cli", name, str(path), "--no-browser", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server, {**json.loads(_object(server.stdout)), "seconds": time.perf_counter() - start}
        finally:
            server.terminate()


def first_pictures(driver: Any, process: int, address: dict[str, Any]) -> dict[str, float]:
    """Seconds from the address to all planes at some level, to the sharp ones, and of the server's processors."""
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCHING})
    began = time.time()
    driver.get(address["url"])
    rest(driver)
    processors = processor_seconds(process)
    picture, sharp = driver.execute_script("return watched.map(ms => (performance.timeOrigin + ms) / 1000)")
    return {"picture": picture - began, "sharp": sharp - began, "server processors": processors}


def moves(driver: Any, process: int, address: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds from a move of a slider to its slice, at any level and sharp: in the page, cold, by axis."""
    random = np.random.default_rng(arguments.seed)
    driver.set_script_timeout(20)
    shape = json.loads(_get(address, "volumes"))["volumes"][0]["shape"]
    found = {}
    for axis, count in zip("zyx", shape, strict=True):
        places = random.choice(count, arguments.slices, replace=False).tolist()
        before = processor_seconds(process)
        took = driver.execute_async_script(MOVING, axis, places)
        found[axis] = {"shown_ms": spread([t[0] for t in took]), "sharp_ms": spread([t[1] for t in took])}
        found[axis]["processor_ms"] = 1000 * (processor_seconds(process) - before) / len(places)
    return found


def slices(address: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of slices that were not looked at before, by level and axis, and of parts of the finest."""
    random = np.random.default_rng(arguments.seed + 1)
    levels = json.loads(_get(address, "volumes"))["volumes"][0]["levels"]
    quick = next(i for i, level in enumerate(levels) if max(level["shape"]) <= 512)
    found: dict[str, Any] = {}
    for name, level in (("at most 512", quick), ("finest", 0), ("part of the finest", 0)):
        for axis in range(3):
            took = []
            rows, columns = (n for i, n in enumerate(levels[level]["shape"]) if i != axis)
            for index in random.choice(levels[level]["shape"][axis], arguments.slices, replace=False):
                part = ""
                if name.startswith("part"):
                    row, column = (int(random.integers(0, max(1, n - PART))) for n in (rows, columns))
                    part = f"&part={row},{min(rows, row + PART)},{column},{min(columns, column + PART)}"
                began = time.perf_counter()
                _get(address, f"slice?volume=0&axis={'zyx'[axis]}&index={index}&level={level}{part}")
                took.append(1000 * (time.perf_counter() - began))
            found[f"{name}, {'zyx'[axis]}"] = spread(took)
    return found


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and 95 %."""
    middle, high = (float(np.quantile(values, q)) for q in (0.5, 0.95))
    return {"median": middle, "least": float(min(values)), "p95": high}


def clicked(driver: Any, address: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """A minute of clicks: what another request waits meanwhile, and how long the page takes to rest afterwards."""
    waits: list[float] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(0.5):
            began = time.perf_counter()
            _get(address, "value?volume=0&at=3,4,5")
            waits.append(1000 * (time.perf_counter() - began))

    asking = threading.Thread(target=ask)
    asking.start()
    driver.set_script_timeout(4 * arguments.seconds + 60)
    count = int(arguments.clicks * arguments.seconds)
    began = time.perf_counter()
    driver.execute_async_script(CLICKING, {"count": count, "rate": arguments.clicks})
    clicking, resting = time.perf_counter() - began, time.perf_counter()
    rest(driver)
    found = {"seconds": clicking, "rest_seconds": time.perf_counter() - resting}
    ended.set()
    asking.join()
    return {"count": count, **found, "wait_ms": spread(waits), "longest_wait_ms": max(waits)}


def browser() -> Any:
    """A headless Chromium."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.binary_location = shutil.which("chromium") or ""
    profile = tempfile.mkdtemp()
    for flag in ("--headless", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,900"):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={profile}")
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


def rest(driver: Any) -> None:
    """Wait until the page has drawn what it asked for."""
    began = time.perf_counter()
    while driver.execute_script("return document.body.dataset.ready") != "yes":
        if time.perf_counter() - began > 60:
            raise SystemExit("the page does not rest within a minute")
        time.sleep(0.01)


def _get(address: dict[str, Any], name: str) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{address['port']}/api/{name}")
    request.add_header("X-Sinograd-Token", address["token"])
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.read()


def _object(stream: Any) -> str:
    """The lines of one JSON object that is printed."""
    text = ""
    for line in stream:
        text += line
        if line.rstrip() == "}" or (line.startswith("{") and line.rstrip().endswith("}")):
            return text
    raise SystemExit("the command has ended")


def processor_seconds(process: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


if __name__ == "__main__":
    main()
