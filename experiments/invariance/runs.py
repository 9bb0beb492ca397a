"""Training runs: denoisers, and for each of them an autoencoder and a flow; one twin and one embedding for all.

A run is kept in the folder of what it depends on, is found there again, and goes on where it was stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from invariance.scans import Patient, data_hash, pairs
from invariance.settings import WATER, Run, Study, run_config
from sinograd import XRayTransform
from sinograd.data.units import Conversion
from sinograd.invariance import Reprojected
from sinograd.io.storage.atomic import replacing
from sinograd.models import load_model
from sinograd.training import ScanStack, TrainingData, train
from sinograd.training.config import as_config
from study.config import digest
from study.record import commit

Report = Callable[[str], None]


@dataclass(frozen=True)
class Finished:
    """folder: of the run. key: of all that it depends on. loss: of the last validation, or step."""

    folder: Path
    key: str
    steps: int
    seconds: float
    processor_seconds: float
    loss: float
    commit: str


def check_weights(study: Study) -> None:
    """MissingFileError for a file of weights that is not there, FormatError for another one, before any work."""
    for run, task in ((study.vae, {"denoiser": "identity"}), (study.twin, {})):
        as_config(run_config(run, task=task))


class Runs:
    """The training runs of a study. cache: where they are kept."""

    def __init__(
        self, study: Study, cache: Path, training: Sequence[Patient], validation: Sequence[Patient], report: Report
    ) -> None:
        self.study, self.cache, self.report = study, cache, report
        self.training, self.validation = training, validation
        self.finished: dict[tuple[str, str, int], Finished] = {}
        self._denoised: dict[tuple[str, int], list[list[Tensor]]] = {}

    def denoiser(self, name: str, seed: int) -> str | Path:
        """What the tasks of invariances take as `denoiser`; it is trained first, if it is to be."""
        entry = self.study.denoisers[name]
        if entry.control is not None:
            return entry.control
        assert entry.train is not None
        if entry.pipeline:
            self._train("denoiser", name, seed, entry.train, self._scans())
            return "paired"
        parts = [pairs(part, [item.normal for item in part]) for part in (self.training, self.validation)]
        done = self._train("denoiser", name, seed, entry.train, TrainingData(*parts))
        return next(done.folder / file for file in ("model.pt", "model.yaml") if (done.folder / file).is_file())

    def vae(self, name: str, seed: int) -> Finished:
        """The conditional autoencoder of a denoiser."""
        more = {"task": {"denoiser": str(self.denoiser(name, seed))}}
        return self._train("vae", name, seed, run_config(self.study.vae, **more), self._data(name, seed))

    def flow(self, name: str, seed: int) -> Finished:
        """The flow of a denoiser."""
        denoiser, vae = self.denoiser(name, seed), self.vae(name, seed)
        more = {"task": {"denoiser": str(denoiser), "autoencoder": str(vae.folder / "model.pt")}}
        return self._train("flow", name, seed, run_config(self.study.flow, **more), self._data(name, seed), vae.key)

    def twin(self, seed: int) -> Finished:
        """The unconditional autoencoder."""
        return self._train("twin", "all", seed, self.study.twin, self._data(None, seed))

    def embedding(self, seed: int, names: Sequence[str]) -> Finished:
        """Of the samples of all denoisers but those whose images come with the data."""
        flows = [self.flow(name, seed) for name in names if not self.study.denoisers[name].pipeline]
        more = {"task": {"samplers": [str(flow.folder / "model.pt") for flow in flows]}}
        keys = [flow.key for flow in flows]
        return self._train(
            "embedding", "all", seed, run_config(self.study.embedding, **more), self._data(None, seed), keys
        )

    def pipeline(self, name: str, seed: int) -> Reprojected:
        """A denoiser from projections as one of slices in HU, by projecting them again."""
        geometry, grid = self.study.scans.scan()
        model: Any = load_model(self._known("denoiser", name, seed).folder)
        return Reprojected(model.over(geometry, grid), XRayTransform(geometry, grid), WATER)

    @torch.no_grad()
    def denoised(self, name: str, seed: int, items: Sequence[Patient]) -> list[Tensor]:
        """What a denoiser from projections makes of patients, [Z, Y, X] in HU each."""
        geometry, grid = self.study.scans.scan()
        model: Any = load_model(self._known("denoiser", name, seed).folder)
        sequence: nn.Module = model.over(geometry, grid)
        hounsfield = Conversion("1/mm", "HU", WATER)
        return [torch.stack([hounsfield(sequence(each)) for each in item.projections]) for item in items]

    def _data(self, name: str | None, seed: int) -> TrainingData:
        parts = (self.training, self.validation)
        if name is None or not self.study.denoisers[name].pipeline:
            return TrainingData(*(pairs(part, None) for part in parts))
        if (name, seed) not in self._denoised:
            self._denoised[name, seed] = [self.denoised(name, seed, part) for part in parts]
        made = self._denoised[name, seed]
        return TrainingData(*(pairs(part, targets) for part, targets in zip(parts, made, strict=True)))

    def _scans(self) -> TrainingData:
        """The middle slice of each patient, with its normal dose in 1/mm."""
        geometry, grid = self.study.scans.scan()
        back = Conversion("HU", "1/mm", WATER)

        def stack(item: Patient) -> ScanStack:
            middle = len(item.low) // 2
            return ScanStack(item.projections[middle], geometry, grid, back(item.normal[middle]), item.name)

        return TrainingData(*([stack(item) for item in part] for part in (self.training, self.validation)))

    def _known(self, kind: str, name: str, seed: int) -> Finished:
        return self.finished[kind, name, seed]

    def _train(self, kind: str, name: str, seed: int, run: Run, data: TrainingData, depends: Any = None) -> Finished:
        if (kind, name, seed) in self.finished:
            return self.finished[kind, name, seed]
        key = digest(
            [_without_paths(run), data_hash(self.study), _patients(self.study), depends, self._denoiser_key(name, seed)]
        )
        folder = self.cache / "runs" / f"{kind}-{name}-seed-{seed}-{key[:12]}"
        mark = folder / "finished.json"
        if not mark.is_file():
            folder.parent.mkdir(parents=True, exist_ok=True)
            start = time.process_time()
            result = train(run_config(run, seed=seed), data, output=folder, resume=(folder / "config.yaml").is_file())
            losses = result.history.column("validation_loss")[1] or result.history.column("training_loss")[1]
            record = {
                "steps": result.steps,
                "seconds": result.seconds,
                "processor_seconds": time.process_time() - start,
                "loss": losses[-1],
                "commit": commit(),
            }
            with replacing(mark, force=True) as temporary:
                temporary.write_text(json.dumps(record), encoding="utf-8")
        done = Finished(folder, key, **json.loads(mark.read_text(encoding="utf-8")))
        self.finished[kind, name, seed] = done
        self.report(f"{kind} of {name}, seed {seed}: {done.steps} steps, {done.seconds:.0f} s, loss {done.loss:.4g}")
        return done

    def _denoiser_key(self, name: str, seed: int) -> str:
        held = self.finished.get(("denoiser", name, seed))
        return "" if held is None else held.key


def _patients(study: Study) -> list[list[int]]:
    return [[part.first, part.count] for part in (study.scans.training, study.scans.validation)]


def _without_paths(run: Mapping[str, Any]) -> Any:
    """Paths stand for what other keys name."""
    task = dict(run.get("task", {}))
    for key in ("autoencoder", "samplers"):
        task.pop(key, None)
    if "denoiser" in task:
        task["denoiser"] = Path(str(task["denoiser"])).name
    return {**run, "task": task}
