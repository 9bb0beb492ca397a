"""A report of what denoisers ignore: numbers of crops, and one page with sliders that needs nothing but a browser."""

from __future__ import annotations

import base64
import json
import math
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sinograd.datasets import PairedVolume
from sinograd.errors import InputError, UnitError
from sinograd.invariance.analysis import maps, similarities
from sinograd.invariance.criteria import consistency
from sinograd.invariance.embedding import Embedding
from sinograd.invariance.sampler import Autoencoder, Sampler
from sinograd.invariance.sampling import sample_given
from sinograd.invariance.vae import ConditionalVAE
from sinograd.io.storage.atomic import replacing
from sinograd.view import check_page_path
from sinograd.view.page import filled

_LEVEL, _WINDOW, _REACH = -600.0, 1500.0, 300.0  # HU, the paper's
_LARGEST = 32_000  # HU, of what is stored
HEADS = (
    "",
    "MD, HU",
    "content similarity",
    "embedding",
    "denoised samples",
    "shuffled conditions",
    "decoded N(0, I)",
)
_ABOUT = (
    "Samples are images that a denoiser should take for the same as x: what differs between them it ignores. They are "
    "drawn with models trained for each denoiser, which may be wrong: denoised, a sample should be near f(x)."
)
_NOTES = (
    "MD: mean absolute difference of samples to x, the autoencoder's own error among it. Similarities: means of "
    "cosines; lower ones mean that more of the content is ignored.",
    "The last three columns: how far denoised samples are from f(x), as a share of how far other crops' denoised "
    "images are. At most 0.2 is good; with shuffled conditions and without the invertible network it has to be more.",
)


@dataclass(frozen=True, eq=False)
class DenoiserReport:
    """What samples say of one denoiser.

    Attributes:
        name: of the denoiser.
        difference: MD in HU, mean over crops.
        content, learnt: mean similarities; NaN without the twin, or the embedding.
        own, shuffled, prior: shares of the distance of other crops; NaN where these are all the same.
        denoised: [N, 1, size, size] in HU. samples, again: [N, K, 1, size, size], `again` denoised.
    """

    name: str
    difference: float
    content: float
    learnt: float
    own: float
    shuffled: float
    prior: float
    denoised: Tensor
    samples: Tensor
    again: Tensor


@dataclass(frozen=True, eq=False)
class InvarianceReport:
    """Of several denoisers on the same crops: their names, the crops x [N, 1, size, size] in HU, one report each."""

    crops: tuple[str, ...]
    x: Tensor
    denoisers: tuple[DenoiserReport, ...]


@dataclass(frozen=True, eq=False)
class Spaces:
    """Where similarities are measured: the unconditional twin, an embedding; None: not measured."""

    twin: Autoencoder | None = None
    embedding: Embedding | None = None


@torch.no_grad()
def analyse(
    samplers: Sequence[Sampler],
    pairs: Sequence[PairedVolume],
    spaces: Spaces,
    *,
    crops: int = 8,
    samples: int = 6,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> InvarianceReport:
    """Sample the invariances of denoisers on random crops.

    Args:
        samplers: one for each denoiser, of crops of one size.
        pairs: in HU; targets are the images of a denoiser that starts from projections, and not needed otherwise.
        spaces: for similarities.
        crops: how many, taken in turn from the volumes. samples: of each, at least 2. seed: of both.
        progress: called with (denoisers done, denoisers).

    Raises:
        InputError: no samplers, other sizes, too few crops or samples, slices that are smaller than crops, targets
            missing; a twin with a condition. UnitError: volumes in another unit.
    """
    size = _check(samplers, pairs, spaces, crops, samples)
    generator = torch.Generator().manual_seed(seed)
    names, x, targets = _crops(pairs, size, crops, generator)
    found = []
    for number, sampler in enumerate(samplers):
        found.append(_analysed(sampler, x, targets, spaces, samples, generator))
        if progress is not None:
            progress(number + 1, len(samplers))
    return InvarianceReport(tuple(names), x, tuple(found))


def _analysed(
    sampler: Sampler, x: Tensor, targets: Tensor | None, spaces: Spaces, samples: int, generator: torch.Generator
) -> DenoiserReport:
    denoised = sampler.condition(x, targets)
    drawn = sample_given(denoised, sampler.vae, sampler.flow, samples, generator)
    controls = (
        sample_given(denoised.roll(1, 0), sampler.vae, sampler.flow, 2, generator),
        sample_given(denoised, sampler.vae, None, 2, generator),
    )
    again = _again(sampler, drawn)
    shares = [consistency(denoised, one).share for one in (again, *(_again(sampler, one) for one in controls))]
    codes: list[Callable[[Tensor], Tensor] | None] = [None, spaces.embedding]
    if spaces.twin is not None:
        twin = spaces.twin.vae
        codes[0] = lambda values: twin.encode(values).mean
    similar = [
        math.nan
        if code is None
        else float(similarities(lambda values, code=code: code(ConditionalVAE.normalise(values)), x, drawn).mean())
        for code in codes
    ]
    difference = float(maps(x, drawn).mean_difference.mean())
    (content, learnt), (own, shuffled, prior) = similar, shares
    return DenoiserReport(
        sampler.denoiser.name, difference, content, learnt, own, shuffled, prior, denoised, drawn, again
    )


def _again(sampler: Sampler, samples: Tensor) -> Tensor:
    """Denoised samples; NaN of a denoiser that starts from projections, which needs more than crops."""
    if sampler.denoiser.call is None:
        return torch.full_like(samples, math.nan)
    return sampler.condition(samples.flatten(0, 1)).unflatten(0, samples.shape[:2])


def save_invariance_report(
    report: InvarianceReport,
    path: str | os.PathLike[str],
    *,
    title: str = "What denoisers ignore",
    details: Mapping[str, str] | None = None,
    force: bool = False,
) -> Path:
    """Write a self-contained HTML page: for each denoiser what changed and what it did not notice, with sliders.

    Values are stored in whole HU. Returns the path. Raises as `sinograd.view.check_page_path`.
    """
    target = check_page_path(path, force=force)
    first = report.denoisers[0]
    meta = {
        "title": title,
        "about": _ABOUT,
        "heads": list(HEADS),
        "rows": [cells(one) for one in report.denoisers],
        "notes": list(_NOTES),
        "size": report.x.shape[-1],
        "crops": list(report.crops),
        "samples": first.samples.shape[1],
        "denoisers": [one.name for one in report.denoisers],
        "window": [_LEVEL, _WINDOW],
        "reach": _REACH,
        "details": [list(item) for item in (details or {}).items()],
    }
    held: dict[str, Any] = {"x": _packed(report.x), "denoisers": []}
    for one in report.denoisers:
        known = one.again if bool(torch.isfinite(one.again).all()) else one.denoised[:, None].expand_as(one.samples)
        held["denoisers"].append(
            {"denoised": _packed(one.denoised), "samples": _packed(one.samples), "again": _packed(known)}
        )
    page = filled("sinograd.invariance", meta, json.dumps(held).encode())
    with replacing(target, force=force, needed=len(page)) as temporary:
        temporary.write_bytes(page)
    return target


def cells(one: DenoiserReport) -> list[str]:
    """A row of the table with the heads `HEADS`."""
    numbers = ((one.content, 3), (one.learnt, 3), (one.own, 2), (one.shuffled, 2), (one.prior, 2))
    texts = ["-" if math.isnan(value) else f"{value:.{digits}f}" for value, digits in numbers]
    return [one.name, f"{one.difference:.1f}", *texts]


def _packed(values: Tensor) -> str:
    whole = values.round().clamp(-_LARGEST, _LARGEST).to(torch.int16).contiguous().numpy()
    return base64.b64encode(zlib.compress(whole.astype("<i2").tobytes(), 6)).decode()


def _crops(
    pairs: Sequence[PairedVolume], size: int, count: int, generator: torch.Generator
) -> tuple[list[str], Tensor, Tensor | None]:
    """Names, crops and, if all volumes have some, targets."""
    names, inputs, targets = [], [], []
    for number in range(count):
        pair = pairs[number % len(pairs)]
        index, top, left = (
            int(torch.randint(end, (), generator=generator))
            for end in (pair.shape[0], *(n - size + 1 for n in pair.shape[1:]))
        )
        square = (..., slice(top, top + size), slice(left, left + size))
        names.append(f"{pair.name}, slice {index}, row {top}, column {left}")
        inputs.append(pair.inputs[0].read(index, index + 1)[square].float())
        if pair.target is not None:
            targets.append(pair.target.read(index, index + 1)[square].float())
    return names, torch.stack(inputs), torch.stack(targets) if len(targets) == count else None


def _check(samplers: Sequence[Sampler], pairs: Sequence[PairedVolume], spaces: Spaces, crops: int, samples: int) -> int:
    """The size of the crops."""
    sizes = {sampler.size for sampler in samplers} | ({spaces.twin.vae.size} if spaces.twin else set())
    if not samplers or len(sizes) != 1:
        raise InputError(f"samplers: expected some, all of crops of one size, got sizes {sorted(sizes)}")
    if spaces.twin is not None and spaces.twin.vae.conditional:
        raise InputError("twin: expected an unconditional autoencoder, got a conditional one")
    if crops < 2 or samples < 2:
        raise InputError(f"crops, samples: expected at least 2 of both, got {crops} and {samples}")
    size = sizes.pop()
    for pair in pairs:
        if pair.unit != "HU":
            raise UnitError(f"{pair.name}: expected values in HU, the volume is in {pair.unit}")
        if min(pair.shape[1:]) < size:
            raise InputError(f"{pair.name}: expected slices of at least {size}^2, got {list(pair.shape)}")
    if not pairs:
        raise InputError("pairs: expected at least one volume, got none")
    return size
