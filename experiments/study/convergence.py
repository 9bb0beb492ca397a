"""Scores against steps: where training would end.

Networks are scored on their validation phantom, filters on the stack that they learn from, by the squared error to the
normal dose, which both minimise. Other losses, of Noise2Void and adversarial ones, are no scores and are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from sinograd.models import NetworkDenoiser
from sinograd.training import History
from study.config import Method, Study
from study.drawn import Lines
from study.figures import dress, save
from study.methods import Trained

FLAT = 0.05  # dB in the last quarter of the steps, below which a score counts as flat
_NEAR = 5  # values that are averaged, for they are of single batches or noisy volumes

Curve = tuple[list[int], list[float]]  # steps, dB


def score_curve(study: Study, method: Method, trained: Trained) -> Curve | None:
    """PSNR in dB against steps; None for losses that are no squared errors."""
    if method.task.name not in ("supervised", "dual-domain") or getattr(method.task, "loss", "mse") != "mse":
        return None
    history: History = trained.history
    validated = "validation_loss" in history.columns and bool(history.column("validation_loss")[0])
    steps, losses = history.column("validation_loss" if validated else "training_loss")
    scale = trained.model.scale if isinstance(trained.model, NetworkDenoiser) else method.model.loss_scale
    return steps, [10 * math.log10(study.data_range**2 / (loss * float(scale) ** 2)) for loss in losses]


def last_gain(curve: Curve) -> float:
    """What the last quarter of the steps gained, in dB."""
    steps, values = curve
    early = max(i for i, step in enumerate(steps) if step <= 0.75 * steps[-1] or i == 0)
    return _mean_until(values, len(values)) - _mean_until(values, early + 1)


def save_score_curves(study: Study, lines: Mapping[str, Sequence[Lines]], path: Path) -> None:
    """One panel for filters (training stack), one for networks (validation phantom); one line a seed."""
    networks = {study_method.title for study_method in study.methods if study_method.is_network}
    figure = Figure((11, 4.2), dpi=110, facecolor="white", layout="constrained")
    for axes, of_networks in zip(figure.subplots(1, 2), (False, True), strict=True):
        held = {name: [columns["psnr"] for columns in runs if "psnr" in columns] for name, runs in lines.items()}
        held = {name: curves for name, curves in held.items() if (name in networks) == of_networks and curves}
        for number, (name, curves) in enumerate(held.items()):
            for run, curve in enumerate(curves):
                label = name if run == 0 else None
                axes.plot(*curve, linewidth=1, color=f"C{number}", label=label)
        where = "networks, on the validation phantom" if of_networks else "filters, on what they learn from"
        dress(axes, f"PSNR to the normal dose, dB: {where}", "step")
        if held:
            axes.legend(fontsize=7, frameon=False)
    save(figure, path)


def _mean_until(values: Sequence[float], end: int) -> float:
    """Of the last few values before an index."""
    near = values[max(0, end - _NEAR) : end]
    return math.fsum(near) / len(near)
