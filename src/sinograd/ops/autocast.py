"""Operators that compute in float32 where mixed precision (`torch.autocast`) is on."""

from __future__ import annotations

from typing import Any

import torch
from torch.amp.autocast_mode import _cast

DEVICES = ("cpu", "cuda")


def in_float32(*operators: Any) -> None:
    """Make operators of `torch.library` cast their tensors to float32 under autocast, on any device; float64 stays."""
    register = getattr(torch.library, "register_autocast", _register)  # torch 2.6 has none
    for operator in operators:
        for device in DEVICES:
            register(operator, device, torch.float32)


def _register(operator: Any, device: str, dtype: torch.dtype) -> None:
    """What `torch.library.register_autocast` of torch 2.7 does: a kernel that casts, then calls without autocast."""
    key = f"Autocast{device.upper()}"
    keys = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, key))

    def kernel(_: Any, *arguments: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(keys):
            return operator._opoverload(*_cast(arguments, device, dtype))

    operator._lib.impl(operator._name, kernel, key, with_keyset=True)
