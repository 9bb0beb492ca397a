"""Noise power spectra and task transfer functions of all methods, as pictures for the page."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from sinograd.evaluation.discs import TARGET
from sinograd.evaluation.methods import INPUT
from sinograd.evaluation.noise_tables import edges_by_disc
from sinograd.evaluation.scores import Scores
from sinograd.evaluation.spectra import mean_spectra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _QUIET, _GRID = "#e9ebee", "#9aa1a9", "#33383e"  # on the page's dark ground
_COLORS = ("#f2b84b", "#56b4e9", "#4fc38a", "#e57373", "#b39ddb", "#f48fb1", "#a3c644", "#c49a6c")
_DASHES = ("solid", "dashed", "dashdot", "dotted")

Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]  # frequencies and values of each method


def noise_picture(scores: Scores) -> str:
    """Noise power, and the same with an integral of 1, as an <svg> element; "" where nothing was measured."""
    frequency, power = mean_spectra(scores.spectra)
    shown = {name: values for name, values in power.items() if values.max() > 0}
    if not shown:
        return ""
    step = float(frequency[1] - frequency[0])
    unit = "" if not scores.unit else f"({scores.unit})² " if "/" in scores.unit else f"{scores.unit}² "
    length = scores.frequency_unit.partition("/")[2]
    return _picture(
        [
            (f"noise power ({unit}{length}²)", {n: (frequency, v) for n, v in shown.items()}, True),
            (f"noise power / its integral ({length})", {n: (frequency, v / v.sum() / step) for n, v in shown.items()},
             False),
        ],
        [info.name for info in scores.methods],
        f"spatial frequency ({scores.frequency_unit})",
        "Noise power spectra of output minus target",
    )  # fmt: skip


def edge_picture(scores: Scores, disc: str) -> str:
    """Transfer functions at a disc, as an <svg> element; "" where none was measured."""
    curves = {e.method: (e.frequency, e.transfer) for e in edges_by_disc(scores)[disc] if not e.problem}
    if not curves:
        return ""
    names = [TARGET, *(info.name for info in scores.methods)]
    return _picture([("task transfer", curves, False)], names, "spatial frequency (1/mm)", "Task transfer functions")


def _picture(panels: list[tuple[str, Curves, bool]], names: list[str], abscissa: str, label: str) -> str:
    """Panels (head, curves, whether the ordinate is logarithmic) beside each other, and a legend."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # Text stays text, drawn in the page's font; the salt makes the same picture the same file.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": label, "text.parse_math": False}):
        figure = Figure((4.6 * len(panels), 3.2), layout="constrained", facecolor="none")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (head, curves, logarithmic) in zip(axes, panels, strict=True):
            for name in (name for name in names if name in curves):
                color, dashes = _style(name, names)
                # matplotlib leaves out names that begin with an underscore
                label = f"\u200b{name}" if name.startswith("_") else name
                axis.plot(*curves[name], color=color, linestyle=dashes, linewidth=1.6, label=label)
            _dress(axis, head, abscissa, logarithmic)
        lines, labels = axes[0].get_legend_handles_labels()
        figure.legend(lines, labels, loc="outside right upper", frameon=False, fontsize=9, labelcolor=_INK)
        file = io.StringIO()
        FigureCanvasSVG(figure).print_svg(file, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return _inline(file.getvalue(), label)


def _style(name: str, names: list[str]) -> tuple[str, str]:
    if name in (INPUT, TARGET):
        return (_QUIET, "dashed") if name == INPUT else (_INK, "dotted")
    rank = [n for n in names if n not in (INPUT, TARGET)].index(name)
    return _COLORS[rank % len(_COLORS)], _DASHES[rank // len(_COLORS) % len(_DASHES)]


def _dress(axis: Axes, head: str, abscissa: str, logarithmic: bool) -> None:
    from matplotlib.ticker import LogFormatter

    axis.set_title(head, color=_INK, fontsize=10)
    axis.set_xlabel(abscissa, color=_QUIET, fontsize=9)
    axis.set_facecolor("none")
    axis.set_xlim(left=0)
    if logarithmic:
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter(LogFormatter())  # plain text, as everything else
        axis.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(1, 0.4)))
    else:
        axis.set_ylim(bottom=0)
    axis.grid(color=_GRID, linewidth=0.6)
    axis.tick_params(which="both", labelsize=8, colors=_QUIET)
    for side in axis.spines.values():
        side.set_color(_GRID)


def _inline(svg: str, label: str) -> str:
    """The <svg> element alone, as HTML wants it: without names that only XML needs, which are addresses on the network.

    Nothing is clipped: the axes hold all of the curves.
    """
    element = svg[svg.index("<svg") :]
    element = re.sub(r'\sxmlns(:\w+)?="[^"]*"|\sclip-path="[^"]*"', "", element)
    element = re.sub(r"<metadata>.*?</metadata>|<clipPath.*?</clipPath>", "", element, flags=re.S)
    return element.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1)
