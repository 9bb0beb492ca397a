"""How volumes and scans look at the end of a notebook's cell: a few facts and a small picture, reading little."""

from __future__ import annotations

import base64
import html
import math
import struct
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from sinograd.data.lengths import PIXEL, length_text
from sinograd.data.projections import dtype_text
from sinograd.data.units import unit_text
from sinograd.errors import SinogradError

if TYPE_CHECKING:
    from sinograd.data.scan import Scan
    from sinograd.data.volume import Volume

SIDE = 128  # pixels along the longer side of a thumbnail, at most
MOST_BYTES = 64 << 20  # that may be read for one, as float32
_ENTRIES, _LETTERS = 6, 60  # of the metadata


def volume_html(volume: Volume) -> str:
    """Shape, spacing, unit and the middle slice of a volume, if `MOST_BYTES` suffice to read it."""
    counts = " x ".join(map(str, volume.shape))
    length = volume.length_unit
    facts = [
        ("voxels", f"{counts} (z, y, x)") if volume.ndim == 3 else ("pixels", f"{counts} (y, x)"),
        ("spacing", length_text(volume.spacing, unit=length)),
        ("size", length_text(volume.grid.size, unit=length)),
        ("values", f"{str(volume.dtype).removeprefix('torch.')}, {unit_text(volume.unit)}"),
    ]
    if volume.file is not None:
        facts.append(("file", str(volume.file)))
    return html_repr("Image" if volume.ndim == 2 else "Volume", facts, _middle_slice(volume))


def scan_html(scan: Scan) -> str:
    """What was measured in which geometry, and the middle view of a scan (of a 2-D one its sinogram)."""
    facts = [
        ("projections", ", ".join(f"{n} {axis}" for n, axis in zip(scan.shape, scan.axes, strict=False))),
        ("values", f"{scan.kind}; {dtype_text(scan.projections)}, {scan.nbytes / 1e6:,.1f} MB"),
        ("geometry", type(scan.geometry).__name__),
    ]
    if scan.length_unit == PIXEL:
        facts.append(("lengths", "in pixels, whose size is not known"))
    if scan.file is not None:
        facts.append(("file", str(scan.file)))
    texts = [(str(key), str(value)) for key, value in list(scan.metadata.items())[:_ENTRIES]]
    facts += [(key, text if len(text) <= _LETTERS else f"{text[:_LETTERS]}...") for key, text in texts]
    return html_repr("Scan", facts, _middle_view(scan))


def _middle_slice(volume: Volume) -> bytes | None:
    """Its picture; None where too much had to be read for it, or it cannot be read."""
    together = max(1, min(volume.slices, volume.block)) if volume.is_lazy else 1
    if 0 in volume.shape or 4 * together * math.prod(volume.shape[-2:]) > MOST_BYTES:
        return None
    try:
        return thumbnail(volume.read(volume.slices // 2, volume.slices // 2 + 1)[0].detach().cpu().numpy())
    except (SinogradError, OSError):
        return None


def _middle_view(scan: Scan) -> bytes | None:
    """Its picture, +v upwards; None where it is too large or cannot be read."""
    flat, views = len(scan.shape) == 2, scan.shape[0]
    if 0 in scan.shape or 4 * math.prod(scan.shape if flat else scan.shape[1:]) > MOST_BYTES:
        return None
    try:
        image = scan.load() if flat else scan.load(slice(views // 2, views // 2 + 1))[0].flip(0)
        return thumbnail(image.detach().cpu().numpy())
    except (SinogradError, OSError):
        return None


def grey_png(image: np.ndarray, window: tuple[float, float] | None = None) -> bytes:
    """A PNG of an image [rows, columns] in 256 greys; row 0 is at the top, values that are not finite are black.

    window: (low, high) drawn as black and white; None: the 0.5 and 99.5 percentiles of the finite values.
    """
    image = np.asarray(image, np.float64)
    finite = np.isfinite(image)
    if window is None:
        window = tuple(np.percentile(image[finite], (0.5, 99.5))) if finite.any() else (0.0, 1.0)
    low, width = window[0], window[1] - window[0]
    grey = np.zeros(image.shape) if width <= 0 else (np.where(finite, image, low) - low) / width
    rows = np.clip(np.rint(255 * grey), 0, 255).astype(np.uint8)
    lines = np.concatenate([np.zeros((len(rows), 1), np.uint8), rows], axis=1)  # 0: no filter
    header = struct.pack(">IIBBBBB", image.shape[1], image.shape[0], 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def thumbnail(image: np.ndarray) -> bytes:
    """A PNG of at most `SIDE` pixels a side: every n-th pixel of an image [rows, columns]."""
    step = max(1, -(-max(image.shape) // SIDE))
    return grey_png(image[::step, ::step])


def html_repr(title: str, facts: Iterable[tuple[str, str]], picture: bytes | None) -> str:
    """A picture, if there is one, beside a table; all texts are escaped."""
    rows = "".join(
        f'<tr><td style="text-align:left;opacity:.65">{html.escape(name)}</td>'
        f'<td style="text-align:left">{html.escape(text)}</td></tr>'
        for name, text in facts
    )
    drawn = "" if picture is None else f'<img alt="" src="{data_url(picture)}" style="margin-right:1em">'
    table = f"<table>{rows}</table>"
    return f'<div style="display:flex;align-items:center">{drawn}<div><b>{html.escape(title)}</b>{table}</div></div>'


def data_url(png: bytes) -> str:
    """The address of a PNG that holds the PNG itself."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
