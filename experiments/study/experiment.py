"""A whole experiment: data, training, scores, tables, figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from sinograd.evaluation.spectra import measure_spectrum
from sinograd.training import TrainingData
from study.config import Method, Shift, Study
from study.convergence import last_gain, save_score_curves, score_curve
from study.data import Case, cached_case, scanned
from study.drawn import Drawn, check_drawn, lines_of, shown_slice, write_drawn
from study.figures import save_depth, save_losses, save_predictions, save_sizes
from study.implant import implant_row
from study.kept import Kept, Part, inputs_apart, joined, read_kept
from study.lacunae import measure_lacunae
from study.methods import (
    Trained,
    denoise,
    run_folder,
    seconds_a_slice,
    train_or_find,
    training_config,
    training_data,
    training_key,
    training_phantoms,
)
from study.part import left_out, part_with, variants
from study.record import make_record
from study.results import LOW, NORMAL, Results, Run
from study.rods import PHANTOM as RODS
from study.rods import measure_rods, rods_object
from study.scoring import score_volume
from study.tables import write_tables

Report = Callable[[str], None]
_LAST = 10  # steps whose losses are averaged


class Experiment:
    """A study while it runs.

    cache: where data and training runs are kept and found again, runs by what is trained on which data; None: nowhere.
    whole: the study that `study` is a part of; the tables name it, and what is left out. add: the methods of earlier
    results in the folder of the tables stay beside those of `study`; ConfigError where the two do not agree, which
    `other_noise` lets the noise of another processor's scans do.
    """

    def __init__(
        self,
        study: Study,
        cache: Path | None,
        *,
        device: str = "cpu",
        report: Report = print,
        whole: Study | None = None,
        add: bool = False,
        other_noise: bool = False,
    ) -> None:
        self.study, self.cache, self.device, self.report = study, cache, device, report
        self.whole, self.add, self.other_noise = whole or study, add, other_noise
        names = {method.name: method.title for method in self.whole.methods}
        self.results = Results({LOW: "Low dose", **names, NORMAL: "Normal dose"})
        self.drawn: dict[str, Drawn] = {}
        self._trained: dict[tuple[str, int], Trained] = {}

    def run(self, output: Path) -> Results:
        """Everything; the tables and figures are written to `output`."""
        study = self.study
        output.mkdir(parents=True, exist_ok=True)
        check_drawn(output)
        self._kept(output)
        self._inputs()
        self._kept(output)
        for seed in study.seeds:
            self._methods(seed)
        for shift in study.shifts:
            self._shift(shift)
        if study.rods is not None:
            self._rods()
        for methods, seeds in variants(study).values():
            for seed in seeds:
                for method in methods:
                    self._extra(method, seed)
        if study.implant is not None:
            self._implant()
        self._write(output)
        return self.results

    def _kept(self, output: Path) -> tuple[Kept | None, float]:
        """What stays of earlier results, and how far its inputs are from those that there are here."""
        if not self.add:
            return None, 0.0
        kept = read_kept(output, self.study, self.whole)
        return kept, inputs_apart(kept.results, self.results, other_noise=self.other_noise)

    def _write(self, output: Path) -> None:
        """Tables, pictures and curves of what was run and of what stays beside it by now: others may have added."""
        kept, apart = self._kept(output)
        results, parts = self.results, [self._part(apart)]
        if kept is not None:
            joined(kept.results, results)
            self.drawn |= kept.drawn
            parts = [*kept.parts, *parts]
        study = part_with(self.whole, {run.method for run in results.runs}, len(self.study.seeds))
        made = [method.name for methods, _ in variants(study).values() for method in methods]
        results.put_in_order([*results.titles, *made], ["", *(shift.name for shift in study.shifts)])
        names = [name for name in results.titles if name in self.drawn]
        self.drawn = {name: self.drawn[name] for name in names}
        write_drawn(output, self.drawn)
        self._pictures(study, output)
        missing = {"left_out": left_out(study, self.whole)}
        missing["not_drawn"] = [method.title for method in study.methods if method.name not in names]
        record = make_record(self.whole, self.device) | {name: words for name, words in missing.items() if words}
        write_tables(study, results, record | {"parts": [dataclasses.asdict(part) for part in parts]}, output)

    def _part(self, apart: float) -> Part:
        """What is run here."""
        record = make_record(self.whole, self.device)
        names = [f.name for f in dataclasses.fields(Part) if f.name in record]
        methods = tuple(dict.fromkeys(run.method for run in self.results.runs))
        return Part(**{name: record[name] for name in names}, methods=methods, apart=apart)

    def _pictures(self, study: Study, output: Path) -> None:
        """Of all methods whose slices and lines there are."""
        titles = self.results.titles
        if study.sizes is not None:
            save_sizes(study, self.results, output / "sizes.png")
        if study.depth is not None:
            save_depth(study, self.results, output / "depth.png")

        def images(kind: str) -> dict[str, np.ndarray]:
            return {titles[name]: kept.images[kind] for name, kept in self.drawn.items() if kind in kept.images}

        title = f"{study.title}: phantom {study.phantoms.test[0]}, seed {study.seeds[0]}"
        save_predictions(study, images("shown"), output / "predictions.png", title)
        for region, name in zip(study.regions, _names("region", len(study.regions)), strict=True):
            save_predictions(study, images("shown"), output / f"{name}.png", title, region)
        if study.implant is not None:
            metal, phantom = study.implant.metal, study.implant.phantom
            title = f"{metal} in the spine, phantom {phantom}: nothing was trained on metal".capitalize()
            save_predictions(study, images("implant"), output / "implant.png", title)
        lines = {titles[name]: list(kept.lines.values()) for name, kept in self.drawn.items() if kept.lines}
        save_losses(lines, output / "losses.png")
        save_score_curves(study, lines, output / "steps.png")

    def case(self, phantom: int, seed: int, study: Study | None = None, **options: str) -> Case:
        """A scan, made or found; of another study where that is given."""
        self.report(f"data: phantom {phantom}, seed {seed}")
        return cached_case(study or self.study, phantom, seed, self.cache, **options)

    def trained(self, method: Method, seed: int) -> Trained:
        """A method trained on the scans of this seed."""
        if (method.name, seed) not in self._trained:
            self._trained[method.name, seed] = self._train(method, seed)
        return self._trained[method.name, seed]

    def _train(self, method: Method, seed: int) -> Trained:
        def data() -> TrainingData:
            parts = [[self.case(phantom, seed) for phantom in part] for part in training_phantoms(self.study, method)]
            return training_data(self.study, method, *parts)

        config = training_config(self.study, method, seed, self.device)
        folder = None if self.cache is None else run_folder(self.cache, self.study, method, config)
        trained = train_or_find(config, data, folder, self._progress(method, seed))
        self.report(f"{method.title}, seed {seed}: {trained.steps} steps, {trained.seconds:.0f} s, {trained.reason}")
        return trained

    def _inputs(self) -> None:
        """Low and normal dose of all test phantoms."""
        study = self.study
        for seed in study.seeds:
            for phantom in study.phantoms.test:
                case = self.case(phantom, seed)
                self.results.starved.append({"phantom": phantom, "seed": seed, "starved": case.starved})
                self._score(LOW, case, case.low)
                self._score(NORMAL, case, case.normal, ("clean",))
                self._measure(LOW, case, case.low)
                self._measure(NORMAL, case, case.normal)
                if seed == study.seeds[0] and phantom == study.phantoms.test[0]:
                    self._show(LOW, case.low)
                    self._show(NORMAL, case.normal)
        for shift in study.shifts:
            other = study.shifted(shift)
            for seed in study.seeds[: shift.seeds]:
                for phantom in other.phantoms.test:
                    case = self.case(phantom, seed, study=other)
                    self._score(LOW, case, case.low, test=shift.name)

    def _show(self, method: str, volume: Tensor, kind: str = "shown") -> None:
        self.drawn.setdefault(method, Drawn()).images[kind] = shown_slice(self.study, volume)

    def _methods(self, seed: int) -> None:
        """All methods of one seed on all test phantoms; the first phantom of the first seed is drawn."""
        study = self.study
        methods = [method for method in study.methods if seed in study.seeds_of(method)]
        models = {method.name: self.trained(method, seed) for method in methods}
        for number, phantom in enumerate(study.phantoms.test):
            case = self.case(phantom, seed)
            for method in methods:
                trained = models[method.name]
                found = denoise(study, method, trained.model, case, self.device)
                self._score(method.name, case, found)
                self._measure(method.name, case, found)
                if number == 0:
                    self._keep(method, seed, trained, case)
                if number == 0 and seed == study.seeds[0]:
                    self._show(method.name, found)

    def _shift(self, shift: Shift) -> None:
        """All methods, as they were trained, on test phantoms and noise of another kind."""
        study, other = self.study, self.study.shifted(shift)
        for seed in study.seeds[: shift.seeds]:
            methods = [method for method in study.methods if seed in study.seeds_of(method)]
            models = {method.name: self.trained(method, seed).model for method in methods}
            for phantom in other.phantoms.test:
                case = self.case(phantom, seed, study=other)
                for method in methods:
                    found = denoise(other, method, models[method.name], case, self.device)
                    self._score(method.name, case, found, test=shift.name)

    def _rods(self) -> None:
        """Resolution and contrast of all methods of the first seed."""
        study = self.study
        assert study.rods is not None
        made = rods_object(study.rods)
        cases = [scanned(study, made, RODS, seed) for seed in study.rods.seeds]
        self.results.measure(LOW, RODS, -1, measure_rods(study, [case.low for case in cases]))
        self.results.measure(NORMAL, RODS, -1, measure_rods(study, [case.normal for case in cases]))
        for method in study.methods:
            model = self.trained(method, study.seeds[0]).model
            found = [denoise(study, method, model, case, self.device) for case in cases]
            self.results.measure(method.name, RODS, -1, measure_rods(study, found))

    def _measure(self, method: str, case: Case, found: Tensor) -> None:
        """Noise and, of bone, lacunae."""
        study = self.study
        spectrum = measure_spectrum(found, case.clean, study.grid.spacing[1:], lambda values: values / study.per_unit)
        if spectrum is not None:
            values = {"noise": spectrum.noise, "frequency": spectrum.mean_frequency}
            self.results.measure(method, case.phantom, case.seed, values)
        if study.lacunae is not None:
            self.results.measure(method, case.phantom, case.seed, measure_lacunae(study, found, case))

    def _extra(self, method: Method, seed: int) -> None:
        """A variant of a method, on all test phantoms."""
        trained = self.trained(method, seed)
        for number, phantom in enumerate(self.study.phantoms.test):
            case = self.case(phantom, seed)
            self._score(method.name, case, denoise(self.study, method, trained.model, case))
            if number == 0:
                self._keep(method, seed, trained, case, shown=False)

    def _implant(self) -> None:
        study, wanted = self.study, self.study.implant
        assert wanted is not None
        seed = study.seeds[0]
        case = self.case(wanted.phantom, seed, implant=wanted.metal)
        self.results.implant.append(implant_row(study, self.results.titles[LOW], None, case.low, case))
        self._show(LOW, case.low, "implant")
        self._show(NORMAL, case.normal, "implant")
        for name in wanted.methods:
            method = study.method(name)
            model = self.trained(method, seed).model
            found = denoise(study, method, model, case, self.device)
            self.results.implant.append(implant_row(study, method.title, model, found, case))
            self._show(name, found, "implant")

    def _score(
        self, method: str, case: Case, found: Tensor, references: Sequence[str] = ("normal", "clean"), test: str = ""
    ) -> None:
        for reference in references:
            score = score_volume(found, getattr(case, reference), self.study.data_range)
            self.results.add(method, case, reference, score, test)

    def _keep(self, method: Method, seed: int, trained: Trained, case: Case, *, shown: bool = True) -> None:
        losses = trained.history.column("training_loss")[1][-_LAST:]
        curve = score_curve(self.study, method, trained)
        if shown:
            self.drawn.setdefault(method.name, Drawn()).lines[seed] = lines_of(trained.history, curve)
        config = training_config(self.study, method, seed)
        self.results.runs.append(
            Run(
                method.name,
                seed,
                trained.parameters,
                trained.steps,
                trained.reason,
                trained.seconds,
                seconds_a_slice(self.study, method, trained.model.cpu(), case),
                sum(losses) / len(losses),
                trained.sigmas,
                last_gain=None if curve is None else last_gain(curve),
                precision=config.precision,
                key=training_key(self.study, method, config),
                **trained.made,
            )
        )

    def _progress(self, method: Method, seed: int) -> Callable[[int, int, float], None]:
        def step(done: int, total: int, loss: float) -> None:
            if done % 50 == 0:
                self.report(f"{method.title}, seed {seed}: step {done} of {total}, loss {loss:.6g}")

        return step


def _names(stem: str, count: int) -> list[str]:
    return [stem if count == 1 else f"{stem}-{number}" for number in range(1, count + 1)]


def debug_changes(study: Study) -> Mapping[str, object]:
    """Other phantoms and seeds, to look for mistakes without looking at what is reported."""
    tests = [seed + 9000 for seed in study.phantoms.test[:2]]
    changes: dict[str, object] = {
        "phantoms": {"training": study.phantoms.training + 9000, "test": tests},
        "seeds": [77],
    }
    if study.networks is not None:
        parts = {name: getattr(study.networks, name) for name in ("training", "validation")}
        changes["networks"] = {name: [seed + 9000 for seed in seeds] for name, seeds in parts.items()}
    if study.depth is not None:
        changes["depth"] = {"seeds": [77]}
    if study.starts is not None:
        changes["starts"] = {"seeds": [77]}
    if study.sizes is not None:
        changes["sizes"] = {"seeds": [77]}
    if study.implant is not None:
        changes["implant"] = {"phantom": study.implant.phantom + 9000}
    return changes
