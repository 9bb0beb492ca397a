"""The whole experiment: patients, denoisers, their autoencoders and flows, samples, tables, figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch
from torch import Tensor

from invariance.figures import save_grid
from invariance.latents import held_out
from invariance.measures import Measured, Tools, measure, measured
from invariance.results import Results, Score
from invariance.runs import Finished, Report, Runs, check_weights
from invariance.scans import Crop, Patient, choose_crops, cut, data_hash, patients
from invariance.settings import Study
from invariance.tables import write_tables
from sinograd.config.schema import to_plain
from sinograd.evaluation import protocol
from sinograd.invariance import (
    Sampler,
    at_quantiles,
    known_denoiser,
    load_autoencoder,
    load_embedding,
    load_sampler,
    maps,
)
from study.config import config_hash, digest
from study.record import record_of

_SHOWN = 4  # samples in Figure 5


class Experiment:
    """A study while it runs. cache: where scans and training runs are kept and found again."""

    def __init__(self, study: Study, cache: Path | None, *, device: str = "cpu", report: Report = print) -> None:
        self.study, self.device, self.report = study, device, report
        self.cache = Path(mkdtemp(prefix="invariance-")) if cache is None else cache
        self.results = Results()

    def run(self, output: Path) -> Results:
        """Everything; tables and figures are written to `output` after each seed, so that a stopped run has some."""
        study = self.study
        check_weights(study)
        output.mkdir(parents=True, exist_ok=True)
        self.report("scans")
        parts = (study.scans.training, study.scans.validation, study.scans.test, study.latents.patients)
        training, validation, test, others = (patients(study, part.seeds, self.cache) for part in parts)
        runs = Runs(study, self.cache, training, validation, self.report)
        for seed in study.seeds:
            found, crops = self._of_seed(runs, (test, others), seed)
            self._scores(runs, test, seed)
            if seed == study.seeds[0]:
                size = next(iter(found.values())).denoised.shape[-1]
                x = cut({patient.seed: patient.low for patient in test}, crops, size)
                self._figures(x, found, output)
            self.results.runs = [
                {"run": f"{kind}, {name}", "seed": number, **_record_of_run(done)}
                for (kind, name, number), done in runs.finished.items()
            ]
            record = record_of(config_hash(study), data_hash(study), study.profile, self.device)
            write_tables(study, self.results, record, output)
        return self.results

    def _of_seed(
        self, runs: Runs, items: tuple[Sequence[Patient], Sequence[Patient]], seed: int
    ) -> tuple[dict[str, Measured], list[Crop]]:
        """What is measured of all denoisers, and the crops; items: see `measured`."""
        study, (test, _) = self.study, items
        samplers = {name: load_sampler(runs.flow(name, seed).folder) for name in study.denoisers}
        size = next(iter(samplers.values())).size
        crops = [crop for patient in test for crop in choose_crops(study, patient, size)]
        twin, embedding = runs.twin(seed), runs.embedding(seed, list(study.denoisers))
        depends = [twin.key, embedding.key, study.samples, study.control_samples, to_plain([crops, study.latents])]
        tools = Tools(
            load_autoencoder(twin.folder),
            load_embedding(embedding.folder),
            study.samples,
            study.control_samples,
            {patient.seed: patient.low for patient in test},
            self.cache / "measured",
            digest(depends),
        )
        all_found: dict[str, Measured] = {}
        for name, sampler in samplers.items():
            self.report(f"samples of {name}, seed {seed}")
            found = self.measured((name, seed), sampler, tools, crops, runs, items)
            self.results.rows += found.rows
            self.results.latents[name, seed], self.results.tested[name, seed] = found.latents, found.tested
            all_found[name] = found
        return all_found, crops

    def measured(
        self,
        key: tuple[str, int],
        sampler: Sampler,
        tools: Tools,
        crops: Sequence[Crop],
        runs: Runs,
        items: tuple[Sequence[Patient], Sequence[Patient]],
    ) -> Measured:
        """What is measured of one denoiser and seed; items: test patients, and those whose latents are looked at."""
        depends, pipeline = runs.flow(*key).key, self.study.denoisers[key[0]].pipeline

        def make() -> Measured:
            made = [runs.denoised(*key, part) if pipeline else None for part in items]
            volumes = None if made[0] is None else {p.seed: one for p, one in zip(items[0], made[0], strict=True)}
            x = cut({patient.seed: patient.low for patient in items[0]}, crops, sampler.size)
            target = None if volumes is None else cut(volumes, crops, sampler.size)
            others = held_out(self.study, items[1], made[1], sampler.size)
            again = runs.pipeline(*key) if pipeline else None
            return measure(key, sampler, tools, crops, (x, target), others, again)

        return measured(depends, key, tools, make)

    def _scores(self, runs: Runs, test: Sequence[Patient], seed: int) -> None:
        """Table 1, of the denoisers that are no controls."""
        benchmark = protocol("ldct-benchmark")
        chosen = [name for name, entry in self.study.denoisers.items() if entry.control is None]
        first = seed == self.study.seeds[0]
        for name in [*(["low-dose"] if first else []), *chosen]:
            made = [patient.low for patient in test] if name == "low-dose" else self._denoised(runs, name, seed, test)
            for patient, volume in zip(test, made, strict=True):
                found = benchmark.score(volume, patient.normal, "chest")
                means = (float(torch.as_tensor(getattr(found, metric)).mean()) for metric in ("ssim", "psnr", "rmse"))
                self.results.scores.append(Score(name, patient.seed, seed, *means))

    def _denoised(self, runs: Runs, name: str, seed: int, test: Sequence[Patient]) -> list[Tensor]:
        if self.study.denoisers[name].pipeline:
            return runs.denoised(name, seed, test)
        call: Any = known_denoiser(runs.denoiser(name, seed)).call
        return [torch.cat([call(one[None, None])[0] for one in patient.low]) for patient in test]

    def _figures(self, x: Tensor, shown: Mapping[str, Measured], output: Path) -> None:
        study, titles = self.study, [self.study.title_of(name) for name in shown]
        crops = self.results.crops()
        lesions = [i for i, row in enumerate(crops) if row.lesion] or list(range(len(crops)))
        few = lesions[:: max(1, len(lesions) // 4)][:4]
        rows = [(f"patient {crops[i].patient}", [x[i], *(found.denoised[i] for found in shown.values())]) for i in few]
        save_grid(["low dose", *titles], rows, output / "figure-3.png", "Denoised crops (Figure 3)")
        heads = ["low dose", "denoised", *(f"sample {k + 1}" for k in range(_SHOWN)), "deviation", "difference"]
        rows = []
        for name, found in shown.items():
            i = few[0]
            drawn = maps(x[i : i + 1], found.samples[i : i + 1])
            images = [x[i], found.denoised[i], *_padded(found.samples[i]), drawn.deviation[0], drawn.difference[0]]
            rows.append((study.title_of(name), images))
        save_grid(
            heads,
            rows,
            output / "figure-5.png",
            "Samples of one crop (Figure 5)",
            heat=(len(heads) - 2, len(heads) - 1),
        )
        for number, column in ((6, "content"), (7, "learnt")):
            rows = []
            for name, found in shown.items():
                values = [
                    getattr(r, column) for r in self.results.rows if (r.denoiser, r.seed) == (name, study.seeds[0])
                ]
                images: list[Tensor | None] = []
                for i in at_quantiles(values, study.shares):
                    images += [x[i], found.samples[i, 0]]
                rows.append((study.title_of(name), images))
            heads = [f"{part}, {share:.0%}" for share in study.shares for part in ("low dose", "sample")]
            title = (
                f"Crops by {'content similarity' if number == 6 else 'similarity in the embedding'} (Figure {number})"
            )
            save_grid(heads, rows, output / f"figure-{number}.png", title)


def debug_changes(study: Study) -> Mapping[str, object]:
    """Other patients and seeds, to look for mistakes without looking at what is reported; few of them are tested."""
    scans = study.scans
    moved = {name: {"first": getattr(scans, name).first + 100_000} for name in ("training", "validation")}
    test = {"first": scans.test.first + 100_000, "count": min(3, scans.test.count)}
    others = study.latents.patients
    latents = {"patients": {"first": others.first + 100_000, "count": min(3, others.count)}}
    return {"scans": {**moved, "test": test}, "latents": latents, "seeds": [77]}


def _record_of_run(done: Finished) -> dict[str, Any]:
    return {key: value for key, value in dataclasses.asdict(done).items() if key not in ("folder", "key")}


def _padded(samples: Tensor) -> list[Tensor | None]:
    return [samples[k] if k < len(samples) else None for k in range(_SHOWN)]
