"""Train and compare denoisers on patients whose data you have: `python experiments/patients/run.py NAME FOLDER -o OUT`.

NAME is a configuration beside this page, FOLDER what you downloaded:

    python experiments/patients/run.py grand-challenge /data/Training_Image_Data -o runs/mayo
    python experiments/patients/run.py structkpn /data/Training_Image_Data -o runs/structkpn --method kpn-ls
    python experiments/patients/run.py ldct-and-projection /data -o runs/ldct --device cuda

Each method is a training run in OUT/NAME, which goes on where it was stopped and is not trained again when it is
finished; OUT/results has the tables and the page of `sinograd evaluate` over the test patients, and provenance. Seeds
are those of the configuration. Test patients are read after all training.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from sinograd.config.schema import from_plain, to_plain
from sinograd.config.yaml import load_yaml
from sinograd.datasets import PairedVolume, PairsSpec, load_pairs, with_absolute_paths
from sinograd.errors import ConfigError, InputError, SinogradError
from sinograd.io.storage.atomic import replacing
from sinograd.training.config import Config, Data, check_config

HERE = Path(__file__).resolve().parent
PARTS = ("training", "validation", "test")


@dataclass(frozen=True)
class Patients:
    """A configuration. pairs: what all parts share, its `folder` is yours; parts: what each part has besides.

    methods: training runs as `sinograd train` takes them, without data but for patches. filters: of `sinograd
    evaluate -m`. protocol, data_range: of its scores. seeds: of each training run.
    """

    title: str
    pairs: dict[str, Any]
    parts: dict[str, dict[str, Any]]
    methods: dict[str, dict[str, Any]]
    protocol: str
    data_range: float | None = None
    filters: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    defaults: dict[str, Any] = field(default_factory=dict)

    def part(self, name: str, folder: Path) -> PairsSpec:
        """Where the pairs of a part come from."""
        plain = {**self.pairs, **self.parts[name], "folder": str(folder)}
        return with_absolute_paths(from_plain(Holder, {"pairs": plain}, ""), Path.cwd()).pairs

    def config(self, method: str, seed: int, folder: Path, device: str = "cpu") -> Config:
        """A training run."""
        plain = {**self.defaults, **self.methods[method]}
        config = from_plain(Config, {**plain, "seed": seed, "device": device}, f"methods.{method}")
        patches = None if config.data is None else config.data.patches
        training, validation = (self.part(name, folder) for name in ("training", "validation"))
        return dataclasses.replace(config, data=Data(pairs=training, validation_pairs=validation, patches=patches))


@dataclass(frozen=True)
class Holder:
    """Pairs as a training file has them."""

    pairs: PairsSpec


def load_patients(name: str) -> Patients:
    """A configuration by name, checked; ConfigError names the file and the key."""
    file = HERE / f"{name}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in HERE.glob("*.yaml")))
        raise ConfigError(f"expected one of {known}, got {name!r}")
    try:
        found = from_plain(Patients, load_yaml(file.read_text(encoding="utf-8")))
        if sorted(found.parts) != sorted(PARTS):
            raise ConfigError(f"parts: expected {', '.join(PARTS)}, got {', '.join(found.parts)}")
        given = [set(found.parts[part].get("patients", ())) for part in PARTS]
        if len(set.union(*given)) < sum(map(len, given)):
            raise ConfigError("parts: a patient is in two of them")
        for method in found.methods:
            check_config(found.config(method, 0, HERE))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{file}: {error}") from error
    return found


def train_all(
    patients: Patients,
    methods: list[str],
    folder: Path,
    output: Path,
    device: str = "cpu",
    report: Callable[[str], None] = print,
) -> dict[str, Path]:
    """The runs of the methods, by their names in the tables; finished ones are found, stopped ones go on."""
    from sinograd.training import train

    runs: dict[str, Path] = {}
    for method in methods:
        for seed in patients.seeds:
            title = method if len(patients.seeds) == 1 else f"{method}, seed {seed}"
            place = output / (method if len(patients.seeds) == 1 else f"{method}-seed-{seed}")
            runs[title] = place
            finished = place / "finished.json"
            if finished.is_file():
                report(f"{title}: found in {place}")
                continue
            config = patients.config(method, seed, folder, device)
            result = train(config, output=place, resume=(place / "config.yaml").is_file())
            with replacing(finished, force=True) as temporary:
                temporary.write_text(json.dumps({"steps": result.steps, "reason": result.reason}), encoding="utf-8")
            report(f"{title}: {result.steps} steps, {result.seconds:.0f} s, {result.reason}")
    return runs


def compare(
    patients: Patients, runs: Mapping[str, Path], folder: Path, output: Path, device: str = "cpu"
) -> dict[str, Any]:
    """The tables over the test patients in OUTPUT/results; what was compared."""
    from sinograd.evaluation import evaluate, find_method, protocol, write_results

    pairs: list[PairedVolume] = load_pairs(patients.part("test", folder))
    methods = [find_method(f"{title}={place}", device) for title, place in runs.items()]
    methods += [find_method(name) for name in patients.filters]
    how = protocol(patients.protocol)
    if patients.data_range is not None:
        how = how.with_data_range(patients.data_range, "HU")
    scores = evaluate(methods, pairs, how, device=device, samples=3)
    options = {"configuration": to_plain(patients), "folder": folder.name}
    write_results(scores, output / "results", title=patients.title, options=options, force=True)
    return {"patients": [pair.patient for pair in pairs], "methods": [method.name for method in methods]}


def run(
    name: Annotated[str, typer.Argument(help="grand-challenge, structkpn or ldct-and-projection.")],
    folder: Annotated[Path, typer.Argument(help="The data, as they were downloaded.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the runs and results; is made.")],
    method: Annotated[list[str] | None, typer.Option(help="Only this method; may be repeated.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Train the methods of a configuration on its training patients and compare them on its test patients."""
    try:
        patients = load_patients(name)
        methods = method or list(patients.methods)
        for wanted in methods:
            if wanted not in patients.methods:
                raise InputError(f"no method {wanted!r}, expected some of {', '.join(patients.methods)}")
        for part in PARTS:  # an incomplete download is told before anything is trained
            load_pairs(patients.part(part, folder))
        output.mkdir(parents=True, exist_ok=True)
        runs = train_all(patients, methods, folder, output, device, typer.echo)
        compare(patients, runs, folder, output, device)
    except (SinogradError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"done: {output / 'results'}")


if __name__ == "__main__":
    typer.run(run)
