"""One run in several processes: torchrun starts them, each one trains on a part and they share the gradients.

    torchrun --nproc-per-node 2 -m sinograd.cli train config.yaml     # config.yaml: devices: 2

With device: cuda each process has a GPU of its own. A step uses as many stacks, or batches of patches, as there are
processes, and its loss is their mean. The first process alone writes files and prints.
"""

from __future__ import annotations

import os

import torch

from sinograd.errors import ConfigError
from sinograd.training.config import Config


def check_processes(config: Config) -> None:
    """ConfigError unless as many processes were started as the configuration says."""
    started = int(os.environ.get("WORLD_SIZE", "1")) if _by_torchrun() else 1
    if started != config.devices:
        how = f"start torchrun --nproc-per-node {config.devices} -m sinograd.cli train ..."
        raise ConfigError(
            f"devices: expected {started}, as many as there are processes, got {config.devices}: {how}"
            if config.devices > 1
            else f"devices: expected {started}, as many as torchrun started processes, got {config.devices}"
        )


def rank_of(config: Config) -> int:
    """Which of the processes this is; 0 is the one that writes."""
    return int(os.environ.get("RANK", "0")) if config.devices > 1 else 0


def first_process() -> bool:
    """Whether this is the process that prints; the only one, too."""
    return not _by_torchrun() or os.environ.get("RANK", "0") == "0"


def leave_group() -> None:
    """Let the other processes go, where there are some."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _by_torchrun() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()
