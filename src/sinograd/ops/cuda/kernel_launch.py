"""Launches of compiled kernels on torch's tensors and stream."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.ops.cuda.program import Program, cuda_core, load

MOST_BLOCKS = 2**31 - 1

Argument = Tensor | np.generic | None


def launch(program: Program, name: str, blocks: int, threads: tuple[int, ...], *arguments: Argument) -> None:
    """Runs the kernel `name` after what torch's current stream of the tensors' device has to do.

    Args:
        program: its source and macros; compiled when first used.
        name: an `extern "C"` kernel in it.
        blocks: at least 1; the grid is one-dimensional.
        threads: of a block, (x, y, ...).
        *arguments: tensors (contiguous, all on one device), numpy numbers of the kernel's types, None for a null
            pointer.
    """
    device = next(argument.device for argument in arguments if isinstance(argument, Tensor))
    values = pack(arguments, device)
    if not 1 <= blocks <= MOST_BLOCKS:
        raise InputError(f"{name}: expected 1 to {MOST_BLOCKS} blocks, got {blocks}")
    core = cuda_core()
    with torch.cuda.device(device):
        major, minor = torch.cuda.get_device_capability(device)
        code = load(program, f"sm_{major}{minor}", device.index)
        # a new autograd thread may have torch's current device, but no context yet
        core.Device(device.index).set_current()
        kernel = code.get_kernel(name)
        # the stream is asked for every time: inside a graph capture or `torch.cuda.stream` it is another
        stream = Stream(torch.cuda.current_stream(device).cuda_stream)
        core.launch(stream, core.LaunchConfig(grid=blocks, block=threads), kernel, *values)


class Stream:
    """torch's stream as cuda.core takes it; torch's own class speaks this protocol only since 2.13."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def __cuda_stream__(self) -> tuple[int, int]:
        """Version of the protocol, handle."""
        return 0, self.handle


def pack(arguments: Sequence[Argument], device: torch.device) -> list[int | np.generic]:
    """Pointers and numbers of exactly the types that a kernel declares.

    A Python number is refused: cuda.core would pass 1.5 as a double and 3 as 64 bits, whatever the kernel expects.
    """
    values: list[int | np.generic] = []
    for position, argument in enumerate(arguments):
        if argument is None:
            values.append(0)
        elif isinstance(argument, Tensor):
            if argument.device != device or not argument.is_contiguous():
                raise InputError(
                    f"argument {position}: expected a contiguous tensor on {device}, got strides "
                    f"{argument.stride()} on {argument.device}"
                )
            values.append(argument.data_ptr())
        elif isinstance(argument, np.generic):
            values.append(argument)
        else:
            raise InputTypeError(
                f"argument {position}: expected a tensor, a numpy number or None, got {type(argument).__name__}"
            )
    return values
