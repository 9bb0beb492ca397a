"""Training a method on the one stack, and applying it."""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sinograd.io.files import replacing
from sinograd.models import DualDomainBilateral, load_model
from sinograd.training import History, ScanStack, Stack, TrainingData, read_history, train
from sinograd.training.config import Config, DualDomain, Network, Noise2Void
from sinograd.training.history import sigmas
from study.config import Method, Study
from study.data import Case

Progress = Callable[[int, int, float], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained method. seconds: of all steps; reason: why training ended."""

    model: nn.Module
    history: History
    steps: int
    seconds: float
    reason: str

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    @property
    def sigmas(self) -> dict[str, float]:
        """The learned ones, spatial in voxels, range in units of the input scale."""
        return sigmas(self.model)


def train_method(
    study: Study,
    method: Method,
    case: Case,
    seed: int,
    folder: Path | None = None,
    *,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Trained:
    """Train on one case; with a folder the run is kept there, found again, and continued if it was interrupted."""
    config = Config(
        task=method.task, model=method.model, optimizer=study.optimizer, stop=study.stop, seed=seed, device=device
    )
    return train_or_find(config, training_data(study, method, case), folder, progress)


def train_or_find(
    config: Config, data: TrainingData, folder: Path | None = None, progress: Progress | None = None
) -> Trained:
    """A training run that is kept in a folder, found again there, and continued if it was interrupted."""
    finished = None if folder is None else folder / "finished.json"
    if folder is not None and finished is not None and finished.is_file():
        record = json.loads(finished.read_text(encoding="utf-8"))
        name = "model.pt" if isinstance(config.model, Network) else "model.yaml"
        return Trained(load_model(folder / name), read_history(folder / "metrics.csv"), **record)
    resume = folder is not None and (folder / "config.yaml").is_file()
    if folder is not None:
        folder.parent.mkdir(parents=True, exist_ok=True)
    result = train(config, data, output=folder, resume=resume, progress=progress)
    record = {"steps": result.steps, "seconds": result.seconds, "reason": result.reason}
    if finished is not None:
        with replacing(finished, force=True) as temporary:
            temporary.write_text(json.dumps(record), encoding="utf-8")
    return Trained(result.model, result.history, **record)


def training_data(study: Study, method: Method, case: Case) -> TrainingData:
    """What `train` takes: the low-dose stack and, unless the method does without, the normal-dose one."""
    if isinstance(method.task, DualDomain):
        scan = ScanStack(case.projections, study.scan_geometry, study.volume_grid, case.normal, case.name)
        return TrainingData([scan.needed_part(method.task.row_margin)])
    target = None if isinstance(method.task, Noise2Void) else case.normal
    return TrainingData([Stack(case.low, target, case.name, study.grid.spacing)])


@torch.inference_mode()
def denoise(study: Study, method: Method, model: nn.Module, case: Case) -> Tensor:
    """The denoised volume [Z, Y, X] in 1/mm."""
    if not isinstance(model, DualDomainBilateral):
        return model(case.low)
    margin = method.task.row_margin if isinstance(method.task, DualDomain) else 0
    part = ScanStack(case.projections, study.scan_geometry, study.volume_grid, case.normal).needed_part(margin)
    return model.over(part.geometry, part.grid)(part.projections)


def seconds_a_slice(study: Study, method: Method, model: nn.Module, case: Case, repeats: int = 3) -> float:
    """Time that one core takes for `denoise`, median over repeats, a slice (dual-domain: with the reconstruction).

    Processor time, summed over the threads: it does not depend on what else the machine does.
    """
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        denoise(study, method, model, case)
        taken.append(time.process_time() - start)
    return statistics.median(taken) / study.grid.shape[0]


def deeper(study: Study, like: str, filters: int) -> Method:
    """The method `like` with so many filters."""
    method = study.method(like)
    model = dataclasses.replace(method.model, filters=filters)
    return dataclasses.replace(method, name=f"depth-{filters}", title=f"{filters} BF", model=model)


def started(study: Study, like: str, spatial: float, value: float) -> Method:
    """The method `like` with other start values."""
    method = study.method(like)
    model = dataclasses.replace(method.model, sigma_spatial=spatial, sigma_range=value)
    return dataclasses.replace(method, name=f"start-{spatial:g}-{value:g}", model=model)
