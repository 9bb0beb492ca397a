"""Draws docs/howto/pictures: `python docs/draw_howtos.py` runs the pages and takes the pictures that they make.

python docs/draw_howtos.py [PAGE ...]
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from pathlib import Path

from page_examples import Session, examples

HOWTO = Path(__file__).resolve().parent / "howto"
WIDTH = 760

# Of each page: the picture in the documentation, and the file that the page makes.
PICTURES = {
    "bone": {"bone-thickness": "thickness.png"},
    "calibrate": {"calibrate": "both.png"},
    "corrections": {
        "corrections-rings": "rings.png",
        "corrections-hardening": "hardening.png",
        "corrections-metal": "metal.png",
        "corrections-scatter": "scatter.png",
        "corrections-lag": "lag.png",
        "corrections-phase": "phase.png",
    },
    "helical": {"helical": "helix.png"},
    "iterate": {"few-views-fdk": "fdk.png", "few-views-tv": "tv.png"},
    "look": {"look-slices": "slices.png"},
    "raw-scans": {
        "raw-scans-as-stated": "as-stated.png",
        "raw-scans-bone": "bone.png",
        "raw-scans-center": "center.png",
    },
    "reconstruct": {"reconstruct": "slices.png"},
    "train": {
        "train-low-dose": "low-dose.png",
        "train-denoised": "denoised.png",
        "train-loss": "runs/three-filters/loss.png",
    },
}


def smaller(picture: bytes) -> bytes:
    """A PNG of 64 colours, at most WIDTH pixels wide."""
    from PIL import Image

    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
    result = io.BytesIO()
    image.quantize(64).save(result, "png", optimize=True)
    return result.getvalue()


def main(pages: list[str]) -> None:
    """Draw the pictures of these pages."""
    for page in pages:
        session = Session()
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            for example in examples((HOWTO / f"{page}.md").read_text(encoding="utf-8")):
                if example.kind != "shell":
                    session.run(example)
            for name, file in PICTURES[page].items():
                target = HOWTO / "pictures" / f"{name}.png"
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(smaller(Path(file).read_bytes()))
                print(f"{target.name}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:] or list(PICTURES))
