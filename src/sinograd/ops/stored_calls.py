"""Functions of torch on stored tensors: element by element, sums and extremes by blocks; views; new tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sinograd.errors import UnsupportedError
from sinograd.ops.stored import StoredTensor, blocks_of, part_of, space_of

_aten = torch.ops.aten

_IN_PLACE = {_aten.copy_, _aten.zero_, _aten.fill_, _aten.masked_fill_}
"""Element by element, though torch does not say so."""
_ALIKE = {_aten._to_copy}
_REDUCTIONS = {_aten.sum, _aten.max, _aten.min, _aten.any, _aten.all}
_NEW: dict[Any, float] = {
    _aten.new_zeros: 0.0,
    _aten.new_empty: 0.0,
    _aten.new_ones: 1.0,
    _aten.zeros_like: 0.0,
    _aten.empty_like: 0.0,
    _aten.ones_like: 1.0,
}


def called(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """A function of torch, one of whose arguments is stored.

    Raises:
        UnsupportedError: it cannot be done by blocks.
    """
    packet = function.overloadpacket
    if packet in _VIEWS:
        return _VIEWS[packet](*args, **kwargs)
    if packet in _NEW:
        return _new(packet, args, kwargs)
    if packet in _REDUCTIONS and (len(args) == 1 or _are_all(args[1], args[0].ndim)) and not kwargs:
        return _reduced(packet.default, args[0])
    if packet in _IN_PLACE or packet in _ALIKE or torch.Tag.pointwise in function.tags:
        return _by_blocks(function, args, kwargs)
    raise UnsupportedError(f"{function} of a tensor that is larger than memory cannot be computed in blocks")


def _by_blocks(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    """Element by element: in place, to `out`, or to a new tensor."""
    written = function._schema.arguments[0].alias_info
    in_place = written is not None and written.is_write
    out: Tensor | None = args[0] if in_place else kwargs.get("out")
    tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    space = space_of(tensors)
    assert space is not None
    shape = tuple(torch.broadcast_shapes(*(tensor.shape for tensor in tensors)))
    for block in blocks_of(shape, max(tensor.dtype.itemsize for tensor in tensors), space.block_bytes):
        parts = [part_of(value, shape, block) if isinstance(value, Tensor) else value for value in args]
        others = {n: part_of(v, shape, block) if isinstance(v, Tensor) else v for n, v in kwargs.items()}
        found = function(*parts, **others)
        if out is None:
            out = space.empty(shape, found.dtype)
        if isinstance(out, StoredTensor):
            out.write(block, found)
    if out is None:  # without a plane
        return torch.empty(shape, dtype=tensors[0].dtype)
    return out


def _reduced(function: Any, tensor: StoredTensor) -> Tensor:
    blocks = blocks_of(tensor.shape, tensor.dtype.itemsize, tensor.space.block_bytes)
    parts = torch.stack([function(tensor.read(block)) for block in blocks])
    return function(parts)  # type: ignore[no-any-return]


def _are_all(dims: Any, ndim: int) -> bool:
    return isinstance(dims, Sequence) and sorted(dim % ndim for dim in dims) == list(range(ndim))


def _new(packet: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    """A tensor of one value; what has no planes is a small one in memory."""
    like = args[0]
    shape = tuple(args[1]) if len(args) > 1 else tuple(like.shape)
    dtype = kwargs.get("dtype") or like.dtype
    if len(shape) < 3:
        return torch.full(shape, _NEW[packet], dtype=dtype)
    made = like.space.empty(shape, dtype)
    return made.fill_(_NEW[packet]) if _NEW[packet] else made  # type: ignore[no-any-return]


def _same(tensor: StoredTensor, *_: Any, **__: Any) -> StoredTensor:
    return tensor.view_of(tensor.planes)


def _expand(tensor: StoredTensor, shape: Sequence[int], **_: Any) -> StoredTensor:
    if tuple(shape) != tuple(tensor.shape):
        raise UnsupportedError(f"stored tensors are not broadcast: {list(tensor.shape)} to {list(shape)}")
    return _same(tensor)


def _select(tensor: StoredTensor, dim: int, index: int) -> Tensor:
    if dim % tensor.ndim >= tensor.planes.ndim or tensor.planes.ndim < 2:
        return tensor.read()[(*[slice(None)] * (dim % tensor.ndim), index)]
    return tensor.view_of(tensor.planes[(*[slice(None)] * (dim % tensor.ndim), index)])


def _slice(
    tensor: StoredTensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> StoredTensor:
    dim %= tensor.ndim
    chosen = slice(start, None if end is None else min(end, tensor.shape[dim]), step)
    if dim < tensor.planes.ndim:
        return tensor.view_of(tensor.planes[(*[slice(None)] * dim, chosen)])
    first, stop, _ = chosen.indices(tensor.shape[dim])
    if dim == tensor.ndim - 2 and step == 1:
        return tensor.view_of(tensor.planes, (tensor.rows[0] + first, tensor.rows[0] + max(first, stop)))
    if dim == tensor.ndim - 1 and (first, stop, step) == (0, tensor.shape[-1], 1):
        return _same(tensor)
    raise UnsupportedError("columns of a tensor that is larger than memory cannot be chosen")


_VIEWS: dict[Any, Callable[..., Tensor]] = {
    _aten.detach: _same,
    _aten.alias: _same,
    _aten.expand: _expand,
    _aten.select: _select,
    _aten.slice: _slice,
}
