"""Results as Markdown, CSV and JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from structkpn.places import KINDS, TERMS
from structkpn.settings import LOW, NORMAL, Study, kernel_of, sized
from study.markdown import plus_minus, table, write_csv, write_text
from study.results import REFERENCES, Results
from study.scoring import Summary
from study.significance import COMPARED, interval, pair_title, significant

_DIGITS = {"psnr": 2, "ssim": 4}
_SCORES = [f"{metric.upper()} to {words}" for words in REFERENCES.values() for metric in _DIGITS]


def write_tables(study: Study, results: Results, record: dict[str, Any], folder: Path) -> None:
    """results.md, scores.csv (every phantom), runs.csv (every training run), results.json (all of it)."""
    write_text(folder / "results.md", markdown(study, results, record))
    tables = {"scores": results.rows, "runs": results.runs, "measures": results.measures}
    plain = {name: [dataclasses.asdict(row) for row in rows] for name, rows in tables.items()}
    for name in ("scores", "runs"):
        write_csv(folder / f"{name}.csv", plain[name])
    found = {"record": record, "differences": _plain_differences(study, results), **plain}
    write_text(folder / "results.json", json.dumps(found, indent=1) + "\n")


def markdown(study: Study, results: Results, record: dict[str, Any]) -> str:
    """One page."""
    sections = [f"# {study.title}, {study.profile} profile", _head(study, record)]
    sections += [
        f"## Table {number}\n" + _scores(study, results, names) for number, names in enumerate(study.tables, start=1)
    ]
    sections += [_kernel_sizes(study, results), _compared(study, results), _kernels(study, results)]
    sections += [_currents(study, results, reference) for reference in REFERENCES]
    sections += [_current_differences(study, results), _runs(study, results)]
    return "\n\n".join(sections) + "\n"


def _head(study: Study, record: dict[str, Any]) -> str:
    split, scan, patches, beam = study.phantoms, study.scan, study.patches, study.beam
    window = study.window
    return (
        f"Commit {record['commit']}, configuration {record['config_sha256'][:16]}, {record['date']}; "
        f"{record['device']}, {record['threads']} threads, torch {record['torch']}.\n\n"
        f"**{study.smaller}**\n\n"
        f"Simulated abdomens of water and bone at {beam.voltage:g} kV; low dose: {100 * beam.dose:g} % of "
        f"{beam.normal_ma:g} mA. {split.training.count} phantoms (seeds from {split.training.first}) with "
        f"{scan.count} slices each for training, {split.validation.count} (from {split.validation.first}) for "
        f"validation, {split.test.count} (from {split.test.first}) with {scan.test_count} slices for testing; slices "
        f"of {scan.shape[0]} x {scan.shape[1]} pixels of {scan.spacing:g} mm; seeds {', '.join(map(str, study.seeds))} "
        f"of noise and training, of filters the first {study.filter_seeds}. Steps of {patches.per_batch} patches of "
        f"{patches.size} pixels. The weights with the lowest loss on the validation phantoms are kept (the paper's "
        "code keeps those that are best on the test set).\n\n"
        f"PSNR and SSIM (7 x 7 pixels, as scikit-image): of the window with centre {window.center:g} and width "
        f"{window.width:g} HU made 0 to 1, all images clipped to it; means over slices; ± is the standard deviation "
        "over the test phantoms of their means over the seeds. The paper's figures are of other images (NIH)."
    )


def _scores(study: Study, results: Results, names: Iterable[str]) -> str:
    rows = [_row(study, results, name) for name in (*names, NORMAL)]
    heads = ["", *_SCORES, "the paper's PSNR / SSIM", "parameters", "core-seconds a slice"]
    return table(heads, rows)


def _row(study: Study, results: Results, name: str) -> list[str]:
    cells = [results.titles[name]]
    for reference in REFERENCES:
        cells += [plus_minus(results.summary(name, reference, metric), _DIGITS[metric]) for metric in _DIGITS]
    paper = study.paper.get(name)
    parameters, seconds = results.mean_of_runs(name, "parameters"), results.mean_of_runs(name, "seconds_a_slice")
    cells.append("" if paper is None else f"{paper[0]:.2f} / {paper[1]:.3f}")
    return [*cells, "" if parameters is None else f"{parameters:.0f}", "" if seconds is None else f"{seconds:.2g}"]


def _kernel_sizes(study: Study, results: Results) -> str:
    like = study.kernels.like
    names = {kernel_of(study.methods[like]): like} | {size: sized(like, size) for size in study.kernels.sizes}
    rows = []
    for size in sorted(names):
        row = _row(study, results, names[size])
        rows.append([f"{size} ({size * study.scan.spacing:.0f} mm)", *row[1:5], *row[6:]])
    return "## Table 3: width of the kernels\n" + table(
        ["pixels", *_SCORES, "parameters", "core-seconds a slice"], rows
    )


def _all_differences(study: Study, results: Results) -> dict[tuple[tuple[str, str], str, str], Summary]:
    pairs = [*study.comparisons, *_size_pairs(study)]
    return {
        (pair, reference, metric): results.difference(*pair, reference, metric)
        for pair in pairs
        for reference in REFERENCES
        for metric in _DIGITS
    }


def _size_pairs(study: Study) -> list[tuple[str, str]]:
    like = study.kernels.like
    return [(sized(like, size), like) for size in study.kernels.sizes]


def _compared(study: Study, results: Results) -> str:
    differences = _all_differences(study, results)
    real = significant(differences, lambda key: key[0] in study.headline)
    rows = []
    for pair in (*study.comparisons, *_size_pairs(study)):
        cells = [pair_title(*(results.titles[name] for name in pair), headline=pair in study.headline)]
        for reference in REFERENCES:
            for metric, digits in _DIGITS.items():
                key = (pair, reference, metric)
                cells.append(interval(differences[key], digits, real=key in real))
        rows.append(cells)
    return f"## Paired differences\n{COMPARED}\n\n" + table(["", *_SCORES], rows)


def _kernels(study: Study, results: Results) -> str:
    spec = study.places
    rows = []
    for kind in KINDS:
        found = [results.measured(spec.like, f"{kind} {way}") for way in ("across", "along")]
        rows.append([kind, *(plus_minus(summary, 2) for summary in found)])
    shares = []
    for strength in ("lambda", "sqrt"):
        found = [results.measured(spec.like, f"{strength} {term}") for term in TERMS]
        shares.append([strength, *(f"{100 * (s.mean if s else math.nan):.1f} %" for s in found)])
    return (
        f"## Kernels of three regions (Figure 2)\n{study.title_of(spec.like)}: standard deviations of the kernels in "
        f"pixels across and along the strongest gradient, of up to {spec.count} places of each kind in the middle "
        "slice of each test phantom; places are chosen on the noise-free image.\n\n"
        + table(["", "across", "along"], rows)
        + "\n\nWhich term has the largest weight in the structure-aware loss, by the normal dose: share of the pixels, "
        "for the two strengths (the paper's and its code's).\n\n" + table(["strength", *TERMS], shares)
    )


def _tests(study: Study) -> list[tuple[float, float, str]]:
    return [(kv, ma, f"{kv:g}-{ma:g}") for kv in study.beam.voltages for ma in study.beam.currents]


def _currents(study: Study, results: Results, reference: str) -> str:
    names = (LOW, *study.curve)
    rows = []
    for kv, ma, test in _tests(study):
        if reference == "normal" and ma == study.beam.normal_ma:
            continue
        found = [results.summary(name, reference, "psnr", test) for name in names]
        rows.append([f"{kv:g}", f"{ma:g}", *(plus_minus(summary, 2) for summary in found)])
    text = (
        f"PSNR to the {REFERENCES[reference]} in dB; methods as they were trained at {study.beam.voltage:g} kV. "
        f"The normal dose has {study.beam.normal_ma:g} mA and noise of its own."
    )
    head = f"## Voltages and currents, to the {REFERENCES[reference]} (Figure 5)\n{text}\n\n"
    return head + table(["kV", "mA", *(results.titles[name] for name in names)], rows)


def _current_differences(study: Study, results: Results) -> str:
    first, *others = study.curve
    found = {
        (other, reference, test): results.difference(first, other, reference, "psnr", test)
        for _, ma, test in _tests(study)
        for other in others
        for reference in REFERENCES
        if not (reference == "normal" and ma == study.beam.normal_ma)
    }
    real = significant(found, lambda key: False)
    rows = []
    for kv, ma, test in _tests(study):
        cells = [f"{kv:g}", f"{ma:g}"]
        for other in others:
            for reference in REFERENCES:
                key = (other, reference, test)
                cells.append(interval(found[key], 2, real=key in real) if key in found else "")
        rows.append(cells)
    heads = [f"less {results.titles[other]}, to {words}" for other in others for words in REFERENCES.values()]
    text = f"{results.titles[first]} less others, PSNR in dB. {COMPARED.split('Bold')[0]}An asterisk: after Holm's."
    return f"## Differences at the voltages and currents\n{text}\n\n" + table(["kV", "mA", *heads], rows)


def _runs(study: Study, results: Results) -> str:
    rows = []
    for name, method in study.all_methods.items():
        runs = results.runs_of(name)
        means = [sum(getattr(run, key) for run in runs) / len(runs) for key in ("steps", "training_seconds")]
        late = sum(run.last_gain or 0.0 for run in runs) / len(runs)
        commits = ", ".join(sorted({run.commit[:7] for run in runs}))
        cells = [f"{means[0]:.0f}", f"{means[1]:.0f}", f"{100 * late:.1f} %", f"{len(runs)}", commits]
        rows.append([method.title, *cells])
    text = (
        "Means over the seeds. Last: which share of all that the validation loss fell from the first to the best "
        "validation, it fell in the last quarter of the steps; training had not ended where it is not about 0."
    )
    return f"## Training\n{text}\n\n" + table(["", "steps", "seconds", "last", "runs", "commit"], rows)


def _plain_differences(study: Study, results: Results) -> list[dict[str, Any]]:
    return [
        {"better": pair[0], "than": pair[1], "reference": reference, "metric": metric, **dataclasses.asdict(found)}
        for (pair, reference, metric), found in _all_differences(study, results).items()
    ]
