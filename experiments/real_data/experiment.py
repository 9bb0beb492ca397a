"""The whole experiment: measured images at lower doses, training on them or on phantoms, scores, tables, a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from real_data.figures import save_images
from real_data.images import data_hash, lower_dose, paired, phantom_pairs, thinned
from real_data.settings import LOW, Study, check_data
from real_data.tables import write_tables
from sinograd.datasets import PairedVolume
from sinograd.metrics import psnr, ssim
from sinograd.models.estimated_noise import ESTIMATED
from sinograd.training import TrainingData
from sinograd.training.config import Config, Data
from sinograd.training.config import config_hash as run_hash
from study.config import config_hash, digest
from study.methods import Trained, train_or_find
from study.record import record_of
from study.results import Results, Row, Run

Report = Callable[[str], None]
SCAN = "scan"  # the test of the thinned scan, which is no patient
_AIR = 1000.0  # HU below water: SSIM's origin


class Experiment:
    """A study while it runs. cache: where training runs are kept and found again; None: nowhere."""

    def __init__(self, study: Study, cache: Path | None, *, device: str = "cpu", report: Report = print) -> None:
        check_data(study)
        self.study, self.cache, self.device, self.report = study, cache, device, report
        self.results = Results({name: study.title_of(name) for name in (LOW, *study.filters, *study.methods)})
        self.photons: dict[str, float] = {}
        self._shown: dict[str, dict[str, Tensor]] = {}

    def run(self, output: Path) -> Results:
        """Everything; the tables and the picture are written to `output`."""
        study = self.study
        output.mkdir(parents=True, exist_ok=True)
        for seed in study.seeds:
            models = self._models(seed)
            for number, name in enumerate(study.of("test")):
                pair = lower_dose(study, name, seed)
                self.photons[study.images[name].title] = pair.photons
                self._score(name, number, seed, pair.low, pair.normal, models)
            self._scan(seed, models)
        save_images(study, self._shown, output / "images.png")
        record = record_of(config_hash(study), data_hash(study), study.profile, self.device)
        write_tables(study, self.results, self.photons, record, output)
        return self.results

    def _models(self, seed: int) -> dict[str, nn.Module]:
        study = self.study
        data: dict[str, tuple[list[PairedVolume], list[PairedVolume]]] = {}
        found: dict[str, nn.Module] = {}
        for name, method in study.methods.items():
            if method.data not in data:
                data[method.data] = self._data(method.data, seed)
            trained = self._train(name, seed, data[method.data])
            found[name] = trained.model.to(self.device).eval()
            losses = trained.history.column("training_loss")[1][-10:]
            how = (trained.parameters, trained.steps, trained.reason, trained.seconds, 0.0, sum(losses) / len(losses))
            self.results.runs.append(Run(name, seed, *how, {}, **trained.made))
        return found

    def _data(self, source: str, seed: int) -> tuple[list[PairedVolume], list[PairedVolume]]:
        study = self.study
        if source == "phantoms":
            pairs = phantom_pairs(study, seed)
            return pairs[:-1], pairs[-1:]
        self.report(f"lower doses of the images that are learnt from, seed {seed}")
        training, validation = (
            [paired(lower_dose(study, name, seed)) for name in study.of(use)] for use in ("training", "validation")
        )
        # slices of one patient train and validate: the file is one head, and training tells patients apart by name
        return training, [dataclasses.replace(pair, patient=f"{pair.patient}-validation") for pair in validation]

    def _train(self, name: str, seed: int, data: tuple[list[PairedVolume], list[PairedVolume]]) -> Trained:
        study, method = self.study, self.study.methods[name]
        config = Config(
            model=method.model,
            data=Data(patches=study.patches),
            optimizer=dataclasses.replace(study.optimizer, learning_rates=method.learning_rates),
            stop=dataclasses.replace(study.stop, max_steps=method.steps or study.stop.max_steps),
            validation=study.validation,
            seed=seed,
            device=self.device,
        )
        key = digest([run_hash(config), data_hash(study), method.data])
        folder = None if self.cache is None else self.cache / "runs" / f"{name}-seed-{seed}-{key[:12]}"
        trained = train_or_find(config, lambda: TrainingData(*data), folder)
        self.report(f"{method.title}, seed {seed}: {trained.steps} steps, {trained.seconds:.0f} s, {trained.reason}")
        return trained

    @torch.inference_mode()
    def _score(
        self, name: str, number: int, seed: int, low: Tensor, normal: Tensor, models: Mapping[str, nn.Module]
    ) -> None:
        study, test = self.study, "" if name != SCAN else SCAN
        found = {LOW: low}
        found |= {each: ESTIMATED[each](low) for each in study.filters}
        found |= {each: model(low.to(self.device)).cpu() for each, model in models.items()}
        reach = study.data_range
        for method, volume in found.items():
            similar = float(ssim(volume + _AIR, normal + _AIR, data_range=reach).mean())
            ratio = float(psnr(volume, normal, data_range=reach).mean())
            self.results.rows.append(Row(method, number, seed, "normal", similar, ratio, test))
        if seed == study.seeds[0]:
            middle = len(low) // 2
            title = study.thinned.title if name == SCAN else study.images[name].title
            shown = {study.title_of(method): volume[middle] for method, volume in found.items()}
            self._shown[title] = {**shown, "Normal dose": normal[middle]}
        self.report(f"tested: {name}, seed {seed}")

    def _scan(self, seed: int, models: Mapping[str, nn.Module]) -> None:
        spec = self.study.thinned
        low, normal, photons = thinned(self.study, spec, seed)
        self.photons[spec.title] = photons * spec.dose
        low, normal = ((v / spec.per_mm - 1) * 1000 for v in (low, normal))
        self._score(SCAN, 0, seed, low, normal, models)


def debug_changes(study: Study) -> Mapping[str, object]:
    """Another seed, to look for mistakes without looking at what is reported; the measured data are the same."""
    return {"seeds": [77]}
