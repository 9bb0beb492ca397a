"""Published denoising networks: images [B, 1, Y, X], or volumes [B, 1, Z, Y, X], of any size to the same size.

They work on normalised numbers; `sinograd.models.NetworkDenoiser` applies them to volumes in the units of the data.
`NETWORKS` lists them by the names that configurations and model files use.
"""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.choices import NETWORKS
    from sinograd.networks.cnn10 import CNN10
    from sinograd.networks.dugan import DUGAN
    from sinograd.networks.jbfnet import JBFNet
    from sinograd.networks.network import Network
    from sinograd.networks.nn_sp import NNSP
    from sinograd.networks.noise2noise_unet import Noise2NoiseUNet
    from sinograd.networks.qae import QAE
    from sinograd.networks.red_cnn import REDCNN
    from sinograd.networks.struct_kpn import StructKPN
    from sinograd.networks.unet_discriminator import UNetDiscriminator
    from sinograd.networks.wavresnet import WavResNet
    from sinograd.networks.wgan_vgg import WGANVGG, WGANVGGCritic

__all__ = [
    "CNN10",
    "DUGAN",
    "NETWORKS",
    "NNSP",
    "QAE",
    "REDCNN",
    "WGANVGG",
    "JBFNet",
    "Network",
    "Noise2NoiseUNet",
    "StructKPN",
    "UNetDiscriminator",
    "WGANVGGCritic",
    "WavResNet",
]

attach(__name__)
