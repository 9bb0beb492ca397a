"""Kernels on a GPU: their sources, compiled at run time by NVRTC, and how they are launched on torch's tensors."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.ops.cuda.kernel_launch import launch
    from sinograd.ops.cuda.program import Program

__all__ = ["Program", "launch"]

attach(__name__)
