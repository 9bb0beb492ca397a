"""The whole experiment: images, training, scores, curves, tables, figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from noise2noise.figures import save_curves, save_images
from noise2noise.images import (
    CleanImages,
    add_noise,
    clean_images,
    data_hash,
    noise_generator,
    noisy_pairs,
    strength_for,
)
from noise2noise.methods import denoise, run_folder, train_network, training_config, tune_on_training
from noise2noise.results import Point, Results, Row, Run
from noise2noise.settings import NOISY, ORACLE, Study
from noise2noise.tables import write_tables
from sinograd.datasets import PairedVolume
from sinograd.metrics import psnr, ssim
from sinograd.models.classical_tuning import tune
from study.config import config_hash
from study.methods import Trained, core_seconds
from study.record import record_of

Report = Callable[[str], None]


class Experiment:
    """A study while it runs. cache: where images and training runs are kept and found again; None: nowhere."""

    def __init__(self, study: Study, cache: Path | None, *, device: str = "cpu", report: Report = print) -> None:
        self.study, self.cache, self.device, self.report = study, cache, device, report
        self.results = Results()
        self.networks: dict[tuple[str, str, int], Trained] = {}
        self.shown: dict[str, dict[str, Tensor]] = {}
        self._clean: dict[str, CleanImages] = {}

    def run(self, output: Path) -> Results:
        """Everything; the tables and figures are written to `output`."""
        study = self.study
        output.mkdir(parents=True, exist_ok=True)
        for seed in study.seeds:
            for name in study.sets:
                self._dataset(name, seed)
        for name in study.curves:
            self.report(f"curve: {name}")
            for seed in study.seeds:
                self._curve(name, seed)
            save_curves(study, self.results, name, output / f"curve-{name}.png")
        for name, images in self.shown.items():
            save_images(study.sets[name].title, images, output / f"images-{name}.png")
        record = record_of(config_hash(study), data_hash(study), study.profile, self.device)
        write_tables(study, self.results, record, output)
        return self.results

    def clean(self, kind: str) -> CleanImages:
        """The images of one kind, made or found."""
        if kind not in self._clean:
            self.report(f"data: {kind}")
            self._clean[kind] = clean_images(self.study, kind, self.cache)
        return self._clean[kind]

    def _dataset(self, name: str, seed: int) -> None:
        """Filters and networks of one data set with the noise and the training of one seed."""
        study, dataset = self.study, self.study.sets[name]
        clean = self.clean(dataset.images)
        strength = strength_for(dataset.noise, [*clean.training.values(), *clean.validation.values()])
        training, validation, test = (
            noisy_pairs(study, name, part, strength, seed) for part in (clean.training, clean.validation, clean.test)
        )
        self.results.settings.append(
            {"dataset": name, "seed": seed, "method": NOISY, "options": {dataset.noise.kind: strength}}
        )
        held = [_images(pair) for pair in test]
        self._score(name, NOISY, seed, test, [noisy for noisy, _ in held])
        for method in dataset.methods:
            trained = self._train(name, method, training, validation, seed)
            self._score(name, method, seed, test, [denoise(trained.model, noisy, self.device) for noisy, _ in held])
            self._keep(name, method, seed, trained, held[0][0][:1])
        for method in study.filters:
            tuned = tune_on_training(study, method, training)
            options = dict(tuned.options[0])
            self.results.settings.append({"dataset": name, "seed": seed, "method": method, "options": options})
            self._score(name, method, seed, test, [tuned(noisy) for noisy, _ in held])
            best = [tune(method, noisy, target)(noisy) for noisy, target in held]
            self._score(name, method + ORACLE, seed, test, best)
        self.report(f"{dataset.title}, seed {seed}: filters tuned")
        if seed == study.seeds[0]:
            self.shown[name]["Clean"] = held[0][1][0]

    def _train(
        self, name: str, method: str, training: list[PairedVolume], validation: list[PairedVolume], seed: int
    ) -> Trained:
        study = self.study
        config = training_config(study, method, seed, self.device)
        folder = None if self.cache is None else run_folder(self.cache, study, name, method, config)
        trained = train_network(config, training, validation, folder)
        title = f"{study.sets[name].title}, {study.methods[method].title}, seed {seed}"
        self.report(f"{title}: {trained.steps} steps, {trained.seconds:.0f} s, {trained.reason}")
        self.networks[name, method, seed] = trained
        return trained

    def _score(self, name: str, method: str, seed: int, test: list[PairedVolume], found: list[Tensor]) -> None:
        """One row for each phantom; the first image of the first phantom and seed is kept to be drawn."""
        for pair, images in zip(test, found, strict=True):
            target = _images(pair)[1]
            row = (
                float(psnr(images, target, data_range=1.0).mean()),
                float(ssim(images, target, data_range=1.0).mean()),
            )
            self.results.rows.append(Row(name, method, int(pair.patient), seed, *row))
        if seed == self.study.seeds[0] and method not in self.study.filters:
            self.shown.setdefault(name, {})[self.study.title_of(method)] = found[0][0]

    def _keep(self, name: str, method: str, seed: int, trained: Trained, image: Tensor) -> None:
        losses = trained.history.column("validation_loss")[1]
        model = trained.model.cpu()
        how = (trained.parameters, trained.steps, trained.reason, trained.seconds)
        run = Run(name, method, seed, *how, core_seconds(lambda: denoise(model, image)), min(losses))
        self.results.runs.append(run)

    def _curve(self, name: str, seed: int) -> None:
        """The middle image of each test phantom at all levels of the noise."""
        curve = self.study.curves[name]
        dataset = self.study.sets[curve.networks[0][0]]
        for phantom, images in self.clean(dataset.images).test.items():
            image = images[len(images) // 2]
            strengths = [strength_for(dataset.noise, [image], level) for level in curve.psnr]
            noisy = torch.stack(
                [
                    add_noise(dataset.noise, image, strength, noise_generator("curve", name, phantom, seed, level))
                    for strength, level in zip(strengths, curve.psnr, strict=True)
                ]
            )
            before = psnr(noisy, image.expand_as(noisy), data_range=1.0).tolist()
            for place, method in curve.networks:
                found = denoise(self.networks[place, method, seed].model, noisy, self.device)
                after = psnr(found, image.expand_as(noisy), data_range=1.0).tolist()
                self.results.points += [
                    Point(name, place, method, phantom, seed, *values)
                    for values in zip(curve.psnr, before, after, strict=True)
                ]


def debug_changes(study: Study) -> Mapping[str, object]:
    """Other phantoms and seeds, to look for mistakes without looking at what is reported; few of them are tested."""
    split = study.phantoms
    moved = {name: {"first": getattr(split, name).first + 100_000} for name in ("training", "validation")}
    test = {"first": split.test.first + 100_000, "count": min(2, split.test.count)}
    return {"phantoms": {**moved, "test": test}, "seeds": [77]}


def _images(pair: PairedVolume) -> tuple[Tensor, Tensor]:
    """Noisy and clean, [images, Y, X]; the first realisation."""
    assert pair.target is not None
    return pair.inputs[0].read(0, pair.shape[0]), pair.target.read(0, pair.shape[0])
