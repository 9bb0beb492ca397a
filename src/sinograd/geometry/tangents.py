"""Whether forward mode follows a tensor."""

from __future__ import annotations

from contextlib import ExitStack

from torch import Tensor
from torch._C._functorch import (  # pyright: ignore[reportMissingImports]
    get_unwrapped,
    is_functorch_wrapped_tensor,
    maybe_get_level,
    peek_interpreter_stack,
)
from torch._functorch.pyfunctorch import temporarily_pop_interpreter_stack
from torch.autograd import forward_ad


def has_tangent(tensor: Tensor) -> bool:
    """Whether forward mode follows a tensor, at any level of nested transforms of `torch.func`.

    A level shows its tangents only while it is the innermost one.
    """
    while True:
        wrapped = is_functorch_wrapped_tensor(tensor)
        level = maybe_get_level(tensor) if wrapped else 0
        with ExitStack() as inner:
            while (top := peek_interpreter_stack()) is not None and top.level() > level:
                inner.enter_context(temporarily_pop_interpreter_stack())
            if forward_ad.unpack_dual(tensor).tangent is not None:
                return True
        if not wrapped:
            return False
        tensor = get_unwrapped(tensor)
