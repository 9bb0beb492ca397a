"""A whole experiment: data, training, scores, tables, figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from sinograd.evaluation.spectra import measure_spectrum
from sinograd.training import History, TrainingData
from study.config import Method, Shift, Study
from study.convergence import Curve, last_gain, save_score_curves, score_curve
from study.data import Case, cached_case, scanned
from study.figures import save_depth, save_losses, save_predictions, save_sizes
from study.implant import implant_row
from study.lacunae import measure_lacunae
from study.methods import (
    Trained,
    deeper,
    denoise,
    run_folder,
    seconds_a_slice,
    sized,
    started,
    train_or_find,
    training_config,
    training_data,
    training_phantoms,
)
from study.part import left_out
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
    whole: the study that `study` is a part of; the tables name it, and what is left out.
    """

    def __init__(
        self,
        study: Study,
        cache: Path | None,
        *,
        device: str = "cpu",
        report: Report = print,
        whole: Study | None = None,
    ) -> None:
        self.study, self.cache, self.device, self.report = study, cache, device, report
        self.whole = whole or study
        titles = {LOW: "Low dose", **{method.name: method.title for method in study.methods}, NORMAL: "Normal dose"}
        self.results = Results(titles)
        self.histories: dict[str, list[History]] = {}
        self.curves: dict[str, list[Curve | None]] = {}
        self._trained: dict[tuple[str, int], Trained] = {}

    def run(self, output: Path) -> Results:
        """Everything; the tables and figures are written to `output`."""
        study = self.study
        output.mkdir(parents=True, exist_ok=True)
        for seed in study.seeds:
            self._methods(seed, output)
        for shift in study.shifts:
            self._shift(shift)
        if study.rods is not None:
            self._rods()
        if study.sizes is not None:
            for seed in study.sizes.seeds:
                for like in study.sizes.methods:
                    for count in study.sizes.counts:
                        self._extra(sized(study, like, count), seed)
            save_sizes(study, self.results, output / "sizes.png")
        if study.depth is not None:
            for seed in study.depth.seeds:
                for filters in study.depth.filters:
                    self._extra(deeper(study, study.depth.like, filters), seed)
            save_depth(study, self.results, output / "depth.png")
        if study.starts is not None:
            for seed in study.starts.seeds:
                for spatial, value in study.starts.sigmas:
                    self._extra(started(study, study.starts.like, spatial, value), seed)
        if study.implant is not None:
            self._implant(output)
        titles = self.results.titles
        save_losses(study, {titles[name]: runs for name, runs in self.histories.items()}, output / "losses.png")
        save_score_curves(study, {titles[name]: runs for name, runs in self.curves.items()}, output / "steps.png")
        write_tables(study, self.results, self._record(), output)
        return self.results

    def _record(self) -> dict[str, Any]:
        missing = left_out(self.study, self.whole)
        return make_record(self.whole, self.device) | ({"left_out": missing} if missing else {})

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

    def _methods(self, seed: int, output: Path) -> None:
        """All methods of one seed on all test phantoms; the first phantom of the first seed is drawn."""
        study = self.study
        methods = [method for method in study.methods if seed in study.seeds_of(method)]
        models = {method.name: self.trained(method, seed) for method in methods}
        for number, phantom in enumerate(study.phantoms.test):
            case = self.case(phantom, seed)
            self.results.starved.append({"phantom": phantom, "seed": seed, "starved": case.starved})
            self._score(LOW, case, case.low)
            self._score(NORMAL, case, case.normal, ("clean",))
            self._measure(LOW, case, case.low)
            self._measure(NORMAL, case, case.normal)
            shown: dict[str, Tensor] = {"Low dose": case.low}
            for method in methods:
                trained = models[method.name]
                found = denoise(study, method, trained.model, case, self.device)
                self._score(method.name, case, found)
                self._measure(method.name, case, found)
                shown[method.title] = found
                if number == 0:
                    self._keep(method, seed, trained, case)
            if number == 0 and seed == study.seeds[0]:
                title = f"{study.title}: phantom {phantom}, seed {seed}"
                shown["Normal dose"] = case.normal
                save_predictions(study, shown, output / "predictions.png", title)
                for region, name in zip(study.regions, _names("region", len(study.regions)), strict=True):
                    save_predictions(study, shown, output / f"{name}.png", title, region)

    def _shift(self, shift: Shift) -> None:
        """All methods, as they were trained, on test phantoms and noise of another kind."""
        study, other = self.study, self.study.shifted(shift)
        for seed in study.seeds[: shift.seeds]:
            methods = [method for method in study.methods if seed in study.seeds_of(method)]
            models = {method.name: self.trained(method, seed).model for method in methods}
            for phantom in other.phantoms.test:
                case = self.case(phantom, seed, study=other)
                self._score(LOW, case, case.low, test=shift.name)
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

    def _implant(self, output: Path) -> None:
        study, wanted = self.study, self.study.implant
        assert wanted is not None
        seed = study.seeds[0]
        case = self.case(wanted.phantom, seed, implant=wanted.metal)
        shown: dict[str, Tensor] = {"Low dose": case.low}
        self.results.implant.append(implant_row(study, "Low dose", None, case.low, case))
        for name in wanted.methods:
            method = study.method(name)
            model = self.trained(method, seed).model
            found = denoise(study, method, model, case, self.device)
            shown[method.title] = found
            self.results.implant.append(implant_row(study, method.title, model, found, case))
        title = f"{wanted.metal} in the spine, phantom {wanted.phantom}: nothing was trained on metal".capitalize()
        save_predictions(study, {**shown, "Normal dose": case.normal}, output / "implant.png", title)

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
            self.histories.setdefault(method.name, []).append(trained.history)
            self.curves.setdefault(method.name, []).append(curve)
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
                trained.commit,
                None if curve is None else last_gain(curve),
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
