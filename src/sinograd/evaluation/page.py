"""A page to look at an evaluation with: one HTML file that needs no server, no network and no program but a browser.

Tables of scores and paired differences; slices: the region inside a frame that is moved over the target, as each
method left it, and its difference to the target; curves of the noise that is left and of the sharpness of discs.
"""

from __future__ import annotations

import base64
import json
import math
import os
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import ndimage

from sinograd.evaluation.curves import edge_picture, noise_picture
from sinograd.evaluation.noise_tables import (
    edge_cells,
    edge_heads,
    edge_notes,
    edges_by_disc,
    noise_cells,
    noise_heads,
    noise_notes,
)
from sinograd.evaluation.scores import METRICS, Sample, Scores
from sinograd.evaluation.tables import difference_cells, difference_heads, score_cells, score_heads, table_notes
from sinograd.io.storage.atomic import replacing
from sinograd.view import check_page_path
from sinograd.view.page import filled

_LEVELS = 65535
_SOFT_TISSUE, _DIFFERENCE = (-150.0, 250.0), 150.0  # HU, the windows of Wagner et al. (2022), figure 4
_ZOOM = 4  # the frame at first has a fourth of the slice's shorter side


def save_report(
    scores: Scores,
    path: str | os.PathLike[str],
    *,
    title: str = "Denoisers compared",
    details: Mapping[str, str] | None = None,
    force: bool = False,
) -> None:
    """Write a self-contained HTML page of an evaluation, with the slices that it kept (`scores.samples`).

    Values are stored in 65536 steps between the smallest and the largest of a slice: about 3 bytes for each pixel and
    method. At first the window is the protocol's, or -150 to 250 HU, or holds 99 % of the target's values; the frame
    stands where the target has most structure. details: names and texts for the table of settings.

    Raises ValueError for a name that does not end in .html, FileExistsError when the file exists and `force` is not
    set.
    """
    target = check_page_path(path, force=force)
    data = json.dumps([_encode(sample) for sample in scores.samples]).encode()
    page = filled("sinograd.evaluation", _meta(scores, title, details or {}), data)
    with replacing(target, force=force, needed=len(page)) as temporary:
        temporary.write_bytes(page)


def _meta(scores: Scores, title: str, details: Mapping[str, str]) -> dict[str, Any]:
    names = [info.name for info in scores.methods]
    best = [-1, *(names.index(found) if (found := scores.best(metric)) else -1 for metric in METRICS)]
    return {
        "title": title,
        "about": f"{scores.protocol.name}: {scores.protocol.summary}",
        "heads": score_heads(scores),
        "rows": [score_cells(scores, info) for info in scores.methods],
        "best": best,
        "notes": table_notes(scores),
        "differenceHeads": difference_heads(scores),
        "differenceRows": [difference_cells(scores, *pair) for pair in scores.pairs_of_methods()],
        "noise": _noise(scores),
        "discs": _discs(scores),
        "details": [[name, str(text)] for name, text in {**scores.protocol.details(), **details}.items()],
        "samples": [_sample(scores, sample) for sample in scores.samples],
    }


def _noise(scores: Scores) -> dict[str, Any]:
    return {
        "heads": noise_heads(scores),
        "rows": [noise_cells(scores, info) for info in scores.methods] if scores.spectra else [],
        "notes": noise_notes(scores),
        "picture": noise_picture(scores),
    }


def _discs(scores: Scores) -> list[dict[str, Any]]:
    return [
        {
            "title": f"Sharpness of the disc at {disc}",
            "heads": edge_heads(scores),
            "rows": [edge_cells(scores, edge) for edge in edges],
            "notes": edge_notes(scores),
            "picture": edge_picture(scores, disc),
        }
        for disc, edges in edges_by_disc(scores).items()
    ]


def _sample(scores: Scores, sample: Sample) -> dict[str, Any]:
    low, step = _coding(sample)
    window, reach = _window(scores, sample)
    texts = [f"{', '.join(sample.group.split())} slice {sample.index}".strip()]
    for found in (sample.scores[name] for name in sample.images):
        texts.append(f"SSIM {found[0]:.4f}, PSNR {found[1]:.2f} dB, RMSE {found[2]:.4g} {sample.unit}".rstrip())
    return {
        "title": f"{sample.volume}, slice {sample.index}",
        "shape": list(sample.target.shape),
        "unit": sample.unit,
        "low": low,
        "step": step,
        "window": window,
        "reach": reach,
        "region": _region(sample, window),
        "names": ["target", *sample.images],
        "scores": texts,
    }


def _window(scores: Scores, sample: Sample) -> tuple[tuple[float, float], float]:
    """What is black and white at first, and the largest difference."""
    windows = scores.protocol.windows
    if sample.group in windows:
        low, high = windows[sample.group]
        return (low, high), 0.375 * (high - low)
    if sample.unit == "HU":
        return _SOFT_TISSUE, _DIFFERENCE
    low, high = (float(v) for v in np.percentile(sample.target.numpy(), (0.5, 99.5)))
    if not low < high:
        low, high = low - 0.5, high + 0.5
    return (low, high), 0.375 * (high - low)


def _region(sample: Sample, window: tuple[float, float]) -> tuple[int, int, int]:
    """First row, first column and side of the square where the windowed target has the most edges."""
    image = np.clip(sample.target.numpy().astype(np.float64), *window)
    side = max(min(image.shape) // _ZOOM, min(16, *image.shape))
    structure = ndimage.uniform_filter(ndimage.gaussian_gradient_magnitude(image, 1.0), side, mode="constant")
    half = (side - 1) // 2
    inside = structure[half : image.shape[0] - side + half + 1, half : image.shape[1] - side + half + 1]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(y), int(x), side


def _coding(sample: Sample) -> tuple[float, float]:
    """The value of code 0 and the step between codes."""
    planes = [sample.target, *sample.images.values()]
    low, high = min(float(p.min()) for p in planes), max(float(p.max()) for p in planes)
    step = (high - low) / _LEVELS
    return low, step if step > 0 and math.isfinite(step) else 1.0


def _encode(sample: Sample) -> str:
    """Target and images as 16-bit codes, compressed."""
    low, step = _coding(sample)
    planes = (plane.double().numpy() for plane in (sample.target, *sample.images.values()))
    codes = np.stack([np.rint((plane - low) / step).clip(0, _LEVELS).astype("<u2") for plane in planes])
    return base64.b64encode(zlib.compress(codes.tobytes(), 6)).decode("ascii")
