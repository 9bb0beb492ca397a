"""Makes docs/demo.png for the README from the picture of `make demo`: `python docs/demo_picture.py`.

Keeps the rows of the reconstruction and the truth, in fewer pixels and greys: the original has 2 MB.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 1000
KEPT = 0.665  # of the height: two of the three rows and the title

picture = Image.open(ROOT / "demo" / "slices.png").convert("L")
picture = picture.crop((0, 0, picture.width, round(KEPT * picture.height)))
picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
picture.quantize(64).save(ROOT / "docs" / "demo.png", optimize=True)
