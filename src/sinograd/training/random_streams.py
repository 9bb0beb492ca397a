"""Random numbers that follow from the seed and the step alone.

So nothing random has to be kept in a checkpoint, and a step gives the same numbers however often it is run.
"""

from __future__ import annotations

import hashlib

import torch


def stream(seed: int, purpose: str, step: int) -> torch.Generator:
    """The random numbers of one step."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def stack_of_step(seed: int, step: int, count: int) -> int:
    """Which of `count` stacks a step uses: every one once in each round, in an order drawn from the seed."""
    if count == 1:
        return 0
    order = torch.randperm(count, generator=stream(seed, "order", step // count))
    return int(order[step % count])
