"""Results as Markdown, CSV and JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bone_microstructure.comparisons import compared, verdicts
from bone_microstructure.places import parts_of
from bone_microstructure.results import Results, Row
from bone_microstructure.scans import BoneScans
from bone_microstructure.settings import Study
from bone_microstructure.titles import CURRENTS, TESTS, UNITS, oracle, title_of
from study.markdown import table, write_csv, write_text

_COLUMNS = {
    "difference": "dAvg",
    "deviation": "SD",
    "rmse": "RMSE",
    "corrected": "RMSE - dAvg",
    "ae": "AE",
    "ae_published": "AE, published form",
    "pe": "PE",
    "psnr": "PSNR",
    "psnr_db": "dB",
    "r2": "R²adj, %",
}
_PAPER = ("difference", "deviation", "rmse", "ae_published", "pe", "psnr", "r2")


def write_tables(
    study: Study, results: Results, scans: Mapping[str, BoneScans], record: dict[str, Any], folder: Path
) -> None:
    """results.md, scores.csv (every test, method and seed), bones.csv, runs.csv, results.json (all of it)."""
    write_text(folder / "results.md", markdown(study, results, scans, record))
    plain = {
        field.name: [dataclasses.asdict(row) for row in getattr(results, field.name)]
        for field in dataclasses.fields(results)
    }
    for name, rows in (("scores", plain["rows"]), ("bones", plain["bones"]), ("runs", plain["runs"])):
        write_csv(folder / f"{name}.csv", rows)
    rest = {name: rows for name, rows in plain.items() if name not in ("rows", "bones")}
    found = {"record": record, "noise": noise_of(study, scans), **rest}
    write_text(folder / "results.json", json.dumps(found, indent=1) + "\n")


def markdown(study: Study, results: Results, scans: Mapping[str, BoneScans], record: dict[str, Any]) -> str:
    """One page."""
    sections = [f"# {study.title}, {study.profile} profile", _head(study, record), _noise(study, scans)]
    sections.append(_truths(study, results))
    for test in dict.fromkeys(row.test for row in results.rows):
        sections.append(f"## {TESTS[test]}")
        for current, words in CURRENTS.items():
            if current in study.clinical.currents:
                sections.append(_scores(study, results, test, current, words))
    sections += [verdicts(study, results), compared(study, results), _settings(results), _runs(study, results)]
    return "\n\n".join(sections) + "\n"


def _head(study: Study, record: dict[str, Any]) -> str:
    parts = {name: parts_of(study, split, split.folds[0]) for name, split in study.splits.items()}
    counts = "; ".join(
        f"{name}: {len(part.training)} to train on, "
        + ", ".join(f"{len(places)} to test on ({test})" for test, places in part.tests.items())
        for name, part in parts.items()
    )
    seeds = "; ".join(
        f"{name}, {study.networks[network].title}: {', '.join(map(str, numbers))}"
        for name, split in study.splits.items()
        for network, numbers in split.networks.items()
    )
    return (
        f"Commit {record['commit']}, configuration {record['config_sha256'][:16]}, {record['date']}; "
        f"{record['device']}, {record['threads']} threads, torch {record['torch']}.\n\n"
        f"Places: {counts}; {study.clinical.repetitions} scans of each at each current. Seeds of training: {seeds}. "
        f"Each network: {study.stop.max_steps} steps at most of {study.patches.per_batch} patches.\n\n"
        f"Parameters in spheres of {study.diameter:g} mm at {study.threshold:g} mg/cm³. dAvg is the difference of "
        "averages, SD the deviation of the estimates, RMSE - dAvg the RMSE without that difference, AE the accuracy "
        "error (s²/N subtracted) and in the paper's form (s²/(N - 1)), PE the precision error; PSNR as in the paper's "
        "equation 13, with natural logarithms, and in dB. Numbers of networks are means over the seeds. The oracle is "
        "the Gaussian filter with the lowest RMSE of this parameter on these test data."
    )


def noise_of(study: Study, scans: Mapping[str, BoneScans]) -> dict[str, float]:
    """Standard deviation of the noise of a voxel at each current, mean over the bones, from repeated scans; mg/cm3."""
    found = {}
    for number, current in enumerate(study.clinical.currents):
        variances = [float(s.scans[number].var(0, correction=1).mean()) for s in scans.values()]
        found[f"{current:g}"] = math.sqrt(math.fsum(variances) / len(variances))
    return found


def _noise(study: Study, scans: Mapping[str, BoneScans]) -> str:
    paper = {"100": "323.6", "360": "172.5"}
    rows = [
        [f"{current} mAs", f"{noise:.1f}", paper.get(current, "")] for current, noise in noise_of(study, scans).items()
    ]
    return "## Noise of a voxel\nAfter calibration, mg/cm³, from repeated scans.\n\n" + table(
        ["", "here", "paper"], rows
    )


def _truths(study: Study, results: Results) -> str:
    rows = []
    for truth in results.truths:
        phantom = f"{truth.phantom:.2f}" if truth.parameter == "bvtv" else ""
        numbers = [f"{truth.mean:.2f}", f"{truth.deviation:.2f}", phantom]
        rows.append([TESTS[truth.test], f"{truth.fold}", UNITS[truth.parameter], *numbers])
    return (
        "## Truth (Table 3)\nOf the simulated high-resolution scan. The paper: voxels 115.90 (118.57), BMD 115.90 "
        "(35.14), TMD 334.54 (29.73) mg/cm³, BV/TV 17.30 (6.93) %. Last column: BV/TV of the object itself, without "
        "any blur, in the same spheres; its tissue has one density, "
        f"{study.reference.bone:g} mg/cm³.\n\n" + table(["test", "fold", "", "mean", "SD", "object's own"], rows)
    )


def _scores(study: Study, results: Results, test: str, current: float, words: str) -> str:
    sections = [f"### {words}, {current:g} mAs"]
    methods = list(dict.fromkeys(row.method for row in results.rows if row.test == test))
    shown = [method for method in methods if not _is_width(method)]
    for parameter in ("tmd", "bvtv", "bmd", "voxel"):
        best = oracle(study, results, test, current, parameter, "rmse")
        known = [method for method in shown if results.chosen(test, method, current, parameter)]
        rows = [_row(results, test, method, current, parameter, study) for method in known]
        rows.append(_row(results, test, best, current, parameter, study, f"Gaussian, oracle ({best.split('-')[1]} mm)"))
        if test == "position":
            printed = study.paper.get(f"{current:g}", {}).get(parameter, {})
            rows += [_printed(title_of(study, method), numbers) for method, numbers in printed.items()]
        sections.append(f"**{UNITS[parameter]}**\n\n" + table(["", *_COLUMNS.values()], rows))
    return "\n\n".join(sections)


def _is_width(method: str) -> bool:
    return method.startswith("gaussian-")


def _row(
    results: Results, test: str, method: str, current: float, parameter: str, study: Study, title: str | None = None
) -> list[str]:
    rows = results.chosen(test, method, current, parameter)
    cells = [_number(results, rows, test, method, current, parameter, statistic, study) for statistic in _COLUMNS]
    return [title_of(study, method) if title is None else title, *cells]


def _number(
    results: Results,
    rows: list[Row],
    test: str,
    method: str,
    current: float,
    parameter: str,
    statistic: str,
    study: Study,
) -> str:
    """With the half-range over the folds where all of them ran."""
    mean = results.mean(test, method, current, parameter, statistic)
    text = f"{mean:+.2f}" if statistic == "difference" else f"{mean:.2f}"
    if len({row.fold for row in rows}) < study.places.folds:
        return text
    return f"{text} ± {results.half_range(test, method, current, parameter, statistic):.2f}"


def _printed(title: str, numbers: tuple[float, ...]) -> list[str]:
    held = dict(zip(_PAPER, numbers, strict=True))
    return [f"*paper: {title}*", *(f"{held[name]:.2f}" if name in held else "" for name in _COLUMNS)]


def _settings(results: Results) -> str:
    rows = [
        [s.split, f"{s.fold}", f"{s.current:g}", s.what, ", ".join(f"{value:.4g}" for value in s.values)]
        for s in results.settings
    ]
    text = "Chosen on training places for each current: slope and intercept of lines, width of the Gaussian filter."
    return f"## Settings\n{text}\n\n" + table(["split", "fold", "mAs", "", ""], rows)


def _runs(study: Study, results: Results) -> str:
    rows = []
    for run in results.runs:
        text = [run.split, f"{run.fold}", study.networks[run.network].title, f"{run.seed}", f"{run.parameters}"]
        rows.append([*text, f"{run.steps}", run.reason, f"{run.training_seconds:.0f}", run.commit[:12]])
    heads = ["split", "fold", "network", "seed", "parameters", "steps", "ended by", "last stage, s", "commit"]
    return "## Training\n\n" + table(heads, rows)
