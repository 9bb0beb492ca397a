"""Training a method, filters on one stack and networks on patches of several, and applying it."""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sinograd.data import Volume
from sinograd.datasets import PairedVolume
from sinograd.geometry import Grid
from sinograd.io.storage.atomic import replacing
from sinograd.models import DualDomainBilateral, load_model
from sinograd.training import History, ScanStack, Stack, TrainingData, read_history, train
from sinograd.training.config import Adam, Config, Data, config_hash
from sinograd.training.history import sigmas
from sinograd.training.models import BilateralModel
from sinograd.training.tasks import DualDomain, Noise2Void
from study.config import Method, Study, digest
from study.data import Case, data_hash
from study.record import commit, made_on

Progress = Callable[[int, int, float], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained method. seconds: of all steps; reason: why training ended; commit: of the code that trained it.

    device, threads, date: where and when it was trained; empty where an older run is found.
    """

    model: nn.Module
    history: History
    steps: int
    seconds: float
    reason: str
    commit: str = "unknown"
    device: str = ""
    threads: int | None = None
    date: str = ""

    @property
    def made(self) -> dict[str, Any]:
        """What made it, as a row of the training runs has it."""
        return {name: getattr(self, name) for name in ("commit", "device", "threads", "date")}

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    @property
    def sigmas(self) -> dict[str, float]:
        """The learned ones, spatial in voxels, range in units of the input scale."""
        return sigmas(self.model)


def training_config(study: Study, method: Method, seed: int, device: str = "cpu") -> Config:
    """A training run as `sinograd train` takes it."""
    if not method.is_network:
        return Config(
            task=method.task, model=method.model, optimizer=study.optimizer, stop=study.stop, seed=seed, device=device
        )
    networks, name = study.networks, method.like or method.name
    assert networks is not None
    usual = Adam(learning_rates={"network": networks.learning_rates[name]}, schedule=networks.schedule)
    return Config(
        task=method.task,
        model=method.model,
        data=Data(patches=method.patches or networks.patches),
        optimizer=method.optimizer or usual,
        stop=dataclasses.replace(networks.stop, max_steps=networks.steps.get(name, networks.stop.max_steps)),
        validation=networks.validate,
        seed=seed,
        device=device,
        precision=networks.precision,
    )


def train_or_find(
    config: Config, data: Callable[[], TrainingData], folder: Path | None = None, progress: Progress | None = None
) -> Trained:
    """A training run that is kept in a folder, found again there, and continued if it was interrupted.

    data: gives what is trained on; not asked where the run is found.
    """
    finished = None if folder is None else folder / "finished.json"
    if folder is not None and finished is not None and finished.is_file():
        record = json.loads(finished.read_text(encoding="utf-8"))
        return Trained(load_model(folder / config.model.file_name), read_history(folder / "metrics.csv"), **record)
    resume = folder is not None and (folder / "config.yaml").is_file()
    if folder is not None:
        folder.parent.mkdir(parents=True, exist_ok=True)
    result = train(config, data(), output=folder, resume=resume, progress=progress)
    record = {"steps": result.steps, "seconds": result.seconds, "reason": result.reason, "commit": commit()}
    record |= made_on(config.device)
    if finished is not None:
        with replacing(finished, force=True) as temporary:
            temporary.write_text(json.dumps(record), encoding="utf-8")
    return Trained(result.model, result.history, **record)


def run_folder(cache: Path, study: Study, method: Method, config: Config) -> Path:
    """Where a training run is kept: the same for the same training on the same data, whatever it is called."""
    return cache / "runs" / f"{method.model.name}-seed-{config.seed}-{training_key(study, method, config)[:12]}"


def training_key(study: Study, method: Method, config: Config) -> str:
    """SHA-256 of all that a training run depends on: its configuration, its data, its phantoms."""
    return digest([config_hash(config), data_hash(study), *map(list, training_phantoms(study, method))])


def training_phantoms(study: Study, method: Method) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Seeds of the phantoms that a method learns from, and of those it is validated on."""
    if study.networks is None or not (method.is_network or method.phantoms):
        return (study.phantoms.training,), ()
    return study.networks.training[: method.phantoms], study.networks.validation if method.is_network else ()


def training_data(study: Study, method: Method, training: Sequence[Case], validation: Sequence[Case]) -> TrainingData:
    """What `train` takes: low doses and, unless the method does without, normal doses."""
    if method.is_network:
        return TrainingData(*([_paired(study, method, case) for case in part] for part in (training, validation)))
    if isinstance(method.task, DualDomain):
        scans = [
            ScanStack(case.projections, study.scan_geometry, study.volume_grid, case.normal, case.name)
            for case in training
        ]
        return TrainingData([scan.needed_part(method.task.row_margin) for scan in scans])
    return TrainingData([Stack(case.low, _target(method, case), case.name, study.grid.spacing) for case in training])


def _paired(study: Study, method: Method, case: Case) -> PairedVolume:
    target, spacing = _target(method, case), study.grid.spacing
    grid = Grid(tuple(case.low.shape), spacing)
    clean = None if target is None else Volume(target, grid)
    return PairedVolume(case.name, f"{case.phantom}", (Volume(case.low, grid),), clean, "1/mm")


def _target(method: Method, case: Case) -> Tensor | None:
    return None if isinstance(method.task, Noise2Void) else case.normal


@torch.inference_mode()
def denoise(study: Study, method: Method, model: nn.Module, case: Case, device: str = "cpu") -> Tensor:
    """The denoised volume [Z, Y, X] in 1/mm; networks on the device, filters on the CPU."""
    if method.is_network:
        return model.to(device)(case.low.to(device)).cpu()
    if not isinstance(model, DualDomainBilateral):
        return model(case.low)
    margin = method.task.row_margin if isinstance(method.task, DualDomain) else 0
    part = ScanStack(case.projections, study.scan_geometry, study.volume_grid, case.normal).needed_part(margin)
    return model.over(part.geometry, part.grid)(part.projections)


def seconds_a_slice(study: Study, method: Method, model: nn.Module, case: Case) -> float:
    """`core_seconds` of a slice (dual-domain: with the reconstruction; networks: of one slice)."""
    slices = 1 if method.is_network else study.grid.shape[0]
    case = dataclasses.replace(case, low=case.low[:slices])
    return core_seconds(lambda: denoise(study, method, model, case)) / slices


def core_seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """Processor time of a call, summed over the threads, median over repeats: it does not depend on what else the
    machine does."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def deeper(study: Study, like: str, filters: int) -> Method:
    """The method `like` with so many filters."""
    method = study.method(like)
    assert isinstance(method.model, BilateralModel)
    model = dataclasses.replace(method.model, filters=filters)
    return dataclasses.replace(method, name=f"depth-{filters}", title=f"{filters} BF", model=model)


def started(study: Study, like: str, spatial: float, value: float) -> Method:
    """The method `like` with other start values."""
    method = study.method(like)
    assert isinstance(method.model, BilateralModel)
    model = dataclasses.replace(method.model, sigma_spatial=spatial, sigma_range=value)
    return dataclasses.replace(method, name=f"start-{spatial:g}-{value:g}", model=model)


def sized(study: Study, like: str, count: int) -> Method:
    """The method `like` trained on so many phantoms."""
    method = study.method(like)
    return dataclasses.replace(method, name=f"size-{count}-{like}", phantoms=count, like=like)
