"""What a denoiser ignores: images that it takes for the same, sampled and analysed.

A conditional variational autoencoder learns what an image holds beside its denoised version, an invertible network
which of that is compatible with the denoised image. Needs the extra `invariance` (FrEIA). Not imported with sinograd.
"""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.invariance.analysis import Comparison, Maps, compare, maps, similarities
    from sinograd.invariance.controls import Constant, LesionEraser, Shuffled, identity
    from sinograd.invariance.denoisers import KnownDenoiser, known_denoiser
    from sinograd.invariance.embedding import Embedding, triplet_loss, triplets
    from sinograd.invariance.flow import ConditionalFlow, flow_loss
    from sinograd.invariance.model_files import load_autoencoder, load_embedding, load_sampler, save_invariance
    from sinograd.invariance.sampler import Autoencoder, Sampler
    from sinograd.invariance.sampling import denoise, sample, sample_given
    from sinograd.invariance.vae import ConditionalVAE, Posterior
    from sinograd.invariance.vae_loss import PatchCritic, divergence, negative_elbo, perceptual

__all__ = [
    "Autoencoder",
    "Comparison",
    "ConditionalFlow",
    "ConditionalVAE",
    "Constant",
    "Embedding",
    "KnownDenoiser",
    "LesionEraser",
    "Maps",
    "PatchCritic",
    "Posterior",
    "Sampler",
    "Shuffled",
    "compare",
    "denoise",
    "divergence",
    "flow_loss",
    "identity",
    "known_denoiser",
    "load_autoencoder",
    "load_embedding",
    "load_sampler",
    "maps",
    "negative_elbo",
    "perceptual",
    "sample",
    "sample_given",
    "save_invariance",
    "similarities",
    "triplet_loss",
    "triplets",
]

attach(__name__)
