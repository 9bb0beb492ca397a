"""What a denoiser ignores: images that it takes for the same, sampled and analysed.

A conditional variational autoencoder learns what an image holds beside its denoised version, an invertible network
which of that is compatible with the denoised image. Needs the extra `invariance` (FrEIA). Not imported with sinograd.
"""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.invariance.analysis import Comparison, Maps, at_quantiles, compare, maps, similarities
    from sinograd.invariance.controls import Constant, LesionEraser, Shuffled, identity
    from sinograd.invariance.criteria import (
        Consistency,
        Exposure,
        LatentMoments,
        Reconstruction,
        at_the_ends,
        consistency,
        exposure,
        latent_moments,
        reconstruction,
    )
    from sinograd.invariance.denoisers import KnownDenoiser, known_denoiser
    from sinograd.invariance.embedding import Embedding, triplet_loss, triplets
    from sinograd.invariance.flow import ConditionalFlow, flow_loss
    from sinograd.invariance.model_files import load_autoencoder, load_embedding, load_sampler, save_invariance
    from sinograd.invariance.report import InvarianceReport, Spaces, analyse, save_invariance_report
    from sinograd.invariance.reprojection import DenoisedAgain, Place, Reprojected, crop_of, denoise_again, pasted
    from sinograd.invariance.sampler import Autoencoder, Sampler
    from sinograd.invariance.sampling import denoise, sample, sample_given
    from sinograd.invariance.vae import ConditionalVAE, Posterior
    from sinograd.invariance.vae_loss import PatchCritic, divergence, negative_elbo, perceptual

__all__ = [
    "Autoencoder",
    "Comparison",
    "ConditionalFlow",
    "ConditionalVAE",
    "Consistency",
    "Constant",
    "DenoisedAgain",
    "Embedding",
    "Exposure",
    "InvarianceReport",
    "KnownDenoiser",
    "LatentMoments",
    "LesionEraser",
    "Maps",
    "PatchCritic",
    "Place",
    "Posterior",
    "Reconstruction",
    "Reprojected",
    "Sampler",
    "Shuffled",
    "Spaces",
    "analyse",
    "at_quantiles",
    "at_the_ends",
    "compare",
    "consistency",
    "crop_of",
    "denoise",
    "denoise_again",
    "divergence",
    "exposure",
    "flow_loss",
    "identity",
    "known_denoiser",
    "latent_moments",
    "load_autoencoder",
    "load_embedding",
    "load_sampler",
    "maps",
    "negative_elbo",
    "pasted",
    "perceptual",
    "reconstruction",
    "sample",
    "sample_given",
    "save_invariance",
    "save_invariance_report",
    "similarities",
    "triplet_loss",
    "triplets",
]

attach(__name__)
