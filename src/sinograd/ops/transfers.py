"""Copies between host and device that overlap with computing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from sinograd.ops.stored import in_memory

T = TypeVar("T")
S = TypeVar("S")


def uploaded(parts: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
    """The parts, which may be stored, on the device; on a card the next one is copied, from pinned memory, while one is
    computed with."""
    if device.type != "cuda":
        for part in parts:
            yield in_memory(part).to(device).contiguous()
        return
    copying = torch.cuda.Stream(device)

    def start(part: Tensor) -> tuple[Tensor, torch.cuda.Event]:
        pinned = torch.empty(part.shape, dtype=part.dtype, pin_memory=True).copy_(part)
        with torch.cuda.stream(copying):
            moved, copied = pinned.to(device, non_blocking=True), torch.cuda.Event()
        copied.record(copying)
        return moved, copied

    for moved, copied in one_ahead(parts, start):
        computing = torch.cuda.current_stream(device)
        computing.wait_event(copied)
        moved.record_stream(computing)
        yield moved


def one_ahead(parts: Iterable[S], start: Callable[[S], T]) -> Iterator[T]:
    """start(part) of every part, each called one part before its result is given out."""
    begun: list[T] = []
    for part in parts:
        begun.append(start(part))
        if len(begun) > 1:
            yield begun.pop(0)
    yield from begun


class Downloads:
    """Results on their way from the device; at most one waits, while the next is computed.

    `put(result, place)` calls `place` with the result in host memory: at once on the CPU, on a card when the next one
    is put or at `finish()`.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._waiting: tuple[Tensor, torch.cuda.Event, Callable[[Tensor], object]] | None = None

    def put(self, result: Tensor, place: Callable[[Tensor], object]) -> None:
        """Starts the copy of a result and places the one before."""
        if self._device.type != "cuda":
            place(result.cpu())
            return
        pinned = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
        pinned.copy_(result, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record(torch.cuda.current_stream(self._device))
        self.finish()
        self._waiting = pinned, copied, place

    def finish(self) -> None:
        """Places what is still waiting."""
        if self._waiting is not None:
            pinned, copied, place = self._waiting
            copied.synchronize()
            place(pinned)
            self._waiting = None
