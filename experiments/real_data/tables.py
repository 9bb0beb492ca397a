"""Results as Markdown, CSV and JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from real_data.settings import LOW, Study
from study.markdown import plus_minus, table, write_csv, write_text
from study.results import Results
from study.scoring import Summary, summarise
from study.significance import interval, pair_title, significant

_DIGITS = {"psnr": 2, "ssim": 4}


def write_tables(
    study: Study, results: Results, photons: Mapping[str, float], record: dict[str, Any], folder: Path
) -> None:
    """results.md, scores.csv (every image and seed), runs.csv (every training run), results.json (all of it)."""
    write_text(folder / "results.md", markdown(study, results, photons, record))
    plain = {name: [dataclasses.asdict(row) for row in getattr(results, name)] for name in ("rows", "runs")}
    write_csv(folder / "scores.csv", plain["rows"])
    write_csv(folder / "runs.csv", plain["runs"])
    found = {"record": record, "photons": dict(photons), **plain}
    write_text(folder / "results.json", json.dumps(found, indent=1) + "\n")


def markdown(study: Study, results: Results, photons: Mapping[str, float], record: dict[str, Any]) -> str:
    """One page."""
    sections = [f"# {study.title}, {study.profile} profile", _head(study, photons, record), _scores(study, results)]
    return "\n\n".join([*sections, _compared(study, results), _runs(study, results)]) + "\n"


def _head(study: Study, photons: Mapping[str, float], record: dict[str, Any]) -> str:
    tests = ", ".join(f"{title} {count:.3g}" for title, count in photons.items())
    return (
        f"Commit {record['commit']}, configuration {record['config_sha256'][:16]}, {record['date']}; "
        f"{record['device']}, {record['threads']} threads, torch {record['torch']}.\n\n"
        f"**{study.smaller}**\n\n"
        "A small study: one patient to learn from, two others and one laboratory scan to test, so intervals are over "
        "the seeds of noise and training, image by image, and say nothing of other patients. Images are the vendors'; "
        f"photon noise of {study.noise_hu:g} HU (RMS inside the patient) is added (`own-volume`), so that the images' "
        "own noise counts as structure. The scan's readings are thinned to "
        f"{100 * study.thinned.dose:g} %; its volumes are scored as HU with {study.thinned.per_mm:g} 1/mm as 0. "
        f"Photons of a reading without an object: {tests}.\n\n"
        f"PSNR (dB) and SSIM: data range {study.data_range:g} HU; ± is the standard deviation over the seeds."
    )


def _tests(study: Study) -> list[tuple[str, int, str]]:
    """Title, number and test of each column."""
    images = [(image.title, number, "") for number, image in enumerate(study.of("test").values())]
    return [*images, (study.thinned.title, 0, "scan")]


def _values(results: Results, method: str, number: int, test: str, metric: str) -> dict[int, float]:
    rows = (row for row in results.rows if (row.method, row.phantom, row.test) == (method, number, test))
    return {row.seed: getattr(row, metric) for row in rows}


def _scores(study: Study, results: Results) -> str:
    rows = []
    for method in (LOW, *study.filters, *study.methods):
        parameters = results.mean_of_runs(method, "parameters")
        cells = [results.titles[method], "" if parameters is None else f"{parameters:.0f}"]
        for _, number, test in _tests(study):
            for metric, digits in _DIGITS.items():
                values = _values(results, method, number, test, metric)
                cells.append(plus_minus(summarise(list(values.values())), digits))
        rows.append(cells)
    heads = [f"{title}: {metric.upper()}" for title, _, _ in _tests(study) for metric in _DIGITS]
    return "## Scores\n" + table(["", "parameters", *heads], rows)


def _compared(study: Study, results: Results) -> str:
    found: dict[tuple[tuple[str, str], str], Summary] = {}
    for pair in study.comparisons:
        for title, number, test in _tests(study):
            both = [_values(results, method, number, test, "psnr") for method in pair]
            found[pair, title] = summarise([both[0][seed] - both[1][seed] for seed in both[0]])
    real = significant(found, lambda key: key[0] in study.headline)
    rows = []
    for pair in study.comparisons:
        cells = [pair_title(*(results.titles[name] for name in pair), headline=pair in study.headline)]
        cells += [interval(found[pair, title], 2, real=(pair, title) in real) for title, _, _ in _tests(study)]
        rows.append(cells)
    text = (
        "PSNR, paired by seed: mean and 95 % interval (Student's t) over the seeds. Bold rows are what the study is "
        "about: an asterisk marks an interval without 0; in the other rows p below 0.05 after Holm's correction."
    )
    return f"## Paired differences\n{text}\n\n" + table(["", *(title for title, _, _ in _tests(study))], rows)


def _runs(study: Study, results: Results) -> str:
    rows = []
    for name, method in study.methods.items():
        runs = results.runs_of(name)
        means = [sum(getattr(run, key) for run in runs) / len(runs) for key in ("steps", "training_seconds")]
        commits = ", ".join(sorted({run.commit[:7] for run in runs}))
        rows.append([method.title, f"{means[0]:.0f}", f"{means[1]:.0f}", f"{len(runs)}", commits])
    return "## Training\nMeans over the seeds.\n\n" + table(["", "steps", "seconds", "runs", "commit"], rows)
