"""Whether the latents of held-out crops are normal: measured on many crops of patients of their own.

The crops of the test patients are too few for it: of 100 crops the largest of 64 means is expected at 0.26 even where
all are 0. Patients are as many as the standard errors ask for, crops are drawn as for training, anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from invariance.scans import Patient
from invariance.settings import Study
from sinograd.invariance import ConditionalVAE, LatentMoments, Place, Sampler, crop_of, latent_moments
from study.data import noise_generator

_BATCH = 64  # crops at once


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Crops [N, 1, size, size] in HU, what a pipeline made of them, whose each is. draws: of the latents of each."""

    x: Tensor
    target: Tensor | None
    patients: list[int]
    draws: int


def held_out(study: Study, items: Sequence[Patient], made: Sequence[Tensor] | None, size: int) -> HeldOut:
    """Crops at places that are drawn from the patients' seeds."""
    inputs, targets = [], []
    for index, item in enumerate(items):
        generator = noise_generator(item.seed, 2)
        ends = [n - size + 1 for n in item.low.shape[1:]]
        for _ in range(study.latents.per_patient):
            z, top, left = (int(torch.randint(end, (), generator=generator)) for end in (len(item.low), *ends))
            place = Place(top, left, z)
            inputs.append(crop_of(item.low, place, size))
            if made is not None:
                targets.append(crop_of(made[index], place, size))
    patients = [item.seed for item in items for _ in range(study.latents.per_patient)]
    return HeldOut(torch.stack(inputs), torch.stack(targets) if targets else None, patients, study.latents.draws)


@torch.no_grad()
def moments(sampler: Sampler, crops: HeldOut, generator: torch.Generator) -> LatentMoments:
    """Of v = t(z; condition), z drawn from the posterior as in training."""
    parts, found = crops.x.split(_BATCH), []
    targets = [None] * len(parts) if crops.target is None else crops.target.split(_BATCH)
    for x, target in zip(parts, targets, strict=True):
        condition = ConditionalVAE.normalise(sampler.condition(x, target))
        posterior = sampler.vae.encode(ConditionalVAE.normalise(x), condition)
        z = torch.stack([posterior.sample(generator) for _ in range(crops.draws)])
        found.append(sampler.flow.of_draws(z, condition)[0].transpose(0, 1))
    patients = [patient for patient in crops.patients for _ in range(crops.draws)]
    return latent_moments(torch.cat(found).flatten(0, 1), patients)
