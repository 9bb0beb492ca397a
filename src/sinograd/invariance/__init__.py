"""What a denoiser ignores: images that it takes for the same, sampled and analysed.

A conditional variational autoencoder learns what an image holds beside its denoised version, an invertible network
which of that is compatible with the denoised image. Needs the extra `invariance` (FrEIA). Not imported with sinograd.
"""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.invariance.analysis import Comparison, Maps, compare, maps, similarities
    from sinograd.invariance.controls import Constant, LesionEraser, Shuffled, identity
    from sinograd.invariance.embedding import Embedding, triplet_loss, triplets
    from sinograd.invariance.flow import ConditionalFlow, flow_loss
    from sinograd.invariance.sampling import denoise, sample
    from sinograd.invariance.vae import ConditionalVAE, Posterior
    from sinograd.invariance.vae_loss import PatchCritic, divergence, negative_elbo, perceptual

__all__ = [
    "Comparison",
    "ConditionalFlow",
    "ConditionalVAE",
    "Constant",
    "Embedding",
    "LesionEraser",
    "Maps",
    "PatchCritic",
    "Posterior",
    "Shuffled",
    "compare",
    "denoise",
    "divergence",
    "flow_loss",
    "identity",
    "maps",
    "negative_elbo",
    "perceptual",
    "sample",
    "similarities",
    "triplet_loss",
    "triplets",
]

attach(__name__)
