"""Scores as a table for the terminal, CSV files and LaTeX."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sinograd.config.shown import printable
from sinograd.evaluation.methods import INPUT
from sinograd.evaluation.paired import Summary
from sinograd.evaluation.scores import MEASURES, METRICS, MethodInfo, Scores

if TYPE_CHECKING:
    from rich.table import Table

_DIGITS = {"ssim": 4, "psnr": 2, "rmse": 4}  # after the point; of the RMSE all in all
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}
_FORMULA = ("=", "+", "-", "@")
ORACLE = "tuned on each image by its target: a bound, not a method that could be used"


def score_heads(scores: Scores) -> list[str]:
    """Heads of `score_cells`."""
    unit = f" ({scores.unit})" if scores.unit else ""
    return ["method", "SSIM", "PSNR (dB)", f"RMSE{unit}", "parameters", "s a slice", "memory"]


def score_cells(scores: Scores, info: MethodInfo) -> list[str]:
    """One method's row, as text; a star marks an oracle."""
    note = f" ({printable(info.note)})" if info.note else ""
    cells = [printable(info.name) + ("*" if info.oracle else "") + note]
    cells += [plus_minus(scores.summary(info.name, metric), metric) for metric in METRICS]
    memory = scores.memory(info.name)
    cells.append("" if info.parameters is None else f"{info.parameters:,}")
    if info.name == INPUT:
        return [*cells, "", ""]
    seconds = scores.seconds(info.name)
    cells.append("" if seconds is None else f"{seconds:.2g}")
    return [*cells, "" if memory is None else f"{memory / 1e6:.0f} MB"]


def difference_heads(scores: Scores) -> list[str]:
    """Heads of `difference_cells`."""
    heads = ["difference"]
    for head in score_heads(scores)[1:4]:
        heads += [head, "p: t, Wilcoxon"]
    return heads


def difference_cells(scores: Scores, first: str, second: str) -> list[str]:
    """What first - second is over the patients, as text: mean, 95 % interval and p of both tests, for each metric."""
    cells = [printable(f"{first} - {second}")]
    for metric in METRICS:
        found = scores.difference(first, second, metric)
        tests = ", ".join("" if math.isnan(p) else f"{p:.2g}" for p in (found.t_test, found.wilcoxon))
        cells += [interval(found.difference, metric), "" if tests == ", " else tests]
    return cells


def rich_scores(scores: Scores) -> Table:
    """Mean and standard deviation over patients, for the terminal; the best usable method of each metric is bold."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    best = {metric: scores.best(metric) for metric in METRICS}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, head in enumerate(score_heads(scores)):
        table.add_column(head, justify="left" if i == 0 else "right", no_wrap=True)
    for info in scores.methods:
        cells = score_cells(scores, info)
        bold = [
            f"[bold]{cell}[/]" if best[m] == info.name else cell for m, cell in zip(METRICS, cells[1:4], strict=True)
        ]
        table.add_row(escape(cells[0]), *bold, *cells[4:])
    return table


def rich_differences(scores: Scores, to: str) -> Table:
    """Every other method minus `to`, for the terminal."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("difference", "", "mean [95 % interval]", "p: t", "Wilcoxon"):
        table.add_column(head, justify="left" if head in ("difference", "") else "right", no_wrap=True)
    for info in scores.methods:
        if info.name != to:
            for i, (metric, head) in enumerate(zip(METRICS, score_heads(scores)[1:4], strict=True)):
                found = scores.difference(info.name, to, metric)
                tests = ["" if math.isnan(p) else f"{p:.2g}" for p in (found.t_test, found.wilcoxon)]
                table.add_row(
                    "" if i else escape(printable(f"{info.name} - {to}")),
                    head,
                    escape(interval(found.difference, metric)),
                    *tests,
                )
    return table


def table_notes(scores: Scores) -> list[str]:
    """Sentences that belong below the table."""
    patients, volumes = len(scores.patients), len({row.volume for row in scores.rows})
    found = [
        f"Mean ± standard deviation over {patients} patient{'s' * (patients != 1)} ({volumes} volume"
        f"{'s' * (volumes != 1)}); a volume's score is the mean over its slices. Times: {scores.device}, "
        f"{scores.threads} thread{'s' * (scores.threads != 1)}."
    ]
    if any(info.oracle for info in scores.methods):
        found.append(f"* {ORACLE}.")
    return found


def volumes_csv(scores: Scores) -> str:
    """One line for each method, volume and realisation."""
    return as_csv([dataclasses.asdict(row) for row in scores.rows])


def summary_csv(scores: Scores) -> str:
    """One line for each method and metric: mean, standard deviation and interval over patients; times and sizes.

    Metrics: ssim, psnr, rmse, and noise and noise_frequency, the noise left and its mean frequency.
    """
    lines = []
    for info in scores.methods:
        about = dataclasses.asdict(info) | {
            "seconds_a_slice": scores.seconds(info.name),
            "memory_bytes": scores.memory(info.name),
        }
        name = about.pop("name")
        for metric in (*METRICS, *MEASURES):
            found = dataclasses.asdict(scores.summary(name, metric))
            found["patients"] = found.pop("n")
            lines.append({"protocol": scores.protocol.name, "method": name, "metric": metric, **found, **about})
    return as_csv(lines)


def differences_csv(scores: Scores) -> str:
    """One line for each pair of methods and metric: first - second over patients, interval and p values."""
    lines = []
    for first, second in scores.pairs_of_methods():
        for metric in METRICS:
            found = scores.difference(first, second, metric)
            plain = dataclasses.asdict(found.difference)
            plain["patients"] = plain.pop("n")
            tests = {"t_test_p": found.t_test, "wilcoxon_p": found.wilcoxon}
            lines.append({"first": first, "second": second, "metric": metric, **plain, **tests})
    return as_csv(lines)


def latex(scores: Scores) -> str:
    r"""A table for \usepackage{booktabs}; the best usable method of each metric is bold."""
    best = {metric: scores.best(metric) for metric in METRICS}
    heads = score_heads(scores)[:-1]
    lines = [
        f"% sinograd evaluate, protocol {scores.protocol.name}",
        *(f"% {note}" for note in table_notes(scores)),
        r"\begin{tabular}{l" + "r" * (len(heads) - 1) + "}",
        r"\toprule",
        " & ".join(map(escaped, heads)) + r" \\",
        r"\midrule",
    ]
    for info in scores.methods:
        cells = score_cells(scores, info)[:-1]
        texts = [escaped(cell).replace("±", r"$\pm$") for cell in cells]
        for i, metric in enumerate(METRICS, 1):
            if best[metric] == info.name:
                texts[i] = rf"\textbf{{{texts[i]}}}"
        lines.append(" & ".join(texts) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def plus_minus(summary: Summary, metric: str) -> str:
    """Mean ± standard deviation."""
    std = "" if math.isnan(summary.std) else f" ± {_number(summary.std, metric, summary.mean)}"
    return f"{_number(summary.mean, metric, summary.mean)}{std}"


def interval(summary: Summary, metric: str) -> str:
    """Mean [low, high], with signs."""
    mean = _number(summary.mean, metric, summary.mean, "+")
    if math.isnan(summary.low):
        return mean
    size = max(abs(summary.low), abs(summary.high))
    low, high = (_number(value, metric, size, "+") for value in (summary.low, summary.high))
    return f"{_number(summary.mean, metric, size, '+')} [{low}, {high}]"


def _number(value: float, metric: str, size: float, sign: str = "") -> str:
    """With the digits of the metric; those of an RMSE follow from `size`, so that it has them in any unit."""
    digits = _DIGITS[metric]
    if metric == "rmse":
        digits = (
            3
            if size == 0 or not math.isfinite(size)
            else max(0, _DIGITS[metric] - 1 - math.floor(math.log10(abs(size))))
        )
    return f"{value:{sign}.{digits}f}"


def escaped(text: str) -> str:
    """A cell for LaTeX: every sign that means something there stands for itself."""
    return "".join(_LATEX.get(sign, f"\\{sign}" if sign in "&%_#${}" else sign) for sign in printable(text))


def csv_cell(value: Any) -> Any:
    """A value for CSV; text that a spreadsheet would take for a formula starts with an apostrophe."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA) or value.startswith(("\t", "\r")) else text


def as_csv(lines: Sequence[Mapping[str, Any]], heads: Sequence[str] = ()) -> str:
    """Lines under their heads; those of the first line unless they are given."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(heads) or (list(lines[0]) if lines else []), lineterminator="\n")
    writer.writeheader()
    writer.writerows([{key: csv_cell(value) for key, value in line.items()} for line in lines])
    return file.getvalue()
