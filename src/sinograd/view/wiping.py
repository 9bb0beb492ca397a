"""Images one over another in a notebook, with a slider that wipes from each to the next; no server, no library."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence

import numpy as np

from sinograd.data.html_repr import data_url, grey_png

_MOST = 1024  # pixels along the longer side of an image
_LEAST_WIDTH = 384  # CSS pixels
# The slider runs from 0 to the number of images less one: whole numbers show one image, others the wipe between two.
_WIPE = (
    "const at=Number(this.value),box=this.closest('[data-wipe]');"
    "box.querySelectorAll('img').forEach((image,i)=>{const share=Math.min(1,Math.max(0,at-i+1));"
    "image.style.clipPath='inset(0 '+(i?100*(1-share):0)+'% 0 0)'});"
    "box.querySelector('output').textContent=JSON.parse(box.dataset.wipe)[Math.round(at)]"
)


def wiped(planes: Sequence[np.ndarray], names: Sequence[str], window: tuple[float, float]) -> str:
    """The images in one window of grey values; "" of a single one.

    planes: [Y, X] each, of one shape; of large ones every n-th pixel is drawn.
    """
    if len(planes) < 2:
        return ""
    step = max(1, -(-max(planes[0].shape) // _MOST))
    rows, columns = planes[0][::step, ::step].shape
    width = max(columns, _LEAST_WIDTH)
    place = "position:absolute;inset:0;width:100%;height:100%;image-rendering:pixelated;margin:0"
    images = "".join(
        f'<img alt="{html.escape(name)}" src="{data_url(grey_png(plane[::step, ::step], window))}" '
        f'style="{place}{";clip-path:inset(0 100% 0 0)" if i else ""}">'
        for i, (plane, name) in enumerate(zip(planes, names, strict=True))
    )
    titles = html.escape(json.dumps(list(names)))
    return (
        f'<details><summary>wipe from one to the other</summary><div data-wipe="{titles}" style="max-width:{width}px">'
        f'<div style="position:relative;aspect-ratio:{columns}/{rows};background:#000">{images}</div>'
        f'<input type="range" min="0" max="{len(planes) - 1}" step="0.01" value="0" style="width:100%" '
        f'aria-label="wipe" oninput="{html.escape(_WIPE)}"><output>{html.escape(names[0])}</output></div></details>'
    )
