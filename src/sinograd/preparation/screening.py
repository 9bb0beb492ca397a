"""Reference and dark images that are bad as a whole: black, of another brightness, with the sample left in them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

# Blocks of an image that are compared, along its rows and columns: their means hardly have noise.
BLOCKS = 32

# Part of the brightest images' level below which an image holds no light.
BLACK = 0.1

# Part of the references' level that the missing offset of a dark image without any must be.
NO_OFFSET = 1e-3

# Deviations of the level and of a block's attenuation from the images of the same time, and from those of other or
# unknown times: there the beam may have changed.
SAME_TIME, OTHER_TIME = (0.2, 0.1), (0.55, 0.25)

# ... and so many times what the other images deviate by.
OUTLYING = 6.0

# One of so many images is bad that deviates by more than this, if it alone deviates so many times.
LONE, LONE_OF = 0.05, 4


def screen_references(images: Tensor, group: np.ndarray, dark: Tensor | None, *, timed: bool = True) -> dict[int, str]:
    """Which of the references [n, rows, columns] are to be left out of the mean, with the reason.

    group: [n], images of the same number were taken together (`reference_times`). dark: [rows, columns]. timed: the
    times are known; else all have one number.
    """
    if len(images) < 2:
        return {}
    blocks = _block_means(images)
    if dark is not None:
        blocks = blocks - _block_means(dark[None])
    levels = np.nanmedian(np.where(np.isfinite(blocks), blocks, np.nan), axis=1)
    brightest = np.nanmax(levels)
    if not brightest > 0:
        return {}
    bad = {int(i): _share(levels[i], brightest) for i in np.flatnonzero(levels < BLACK * brightest)}
    for number in np.unique(group):
        members = [int(i) for i in np.flatnonzero(group == number) if int(i) not in bad]
        bad.update(_outliers(blocks, levels, members, *(SAME_TIME if timed else OTHER_TIME)))
    good = [i for i in range(len(images)) if i not in bad]
    bad.update(_attenuated(blocks, levels, good, OTHER_TIME[1]))
    return dict(sorted(bad.items()))


def screen_darks(images: Tensor, response: float) -> dict[int, str]:
    """Which of the dark images [n, rows, columns] hold light or no offset; `response`: the reference's level."""
    if len(images) < 2:
        return {}
    levels = np.median(_block_means(images), axis=1)
    middle = float(np.median(levels)) if len(levels) > 2 else float(levels.min())
    spread = OUTLYING * float(np.median(np.abs(levels - middle))) if len(levels) > 2 else 0.0
    lit = levels - middle > max(spread, BLACK * abs(response))
    highest = float(levels[~lit].max())
    offset = middle if len(levels) > 2 else highest
    empty = (levels <= BLACK * offset) & (offset - levels > max(spread, NO_OFFSET * abs(response)))
    return {
        int(i): f"its level is {levels[i]:.4g}, the others' {middle if lit[i] else offset:.4g}"
        for i in np.flatnonzero(lit | empty)
    }


def _outliers(
    blocks: np.ndarray, levels: np.ndarray, members: list[int], level: float, attenuation: float
) -> dict[int, str]:
    """Those of one time that are darker or brighter than the others, or attenuated in places."""
    if len(members) < 2:
        return {}
    own = levels[members]
    if len(members) == 2:
        bad = {}
        if own.min() < 0.5 * own.max():
            bad[members[int(own.argmin())]] = _share(own.min(), own.max())
    else:
        middle = float(np.median(own))
        limit = max(level * middle, OUTLYING * float(np.median(np.abs(own - middle))))
        away = np.abs(own - middle)
        if len(members) >= LONE_OF:
            limit = min(limit, max(LONE * middle, OUTLYING * float(np.sort(away)[-2])))
        bad = {i: _share(levels[i], middle) for i in members if abs(levels[i] - middle) > limit}
    return bad | _attenuated(blocks, levels, [i for i in members if i not in bad], attenuation)


def _attenuated(blocks: np.ndarray, levels: np.ndarray, members: list[int], limit: float) -> dict[int, str]:
    """Those with blocks that are darker than the others', relative to the rest of their image."""
    if len(members) < 2:
        return {}
    scaled = blocks[members] / levels[members, None]
    lit = (scaled > 2 * BLACK).any(0)
    if not lit.any():
        return {}
    text = "it is up to {:.0%} darker in places, as if the sample was left in it"
    if len(members) == 2:
        ratio = scaled[0, lit] / np.maximum(scaled[1, lit], 1e-3)
        loss = 1 - min(_loss(ratio), _loss(1 / np.maximum(ratio, 1e-3)))
        darker = members[int(blocks[members].mean(1).argmin())]
        return {darker: text.format(loss)} if loss > max(limit, OTHER_TIME[1]) else {}
    ratio = scaled[:, lit] / np.maximum(np.median(scaled[:, lit], axis=0), 1e-3)
    losses = 1 - np.array([_loss(r) for r in ratio])
    typical = float(np.median(losses))
    return {i: text.format(v) for i, v in zip(members, losses, strict=True) if v > max(limit, OUTLYING * typical)}


def _loss(ratio: np.ndarray) -> float:
    """The least of the ratios over those of the brighter part, after leaving out the lowest (a hair, a defect)."""
    ordered = np.sort(ratio)
    return float(
        ordered[min(len(ordered) // 200, len(ordered) - 1)] / max(ordered[int(0.8 * (len(ordered) - 1))], 1e-6)
    )


def _share(level: float, other: float) -> str:
    return f"its level is {max(level, 0.0) / max(other, 1e-30):.0%} of the others'"


def _block_means(images: Tensor) -> np.ndarray:
    """Means of the finite values of up to 32 x 32 blocks, float64 [n, blocks]."""
    rows, columns = images.shape[-2:]
    size = (min(rows, BLOCKS), min(columns, BLOCKS))
    rest = []
    for image in images:
        good = torch.isfinite(image)
        sums = torch.nn.functional.adaptive_avg_pool2d(torch.where(good, image, 0.0)[None], size)
        share = torch.nn.functional.adaptive_avg_pool2d(good.float()[None], size)
        rest.append((sums / share.clamp_min(1e-6)).flatten().double().numpy())
    return np.stack(rest)
