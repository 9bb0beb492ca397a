"""The device that a caller asks for, checked before anything is copied to it."""

from __future__ import annotations

import torch

from sinograd.errors import InputError
from sinograd.ops.cuda.program import cuda_core


class DeviceError(InputError):
    """A device that cannot be computed on.

    Attributes:
        reason: what was expected, what came, and the remedy.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"device: {reason}")
        self.reason = reason


def why_no_gpu() -> str | None:
    """What to do where torch sees no GPU; None where it sees one."""
    if torch.cuda.is_available():
        return None
    if torch.version.cuda is None:
        return "this torch is a build for the CPU, the one for CUDA is on https://pytorch.org"
    return "nvidia-smi tells whether NVIDIA's driver does"


def compute_device(device: torch.device | str, kernels: bool = True) -> torch.device:
    """The CPU or a GPU with its number.

    Args:
        device: as torch names it.
        kernels: whether the kernels of sinograd shall run there, rather than torch alone.

    Raises:
        DeviceError: another kind of device, or a GPU that is not there; says what to do.
        ImportError: a GPU, and the package that its kernels need is missing.
    """
    try:
        where = torch.device(device)
    except (RuntimeError, TypeError):
        raise DeviceError(f"expected cpu, cuda or cuda:1 ..., got {device!r}") from None
    if where.type == "cpu":
        return torch.device("cpu")
    if where.type != "cuda":
        raise DeviceError(f"expected cpu, cuda or cuda:1 ..., got {str(where)!r}: there are no kernels for that")
    remedy = why_no_gpu()
    if remedy is not None:
        raise DeviceError(f"expected one that is here, got {str(where)!r}, and torch sees no GPU: {remedy}")
    count = torch.cuda.device_count()
    index = torch.cuda.current_device() if where.index is None else where.index
    if index >= count:
        raise DeviceError(f"expected one of the GPUs here, cuda:0 to cuda:{count - 1}, got {str(where)!r}")
    if kernels:
        cuda_core()
    return torch.device("cuda", index)
