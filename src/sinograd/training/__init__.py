"""Training of denoisers: one configuration a run, files or tensors in, a trained model out.

Importing this needs nothing beyond sinograd; `train` needs the extra `sinograd[train]` (Lightning).
"""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.errors import ConfigError
    from sinograd.training.config import Config, load_config
    from sinograd.training.data import ScanStack, Stack, TrainingData, load_data
    from sinograd.training.history import History, read_history, save_curves
    from sinograd.training.noise2void import blind_spots
    from sinograd.training.quality import Quality
    from sinograd.training.train import TrainingResult, train

__all__ = [
    "Config",
    "ConfigError",
    "History",
    "Quality",
    "ScanStack",
    "Stack",
    "TrainingData",
    "TrainingResult",
    "blind_spots",
    "load_config",
    "load_data",
    "read_history",
    "save_curves",
    "train",
]

attach(__name__)
