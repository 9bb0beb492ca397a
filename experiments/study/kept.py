"""Earlier results of a study, which a part that is run now adds to.

They are checked before anything is trained: the same data, tests, seeds and phantoms, and of every method that is kept
the training that the configuration of now would give it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from sinograd.config.schema import Check, differences, from_plain
from sinograd.errors import ConfigError
from study.config import Method, Study, config_hash
from study.data import data_hash
from study.drawn import Drawn, read_drawn
from study.methods import training_config, training_key
from study.part import only, variants
from study.record import tests_of
from study.results import LOW, NORMAL, REFERENCES, Measure, Results, Row, Run

CLOSE = 1e-6  # scores of the inputs may differ by so much, relatively: processors round differently
OTHER_NOISE = 0.02  # and by so much where it is allowed that processors draw other noise

Place = tuple[str, int, int, str]  # test, phantom, seed, reference
_IS_NUMBER = Check("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool))
_Number = Annotated[Any, _IS_NUMBER]


@dataclass(frozen=True)
class Part:
    """One run of a study and the methods (and variants) it made the rows of.

    device: where it trained; processor: whose seconds a slice takes. apart: by how much, relatively, its scores of the
    inputs differ from those of the results that it was added to.
    """

    commit: str
    config_sha256: str
    sinograd: str
    torch: str
    device: str
    processor: str
    threads: int
    date: str
    methods: tuple[str, ...]
    apart: float = 0.0


@dataclass(frozen=True)
class Kept:
    """The rows of earlier results that stay, the runs that made them, and what is drawn of them."""

    results: Results
    parts: tuple[Part, ...]
    drawn: dict[str, Drawn]


@dataclass(frozen=True)
class _Record:
    """Of results.json; without `processor`, `parts` and `tests` in older files."""

    commit: str
    config_sha256: str
    data_sha256: str
    profile: str
    sinograd: str
    torch: str
    device: str
    threads: int
    date: str
    processor: str = ""
    tests: dict[str, Any] | None = None
    parts: tuple[Part, ...] = ()
    left_out: tuple[str, ...] = ()
    not_drawn: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Measure:
    """As `Measure`; what could not be measured is not a number."""

    method: str
    phantom: int
    seed: int
    name: str
    value: _Number


@dataclass(frozen=True)
class _Implant:
    """As `study.implant.implant_row` makes it."""

    method: str
    ssim: _Number
    psnr: _Number
    rmse_near: _Number
    rmse_elsewhere: _Number
    outside_range: int
    not_finite: int


@dataclass(frozen=True)
class _File:
    """results.json. What is made anew from the rows is not looked at."""

    record: _Record
    rows: tuple[Row, ...]
    runs: tuple[Run, ...]
    measures: tuple[_Measure, ...]
    implant: tuple[_Implant, ...]
    summary: Any = None
    differences: Any = None
    starved: Any = None


def read_kept(folder: Path, study: Study, whole: Study) -> Kept:
    """What stays of the results in a folder beside the part `study` of `whole`; ConfigError where they do not agree."""
    file = folder / "results.json"
    try:
        found = from_plain(_File, json.loads(file.read_text(encoding="utf-8")))
        if any(None in vars(row).values() for row in (*found.measures, *found.implant)):
            raise ConfigError("measures and implant: expected numbers, got null")
        _check_study(found, study, whole)
        stay = _check_methods(found, study, whole)
        names = {LOW, NORMAL, *(run.method for run in stay)}
        parts = _parts(found, names)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"cannot add to {file}: {error}") from error
    titles = {method.name: method.title for method in whole.methods if method.name in names}
    results = Results(
        titles,
        [row for row in found.rows if row.method in names],
        stay,
        implant=[vars(row) for row in found.implant if row.method in titles.values()],
        measures=[Measure(**vars(row)) for row in found.measures if row.method in names - {LOW, NORMAL}],
    )
    return Kept(results, parts, read_drawn(folder, titles, study.grid.shape[1:]))


def inputs_apart(kept: Results, new: Results, *, other_noise: bool) -> float:
    """The largest relative difference between scores of the inputs, low and normal dose, of two runs.

    ConfigError where it is above `CLOSE` or, with `other_noise`, above `OTHER_NOISE`: a last bit of the mean of a
    Poisson variable can change all that are drawn after it, so that processors whose exponential functions differ make
    other noise of the same seed.
    """
    allowed = OTHER_NOISE if other_noise else CLOSE
    hint = "" if other_noise else "; `other_noise` allows for that of another kind of processor"
    old = {(row.method, _place(row)): row for row in kept.rows}
    largest = 0.0
    for row in (row for row in new.rows if row.method in (LOW, NORMAL)):
        before = old[row.method, _place(row)]
        for metric in ("ssim", "psnr"):
            one, other = getattr(before, metric), getattr(row, metric)
            if not math.isclose(one, other, rel_tol=allowed):
                raise ConfigError(
                    f"cannot add to results with another {row.method}: {metric} of phantom {row.phantom}, seed "
                    f"{row.seed}, to the {REFERENCES[row.reference]} one{row.test and ' of ' + row.test}: expected "
                    f"{one:.9g} as there, got {other:.9g}{hint}"
                )
            largest = max(largest, 0.0 if one == other else abs(one - other) / max(abs(one), abs(other)))
    return largest


def joined(kept: Results, new: Results) -> None:
    """Adds what stays to new results; the inputs are those of the new run."""
    new.rows += [row for row in kept.rows if row.method not in (LOW, NORMAL)]
    new.runs += kept.runs
    new.measures += kept.measures
    new.implant += kept.implant


def _check_study(found: _File, study: Study, whole: Study) -> None:
    """The same data, tests, seeds, phantoms; where nothing tells what trained a method, the same configuration."""
    record = found.record
    expected: dict[str, Any] = {"profile": whole.profile, "data_sha256": data_hash(whole)}
    if record.tests is None or not all(run.key for run in found.runs):
        expected["config_sha256"] = config_hash(whole)
    if record.tests is not None:
        expected["tests"] = json.loads(json.dumps(tests_of(whole)))
    lines = differences({name: getattr(record, name) for name in expected}, expected)
    inputs = [row for row in found.rows if row.method == LOW and not row.test]
    for name, values in (("seed", study.seeds), ("phantom", study.phantoms.test)):
        there = sorted({getattr(row, name) for row in inputs})
        lines += [f"{name}s: {there} and {sorted(values)}"] if there != sorted(values) else []
    if lines:
        raise ConfigError(f"its study is not the one that is run, there and here: {'; '.join(lines)}")


def _check_methods(found: _File, study: Study, whole: Study) -> list[Run]:
    """The runs that stay: each trained as now, and tested on all that the study is tested on."""
    every = only(whole, [], len(study.seeds))
    known = _trained(every)
    for name in ("rows", "runs", "measures"):
        for row in getattr(found, name):
            if row.method not in known and row.method not in (LOW, NORMAL):
                raise ConfigError(f"{name}: no method {row.method!r}, expected some of {', '.join(known)}")
    titles = {"Low dose", *(method.title for method in whole.methods)}
    for row in found.implant:
        if row.method not in titles:
            raise ConfigError(f"implant: no method of the title {row.method!r}")
    new = _trained(study)
    stay = [run for run in found.runs if run.method not in new]
    held = {run.method for run in stay}
    _check_seeds(stay, known)
    for name in (LOW, NORMAL, *sorted(held)):
        seeds = known[name][1] if name in known else every.seeds
        own = any(method.name == name for method in every.methods)
        places = _places(every, seeds, ("clean",) if name == NORMAL else tuple(REFERENCES), shifts=own or name == LOW)
        there = [_place(row) for row in found.rows if row.method == name]
        if sorted(there) != sorted(places):
            raise ConfigError(f"rows: {name} was not tested on all that the study is tested on, each once")
    untrained = {row.method for row in found.rows} - held - set(new) - {LOW, NORMAL}
    if untrained:
        raise ConfigError(f"runs: missing, {min(untrained)} has rows")
    return [_checked(run, every, known[run.method][0]) for run in stay]


def _trained(study: Study) -> dict[str, tuple[Method, Sequence[int]]]:
    """All that a study trains, by name, and with which seeds."""
    found: dict[str, tuple[Method, Sequence[int]]] = {m.name: (m, study.seeds_of(m)) for m in study.methods}
    for made, seeds in variants(study).values():
        found |= {method.name: (method, seeds) for method in made}
    return found


def _check_seeds(runs: Sequence[Run], known: Mapping[str, tuple[Method, Sequence[int]]]) -> None:
    for name in {run.method for run in runs}:
        seeds = sorted(run.seed for run in runs if run.method == name)
        if seeds != sorted(known[name][1]):
            raise ConfigError(f"runs: expected seeds {sorted(known[name][1])} of {name}, got {seeds}")


def _checked(run: Run, study: Study, method: Method) -> Run:
    """The run with its key, which is that of the configuration of now."""
    config = training_config(study, method, run.seed)
    key = training_key(study, method, config)
    if run.key and run.key != key:
        other = f" in {run.precision}, now {config.precision}" if run.precision != config.precision else ""
        raise ConfigError(
            f"runs: {run.method}, seed {run.seed}, was trained otherwise than the configuration of now says{other} "
            f"(key {run.key[:12]}, now {key[:12]})"
        )
    return replace(run, key=key, precision=config.precision)


def _places(study: Study, seeds: Sequence[int], references: Sequence[str], *, shifts: bool) -> list[Place]:
    """Where a method is scored that is trained with these seeds."""
    tests = [("", study.phantoms.test, seeds)]
    for shift in study.shifts if shifts and "normal" in references else ():
        tests.append((shift.name, study.shifted(shift).phantoms.test, study.seeds[: shift.seeds]))
    return [
        (test, phantom, seed, reference)
        for test, phantoms, tested in tests
        for phantom in phantoms
        for seed in tested
        if seed in seeds
        for reference in references
    ]


def _place(row: Row) -> Place:
    return row.test, row.phantom, row.seed, row.reference


def _parts(found: _File, names: set[str]) -> tuple[Part, ...]:
    """The runs that made the rows of these methods; older results are of one."""
    record = found.record
    parts = record.parts
    if not parts:
        same = ("commit", "config_sha256", "sinograd", "torch", "device", "threads", "date")
        methods = tuple(dict.fromkeys(run.method for run in found.runs))
        processor = record.processor or record.device
        parts = (Part(**{name: getattr(record, name) for name in same}, processor=processor, methods=methods),)
    made = [name for part in parts for name in part.methods]
    for name in sorted(names - {LOW, NORMAL}):
        if made.count(name) != 1:
            raise ConfigError(f"record.parts: expected {name} in one of them, got {made.count(name)}")
    left = [replace(part, methods=tuple(name for name in part.methods if name in names)) for part in parts]
    return tuple(part for part in left if part.methods)
