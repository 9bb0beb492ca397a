"""results.md, rows.csv (every crop), scores.csv, runs.csv and results.json."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from invariance.results import CONSTANT, ERASER, METRICS, Results
from invariance.settings import Study
from study.markdown import table, write_csv, write_text

_DIGITS = {"difference": 1, "content": 3, "learnt": 3}


def write_tables(study: Study, results: Results, record: dict[str, Any], folder: Path) -> None:
    """All files."""
    write_text(folder / "results.md", markdown(study, results, record))
    write_csv(folder / "rows.csv", [_rounded(row) for row in results.rows])
    write_csv(folder / "scores.csv", [_rounded(score) for score in results.scores])
    write_csv(folder / "runs.csv", results.runs)
    exposed = results.exposed()
    plain = {
        "record": record,
        "means": {n: {c: results.mean(n, c) for c in (*METRICS, "deviation", "own", "others")} for n in results.names},
        "latents": {f"{n}, seed {s}": dataclasses.asdict(m) for (n, s), m in results.latents.items()},
        "latents_of_test_crops": {f"{n}, seed {s}": dataclasses.asdict(m) for (n, s), m in results.tested.items()},
        "table2": {c: [dataclasses.asdict(one) for one in results.compared(study, c)] for c in METRICS},
        "exposure": {"lowest": exposed.lowest, "tests": [dataclasses.asdict(one) for one in exposed.comparisons]},
        "ends": results.ends(),
    }
    write_text(folder / "results.json", json.dumps(plain, indent=1) + "\n")


def markdown(study: Study, results: Results, record: dict[str, Any]) -> str:
    """One page."""
    parts = [
        f"# {study.title}, {study.profile} profile",
        _head(study, results, record),
        _reached(results),
        _table1(study, results),
        _invariance(study, results),
        _table2(study, results),
        _latents(study, results),
        _models(study, results),
        _runs(results),
    ]
    return "\n\n".join(parts) + "\n"


def _head(study: Study, results: Results, record: dict[str, Any]) -> str:
    crops, scans = results.crops(), study.scans
    lesions = [row for row in crops if row.lesion]
    return (
        f"Commit {record['commit']}, configuration {record['config_sha256'][:16]}, {record['date']}; "
        f"{record['device']}, {record['threads']} threads, torch {record['torch']}.\n\n"
        f"{scans.training.count} simulated chests for training, {scans.validation.count} for validation, "
        f"{scans.test.count} for testing, {scans.slices} slices each, {scans.dose:.0%} dose; "
        f"{_seeds(study, results)}. {len(crops)} crops, {len(lesions)} with a lesion, of "
        f"{len({row.patient for row in lesions})} patients; {study.samples} samples of each. Means over crops and "
        "seeds; ± is the standard deviation of the patients' means. p values are one-sided, of Mann-Whitney's U, after "
        "Benjamini and Hochberg; crops of a patient are not independent, so the test on patients' means counts."
    )


def _seeds(study: Study, results: Results) -> str:
    done, wanted = (", ".join(map(str, seeds)) for seeds in (results.seeds, study.seeds))
    return f"seeds {done}" if done == wanted else f"**seeds {done} of {wanted}: the run was stopped after these**"


def _reached(results: Results) -> str:
    """What the experiment must reach, each with its figure."""
    rows = []
    learnt = [n for n in results.names if n != CONSTANT]
    for name in results.names:
        moments = [m for (held, _), m in results.latents.items() if held == name]
        worst = max(moments, key=lambda m: m.largest_mean)
        text = f"largest {worst.largest_mean:.3f} ± {worst.largest_error:.3f}; by chance {worst.chance:.3f}"
        rows.append([f"latents of {name}: means 0 ± 0.1", text, _yes(worst.mean_is_zero)])
    for name in learnt:
        share, shuffled = results.share(name), results.share(name, "shuffled")
        rows.append([f"denoised samples of {name}: at most 0.2 of others'", f"{share:.2f}", _yes(share <= 0.2)])
        rows.append(
            [f"nearer than with shuffled conditions, {name}", f"{share:.2f}, {shuffled:.2f}", _yes(share < shuffled)]
        )
        better = results.mean(name, "reconstructed") < results.mean(name, "twin")
        psnr = [results.psnr(name, column) for column in ("reconstructed_squared", "twin_squared")]
        errors = [f"{results.mean(name, column):.0f}" for column in ("reconstructed", "twin")]
        figures = f"{' and '.join(errors)} HU; {psnr[0]:.1f} and {psnr[1]:.1f} dB"
        title = f"conditioned reconstruction better than unconditioned, {name}"
        rows.append([title, figures, _yes(better and psnr[0] > psnr[1])])
    found, ends = results.exposed(), results.ends()
    largest = {by: max(getattr(one, f"corrected_by_{by}") for one in found.comparisons) for by in ("crop", "patient")}
    title = f"{ERASER}: lowest content similarity but for the constant, crops with a lesion"
    rows.append([title, "", _yes(found.lowest)])
    for by, p in largest.items():
        rows.append([f"the same, corrected p below 0.01 by {by}", f"largest p {p:.2g}", _yes(p < 0.01)])
    if len(results.seeds) > 1:
        alone = [results.of_seed(seed).exposed() for seed in results.seeds]
        worst = max(one.corrected_by_patient for each in alone for one in each.comparisons)
        rows.append(["the same by patient, in each seed alone", f"largest p {worst:.2g}", _yes(worst < 0.01)])
    rows.append(["identity has the highest content similarity", "", _yes(ends[0])])
    rows.append(["constant has the lowest", "", _yes(ends[1])])
    return "## What it must reach\n" + table(["", "found", "reached"], rows)


def _table1(study: Study, results: Results) -> str:
    rows = []
    for name in dict.fromkeys(score.denoiser for score in results.scores):
        title = "low dose" if name == "low-dose" else study.title_of(name)
        held = [score for score in results.scores if score.denoiser == name]
        metrics = (("ssim", 3), ("psnr", 1), ("rmse", 0))
        rows.append([title, *(_spread([getattr(score, metric) for score in held], n) for metric, n in metrics)])
    words = (
        "Against the normal dose, by ldct-benchmark's protocol for chests. The paper's, of other images: low dose "
        "0.312 / 18.1 / 236, CNN-10 0.56 / 27.3 / 72, RED-CNN 0.58 / 28.0 / 66, WGAN-VGG 0.505 / 25.3 / 91, DU-GAN "
        "0.544 / 26.3 / 80."
    )
    return f"## Table 1: denoisers\n{words}\n\n" + table(["", "SSIM", "PSNR, dB", "RMSE, HU"], rows)


def _invariance(study: Study, results: Results) -> str:
    rows = []
    for name in results.names:
        cells = [_spread(results.by_patient(name, column), _DIGITS[column]) for column in METRICS]
        with_lesion, without = results.lesion_means(name, "content")
        cells += [f"{with_lesion:.3f} / {without:.3f}"]
        cells += [f"{results.mean(name, column):.0f}" for column in ("deviation", "reconstructed")]
        rows.append([study.title_of(name), *cells])
    heads = ["", *METRICS.values(), "content: with / without lesion", "deviation, HU", "autoencoder, HU"]
    words = (
        "Lower similarity and higher MD: more is ignored. MD holds the autoencoder's own error, which is the last "
        "column: mean absolute difference of x and its reconstruction from the mean of the posterior."
    )
    return f"## Invariances\n{words}\n\n" + table(heads, rows)


def _table2(study: Study, results: Results) -> str:
    rows = []
    for column, title in METRICS.items():
        for one in results.compared(study, column):
            p = [f"{getattr(one, f'corrected_by_{by}'):.2g}" for by in ("crop", "patient")]
            rows.append([title, study.title_of(one.name), *p])
    found = results.exposed()
    exposed = [
        [study.title_of(one.name), f"{one.corrected_by_crop:.2g}", f"{one.corrected_by_patient:.2g}"]
        for one in found.comparisons
    ]
    reference = study.title_of(study.reference)
    text = f"Whether {reference} ignores more than the other denoisers; the paper: than each, mostly significant."
    eraser = f"Whether the {study.title_of(ERASER)} ignores more than the others (content, crops with a lesion):"
    heads = ["p, by crop", "p, by patient"]
    tables = table(["", "than", *heads], rows), table(["than", *heads], exposed)
    return f"## Table 2: tests\n{text}\n\n{tables[0]}\n\n{eraser}\n\n{tables[1]}"


def _latents(study: Study, results: Results) -> str:
    rows = []
    for name in results.names:
        moments, tested = (
            [m for (held, _), m in part.items() if held == name] for part in (results.latents, results.tested)
        )
        worst, of_test = (max(part, key=lambda m: m.largest_mean) for part in (moments, tested))
        variances = f"{min(m.lowest_variance for m in moments):.2f} to {max(m.highest_variance for m in moments):.2f}"
        rows.append(
            [
                study.title_of(name),
                f"{worst.largest_mean:.3f} ± {worst.largest_error:.3f}",
                f"{worst.chance:.3f}",
                f"{statistics.fmean(m.true_rms_mean for m in moments):.3f}",
                variances,
                f"{statistics.fmean(m.rms_correlation for m in moments):.3f} ({moments[0].expected_rms:.3f})",
                f"{of_test.largest_mean:.3f} ± {of_test.largest_error:.3f} ({of_test.chance:.3f})",
            ]
        )
    held = study.latents
    heads = ["", "largest mean", "by chance", "rms of true means", "variances", "rms correlation (of normal draws)"]
    words = (
        f"Of {held.patients.count} patients that no model has seen, {held.per_patient} crops of each anywhere, "
        f"{held.draws} draws of each crop's posterior; the largest absolute mean of all seeds. ± is its standard error "
        "over patients; by chance: the largest that is expected where all means are 0; true: without the part of "
        "sampling. The last column has the test crops, most of them about nodules, which training crops are not."
    )
    return f"## Latents\n{words}\n\n" + table([*heads, "test crops (by chance)"], rows)


def _models(study: Study, results: Results) -> str:
    rows = []
    for name in results.names:
        shares = [f"{results.share(name, column):.2f}" for column in ("own", "shuffled", "prior")]
        base = results.mean(name, "baseline")
        rows.append([study.title_of(name), *shares, "" if math.isnan(base) else f"{base:.0f}"])
    heads = ["", "denoised samples", "shuffled conditions", "decoded N(0, I)", "projected again, HU"]
    words = (
        "Distances of denoised samples to the denoised crop, as shares of those of other crops; `projected again`: "
        "what that alone changes of x."
    )
    return f"## Models\n{words}\n\n" + table(heads, rows)


def _runs(results: Results) -> str:
    rows = []
    for run in results.runs:
        seconds = [f"{run[name]:.0f}" for name in ("seconds", "processor_seconds")]
        rows.append([str(run["run"]), str(run["seed"]), str(run["steps"]), *seconds, f"{run['loss']:.3g}"])
    heads = ["", "seed", "steps", "seconds", "of one core", "loss"]
    words = "Seconds on a machine that others used, too; of one core, in the last part where a run was stopped."
    return f"## Training\n{words}\n\n" + table(heads, rows)


def _spread(values: Sequence[float], digits: int) -> str:
    std = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.{digits}f}{std}"


def _yes(reached: bool) -> str:
    return "yes" if reached else "**no**"


def _rounded(row: Any) -> dict[str, Any]:
    plain = dataclasses.asdict(row)
    return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in plain.items()}
