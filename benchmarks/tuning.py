"""`sinograd tune`: time from a move of a slider to the coarse and to the sharp slice, drawn in a browser.

    python benchmarks/tuning.py -o benchmarks/results/tuning.json

Scans of a ball, 720 views of 512 pixels (512 x 512), which give slices of 502^2: a fan beam, and a cone beam whose
detector is tilted by 1 and turned by 0.5 degrees, of which the middle slice and the one half-way to the last are
looked at (the detector sees +-11.5 degrees along the axis). In a headless Chromium the centre is moved by random
amounts, and `tilt` too for the cone beam; a move waits for the sharp slice of the one before. Milliseconds are from
the slider's event to the frame that shows the picture, and of the sharp one from its request, too, with which the page
waits 60 of them. Medians, least and 95 %; the processor time is the server's, for coarse, sharp and the neighbours
below the slice together.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from typing import Any

import machine
import numpy as np

import sinograd as sg
from sinograd.phantoms import ball
from viewer import browser, processor_seconds, rest, serving, spread

VIEWS, PIXELS = 720, 512
# JavaScript: waits by observers, as a loop would take a core from the server.
MOVING = """
const [name, values, done] = arguments, canvas = document.querySelector('[data-testid="axis-z"]');
const slider = document.querySelector(`[data-testid="${name}"]`), took = [];
const changed = (node, attribute, holds) => new Promise(next => {
  const seen = new MutationObserver(() => { if (holds()) { seen.disconnect(); next(); } });
  seen.observe(node, { attributes: true, attributeFilter: [attribute] });
});
const frame = () => new Promise(next => requestAnimationFrame(() => {  // and what a frame does after its callbacks
  const channel = new MessageChannel();
  channel.port1.onmessage = () => next(performance.now());
  channel.port2.postMessage(0);
}));
(async () => {
  for (const value of values) {
    const start = performance.now();
    const coarse = changed(canvas, "data-quality", () => true).then(frame);
    const sharp = changed(document.body, "data-ready", () => document.body.dataset.ready === "yes").then(frame);
    slider.value = value;
    slider.dispatchEvent(new Event("input"));
    const end = await sharp, asked = performance.getEntriesByType("resource");
    const request = asked.filter(e => e.name.includes("quality=full")).at(-1).startTime;
    took.push([await coarse - start, end - start, end - request]);
    performance.clearResourceTimings();
    await new Promise(next => setTimeout(next, 1500));  // the neighbours
  }
  done(took);
})();
"""


def scan(kind: str) -> sg.Scan:
    """A fan beam or a tilted cone beam."""
    places = {"source_to_origin": 500.0, "source_to_detector": 750.0, "angles": sg.full_scan(VIEWS)}
    if kind == "fan":
        geometry: Any = sg.FanBeam.circular(**places, detector=sg.FlatDetector(PIXELS, 0.6))
    else:
        turns = {"tilt": math.radians(1.0), "in_plane_rotation": math.radians(0.5)}
        geometry = sg.ConeBeam.circular(**places, detector=sg.FlatDetector((PIXELS, PIXELS), 0.6), **turns)
    return sg.Scan(ball(60.0, 0.02).project(geometry), geometry)


def main() -> None:
    """All kinds, printed as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=20, help="of every kind")
    parser.add_argument("--seed", type=int, default=24)
    parser.add_argument("-o", "--output", type=Path, help="a JSON file")
    arguments = parser.parse_args()
    found: dict[str, Any] = {**machine.describe(), "views": VIEWS, "pixels": PIXELS}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("fan", "tilted cone"):
            path = Path(folder) / f"{kind.split()[-1]}.h5"
            sg.write_scan(scan(kind), path)
            found |= measured(kind, path, arguments)
    machine.keep(found, arguments.output)


def measured(kind: str, path: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Figures of all slices and sliders of a scan."""
    random = np.random.default_rng(arguments.seed)
    found: dict[str, Any] = {}
    with serving(path, "tune") as (server, address), browser() as driver:
        driver.set_script_timeout(300)
        driver.get(address["url"])
        rest(driver)
        count = int(driver.execute_script("return document.querySelector('[data-testid=\"slice-z\"]').max")) + 1
        places = {"": 0} if kind == "fan" else {", middle slice": count // 2, ", half-way to the last": 3 * count // 4}
        for place, index in places.items():
            for name in ("center",) if kind == "fan" else ("center", "tilt"):
                if count > 1:
                    slice_at(driver, index)
                values = random.uniform(-2, 2, arguments.moves + 1).round(2).tolist()
                driver.execute_async_script(MOVING, name, values[:1])
                before = processor_seconds(server.pid)
                took = driver.execute_async_script(MOVING, name, values[1:])
                used = 1000 * (processor_seconds(server.pid) - before) / arguments.moves
                names = ("coarse_ms", "sharp_ms", "sharp_from_request_ms")
                times = {key: spread(list(column)) for key, column in zip(names, zip(*took, strict=True), strict=True)}
                found[f"{kind}{place}, {name}"] = {**times, "processor_ms": used}
    return found


def slice_at(driver: Any, index: int) -> None:
    """Look at another slice."""
    slider = "const s = document.querySelector('[data-testid=\"slice-z\"]'); s.value = arguments[0];"
    driver.execute_script(slider + "s.dispatchEvent(new Event('input'));", index)
    rest(driver)


if __name__ == "__main__":
    main()
