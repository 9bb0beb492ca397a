"""Checkpoints of ldct-benchmark for the networks that sinograd has too.

E. Eulig, B. Ommer, M. Kachelriess, "Benchmarking deep learning-based low-dose CT image denoising algorithms", Medical
Physics 51(12), 2024. cnn10.pt, redcnn.pt, qae.pt (3 x 3 kernels), wganvgg.pt and dugan.pt (their generators) from
downloads.eeulig.com/ldct-benchmark are archives with the weights under "model_state_dict" and the options of their
training under "args". The networks were trained on what the files hold, HU + 1024, with the mean 481.454 subtracted and
divided by the standard deviation 502.185; read here they take and give HU. The weights of redcnn.pt and dugan.pt have
the same names and shapes: the option `trainer` tells them apart, and without it they are RED-CNN's.

Differences from that package's own `denoise_numpy` and `denoise_dicom`: up to version 0.0.16 these add the standard
deviation instead of the mean when they undo the normalisation, which leaves 20.7 HU too much. This does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sinograd.errors import ConfigError
from sinograd.models.network_file import FORMAT, VERSION, NetworkEntry, SavedNetwork

# ldctbench/data/info.yml
MEAN, STANDARD_DEVIATION = 481.45419786099086, 502.18507379395044
HU_OFFSET = 1024.0

_NUMBER = {"conv": "encoder", "tconv": "decoder"}
_QUADRATIC = {"W": "weight", "b": "bias"}


def is_ldct_benchmark(content: object) -> bool:
    """Whether an archive looks like one of ldct-benchmark's."""
    return isinstance(content, Mapping) and isinstance(content.get("model_state_dict"), Mapping)


def converted(content: Mapping[str, Any]) -> SavedNetwork:
    """The network of a checkpoint with its weights under our names.

    Raises:
        ConfigError: weights of a network that sinograd does not have.
    """
    weights: dict[str, Any] = dict(content["model_state_dict"])
    if not all(isinstance(name, str) for name in weights):
        raise ConfigError("model_state_dict: expected weights by their names")
    if "layers.0.weight" in weights and len(weights) == 6:
        name, options = "cnn-10", {}
    elif "conv1.weight" in weights and "tconv5.weight" in weights:
        name, options = "red-cnn", {"channels": _size(weights, "conv1.weight", 0)}
        if getattr(content.get("args"), "trainer", None) == "dugan":
            name, options = "dugan", {"preset": "ldct-benchmark", **options}
        weights = {_red_cnn(key): value for key, value in weights.items()}
    elif "net.0.weight" in weights and "net.14.weight" in weights:
        name, options = "wgan-vgg", {"preset": "ldct-benchmark", "channels": _size(weights, "net.0.weight", 0)}
    elif "encoder.0.W_r" in weights:
        first = "encoder.0.W_r"
        name, options = "qae", {"kernel": _size(weights, first, -1), "channels": _size(weights, first, 0)}
        weights = {_qae(key): value for key, value in weights.items()}
    else:
        some = ", ".join(name[:60] for name in list(weights)[:3]) or "none"
        raise ConfigError(
            f"it looks like a checkpoint of ldct-benchmark for a network that sinograd does not have (weights {some} "
            "...); known are cnn10, redcnn, qae, wganvgg and dugan"
        )
    return SavedNetwork(
        FORMAT,
        VERSION,
        NetworkEntry(name, MEAN - HU_OFFSET, STANDARD_DEVIATION, options),
        weights,
        description=f"{name} of ldct-benchmark, for HU",
        trained_on={"data": "LDCT-and-Projection-data, training patients of ldct-benchmark", "unit": "HU"},
    )


def _size(weights: Mapping[str, Any], name: str, axis: int) -> int:
    shape = getattr(weights[name], "shape", ())
    if len(shape) != 4:
        raise ConfigError(f"model_state_dict.{name}: expected weights with four axes, got {list(shape)}")
    return int(shape[axis])


def _red_cnn(key: str) -> str:
    """conv1.weight to encoder.0.weight, tconv1.weight to decoder.0.weight."""
    parts = re.fullmatch(r"(t?conv)([1-5])\.(weight|bias)", key)
    return key if parts is None else f"{_NUMBER[parts[1]]}.{int(parts[2]) - 1}.{parts[3]}"


def _qae(key: str) -> str:
    """encoder.0.W_r to encoder.0.weight_r."""
    parts = re.fullmatch(r"((?:en|de)coder\.\d)\.([Wb])_([rgb])", key)
    return key if parts is None else f"{parts[1]}.{_QUADRATIC[parts[2]]}_{parts[3]}"
