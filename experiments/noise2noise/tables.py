"""Results as Markdown, CSV and JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from noise2noise.results import Metric, Results, Run
from noise2noise.settings import NOISY, Study
from study.markdown import table, write_csv, write_text
from study.scoring import Summary
from study.significance import COMPARED, interval, pair_title, significant

Key = tuple[str, tuple[str, str], Metric]  # data set, better and than, metric

_DIGITS: dict[Metric, int] = {"psnr": 2, "ssim": 4}


def write_tables(study: Study, results: Results, record: dict[str, Any], folder: Path) -> None:
    """results.md, scores.csv (every phantom), curves.csv, runs.csv (every training run), results.json (all of it)."""
    write_text(folder / "results.md", markdown(study, results, record))
    tables = {"scores": results.rows, "curves": results.points, "runs": results.runs}
    plain = {name: [dataclasses.asdict(row) for row in rows] for name, rows in tables.items()}
    for name, rows in plain.items():
        write_csv(folder / f"{name}.csv", rows)
    found = {
        "record": record,
        "summary": _summary(study, results),
        "differences": _differences(study, results),
        "settings": results.settings,
        **plain,
    }
    write_text(folder / "results.json", json.dumps(found, indent=1) + "\n")


def markdown(study: Study, results: Results, record: dict[str, Any]) -> str:
    """One page."""
    sections = [f"# {study.title}, {study.profile} profile", _head(study, record)]
    real = _real(study, results)
    for name, dataset in study.sets.items():
        sections += [f"## {dataset.title}", _scores(study, results, name), _compared(study, results, name, real)]
    sections += [_curve(study, results, name) for name in study.curves]
    sections += [_settings(study, results), _runs(study, results)]
    return "\n\n".join(sections) + "\n"


def _head(study: Study, record: dict[str, Any]) -> str:
    split, patches = study.phantoms, study.patches
    return (
        f"Commit {record['commit']}, configuration {record['config_sha256'][:16]}, {record['date']}; "
        f"{record['device']}, {record['threads']} threads, torch {record['torch']}.\n\n"
        f"{_count(split.training)} for training, {_count(split.validation)} for validation, {_count(split.test)} for "
        f"testing; seeds {', '.join(map(str, study.seeds))} of noise and training. Each network: "
        f"{study.stop.max_steps} steps of {patches.per_batch} patches of {patches.size} pixels.\n\n"
        "PSNR and SSIM to the clean images: data range 1, means over the images of a phantom; ± is the standard "
        "deviation over the test phantoms of their means over the seeds. Filters have one setting, found on training "
        'images; those marked "per image" have the best one for each test image, which needs the clean image, as the '
        "paper's filters. The paper's figures are of other images."
    )


def _count(part: Any) -> str:
    return f"{part.count} phantoms (seeds from {part.first})"


def _scores(study: Study, results: Results, name: str) -> str:
    paper, before = study.sets[name].paper, results.summary(name, NOISY, "psnr")
    rows = []
    for method in study.rows_of(name):
        found = results.summary(name, method, "psnr")
        gain = "" if found is None or before is None or method == NOISY else f"{found.mean - before.mean:+.2f}"
        cells = [_plus_minus(found, "psnr"), gain, _plus_minus(results.summary(name, method, "ssim"), "ssim")]
        printed = study.sets[name].noise.psnr if method == NOISY else paper.get(method)
        rows.append([study.title_of(method), *cells, "" if printed is None else f"{printed:.2f}"])
    return table(["", "PSNR, dB", "gain, dB", "SSIM", "the paper's PSNR"], rows)


def _compared(study: Study, results: Results, name: str, real: set[Key]) -> str:
    rows = []
    for pair in study.comparisons:
        found = {metric: results.difference(name, *pair, metric) for metric in _DIGITS}
        cells = [
            interval(difference, _DIGITS[metric], real=(name, pair, metric) in real)
            for metric, difference in found.items()
            if difference is not None
        ]
        if cells:
            title = pair_title(*map(study.title_of, pair), headline=pair in study.headline)
            rows.append([title, *cells])
    return f"{COMPARED}\n\n" + table(["", "PSNR, dB", "SSIM"], rows)


def _real(study: Study, results: Results) -> set[Key]:
    """The differences, of all data sets together, that are marked."""
    found: dict[Key, Summary] = {
        (name, pair, metric): difference
        for name in study.sets
        for pair in study.comparisons
        for metric in _DIGITS
        if (difference := results.difference(name, *pair, metric)) is not None
    }
    return significant(found, lambda key: key[1] in study.headline)


def _curve(study: Study, results: Results, name: str) -> str:
    curve = study.curves[name]
    found = [results.curve(name, *network) for network in curve.networks]
    heads = ["noisy"]
    for dataset, method in curve.networks:
        title = f"{study.title_of(method)}, {study.sets[dataset].noise.psnr:g} dB"
        heads += [title, "gain"]
    rows = []
    for levels in zip(*found, strict=True):
        cells = [f"{levels[0].psnr_in:.2f}"]
        for level in levels:
            cells += [f"{level.output.mean:.2f}", f"{level.gain.mean:+.2f}"]
        rows.append(cells)
    text = "PSNR in dB at other levels of the noise, means over one image of each test phantom and the seeds."
    return f"## {curve.title}\n{text}\n\n" + table(heads, rows)


def _settings(study: Study, results: Results) -> str:
    rows = []
    for name, dataset in study.sets.items():
        for method in (NOISY, *study.filters):
            held = [s["options"] for s in results.settings if (s["dataset"], s["method"]) == (name, method)]
            texts = {option: ", ".join(f"{options[option]:.4g}" for options in held) for option in held[0]}
            words = "; ".join(f"{option.replace('_', ' ')} {text}" for option, text in texts.items())
            rows.append([dataset.title, study.title_of(method), words])
    text = (
        "One number for each seed. Of the noise: photons at the brightest pixel of an image, or standard deviation; of "
        "filters: pixels, and range in units of the images."
    )
    return f"## Strength of the noise, settings of the filters\n{text}\n\n" + table(["", "", ""], rows)


def _runs(study: Study, results: Results) -> str:
    rows = []
    for name, dataset in study.sets.items():
        for method in dataset.methods:
            runs = results.runs_of(name, method)
            row = [dataset.title, study.title_of(method), f"{runs[0].parameters}"]
            means = [_mean(runs, "steps"), _mean(runs, "training_seconds"), _mean(runs, "core_seconds")]
            rows.append([*row, f"{means[0]:.0f}", f"{means[1]:.0f}", f"{means[2]:.2g}"])
    heads = ["", "", "parameters", "steps", "training, s", "core-seconds an image"]
    return "## Training\nMeans over the seeds.\n\n" + table(heads, rows)


def _mean(runs: list[Run], name: str) -> float:
    return math.fsum(getattr(run, name) for run in runs) / len(runs)


def _plus_minus(summary: Summary | None, metric: Metric) -> str:
    if summary is None:
        return ""
    digits = _DIGITS[metric]
    std = "" if math.isnan(summary.std) else f" ± {summary.std:.{digits}f}"
    return f"{summary.mean:.{digits}f}{std}"


def _summary(study: Study, results: Results) -> list[dict[str, Any]]:
    return [
        {"dataset": name, "method": method, "metric": metric, **dataclasses.asdict(found)}
        for name in study.sets
        for method in study.rows_of(name)
        for metric in _DIGITS
        if (found := results.summary(name, method, metric)) is not None
    ]


def _differences(study: Study, results: Results) -> list[dict[str, Any]]:
    return [
        {"dataset": name, "better": better, "than": than, "metric": metric, **dataclasses.asdict(found)}
        for name in study.sets
        for better, than in study.comparisons
        for metric in _DIGITS
        if (found := results.difference(name, better, than, metric)) is not None
    ]
