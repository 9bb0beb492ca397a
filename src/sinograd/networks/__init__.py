"""Published denoising networks: images [B, 1, Y, X] of any size in, images of the same size out.

They work on normalised numbers; `sinograd.models.NetworkDenoiser` applies them to volumes in the units of the data.
"""

from torch import nn

from sinograd.networks.cnn10 import CNN10
from sinograd.networks.noise2noise_unet import Noise2NoiseUNet
from sinograd.networks.qae import QAE
from sinograd.networks.red_cnn import REDCNN

# By the names that configurations and model files use.
NETWORKS: dict[str, type[nn.Module]] = {
    "cnn-10": CNN10,
    "noise2noise-unet": Noise2NoiseUNet,
    "qae": QAE,
    "red-cnn": REDCNN,
}

__all__ = ["CNN10", "NETWORKS", "QAE", "REDCNN", "Noise2NoiseUNet"]
