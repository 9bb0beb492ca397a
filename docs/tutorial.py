"""Writes docs/howto/tutorial.md from its own commands: `python docs/tutorial.py`.

`make_scan` simulates what an instrument leaves: TIFF images of raw counts, flat fields, dark images, and an axis that
is three pixels off the middle of the detector.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import tifffile
from draw_howtos import smaller
from page_examples import Session, examples

import sinograd as sg

PAGE = Path(__file__).resolve().parent / "howto" / "tutorial.md"
PIXELS_OFF = 3
VIEWS, SHAPE, SPACING = 180, (32, 128), 0.05

OBJECT = sg.Ellipsoids(
    value=[0.5, 0.2, -0.2],
    semi_axes=[[1.2, 1.0, 50], [0.35, 0.25, 0.3], [0.2, 0.4, 0.25]],
    center=[[0, 0, 0], [0.45, 0.1, 0], [-0.4, -0.2, 0]],
)


def make_scan(folder: Path) -> sg.ConeBeam:
    """Write proj_0000.tif ..., flat_0.tif ... and dark_0.tif ...; return the geometry, which no file states."""
    geometry = sg.ConeBeam.circular(
        source_to_origin=60,
        source_to_detector=120,
        angles=sg.full_scan(VIEWS),
        detector=sg.FlatDetector(SHAPE, SPACING, offset=(0, PIXELS_OFF * SPACING)),
    )
    random = np.random.default_rng(0)
    beam = 50_000 * (1 + 0.05 * np.sin(np.arange(SHAPE[1]) / 9)) * np.ones(SHAPE)
    folder.mkdir()
    expected = {f"proj_{i:04d}": beam * view for i, view in enumerate((-OBJECT.project(geometry)).exp().numpy())}
    expected |= {f"flat_{i}": beam for i in range(8)} | {f"dark_{i}": 0 * beam for i in range(8)}
    for name, counts in expected.items():
        tifffile.imwrite(folder / f"{name}.tif", random.poisson(counts + 200).astype(np.uint16))
    return geometry


def transcript(page: str) -> list[str]:
    """What each command of the page prints, in the current folder, with the scan in `scan`; times are left out."""
    make_scan(Path("scan"))
    session, outputs = Session(), []
    for example in examples(page):
        if example.kind == "command" and example.text.endswith("  # refused"):
            with contextlib.suppress(RuntimeError):
                session.run(example)
        else:
            session.run(example)
        if example.kind == "command":
            outputs.append(stable(session.printed))
    return outputs


def stable(output: str) -> str:
    """Without what differs from run to run: seconds, and progress where it is slow. Long lines are wrapped."""
    told = (line.rstrip() for line in output.splitlines())
    lines = [line for line in told if not re.match(r"seconds|[a-z ]+: \d+/\d+ ", line)]
    wrapped = [
        part for line in lines for part in textwrap.wrap(line, 100, break_on_hyphens=False, drop_whitespace=True)
    ]
    return "\n".join(wrapped)


def filled(page: str, outputs: list[str]) -> str:
    """The page with these outputs in its blocks `text`, one after each command."""
    waiting = iter(outputs)
    return re.sub(
        r"(?<=^```text\n)(?!\Z).*?^```$", lambda _: f"{next(waiting)}\n```", page, flags=re.DOTALL | re.MULTILINE
    )


def main() -> None:
    """Run the commands and write the page with what they print."""
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        outputs = transcript(page)
        for name in ("off", "found"):
            picture = PAGE.parent / "pictures" / f"tutorial-{name}.png"
            picture.write_bytes(smaller(Path(f"{name}.png").read_bytes()))
    PAGE.write_text(filled(page, outputs), encoding="utf-8")


if __name__ == "__main__":
    main()
