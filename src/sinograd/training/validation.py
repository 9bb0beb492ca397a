"""The validation loss: of whole stacks and scans, or of slices of paired volumes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from sinograd.datasets import PairedVolume
from sinograd.training.data import ScanStack, Stack
from sinograd.training.tasks.task import Task

# Slices that are read and measured at a time.
_SLICES = 8


def validation_loss(
    task: Task,
    item: Stack | ScanStack | PairedVolume,
    generator: torch.Generator,
    *,
    slices: int | None = None,
    device: torch.device | None = None,
) -> float:
    """The task's loss of one item; of paired volumes the mean over the slices (`slices` evenly spaced ones, or all)."""
    if not isinstance(item, PairedVolume):
        return task.validation_loss(on_device(item, device), generator).item()
    losses, counts = [], []
    flat = all(getattr(layer, "ndim", 2) == 2 for layer in task.model.modules())
    for first, end in parts_of(item.shape[0], slices) if flat else _middle(item.shape[0], slices):
        volumes = [source.read(first, end) for source in item.inputs]
        target = None if item.target is None else item.target.read(first, end)
        stack = Stack(volumes[0], target, item.name, others=tuple(volumes[1:]))
        losses.append(task.validation_loss(on_device(stack, device), generator).item() * (end - first))
        counts.append(end - first)
    return math.fsum(losses) / sum(counts)


def on_device(stack: Stack | ScanStack, device: torch.device | None) -> Stack | ScanStack:
    """The same with its tensors on a device; None: where they are."""
    if device is None:
        return stack
    moved = {
        field.name: value.to(device)
        for field in dataclasses.fields(stack)
        if isinstance(value := getattr(stack, field.name), Tensor)
    }
    if isinstance(stack, Stack):
        moved["others"] = tuple(other.to(device) for other in stack.others)  # pyright: ignore
    return dataclasses.replace(stack, **moved)


def _middle(count: int, slices: int | None) -> Iterator[tuple[int, int]]:
    """Neighbouring slices, for models of volumes."""
    taken = count if slices is None else min(slices, count)
    yield (count - taken) // 2, (count - taken) // 2 + taken


def parts_of(count: int, slices: int | None) -> Iterator[tuple[int, int]]:
    """First and end of the slices that are measured: all, or `slices` evenly spaced ones."""
    if slices is None or slices >= count:
        yield from ((first, min(first + _SLICES, count)) for first in range(0, count, _SLICES))
    else:
        places = {round((index + 0.5) * count / slices - 0.5) for index in range(slices)}
        yield from ((place, place + 1) for place in sorted(places))
