"""Where a job computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sinograd.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    import torch


def chosen_device(name: str, kernels: bool = True) -> torch.device:
    """The device of that name; InputError, with the remedy, where it cannot be computed on (see `compute_device`)."""
    from sinograd.ops.devices import DeviceError, compute_device

    try:
        return compute_device(name, kernels)
    except DeviceError as error:
        raise InputError(f"`device={name!r}`: {error.reason}") from None
    except MissingPackageError as error:
        raise InputError(f"`device={name!r}`: {error}") from None
