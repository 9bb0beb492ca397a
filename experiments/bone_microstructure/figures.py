"""Pictures of a run: a patch, maps, errors during training, histograms, TMD against BV/TV."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.spatial import ConvexHull
from torch import Tensor

from bone_microstructure.places import PARAMETERS, Place, inner_size, parameters_of, parts_of, places_of, stacked
from bone_microstructure.results import Results
from bone_microstructure.scans import BoneScans
from bone_microstructure.settings import Study
from bone_microstructure.titles import TESTS, UNITS, title_of
from sinograd.morphometry import bmd_map
from sinograd.morphometry.ball import fitting_ball
from sinograd.morphometry.maps import Neighbourhoods
from study.figures import INK, QUIET, dress, save

Volumes = Mapping[str, Mapping[str, Tensor]]  # by method and bone; [currents, repetitions, Z, Y, X]
_WINDOW = (-200.0, 700.0)
_WINDOWS = {"voxel": _WINDOW, "bmd": (0.0, 250.0), "tmd": (225.0, 450.0), "bvtv": (0.0, 50.0)}
_COLORS = {"truth": INK, "unfiltered": "#c0392b", "nn-sp": "#1f4e9c", "nn-bmd": "#2c7a4b", "gaussian": "#b7791f"}


def save_all(study: Study, results: Results, scans: Mapping[str, BoneScans], shown: Volumes, folder: Path) -> None:
    """Figures 2, 4, 5 and 6."""
    bone = study.bones.parameters[-1].name if "parameters" in _tests(results) else study.bones.training[-1].name
    methods = [name for name in ("unfiltered", "gaussian", "nn-bmd", "nn-sp") if name in shown]
    save_patch(study, scans[bone], folder / "patch.png")
    save_maps(
        study, scans[bone], {name: shown[name][bone] for name in methods if bone in shown[name]}, folder / "maps.png"
    )
    if results.stages:
        save_stages(results, folder / "stages.png")
    for test in _tests(results):
        save_histograms(study, scans, shown, test, folder / f"histograms-{test}.png")
        save_clouds(study, scans, shown, test, folder / f"clouds-{test}.png")


def _tests(results: Results) -> list[str]:
    return list(dict.fromkeys(row.test for row in results.rows))


def save_patch(study: Study, scans: BoneScans, path: Path) -> None:
    """An input patch of both scanners, what a network keeps of it, and the sphere of a parameter (Figure 2)."""
    place = places_of(study, scans.name)[0]
    noisy, clean = place.cut(scans.scans[-1, 0], study.places.size), place.cut(scans.truth, study.places.size)
    kept = inner_size(study.places)
    figure = Figure((7.5, 6.4), dpi=110, facecolor="white", layout="constrained")
    ball = fitting_ball(study.region.spacing, study.diameter, kept)
    for row, (name, patch) in zip(figure.subplots(2, 2), (("clinical scan", noisy), ("truth", clean)), strict=True):
        for axes, across in zip(row, (0, 1), strict=True):
            middle = patch.shape[across] // 2
            steps = [s for k, s in enumerate(study.region.spacing) if k != across]
            image = patch.select(across, middle).numpy()
            sizes = [n * s for n, s in zip(image.shape, steps, strict=True)]
            axes.imshow(
                image,
                cmap="gray",
                vmin=_WINDOW[0],
                vmax=_WINDOW[1],
                extent=(0, sizes[1], sizes[0], 0),
                interpolation="nearest",
            )
            inner = [n * s for k, (n, s) in enumerate(zip(kept, study.region.spacing, strict=True)) if k != across]
            corner = [(a - b) / 2 for a, b in zip(sizes, inner, strict=True)]
            axes.add_patch(Rectangle((corner[1], corner[0]), inner[1], inner[0], fill=False, color="#c0392b"))
            disc = ball.select(across, ball.shape[across] // 2).numpy().astype(float)
            offset = [(a - n * s) / 2 for a, n, s in zip(sizes, disc.shape, steps, strict=True)]
            places = [o + (np.arange(n) + 0.5) * s for o, n, s in zip(offset, disc.shape, steps, strict=True)]
            axes.contour(places[1], places[0], disc, levels=[0.5], colors="#1f4e9c", linewidths=0.9)
            dress(axes, f"{name}, {'x-y' if across == 0 else 'x-z'}", "mm")
            axes.grid(visible=False)
    figure.suptitle("Patch: red, what the network keeps; blue, the sphere of a parameter", color=INK, fontsize=10)
    save(figure, path)


def save_maps(study: Study, scans: BoneScans, methods: Mapping[str, Tensor], path: Path) -> None:
    """The middle slice of one scan at the middle current: values and maps, and their absolute errors (Figure 4)."""
    number = len(study.clinical.currents) // 2
    volumes = {"Truth": scans.truth} | {title_of(study, n): v[number, 0] for n, v in methods.items()}
    maps = {name: _maps(study, volume) for name, volume in volumes.items()}
    figure = Figure(
        (2.1 * len(volumes) + 0.6, 2 * len(PARAMETERS) * 2.0), dpi=90, facecolor="white", layout="constrained"
    )
    grid = figure.subplots(2 * len(PARAMETERS), len(volumes), squeeze=False)
    for column, (name, found) in enumerate(maps.items()):
        for row, parameter in enumerate(PARAMETERS):
            low, high = _WINDOWS[parameter]
            image, error = found[parameter], np.abs(found[parameter] - maps["Truth"][parameter])
            above, below = grid[2 * row, column], grid[2 * row + 1, column]
            shown = above.imshow(image, cmap="gray" if parameter == "voxel" else "viridis", vmin=low, vmax=high)
            differing = below.imshow(error, cmap="magma", vmin=0, vmax=(high - low) / 3)
            if row == 0:
                above.set_title(name.replace(", ", ",\n"), color=INK, fontsize=8)
            for axes in (above, below):
                axes.set_axis_off()
            if column == len(maps) - 1:
                for axes, mappable, words in ((above, shown, UNITS[parameter]), (below, differing, "absolute error")):
                    bar = figure.colorbar(mappable, ax=axes, fraction=0.05)
                    bar.set_label(words, fontsize=6, color=QUIET)
                    bar.ax.tick_params(labelsize=6)
    current = study.clinical.currents[number]
    figure.suptitle(
        f"{scans.name}, {current:g} mAs: values and maps above their absolute errors", color=INK, fontsize=10
    )
    save(figure, path)


def _maps(study: Study, volume: Tensor) -> dict[str, np.ndarray]:
    """The middle slices."""
    spacing = study.region.spacing
    near = Neighbourhoods(fitting_ball(spacing, study.diameter, volume.shape))
    density, share = near.tmd(volume, study.threshold, 10.0)
    found = {"voxel": volume, "bmd": bmd_map(volume, spacing, study.diameter), "tmd": density, "bvtv": 100 * share}
    return {name: values[len(values) // 2].numpy() for name, values in found.items()}


def save_stages(results: Results, path: Path) -> None:
    """Errors over the deviation of the truth during training, of training and test places (Figure 5 a to d)."""
    figure = Figure((12, 3.2), dpi=110, facecolor="white", layout="constrained")
    for axes, parameter in zip(figure.subplots(1, 4), PARAMETERS, strict=True):
        for color, error in (("#1f4e9c", "rmse"), ("#c0392b", "ae"), ("#2c7a4b", "pe")):
            for part, style in (("training", "--"), ("test", "-")):
                held = [s for s in results.stages if (s.part, s.parameter) == (part, parameter)]
                values = [getattr(stage, error) for stage in held]
                label = f"{error.upper()}, {part}"
                axes.plot([s.steps for s in held], values, style, color=color, marker="o", markersize=3, label=label)
        axes.set_yscale("log")
        dress(axes, f"{UNITS[parameter].split(',')[0]}: error / SD of the truth", "step")
    figure.axes[-1].legend(fontsize=6, frameon=False)
    save(figure, path)


def _values(study: Study, volumes: Mapping[str, Tensor], places: list[Place], current: int | None) -> dict[str, Tensor]:
    """Of the first repetition; current: its number, or None for volumes without."""
    held = {name: volume if current is None else volume[current, 0] for name, volume in volumes.items()}
    return parameters_of(study, stacked(study, held, places))


def _compared(
    study: Study, scans: Mapping[str, BoneScans], shown: Volumes, test: str, current: int
) -> dict[str, dict[str, Tensor]]:
    split = next(split for split in study.splits.values() if (split.by == "position") == (test == "position"))
    places = parts_of(study, split, split.folds[0]).tests[test]
    bones = {place.bone for place in places}
    found = {"truth": _values(study, {name: scans[name].truth for name in bones}, places, None)}
    for method in ("unfiltered", "nn-bmd", "nn-sp"):
        if method in shown and bones <= set(shown[method]):
            found[method] = _values(study, shown[method], places, current)
    return found


def _title(study: Study, method: str) -> str:
    return "Truth" if method == "truth" else title_of(study, method)


def save_histograms(study: Study, scans: Mapping[str, BoneScans], shown: Volumes, test: str, path: Path) -> None:
    """Of truth, input and outputs at the lowest current, and cumulative ones (Figure 5 e to h)."""
    found = _compared(study, scans, shown, test, int(np.argmin(study.clinical.currents)))
    figure = Figure((12, 5.4), dpi=110, facecolor="white", layout="constrained")
    for column, parameter in zip(figure.subplots(2, 4).T, PARAMETERS, strict=True):
        held = {name: values[parameter].flatten().numpy() for name, values in found.items()}
        joined = np.concatenate(list(held.values()))
        parts = np.linspace(0, 1, 201)
        low, high = np.quantile(joined, [0.002, 0.998]).tolist()
        edges = np.linspace(low, high, 60 if parameter == "voxel" else 16)
        for name, values in held.items():
            style: dict[str, Any] = {"color": _COLORS[name], "label": _title(study, name)}
            column[0].hist(values, edges, density=True, histtype="step", **style)
            column[1].plot(np.quantile(values, parts), parts, **style)
        column[1].set_xlim(edges[0], edges[-1])
        dress(column[0], UNITS[parameter], "")
        dress(column[1], "cumulative", "")
    figure.axes[0].legend(fontsize=6, frameon=False)
    current = min(study.clinical.currents)
    figure.suptitle(f"{TESTS[test]}, {current:g} mAs, first scan", color=INK, fontsize=10)
    save(figure, path)


def save_clouds(study: Study, scans: Mapping[str, BoneScans], shown: Volumes, test: str, path: Path) -> None:
    """TMD against BV/TV of the places, with convex hulls (Figure 6)."""
    currents = study.clinical.currents
    figure = Figure((9, 4.2), dpi=110, facecolor="white", layout="constrained")
    for axes, number in zip(figure.subplots(1, 2), (int(np.argmax(currents)), int(np.argmin(currents))), strict=True):
        for name, values in _compared(study, scans, shown, test, number).items():
            points = torch.stack([values["bvtv"].flatten(), values["tmd"].flatten()], dim=1).numpy()
            axes.plot(*points.T, ".", color=_COLORS[name], markersize=2.5, label=_title(study, name))
            if np.linalg.matrix_rank(points - points.mean(0), tol=1e-6) == 2:
                hull = points[ConvexHull(points).vertices]
                axes.fill(*hull.T, facecolor="none", edgecolor=_COLORS[name], linewidth=0.9)
        dress(axes, f"{currents[number]:g} mAs: TMD, mg/cm³", "BV/TV, %")
    figure.axes[-1].legend(fontsize=6, frameon=False)
    figure.suptitle(TESTS[test], color=INK, fontsize=10)
    save(figure, path)
