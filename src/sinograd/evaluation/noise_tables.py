"""Noise and sharpness that methods leave, as tables for the terminal, CSV files and LaTeX."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sinograd.evaluation.discs import LEAST_CONTRAST_TO_NOISE, Sharpness
from sinograd.evaluation.scores import MethodInfo, Scores
from sinograd.evaluation.spectra import mean_spectra
from sinograd.evaluation.tables import as_csv, escaped, plus_minus

if TYPE_CHECKING:
    from rich.table import Table


def noise_heads(scores: Scores) -> list[str]:
    """Heads of `noise_cells`."""
    unit = f" ({scores.unit})" if scores.unit else ""
    return ["method", f"noise left{unit}", f"mean frequency ({scores.frequency_unit})"]


def noise_cells(scores: Scores, info: MethodInfo) -> list[str]:
    """One method's row, as text: mean and standard deviation over patients; empty where nothing was measured."""
    found = [scores.summary(info.name, metric) for metric in ("noise", "noise_frequency")]
    texts = ["" if math.isnan(summary.mean) else plus_minus(summary, "rmse") for summary in found]
    return [info.name + ("*" if info.oracle else ""), *texts]


def edge_heads(scores: Scores) -> list[str]:
    """Heads of `edge_cells`."""
    unit = f" ({scores.unit})" if scores.unit else ""
    return ["method", f"contrast{unit}", "contrast / noise", "f50 (1/mm)", "f10 (1/mm)"]


def edge_cells(scores: Scores, edge: Sharpness) -> list[str]:
    """One disc as one method left it, as text; a star marks an oracle."""
    name = edge.method + "*" * any(info.oracle and info.name == edge.method for info in scores.methods)
    numbers = [
        "" if math.isnan(value) else f"{value:.{digits}g}"
        for value, digits in ((edge.contrast, 4), (edge.contrast_to_noise, 3))
    ]
    if edge.problem:
        return [name, *numbers, edge.problem, ""]
    limit = float(edge.frequency[-1])
    levels = [f"{f:.3f}" if math.isfinite(f) else f"above {limit:.3f}" for f in (edge.f50, edge.f10)]
    return [name, *numbers, *levels]


def noise_notes(scores: Scores) -> list[str]:
    """Sentences that belong below the noise and its spectra."""
    if not scores.spectra:
        return ["Noise was not measured: its spectrum needs slices of at least 16 x 16 pixels."]
    return [
        "Noise left: standard deviation of output minus target in squares of up to 64 pixels in the middle of the "
        "slices; mean frequency: of its power spectrum (ICRU 87, AAPM TG-233), lower than the input's where a method "
        "makes the noise blotchy. The difference also holds structure that the method lost and, where the target has "
        "noise of its own, as a normal dose has, that noise."
    ]


def edge_notes(scores: Scores) -> list[str]:
    """Sentences that belong below the sharpness of discs."""
    return [
        "Task transfer function of the disc's edge in the mean of all its slices, 1 at frequency 0; f50 and f10: where "
        "it falls to 0.5 and 0.1. Denoisers are not linear: it holds for this contrast in this noise, and other edges "
        f"may be blurred more or less. Below a contrast of {LEAST_CONTRAST_TO_NOISE:g} times the noise of that mean "
        "nothing is told; with white noise f50 is uncertain by 3 to 8 % there, f10 by 10 to 20 %."
    ]


def rich_noise(scores: Scores) -> Table:
    """What noise each method leaves, for the terminal."""
    return _rich(noise_heads(scores), [noise_cells(scores, info) for info in scores.methods])


def rich_edges(scores: Scores) -> list[Table]:
    """How sharp each disc is, a table for each, for the terminal."""
    return [
        _rich(edge_heads(scores), [edge_cells(scores, edge) for edge in edges], f"disc at {disc}")
        for disc, edges in edges_by_disc(scores).items()
    ]


def edges_by_disc(scores: Scores) -> dict[str, list[Sharpness]]:
    """Discs, each with the target's and each method's sharpness."""
    found: dict[str, list[Sharpness]] = {}
    for edge in scores.edges:
        found.setdefault(edge.disc, []).append(edge)
    return found


def discs_csv(scores: Scores) -> str:
    """One line for each disc and method: contrast, and where the transfer falls to 0.5 and 0.1 (inf: nowhere)."""
    names = ("disc", "method", "contrast", "contrast_to_noise", "f50", "f10", "problem")
    return as_csv([{name: getattr(edge, name) for name in names} for edge in scores.edges], names)


def curves_csv(scores: Scores) -> str:
    """One line for each point of each curve: noise power over patients, and task transfer."""
    frequency, power = mean_spectra(scores.spectra)
    lines = [
        {"curve": "noise power", "disc": "", "method": method, "frequency": float(f), "value": float(value)}
        for method, values in power.items()
        for f, value in zip(frequency, values, strict=True)
    ]
    lines += [
        {"curve": "task transfer", "disc": edge.disc, "method": edge.method, "frequency": float(f), "value": float(t)}
        for edge in scores.edges
        for f, t in zip(edge.frequency, edge.transfer, strict=True)
    ]
    return as_csv(lines, ("curve", "disc", "method", "frequency", "value"))


def noise_latex(scores: Scores) -> str:
    r"""Tables of noise and sharpness for \usepackage{booktabs}."""
    lines = [f"% {note}" for note in noise_notes(scores)]
    lines += _tabular(noise_heads(scores), [noise_cells(scores, info) for info in scores.methods])
    for disc, edges in edges_by_disc(scores).items():
        lines += [f"% disc at {disc}"] + [f"% {note}" for note in edge_notes(scores)]
        lines += _tabular(edge_heads(scores), [edge_cells(scores, edge) for edge in edges])
    return "\n".join([*lines, ""])


def _tabular(heads: list[str], rows: list[list[str]]) -> list[str]:
    bodies = [" & ".join(escaped(cell).replace("±", r"$\pm$") for cell in row) for row in rows]
    return [
        r"\begin{tabular}{l" + "r" * (len(heads) - 1) + "}",
        r"\toprule",
        " & ".join(map(escaped, heads)) + r" \\",
        r"\midrule",
        *(body + r" \\" for body in bodies),
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _rich(heads: list[str], rows: list[list[str]], title: str | None = None) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    # The brackets of a title would be markup; it stands left, as the table.
    table = Table(
        title=None if title is None else escape(title), box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left"
    )
    for i, head in enumerate(heads):
        table.add_column(head, justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(escape, row))
    return table
