"""Operators under mixed precision. Truth: torch's own rule, float32 for what is float16 or bfloat16, float64 stays."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from sinograd.ops import autocast


@pytest.fixture(params=["by torch", "by hand"])
def twice(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An operator, registered as torch 2.7 and newer do, and as is done for 2.6."""
    name = f"sinograd_test::twice_{request.param.replace(' ', '_')}"

    @torch.library.custom_op(name, mutates_args=())
    def twice(x: Tensor, times: int) -> Tensor:
        return x * times

    @twice.register_fake
    def _(x: Tensor, times: int) -> Tensor:
        return torch.empty_like(x)

    if request.param == "by hand":
        monkeypatch.delattr(torch.library, "register_autocast", raising=False)
    elif not hasattr(torch.library, "register_autocast"):
        pytest.skip("this torch has none")
    autocast.in_float32(twice)
    return twice


@pytest.mark.parametrize(
    ("given", "computed"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_tensors_are_cast_under_autocast_alone(twice: Any, given: torch.dtype, computed: torch.dtype) -> None:
    x = torch.ones(3, dtype=given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = twice(x, 2)
    assert result.dtype == computed and result.tolist() == [2, 2, 2]
    assert twice(x, 2).dtype == given
