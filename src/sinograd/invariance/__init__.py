"""What a denoiser ignores: images that it takes for the same, sampled and analysed.

A conditional variational autoencoder learns what an image holds beside its denoised version, an invertible network
which of that is compatible with the denoised image. Needs the extra `invariance` (FrEIA). Not imported with sinograd.
"""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.invariance.flow import ConditionalFlow, flow_loss

__all__ = ["ConditionalFlow", "flow_loss"]

attach(__name__)
