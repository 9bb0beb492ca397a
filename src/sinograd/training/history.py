"""What happened in each step: as a table in memory, in a CSV file and in a picture."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from sinograd.errors import FormatError
from sinograd.io.storage.atomic import replacing
from sinograd.models import bilateral_filters

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_AXES = {3: "zyx", 2: "yx"}
_INK, _QUIET = "#1a1a1a", "#5f6368"


class History:
    """One row a step. Column `step` counts from 1; the other values are those the step started from.

    training_loss: of the step. validation_loss: after the step, NaN where none was measured. Every sigma of every
    filter has a column of its own, such as `1.sigma_range`.
    """

    def __init__(self) -> None:
        self.columns: dict[str, list[float]] = {"step": []}

    def __len__(self) -> int:
        return len(self.columns["step"])

    def append(self, step: int, values: Mapping[str, float]) -> None:
        """Add a row; columns that are new or missing hold NaN elsewhere."""
        for name in values:
            if name not in self.columns:
                self.columns[name] = [math.nan] * len(self)
        for name, column in self.columns.items():
            column.append(step if name == "step" else values.get(name, math.nan))

    def column(self, name: str) -> tuple[list[int], list[float]]:
        """Steps and values of a column, where it has a value; KeyError for an unknown one."""
        rows = zip(self.columns["step"], self.columns[name], strict=True)
        pairs = [(int(step), value) for step, value in rows if not math.isnan(value)]
        return [step for step, _ in pairs], [value for _, value in pairs]

    def last(self, name: str) -> float | None:
        """The last value of a column, None where there is none."""
        values = self.column(name)[1] if name in self.columns else []
        return values[-1] if values else None

    def write_csv(self, path: Path) -> None:
        """Replace the file by all rows."""
        with replacing(path, force=True) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(self.columns)
            writer.writerows(self._rows(0))

    def append_csv(self, path: Path) -> None:
        """Add the last row to the file, with a header where it does not exist."""
        if not path.exists():
            self.write_csv(path)
            return
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(self._rows(len(self) - 1))
        with open(path, "ab", buffering=0) as file:  # one write: a row is there or is not
            file.write(text.getvalue().encode())

    def _rows(self, start: int) -> list[list[str]]:
        def text(name: str, value: float) -> str:
            return str(int(value)) if name == "step" else "" if math.isnan(value) else f"{value:.9g}"

        return [[text(name, column[i]) for name, column in self.columns.items()] for i in range(start, len(self))]


def sigmas(model: nn.Module) -> dict[str, float]:
    """The sigmas of all bilateral filters in a model, by column name; range sigmas in units of the input scale."""
    values = {}
    for name, layer in bilateral_filters(model).items():
        for axis, value in zip(_AXES[layer.ndim], layer.sigma_spatial.tolist(), strict=True):  # pyright: ignore
            values[f"{name}.sigma_{axis}"] = value
        values[f"{name}.sigma_range"] = layer.sigma_range.item()  # pyright: ignore
    return values


def read_history(path: str | os.PathLike[str]) -> History:
    """The table of a run's metrics.csv; FormatError, which names the line, where it is none."""
    history = History()
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"{path} is no table of steps: it is no text") from None
    for number, row in enumerate(csv.DictReader(io.StringIO(text, newline="")), 2):
        try:
            step = int(row.pop("step"))
            history.append(step, {name: float(value) if value else math.nan for name, value in row.items()})
        except (KeyError, TypeError, ValueError):
            raise FormatError(f"{path}, line {number}: expected a step and numbers") from None
    return history


def save_curves(history: History, path: str | os.PathLike[str], *, title: str = "", force: bool = False) -> None:
    """Write a PNG of the losses and, where the model has some, the sigmas over the steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    spatial = [name for name in history.columns if name.rsplit(".sigma_", 1)[-1] in ("z", "y", "x")]
    ranges = [name for name in history.columns if name.endswith(".sigma_range")]
    panels = [("loss", ["training_loss", "validation_loss"])]
    panels += [(label, names) for label, names in (("sigma, voxels", spatial), ("sigma, range", ranges)) if names]
    figure = Figure((4.6 * len(panels), 3.6), dpi=110, facecolor="white")
    figure.subplots_adjust(0.05, 0.13, 0.99, 0.84, 0.15)
    for axes, (label, names) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axes, history, [name for name in names if name in history.columns], label)
    if title:
        figure.suptitle(title, color=_INK, fontsize=11)
    with replacing(path, force=force) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary), metadata={"Software": "sinograd"})


def _draw(axes: Axes, history: History, names: list[str], label: str) -> None:
    for name in names:
        steps, values = history.column(name)
        style: dict[str, Any] = {"linewidth": 1.2, "label": name.replace("_", " ").replace("sigma ", "")}
        if name == "validation_loss":
            style |= {"marker": ".", "markersize": 4}
        axes.plot(steps, values, **style)
    if label == "loss" and all(v > 0 for name in names for v in history.column(name)[1]):
        axes.set_yscale("log")
    axes.set_title(label, color=_INK, fontsize=10)
    axes.set_xlabel("step", color=_QUIET, fontsize=8)
    axes.tick_params(labelsize=7, colors=_QUIET, which="both")
    axes.grid(alpha=0.25, linewidth=0.5)
    if names:
        axes.legend(fontsize=6, frameon=False, ncols=1 + len(names) // 8)
