"""Results as Markdown, CSV and JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from study.config import Study
from study.convergence import FLAT
from study.kept import CLOSE
from study.markdown import plus_minus, table, write_csv, write_text
from study.measured_tables import measured_sections
from study.methods import training_phantoms
from study.results import LOW, NORMAL, REFERENCES, Results
from study.scoring import Summary
from study.significance import COMPARED, interval, pair_title, significant

_DIGITS = {"ssim": 4, "psnr": 2}


def write_tables(study: Study, results: Results, record: dict[str, Any], folder: Path) -> None:
    """results.md, scores.csv (every volume), runs.csv (every training run), results.json (all of it)."""
    write_text(folder / "results.md", markdown(study, results, record))
    write_csv(folder / "scores.csv", [dataclasses.asdict(row) for row in results.rows])
    runs = []
    for run in results.runs:
        plain = dataclasses.asdict(run)
        runs.append({**plain, "sigmas": json.dumps(plain["sigmas"])})
    write_csv(folder / "runs.csv", runs)
    found = {
        "record": record,
        "summary": _summary(study, results),
        "differences": _differences(study, results),
        **{name: getattr(results, name) for name in ("starved", "implant")},
        "measures": [dataclasses.asdict(measure) for measure in results.measures],
        "rows": [dataclasses.asdict(row) for row in results.rows],
        "runs": [dataclasses.asdict(run) for run in results.runs],
    }
    write_text(folder / "results.json", json.dumps(found, indent=1) + "\n")


def markdown(study: Study, results: Results, record: dict[str, Any]) -> str:
    """One page."""
    sections = [f"# {study.title}, {study.profile} profile", _head(study, results, record)]
    sections += [_scores(study, results, len(record["parts"])), _compared(study, results)]
    sections += [*measured_sections(study, results), _trained(study, results), _learned(study, results)]
    if study.depth is not None:
        sections.append(_depth(study, results))
    if study.starts is not None:
        sections.append(_starts(study, results))
    if study.implant is not None:
        sections.append(_implant(study, results))
    return "\n\n".join(sections) + "\n"


def _head(study: Study, results: Results, record: dict[str, Any]) -> str:
    phantoms, unit = study.phantoms, study.scale.unit
    bound = _bound(results)
    networks = "" if study.networks is None else f", networks on phantoms {_listed(study.networks.training)}"
    return (
        f"{_made(results, record)}{_part(study, record)}\n\n"
        f"Filters were trained on one stack of phantom {phantoms.training}{networks}; all are tested on "
        f"{_listed(phantoms.test)}, which training never saw; seeds {_listed(study.seeds)} of noise and training. "
        f"PSNR and SSIM: data range {study.scale.data_range:g} {unit}, means over slices; ± is the standard deviation "
        f"over the test phantoms of their means over the seeds.\n\n" + bound
    )


def _made(results: Results, record: dict[str, Any]) -> str:
    """Commit, configuration and machine; of several runs, which made which rows."""
    parts, config = record["parts"], record["config_sha256"]
    if len(parts) == 1:
        return (
            f"Commit {record['commit']}, configuration {config[:16]}, {record['date']}; "
            f"{record['device']}, {record['threads']} threads, torch {record['torch']}."
        )
    lines = [f"Rows of {len(parts)} runs, configuration {config[:16]}:"]
    for part in parts:
        titles = [title for name, title in results.titles.items() if name in part["methods"]]
        titles += ["variants"] if any(name not in results.titles for name in part["methods"]) else []
        other = "" if part["config_sha256"] == config else f"configuration {part['config_sha256'][:16]}, "
        timed = "" if part["processor"] == part["device"] else f" and {part['processor']}"
        lines.append(
            f"- {'; '.join(titles)}: commit {part['commit']}, {other}{part['date']}; {part['device']}{timed}, "
            f"{part['threads']} threads, torch {part['torch']}."
        )
    text = "Low and normal dose are the last run's."
    if apart := max(part["apart"] for part in parts):
        text += f" Their scores differ by up to {apart:.1g} of the value between the runs: processors {_noise(apart)}."
    return "\n".join(lines) + f"\n\n{text}"


def _noise(apart: float) -> str:
    """Why scores of the inputs are apart."""
    if apart <= CLOSE:
        return "round differently"
    return (
        "draw other noise of the same seeds, so that methods of different runs are compared on the same phantoms, not "
        "on the same noise"
    )


def _part(study: Study, record: dict[str, Any]) -> str:
    """What the reader of a run in part or in another precision must know."""
    text = ""
    if record.get("left_out"):
        text += f" Only a part of the profile was run, without: {'; '.join(record['left_out'])}."
        text += " Holm's correction counts the comparisons between the methods here."
    if record.get("not_drawn"):
        lacking = "; ".join(record["not_drawn"])
        text += f" Pictures and curves lack {lacking}: their results came without what is drawn."
    if study.networks is not None and study.networks.precision != "float32":
        text += f" In training networks compute in {study.networks.precision}, in tests in float32."
    return text


def _bound(results: Results) -> str:
    """What can be gained against the normal dose at most, from the noise that was measured.

    Of noise with variance n in the normal dose and l in the low one, which contains it, a method that knows the object
    can tell the part n / l of the low dose's noise: its error is n (1 - n / l), the low dose's l - n, l / n times as
    much. l - n and n are measured: as error of the low dose to the normal one, and of that to the object.
    """
    normal, low = results.summary(NORMAL, "clean", "psnr"), results.summary(LOW, "normal", "psnr")
    if normal is None or low is None or not math.isfinite(normal.mean - low.mean):
        return ""
    bound = 10 * math.log10(1 + 10 ** ((normal.mean - low.mean) / 10))
    return (
        f"Against the normal dose, as in the paper, a method that knew the object exactly would gain {bound:.2f} dB "
        "over the low dose, by the noise measured here, and none can gain more: the noise of the normal dose is part "
        "of the target and cannot be told better from that of the low dose."
    )


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _scores(study: Study, results: Results, parts: int) -> str:
    rows = []
    for name in (LOW, *(method.name for method in study.methods), NORMAL):
        cells = [results.titles[name]]
        for reference in REFERENCES:
            cells += [plus_minus(results.summary(name, reference, metric), _DIGITS[metric]) for metric in _DIGITS]
        parameters, seconds = results.mean_of_runs(name, "parameters"), results.mean_of_runs(name, "seconds_a_slice")
        cells += ["" if parameters is None else f"{parameters:.0f}", "" if seconds is None else f"{seconds:.2g}"]
        rows.append(cells)
    size = " x ".join(str(n) for n in study.grid.shape[1:])
    heads = [f"{metric.upper()} to {words}" for words in REFERENCES.values() for metric in _DIGITS]
    several = (
        "Core-seconds are of the processor of the row's run, which the list above names: those of different processors "
        "do not compare.\n\n"
    )
    made = table(["", *heads, "parameters", f"core-seconds a slice of {size}"], rows)
    return f"## Scores\n{several if parts > 1 else ''}{made}"


def _compared(study: Study, results: Results) -> str:
    real = significant(_all_differences(study, results), lambda key: key[0] in study.headline)
    rows = []
    for pair in study.comparisons:
        cells = [pair_title(*(results.titles[name] for name in pair), headline=pair in study.headline)]
        for reference in REFERENCES:
            for metric, digits in _DIGITS.items():
                found = results.difference(*pair, reference, metric)
                cells.append(interval(found, digits, real=(pair, reference, metric) in real))
        rows.append(cells)
    heads = [f"{metric.upper()} to {words}" for words in REFERENCES.values() for metric in _DIGITS]
    return f"## Paired differences\n{COMPARED}\n\n" + table(["", *heads], rows)


def _all_differences(study: Study, results: Results) -> dict[tuple[tuple[str, str], str, str], Summary]:
    return {
        (pair, reference, metric): results.difference(*pair, reference, metric)
        for pair in study.comparisons
        for reference in REFERENCES
        for metric in _DIGITS
    }


def _trained(study: Study, results: Results) -> str:
    rows = []
    for method in study.methods:
        runs = results.runs_of(method.name)
        training, validation = training_phantoms(study, method)
        rows.append(
            [
                method.title,
                _listed(training),
                _listed(validation),
                f"{_mean(run.steps for run in runs):.0f}",
                f"{_mean(run.training_seconds for run in runs):.0f}",
                f"{_mean(run.last_loss for run in runs):.4g}",
                _gained([run.last_gain for run in runs]),
                f"{len(runs)}",
                ", ".join(sorted({run.commit[:7] for run in runs})),
            ]
        )
    text = (
        "Means over the seeds; filters take stacks whole, in turn, networks random patches. Losses are each model's "
        "own. What the last quarter of the steps added to the PSNR to the normal dose (networks: of the validation "
        "phantom; filters: of what they learn from) tells whether a method was trained out: above "
        f"{FLAT:g} dB it was not."
    )
    heads = ["", "trained on phantoms", "validated on", "steps", "training, s", "last training losses"]
    heads += ["gain of the last quarter, dB", "seeds", "commit"]
    return f"## Training\n{text}\n\n" + table(heads, rows)


def _gained(gains: Sequence[float | None]) -> str:
    """The mean gain of the runs, and whether it is flat; "" where the loss is no score."""
    held = [gain for gain in gains if gain is not None]
    if not held:
        return ""
    return f"{_mean(held):+.2f}" + (", not trained out" if _mean(held) > FLAT else "")


def _learned(study: Study, results: Results) -> str:
    rows = []
    for method in study.methods:
        learned = results.sigmas_of(method.name)
        for filter_name in dict.fromkeys(name.rsplit(".", 1)[0] for name in learned):
            cells = [method.title, filter_name]
            for sigma in ("sigma_z", "sigma_y", "sigma_x", "sigma_range"):
                cells.append(_spread(learned.get(f"{filter_name}.{sigma}", [])))
            rows.append(cells)
    heads = ["", "filter", "sigma z", "sigma y", "sigma x", "sigma range"]
    text = (
        "Mean over the seeds and, in brackets, smallest and largest. Spatial ones in voxels (of projections: views, "
        "rows, columns), range ones in units of the input scale."
    )
    return f"## Learned sigmas\n{text}\n\n" + table(heads, rows)


def _depth(study: Study, results: Results) -> str:
    assert study.depth is not None
    rows = []
    for filters in study.depth.filters:
        name = f"depth-{filters}"
        cells = [f"{filters}"]
        for reference in REFERENCES:
            cells += [plus_minus(results.summary(name, reference, metric), _DIGITS[metric]) for metric in _DIGITS]
        loss = results.mean_of_runs(name, "last_loss")
        rows.append([*cells, "" if loss is None else f"{loss:.6g}"])
    heads = [f"{metric.upper()} to {words}" for words in REFERENCES.values() for metric in _DIGITS]
    text = f"After at most {study.stop.max_steps} steps; seeds {_listed(study.depth.seeds)}."
    return f"## Depth\n{text}\n\n" + table(["filters", *heads, "training loss"], rows)


def _starts(study: Study, results: Results) -> str:
    assert study.starts is not None
    rows = []
    for spatial, value in study.starts.sigmas:
        name = f"start-{spatial:g}-{value:g}"
        cells = [f"{spatial:g}, {value:g}"]
        for reference in REFERENCES:
            cells += [plus_minus(results.summary(name, reference, metric), _DIGITS[metric]) for metric in _DIGITS]
        loss, learned = results.mean_of_runs(name, "last_loss"), results.sigmas_of(name)
        cells.append("" if loss is None else f"{loss:.6g}")
        for sigma in ("sigma_y", "sigma_range"):
            cells.append(", ".join(f"{_mean(values):.3g}" for key, values in learned.items() if key.endswith(sigma)))
        rows.append(cells)
    heads = [f"{metric.upper()} to {words}" for words in REFERENCES.values() for metric in _DIGITS]
    heads = ["start: spatial, range", *heads, "training loss", "sigma y of the filters", "sigma range"]
    text = f"After at most {study.stop.max_steps} steps; seeds {_listed(study.starts.seeds)}."
    return f"## Other start values\n{text}\n\n" + table(heads, rows)


def _implant(study: Study, results: Results) -> str:
    assert study.implant is not None
    unit = study.scale.unit
    rows = [
        [
            row["method"],
            *(
                f"{row[name]:.{digits}f}" if math.isfinite(row[name]) else "not a number"
                for name, digits in (("ssim", 4), ("psnr", 2), ("rmse_near", 1), ("rmse_elsewhere", 1))
            ),
            f"{row['outside_range']}",
            f"{row['not_finite']}",
        ]
        for row in results.implant
    ]
    text = (
        f"Phantom {study.implant.phantom} with {study.implant.metal} in the spine, which training never saw. Voxels "
        "outside the range of the input voxels that they depend on are made up; a bilateral filter cannot do that."
    )
    heads = ["", "SSIM", "PSNR", f"RMSE within 15 mm of metal, {unit}", f"RMSE elsewhere, {unit}"]
    heads += ["voxels outside", "not finite"]
    return f"## Metal\n{text}\n\n" + table(heads, rows)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    text = f"{_mean(values):.3g}"
    return text if len(values) == 1 else f"{text} ({min(values):.3g} to {max(values):.3g})"


def _mean(values: Iterable[float]) -> float:
    held = list(values)
    return math.fsum(held) / len(held)


def _summary(study: Study, results: Results) -> list[dict[str, Any]]:
    names = (LOW, *(method.name for method in study.methods), NORMAL)
    return [
        {"method": name, "reference": reference, "metric": metric, **dataclasses.asdict(found)}
        for name in names
        for reference in REFERENCES
        for metric in _DIGITS
        if (found := results.summary(name, reference, metric)) is not None
    ]


def _differences(study: Study, results: Results) -> list[dict[str, Any]]:
    return [
        {
            "better": better,
            "than": than,
            "reference": reference,
            "metric": metric,
            **dataclasses.asdict(results.difference(better, than, reference, metric)),
        }
        for better, than in study.comparisons
        for reference in REFERENCES
        for metric in _DIGITS
    ]
