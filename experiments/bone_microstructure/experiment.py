"""The whole experiment: bones, scans, filters, networks, scores, tables, figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bone_microstructure.figures import save_all
from bone_microstructure.filters import (
    Parameters,
    bm4d_of_scans,
    fitted_line,
    gaussian,
    misfit,
    recalibration_of_values,
)
from bone_microstructure.places import PARAMETERS, Parts, Place, parameters_of, parts_of, stacked
from bone_microstructure.regression import DIRECT
from bone_microstructure.results import Results, Run, Setting, Stage, Truth, score
from bone_microstructure.scans import BoneScans, cached_scans, calibrated, data_hash
from bone_microstructure.settings import Split, Study
from bone_microstructure.tables import write_tables
from bone_microstructure.training import denoised, train_in_stages
from sinograd import morphometry
from sinograd.models.classical import has_package
from study.config import config_hash
from study.methods import Trained
from study.record import record_of

Report = Callable[[str], None]
Volumes = dict[str, Tensor]  # by bone; [currents, repetitions, Z, Y, X]


class Experiment:
    """A study while it runs. cache: where scans and training runs are kept and found again."""

    def __init__(self, study: Study, cache: Path, *, device: str = "cpu", report: Report = print) -> None:
        self.study, self.cache, self.device, self.report = study, cache, device, report
        self.results = Results()
        self.scans: dict[str, BoneScans] = {}
        self.shown: dict[str, Volumes] = {}  # by method, of the split "bone" where there is one
        self.filtered: dict[float, Volumes] = {}

    def run(self, output: Path) -> Results:
        """Everything; the tables and figures are written to `output`."""
        study = self.study
        output.mkdir(parents=True, exist_ok=True)
        for bone in study.bones.all:
            self.scans[bone.name] = cached_scans(study, bone, self.cache)
            self.report(f"scans: {bone.name}")
        self.scans, lines = calibrated(study, self.scans)
        for current, line in zip(study.clinical.currents, lines, strict=True):
            setting = Setting("all", 0, current, "calibration: mg/cm³ mm, mg/cm³", (line.slope, line.intercept))
            self.results.settings.append(setting)
        for sigma in study.sigmas:
            self.filtered[sigma] = {name: gaussian(study, s.scans, sigma) for name, s in self.scans.items()}
        for name, split in study.splits.items():
            for fold in split.folds:
                self._fold(name, split, fold)
        record = record_of(config_hash(study), data_hash(study), study.profile, self.device)
        write_tables(study, self.results, self.scans, record, output)
        save_all(study, self.results, self.scans, self.shown, output)
        return self.results

    def _fold(self, name: str, split: Split, fold: int) -> None:
        parts = parts_of(self.study, split, fold)
        for test, places in parts.tests.items():
            self._truth(test, fold, places)
        raw = {bone: scans.scans for bone, scans in self.scans.items()}
        self._evaluate(parts, "unfiltered", 0, fold, raw)
        self.shown["unfiltered"] = raw
        self._recalibrate(name, parts, fold, raw)
        self._gaussian(name, parts, fold, raw)
        if "bm4d" in self.study.filters and has_package("bm4d"):
            self._evaluate(parts, "bm4d", 0, fold, self._by_bm4d(parts))
        self.report(f"{name}, fold {fold}: filters")
        for network, seeds in split.networks.items():
            for seed in seeds:
                self._network(name, parts, network, seed, fold)

    def _network(self, split: str, parts: Parts, network: str, seed: int, fold: int) -> None:
        study = self.study
        first = study.splits[split]
        shown = (seed, fold) == (first.networks[network][0], first.folds[0])
        watched = shown and (network, first.by) == ("nn-sp", "position")
        places = (parts.training, parts.validation)
        stages = train_in_stages(study, network, seed, self.scans, places, self.cache, study.stages if watched else 1)
        last, _ = stages[-1]
        how = (last.parameters, last.steps, last.reason, last.seconds, last.commit)
        self.results.runs.append(Run(split, network, seed, fold, *how))
        self.report(f"{split}, fold {fold}, {network}, seed {seed}: {last.steps} steps, {last.seconds:.0f} s")
        tested = [place for places in parts.tests.values() for place in places]
        needed = [*tested, *parts.training] if watched else tested
        volumes = self._denoised(stages[-1], needed)
        if network in DIRECT:
            self._direct(parts, network, seed, fold, volumes)
            return
        self._evaluate(parts, network, seed, fold, volumes)
        if shown:
            self.shown[network] = self.shown.get(network, {}) | volumes
        if watched:
            for stage in stages:
                self._stage(stage[0], parts, self._denoised(stage, needed))

    def _denoised(self, stage: tuple[Trained, Path], places: list[Place]) -> Volumes:
        """All scans of the bones that places lie in."""
        bones = sorted({place.bone for place in places})
        return {bone: denoised(stage[0].model, self.scans[bone], stage[1]) for bone in bones}

    def _stage(self, trained: Trained, parts: Parts, volumes: Volumes) -> None:
        tested = next(iter(parts.tests.values()))
        for part, places in (("training", parts.training), ("test", tested)):
            estimates = self._parameters(volumes, places)
            truth = self._true(places)
            for name in PARAMETERS:
                x, y = estimates[name].flatten(0, 1).flatten(1), truth[name].flatten()
                spread = float(y.std())
                errors = (
                    morphometry.root_mean_square_error(x, y),
                    morphometry.accuracy_error(x, y),
                    morphometry.precision_error(x, y),
                )
                self.results.stages.append(Stage(trained.steps, part, name, *(error / spread for error in errors)))

    def _parameters(self, volumes: Volumes, places: list[Place]) -> Parameters:
        """[currents, repetitions, places, n]."""
        return parameters_of(self.study, stacked(self.study, volumes, places))

    def _true(self, places: list[Place]) -> Parameters:
        """[places, n]."""
        truths = {name: scans.truth for name, scans in self.scans.items()}
        return parameters_of(self.study, stacked(self.study, truths, places))

    def _truth(self, test: str, fold: int, places: list[Place]) -> None:
        shares = {name: 100 * scans.share for name, scans in self.scans.items()}
        phantom = float(parameters_of(self.study, stacked(self.study, shares, places))["bmd"].mean())
        for name, values in self._true(places).items():
            numbers = (float(values.mean()), float(values.std()), phantom)
            self.results.truths.append(Truth(test, fold, name, *numbers))

    def _evaluate(self, parts: Parts, method: str, seed: int, fold: int, volumes: Volumes) -> None:
        for test, places in parts.tests.items():
            self._score(test, places, method, seed, fold, self._parameters(volumes, places))

    def _score(self, test: str, places: list[Place], method: str, seed: int, fold: int, found: Parameters) -> None:
        truth, bones = self._true(places), [place.bone for place in places]
        for number, current in enumerate(self.study.clinical.currents):
            for name in found:
                key = (test, method, seed, fold, current)
                row, rows = score(key, name, found[name][number], truth[name], bones)
                self.results.rows.append(row)
                if name != "voxel":
                    self.results.bones += rows

    def _direct(self, parts: Parts, network: str, seed: int, fold: int, volumes: Volumes) -> None:
        """Of direct regression, whose output has one parameter alone: the mean of a sphere."""
        parameter, scale = DIRECT[network]
        for test, places in parts.tests.items():
            found = self._parameters(volumes, places)["bmd"] / scale
            self._score(test, places, network, seed, fold, {parameter: found})

    def _recalibrate(self, split: str, parts: Parts, fold: int, raw: Volumes) -> None:
        """One line a current, fitted on training places: of each parameter, and of the voxels."""
        study = self.study
        known, truth = self._parameters(raw, parts.training), self._true(parts.training)
        patches = stacked(study, raw, parts.training)
        by_parameter: list[dict[str, tuple[float, float]]] = []
        by_value: list[tuple[float, float]] = []
        for number, current in enumerate(study.clinical.currents):
            lines = {name: fitted_line(known[name][number], truth[name]) for name in PARAMETERS}
            by_parameter.append(lines)
            by_value.append(recalibration_of_values(study, patches[number, 0], truth))
            settings = {**lines, "values": by_value[-1]}
            for name, line in settings.items():
                self.results.settings.append(Setting(split, fold, current, f"line of {name}", line))
        for test, places in parts.tests.items():
            found = self._parameters(raw, places)
            for number, lines in enumerate(by_parameter):
                for name, (slope, intercept) in lines.items():
                    found[name][number] = slope * found[name][number] + intercept
            self._score(test, places, "recalibrated", 0, fold, found)
        slopes, offsets = (torch.tensor(numbers).view(-1, 1, 1, 1, 1) for numbers in zip(*by_value, strict=True))
        self._evaluate(parts, "recalibrated-values", 0, fold, {n: slopes * v + offsets for n, v in raw.items()})

    def _gaussian(self, split: str, parts: Parts, fold: int, raw: Volumes) -> None:
        """All widths, and for each current that with the least misfit in training."""
        study = self.study
        truth, before = self._true(parts.training), self._parameters(raw, parts.training)
        misfits: dict[float, list[float]] = {}
        for sigma in study.sigmas:
            found = self._parameters(self.filtered[sigma], parts.training)
            misfits[sigma] = [misfit(_of(found, i), truth, _of(before, i)) for i in range(len(study.clinical.currents))]
            self._evaluate(parts, f"gaussian-{sigma:g}", 0, fold, self.filtered[sigma])
        best = [min(study.sigmas, key=lambda s: misfits[s][i]) for i in range(len(study.clinical.currents))]
        for current, sigma in zip(study.clinical.currents, best, strict=True):
            self.results.settings.append(Setting(split, fold, current, "Gaussian filter, mm", (sigma,)))
        volumes = {
            name: torch.stack([self.filtered[sigma][name][i] for i, sigma in enumerate(best)]) for name in self.scans
        }
        self._evaluate(parts, "gaussian", 0, fold, volumes)
        self.shown["gaussian"] = volumes

    def _by_bm4d(self, parts: Parts) -> Volumes:
        bones = sorted({place.bone for places in parts.tests.values() for place in places})
        return {name: torch.stack([bm4d_of_scans(scans) for scans in self.scans[name].scans]) for name in bones}


def _of(values: Parameters, number: int) -> Parameters:
    """Of one current."""
    return {name: value[number] for name, value in values.items()}


def debug_changes(study: Study) -> Mapping[str, Any]:
    """Other bones and seeds, to look for mistakes without looking at what is reported."""
    moved = {
        group: [dataclasses.asdict(bone) | {"seed": bone.seed + 100_000} for bone in bones]
        for group, bones in vars(study.bones).items()
    }
    splits = {name: {"networks": {key: [77] for key in split.networks}} for name, split in study.splits.items()}
    return {"bones": moved, "splits": splits}
