"""The whole experiment: low-dose scans of the measured one, filters trained on each, scores by views kept back."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import sinograd as sg
from sinograd.datasets import read_walnut
from sinograd.errors import InputError, NoEffectWarning
from sinograd.metrics import psnr, ssim
from study.config import config_hash, digest
from study.record import record_of
from walnut.figures import save_slices
from walnut.settings import Case, Study
from walnut.tables import write_tables

KEPT_BACK, SEEN = slice(1, None, 2), slice(0, None, 2)


@dataclass(frozen=True)
class Score:
    """Of one volume: RMSE of its projections to the views kept back, PSNR (dB) and SSIM to their reconstruction."""

    case: str
    method: str
    seed: int
    reprojection: float
    psnr: float
    ssim: float


def debug_changes(study: Study) -> dict[str, Any]:
    """Other seeds than those that are reported."""
    return {"seeds": [100 + seed for seed in study.seeds]}


class Experiment:
    """A study while it runs, on the file `data`. cache: for the volumes that training reads."""

    def __init__(
        self,
        study: Study,
        cache: Path,
        *,
        device: str = "cpu",
        report: Callable[[str], None] = print,
        data: Path | None = None,
    ) -> None:
        if data is None:
            raise InputError("this experiment needs the measured scan: --data walnut.npz (docs/howto/walnut.md)")
        if device != "cpu":
            raise InputError(f"this experiment runs on the CPU, got {device}")
        self.study, self.cache, self.report = study, cache, report
        scan = read_walnut(data)
        self.line_integrals = scan.load()
        self.geometry = scan.geometry
        grid = study.grid
        self.grid = sg.Grid(grid.shape, grid.voxel_mm)
        kept = self.line_integrals[KEPT_BACK], self.geometry[KEPT_BACK]
        self.reference = sg.fdk(*kept, self.grid, window=study.reference_window)
        self._reprojected = kept[0][:: study.reprojected.every, slice(*study.reprojected.rows)]
        self._project = sg.XRayTransform(kept[1][:: study.reprojected.every], self.grid)
        self.scores: list[Score] = []

    def run(self, output: Path) -> list[Score]:
        """Everything; tables and the picture are written to `output`."""
        output.mkdir(parents=True, exist_ok=True)
        shown = {}
        for name, case in self.study.cases.items():
            for seed in self.study.seeds:
                volumes = self._volumes(case, seed)
                self.scores += [self.score(name, method, seed, volume) for method, volume in volumes.items()]
                self.report(f"{name}, seed {seed}: " + self.scores[-1].method)
                shown.setdefault(name, volumes)
        save_slices(shown, self.reference, self.study, output / "slices.png")
        data = digest([self.line_integrals.double().sum().item(), list(self.line_integrals.shape)])
        record = record_of(config_hash(self.study), data, self.study.profile, "cpu")
        write_tables(self.study, self.scores, record, output)
        return self.scores

    def _volumes(self, case: Case, seed: int) -> dict[str, Tensor]:
        """What each method makes of a case."""
        views = slice(0, None, 2 * case.every)
        low, geometry = self.line_integrals[views], self.geometry[views]
        if case.dose < 1:
            generator = torch.Generator().manual_seed(seed)
            low = sg.low_dose(low, case.dose, self.study.photons, generator=generator)
        volume = sg.fdk(low, geometry, self.grid, window=self.study.window)
        smooth = sg.fdk(low, geometry, self.grid, window=self.study.reference_window)
        filtered = {f"filters-{n}": self._denoised(volume, n, seed) for n in self.study.filters}
        return {"fdk": volume, "fdk-hann": smooth, **filtered}

    def _denoised(self, volume: Tensor, filters: int, seed: int) -> Tensor:
        """By filters that are trained with Noise2Void on that volume."""
        self.cache.mkdir(parents=True, exist_ok=True)
        path = self.cache / "noisy.h5"
        sg.write_volume(volume, path, self.grid, unit="1/mm", force=True)
        training = {"input": str(path), "region": {axis: list(ends) for axis, ends in self.study.training.items()}}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NoEffectWarning)  # the tables tell what a filter does
            trained = sg.train(
                {
                    "task": self.study.task,
                    "data": {"training": [training]},
                    "model": {"name": "bilateral", "filters": filters},
                    "stop": {"max_steps": self.study.steps},
                    "seed": seed,
                }
            )
        with torch.no_grad():
            return trained.model(volume)

    def score(self, case: str, method: str, seed: int, volume: Tensor) -> Score:
        """How far a volume is from the views that were kept back."""
        rows = slice(*self.study.reprojected.rows)
        error = self._project(volume)[:, rows] - self._reprojected
        z = slice(*self.study.scored.z)
        _, y, x = self.grid.axes()
        inside = (x**2 + y[:, None] ** 2) < self.study.scored.radius_mm**2
        pair = [torch.where(inside, part[z], part.new_zeros(())) for part in (volume, self.reference)]
        return Score(
            case,
            method,
            seed,
            reprojection=error.square().mean().sqrt().item(),
            psnr=_within(pair, inside, self.study.data_range),
            ssim=float(ssim(pair[0], pair[1], data_range=self.study.data_range).mean()),
        )


def _within(pair: list[Tensor], inside: Tensor, data_range: float) -> float:
    """PSNR of the voxels inside, dB."""
    return float(psnr(pair[0][:, inside], pair[1][:, inside], data_range=data_range).mean())
