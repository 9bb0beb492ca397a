"""The whole experiment: scans, training, scores, kernels, other tube currents, tables, figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path

from torch import Tensor

from sinograd.metrics import psnr, ssim
from sinograd.models import NetworkDenoiser
from sinograd.networks import StructKPN
from sinograd.training import TrainingData
from structkpn.figures import save_convergence, save_currents, save_images, save_kernels
from structkpn.images import Scanner, Slices, data_hash, pairs
from structkpn.methods import denoise, filter_of, run_folder, training_config
from structkpn.places import KINDS, TERMS, places, ruling, widths
from structkpn.settings import LOW, NORMAL, Study, kernel_of
from structkpn.tables import write_tables
from study.config import config_hash
from study.methods import Trained, core_seconds, train_or_find
from study.record import record_of
from study.results import Results, Row, Run

Report = Callable[[str], None]


class Experiment:
    """A study while it runs. cache: where scans and training runs are kept and found again; None: nowhere."""

    def __init__(self, study: Study, cache: Path | None, *, device: str = "cpu", report: Report = print) -> None:
        self.study, self.cache, self.device, self.report = study, cache, device, report
        names = (LOW, *study.filters, *study.all_methods, NORMAL)
        self.results = Results({name: study.title_of(name) for name in names})
        self.networks: dict[tuple[str, int], Trained] = {}
        self.scanner = Scanner(study, cache)
        self._shown: dict[str, Tensor] = {}

    def run(self, output: Path) -> Results:
        """Everything; the tables and figures are written to `output`."""
        study = self.study
        output.mkdir(parents=True, exist_ok=True)
        for seed in study.seeds:
            for name in study.all_methods:
                self._train(name, seed)
        for seed in study.seeds:
            self._tests(seed)
            self._kernels(seed, output)
            self._currents(seed)
        save_images(study, self._shown, output / "images.png")
        save_images(study, self._shown, output / "region.png", study.shown)
        save_currents(study, self.results, output / "currents.png")
        histories = {name: [self.networks[name, seed].history for seed in study.seeds] for name in study.all_methods}
        save_convergence({study.title_of(name): runs for name, runs in histories.items()}, output / "steps.png")
        record = record_of(config_hash(study), data_hash(study), study.profile, self.device)
        write_tables(study, self.results, record, output)
        return self.results

    def _train(self, name: str, seed: int) -> None:
        study, method = self.study, self.study.all_methods[name]

        def data() -> TrainingData:
            split = study.phantoms
            scans = [
                [self.scanner.training_scan(p, seed) for p in part.seeds] for part in (split.training, split.validation)
            ]
            return TrainingData(*map(pairs, scans))

        config = training_config(study, method, seed, self.device)
        folder = None if self.cache is None else run_folder(self.cache, study, name, config)
        trained = train_or_find(config, data, folder)
        self.report(f"{method.title}, seed {seed}: {trained.steps} steps, {trained.seconds:.0f} s, {trained.reason}")
        self.networks[name, seed] = trained
        test = self.scanner.training_scan(next(iter(study.phantoms.test.seeds)), seed, test=True)
        model, losses = trained.model.cpu(), trained.history.column("training_loss")[1][-10:]
        seconds = core_seconds(lambda: denoise(model, test.low[:1]))
        how = (trained.parameters, trained.steps, trained.reason, trained.seconds, seconds, sum(losses) / len(losses))
        self.results.runs.append(Run(name, seed, *how, {}, last_gain=_last_gain(trained), **trained.made))

    def _tests(self, seed: int) -> None:
        """Tables 1 to 3."""
        study = self.study
        filters = study.filters if seed in study.seeds[: study.filter_seeds] else ()
        for number, phantom in enumerate(study.phantoms.test.seeds):
            scan = self.scanner.training_scan(phantom, seed, test=True)
            found = {LOW: scan.low}
            found |= {name: filter_of(name)(scan.low) for name in filters}
            found |= {
                name: denoise(self.networks[name, seed].model, scan.low, self.device) for name in study.all_methods
            }
            for name, images in found.items():
                self._score(name, scan, images)
            self._score(NORMAL, scan, scan.normal, ("clean",))
            if number == 0 and seed == study.seeds[0]:
                middle = len(scan.low) // 2
                self._shown = {study.title_of(name): images[middle] for name, images in found.items()}
                self._shown["Normal dose"] = scan.normal[middle]
            self.report(f"tested: phantom {phantom}, seed {seed}")

    def _kernels(self, seed: int, output: Path) -> None:
        """Figure 2."""
        study, spec = self.study, self.study.places
        model = self.networks[spec.like, seed].model.cpu()
        assert isinstance(model, NetworkDenoiser) and isinstance(model.network, StructKPN)
        margin = kernel_of(study.methods[spec.like]) // 2
        for number, phantom in enumerate(study.phantoms.test.seeds):
            scan = self.scanner.training_scan(phantom, seed, test=True)
            middle = len(scan.low) // 2
            chosen = {kind: places(scan.clean[middle], kind, spec.count, spec.apart, margin) for kind in KINDS}
            drawn: dict[str, Tensor] = {}
            for kind, held in chosen.items():
                kernels = [model.network.kernels(scan.low[middle][None, None], p.row, p.column)[0] for p in held]
                both = [widths(kernel, place.across) for kernel, place in zip(kernels, held, strict=True)]
                sums = [sum(part) / len(held) for part in zip(*both, strict=True)]
                values = {f"{kind} {way}": value for way, value in zip(("across", "along"), sums, strict=True)}
                self.results.measure(spec.like, phantom, seed, values)
                drawn[kind] = kernels[0]
            for strength in ("lambda", "sqrt"):
                rules = ruling(scan.normal, strength)
                shares = {f"{strength} {term}": float((rules == i).double().mean()) for i, term in enumerate(TERMS)}
                self.results.measure(spec.like, phantom, seed, shares)
            if number == 0 and seed == study.seeds[0]:
                first = {kind: held[0] for kind, held in chosen.items()}
                save_kernels(scan.normal[middle], first, drawn, ruling(scan.normal[middle]), output / "kernels.png")

    def _currents(self, seed: int) -> None:
        """Figure 5."""
        study, beam = self.study, self.study.beam
        for phantom in study.phantoms.test.seeds:
            for kv, ma in product(beam.voltages, beam.currents):
                references = ("clean",) if ma == beam.normal_ma else ("normal", "clean")
                scan = self.scanner.exposure(phantom, study.seeds[0], kv, ma)
                test = f"{kv:g}-{ma:g}"
                self._score(LOW, scan, scan.low, references, test, seed)
                for name in study.curve:
                    found = denoise(self.networks[name, seed].model, scan.low, self.device)
                    self._score(name, scan, found, references, test, seed)
            self.report(f"tube currents: phantom {phantom}, seed {seed}")

    def _score(
        self,
        name: str,
        scan: Slices,
        images: Tensor,
        references: tuple[str, ...] = ("normal", "clean"),
        test: str = "",
        seed: int | None = None,
    ) -> None:
        """PSNR, and SSIM as scikit-image has it (the paper's), means over the slices."""
        for reference in references:
            target = getattr(scan, reference)
            similar = float(ssim(images, target, data_range=1.0, weights="uniform", width=7).mean())
            ratio = float(psnr(images, target, data_range=1.0).mean())
            self.results.rows.append(
                Row(name, scan.phantom, scan.seed if seed is None else seed, reference, similar, ratio, test)
            )


def _last_gain(trained: Trained) -> float:
    """By which share of the whole fall the validation loss fell in the last quarter of the steps."""
    steps, losses = trained.history.column("validation_loss")
    early = max(i for i, step in enumerate(steps) if step <= 0.75 * steps[-1] or i == 0)
    fall = losses[0] - min(losses)
    return (min(losses[: early + 1]) - min(losses)) / fall if fall > 0 else 0.0


def debug_changes(study: Study) -> Mapping[str, object]:
    """Other phantoms and seeds, to look for mistakes without looking at what is reported; few of them are tested."""
    split = study.phantoms
    moved = {name: {"first": getattr(split, name).first + 100_000} for name in ("training", "validation")}
    test = {"first": split.test.first + 100_000, "count": min(2, split.test.count)}
    return {"phantoms": {**moved, "test": test}, "seeds": [77], "filter_seeds": 1}
