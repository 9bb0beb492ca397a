"""Images that a denoiser takes for the same.

Eulig et al., Medical Physics 52(1), 2025, section 2.3.3: draw v from N(0, I), z = t^-1(v; y), x = D(z, y), with y the
denoised image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sinograd.errors import InputError, InputTypeError
from sinograd.invariance.arguments import check_images
from sinograd.invariance.flow import ConditionalFlow
from sinograd.invariance.vae import ConditionalVAE

Denoiser = Callable[[Tensor], Tensor]
_BATCH = 64  # images that are decoded at once


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    vae: ConditionalVAE,
    flow: ConditionalFlow | None,
    x: Tensor,
    samples: int,
    generator: torch.Generator,
) -> Tensor:
    """Images that differ from `x` only in what the denoiser ignores, as far as the models have learnt that.

    Args:
        denoiser: any callable from images [B, 1, size, size] in HU to denoised ones: a network, a filter, a pipeline.
        vae: trained with this denoiser's images as conditions.
        flow: trained with the latents of `vae`; None decodes N(0, I) itself, a control.
        x: images [B, 1, size, size] in HU, size that of `vae`.
        samples: how many of each.
        generator: of the normal numbers, on the CPU; its state decides the result, no matter how images are batched.

    Returns:
        [B, samples, 1, size, size] in HU.

    Raises:
        InputError: other shapes, values that are not finite, a flow of other sizes; a denoiser whose output has another
            shape or is not finite. InputTypeError: whole numbers, or a denoiser that returns no tensor.
    """
    check_images("x", x, vae.size, vae.head.weight.dtype)
    return sample_given(denoise(denoiser, x), vae, flow, samples, generator)


@torch.no_grad()
def sample_given(
    denoised: Tensor, vae: ConditionalVAE, flow: ConditionalFlow | None, samples: int, generator: torch.Generator
) -> Tensor:
    """As `sample`, of denoised images [B, 1, size, size] in HU that exist already, from a pipeline say."""
    _check_models(vae, flow, samples)
    weight = vae.head.weight
    check_images("denoised", denoised, vae.size, weight.dtype)
    condition = vae.normalise(denoised).to(weight.device)
    v = torch.randn(len(denoised) * samples, vae.latent, generator=generator, dtype=weight.dtype).to(weight.device)
    condition_of = torch.arange(len(denoised), device=weight.device).repeat_interleave(samples)
    parts = []
    with evaluating(vae, flow):
        for rows, which in zip(v.split(_BATCH), condition_of.split(_BATCH), strict=True):
            z = rows if flow is None else flow.inverse(rows, condition[which])
            parts.append(vae.to_hu(vae.decode(z, condition[which])).to(denoised.device))
    return torch.cat(parts).unflatten(0, (len(denoised), samples))


@torch.no_grad()
def denoise(denoiser: Denoiser, x: Tensor) -> Tensor:
    """Denoised images, checked.

    Args:
        denoiser: takes and returns images in HU.
        x: [B, 1, Y, X] in HU.

    Raises:
        InputTypeError: the denoiser returns no tensor.
        InputError: it returns another shape, or NaN or infinite values.
    """
    denoised = denoiser(x.clone())
    if not isinstance(denoised, Tensor):
        raise InputTypeError(f"denoiser: expected it to return a tensor, got {type(denoised).__name__}")
    if denoised.shape != x.shape:
        raise InputError(f"denoiser: expected an output of shape {list(x.shape)}, got {list(denoised.shape)}")
    if not bool(torch.isfinite(denoised).all()):
        raise InputError("denoiser: expected finite values, its output has NaN or infinite ones")
    return denoised.to(x.dtype)


def _check_models(vae: ConditionalVAE, flow: ConditionalFlow | None, samples: int) -> None:
    if samples < 1:
        raise InputError(f"samples: expected at least 1, got {samples}")
    if not vae.conditional:
        raise InputError("vae: expected a conditional autoencoder, got the unconditional twin")
    if flow is None:
        return
    expected, sizes = (vae.latent, 1, vae.size), (flow.latent, flow.condition_channels, flow.condition_size)
    if sizes != expected:
        raise InputError(
            "flow: expected latent, condition_channels and condition_size as the autoencoder's, "
            f"{expected}, got {sizes}: it was trained for another autoencoder or another crop size"
        )


@contextmanager
def evaluating(*models: nn.Module | None) -> Iterator[None]:
    """Models in evaluation mode, and back in theirs at the end."""
    modes = [(module, module.training) for model in models if model is not None for module in model.modules()]
    for module, _ in modes:
        module.training = False
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
