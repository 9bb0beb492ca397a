"""What is measured of each crop of the test patients, for one denoiser and one seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from invariance.latents import HeldOut, moments
from invariance.scans import Crop
from sinograd.invariance import (
    Autoencoder,
    ConditionalVAE,
    LatentMoments,
    Reprojected,
    Sampler,
    consistency,
    denoise_again,
    maps,
    sample_given,
    similarities,
)
from sinograd.io.storage.atomic import replacing
from study.config import digest

_BATCH = 16  # crops at once


@dataclass(frozen=True)
class Row:
    """One crop. Differences are means over pixels (and samples) in HU.

    difference, deviation: of samples to x, and of samples among each other. content, learnt: mean cosine similarities.
    own: of the denoised samples to the denoised crop; others: of other crops' denoised ones to it. shuffled, prior: as
    `own`, of samples with another crop's condition and of decoded N(0, I). reconstructed, twin: errors of both
    autoencoders; their squared errors. baseline: of x that was projected and denoised again; NaN where nothing is.
    """

    denoiser: str
    seed: int
    patient: int
    slice: int
    top: int
    left: int
    lesion: bool
    difference: float
    deviation: float
    content: float
    learnt: float
    own: float
    others: float
    shuffled: float
    prior: float
    reconstructed: float
    reconstructed_squared: float
    twin: float
    twin_squared: float
    baseline: float


@dataclass(frozen=True, eq=False)
class Measured:
    """rows: of all crops. latents: of many patients' crops; tested: of the test crops. For figures: samples
    [N, K, 1, size, size] and denoised crops."""

    rows: list[Row]
    latents: LatentMoments
    tested: LatentMoments
    samples: Tensor
    denoised: Tensor


@dataclass(frozen=True, eq=False)
class Tools:
    """What all denoisers share: the twin, an embedding, numbers of samples, and slices by patient in HU.

    cache: a folder where measures are kept; key: of the twin, the embedding, the crops and the numbers.
    """

    twin: Autoencoder
    embedding: Callable[[Tensor], Tensor]
    samples: int
    control_samples: int
    slices: dict[int, Tensor]
    cache: Path
    key: str

    @torch.no_grad()
    def codes(self, x: Tensor) -> Tensor:
        """In the unconditional autoencoder's space."""
        return self.twin.vae.encode(ConditionalVAE.normalise(x)).mean

    @torch.no_grad()
    def learnt(self, x: Tensor) -> Tensor:
        """In the embedding."""
        return self.embedding(ConditionalVAE.normalise(x))


def measured(depends: str, key: tuple[str, int], tools: Tools, make: Callable[[], Measured]) -> Measured:
    """What `make` measures, kept and found again by all that it depends on, so that a stopped run goes on."""
    name = f"{key[0]}-seed-{key[1]}-{digest([tools.key, depends])[:12]}.pt"
    file = tools.cache / name
    if file.is_file():
        held = torch.load(file, weights_only=True)
        rows = [Row(**row) for row in held["rows"]]
        latents, tested = (LatentMoments(**held[name]) for name in ("latents", "tested"))
        return Measured(rows, latents, tested, held["samples"], held["denoised"])
    found = make()
    latents = {"latents": asdict(found.latents), "tested": asdict(found.tested)}
    plain = {"rows": [asdict(row) for row in found.rows], **latents}
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file, force=True) as temporary:
        torch.save({**plain, "samples": found.samples, "denoised": found.denoised}, temporary)
    return found


@torch.no_grad()
def measure(
    key: tuple[str, int],
    sampler: Sampler,
    tools: Tools,
    crops: Sequence[Crop],
    images: tuple[Tensor, Tensor | None],
    held_out: HeldOut,
    pipeline: Reprojected | None = None,
) -> Measured:
    """All that is measured.

    Args:
        key: name of the denoiser, seed.
        sampler: its models.
        tools: what all share.
        crops: of test patients.
        images: the crops x [N, 1, size, size] in HU, and what a pipeline made of them.
        held_out: crops of other patients, for the moments of latents.
        pipeline: to denoise samples again, of a denoiser that starts from projections.
    """
    x, target = images
    generator = torch.Generator().manual_seed(key[1])
    denoised = sampler.condition(x, target)
    samples = sample_given(denoised, sampler.vae, sampler.flow, tools.samples, generator)
    few = tools.control_samples
    shuffled = sample_given(denoised.roll(len(x) // 2, 0), sampler.vae, sampler.flow, few, generator)
    prior = sample_given(denoised, sampler.vae, None, few, generator)
    again, bases = _again(sampler, samples, crops, tools, pipeline)
    found, drawn = consistency(denoised, again), maps(x, samples)
    controls = [consistency(denoised, _again(sampler, one, crops, tools, pipeline)[0]).own for one in (shuffled, prior)]
    baseline = torch.full((len(x),), torch.nan) if bases is None else _mean((bases - denoised).abs())
    made = _reconstructed(sampler.vae, x, denoised)
    twin = _reconstructed(tools.twin.vae, x, None)
    columns = {
        "difference": drawn.mean_difference,
        "deviation": _mean(drawn.deviation),
        "content": similarities(tools.codes, x, samples).mean(dim=1),
        "learnt": similarities(tools.learnt, x, samples).mean(dim=1),
        "own": found.own,
        "others": found.others,
        "shuffled": controls[0],
        "prior": controls[1],
        "reconstructed": _mean((made - x).abs()),
        "reconstructed_squared": _mean((made - x).square()),
        "twin": _mean((twin - x).abs()),
        "twin_squared": _mean((twin - x).square()),
        "baseline": baseline,
    }
    rows = []
    for i, crop in enumerate(crops):
        place = (crop.patient, crop.place.slice or 0, crop.place.top, crop.place.left, crop.lesion)
        rows.append(Row(*key, *place, **{name: float(values[i]) for name, values in columns.items()}))
    tested = HeldOut(x, target, [crop.patient for crop in crops], held_out.draws)
    found_latents, found_tested = (moments(sampler, each, generator) for each in (held_out, tested))
    return Measured(rows, found_latents, found_tested, samples, denoised)


def _again(
    sampler: Sampler, samples: Tensor, crops: Sequence[Crop], tools: Tools, pipeline: Reprojected | None
) -> tuple[Tensor, Tensor | None]:
    """Denoised samples and, of a pipeline, the baselines."""
    if pipeline is None:
        parts = [sampler.condition(part) for part in samples.flatten(0, 1).split(_BATCH * 4)]
        return torch.cat(parts).unflatten(0, samples.shape[:2]), None
    made = []
    for crop, own in zip(crops, samples, strict=True):
        slices = tools.slices[crop.patient]
        place = type(crop.place)(crop.place.top, crop.place.left)
        made.append(denoise_again(pipeline, slices[crop.place.slice or 0], own, place))
    return torch.stack([one.samples for one in made]), torch.stack([one.baseline for one in made])


def _reconstructed(vae: ConditionalVAE, x: Tensor, denoised: Tensor | None) -> Tensor:
    """From the mean of the posterior."""
    condition = None if denoised is None else ConditionalVAE.normalise(denoised)
    return vae.to_hu(vae.decode(vae.encode(ConditionalVAE.normalise(x), condition).mean, condition))


def _mean(values: Tensor) -> Tensor:
    return values.flatten(1).mean(dim=1)
