"""Draws docs/conventions.png for the README: `python docs/draw_conventions.py [OUTPUT]`.

Sources, detectors and rays are those of sinograd's own geometry, so the drawing cannot contradict the code.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Arc, Circle, FancyArrowPatch

from sinograd import FanBeam, FlatDetector

SOD, SDD, COLUMNS, SPACING = 100.0, 155.0, 9, 11.5
ANGLE, GAMMA = math.radians(38), math.radians(14)
INK, QUIET, PALE, RAY, TURN = "#1a1a1a", "#6b7178", "#b9bec4", "#0b62b0", "#b34700"

Point = Sequence[float] | np.ndarray


def main(path: Path) -> None:
    """Both panels, as a PNG."""
    figure = Figure((10.4, 5.0), dpi=120, facecolor="white", layout="constrained")
    above, front = figure.subplots(1, 2, width_ratios=(1.28, 1))
    draw_scan(above)
    draw_detector(front)
    figure.savefig(path, metadata={"Software": "sinograd"}, pil_kwargs={"optimize": True})


def draw_scan(axes: Axes) -> None:
    """The orbit from above, with one ray and its conjugate."""
    geometry = FanBeam.circular(
        source_to_origin=SOD,
        source_to_detector=SDD,
        angles=[ANGLE, ANGLE + math.pi - 2 * GAMMA],
        detector=FlatDetector(COLUMNS, SPACING),
    )
    (source, middle, u), (again, again_middle, again_u) = geometry.vectors[:, :3, :2].numpy()
    axes.add_patch(Circle((0, 0), SOD, fill=False, color=PALE, ls=(0, (5, 4))))
    draw_axes(axes)
    draw_view(axes, again, again_middle, again_u, PALE)
    draw_view(axes, source, middle, u, INK)
    outward = middle / np.linalg.norm(middle)
    arrow(axes, middle - 4 * u + 8 * outward, middle - 0.6 * u + 8 * outward, INK)
    say(axes, middle - 2.3 * u + 19 * outward, "+u, columns", INK, rotation=math.degrees(ANGLE))

    hit = middle + SDD * math.tan(GAMMA) / SPACING * u
    axes.plot(*np.array([hit, again]).T, color=RAY, lw=1.3, ls=(0, (4, 3)))
    axes.plot(*np.array([source, hit]).T, color=RAY, lw=1.8)
    arrow(axes, source, source + 0.55 * (hit - source), RAY)
    say(axes, source + 0.33 * (hit - source) + np.array([6, 4]), r"ray $(a, \gamma)$", RAY, ha="left")
    axes.plot(*source, "o", color=INK, ms=9)
    axes.plot(*again, "o", color=QUIET, ms=9, mfc="white")
    place = source + np.array([6, -16])
    say(axes, place, "source at angle $a$\n" + r"(SOD $\sin a$, $-$SOD $\cos a$, 0)", INK, ha="left")
    place = again + np.array([-5, 16])
    say(axes, place, "the same ray measured again, reversed:\n" + r"$(a + \pi - 2\gamma,\ -\gamma)$", QUIET)

    axes.plot([0, 0], [0, -SOD], color=TURN, lw=1, ls=":")
    swept(axes, (0, 0), 62, -90, -90 + math.degrees(ANGLE), "$a$", TURN)
    towards = math.degrees(math.atan2(*(middle - source)[::-1]))
    swept(axes, source, 58, towards, towards - math.degrees(GAMMA), r"$\gamma$", RAY)
    finish(axes, "The scan seen from +z, counter-clockwise", (-120, 138), (-116, 128))


def draw_axes(axes: Axes) -> None:
    """World axes, +z towards the reader."""
    arrow(axes, (0, 0), (40, 0), QUIET)
    arrow(axes, (0, 0), (0, 40), QUIET)
    axes.plot(0, 0, "o", color=QUIET, ms=9, mfc="white")
    axes.plot(0, 0, "o", color=QUIET, ms=3)
    say(axes, (40, 7), "+x", QUIET)
    say(axes, (-7, 32), "+y", QUIET, ha="right")
    say(axes, (-8, -8), "+z: rotation axis", QUIET, ha="right")


def draw_view(axes: Axes, source: np.ndarray, middle: np.ndarray, u: np.ndarray, color: str) -> None:
    """A detector and the central ray that meets it."""
    ends = np.array([middle - COLUMNS / 2 * u, middle + COLUMNS / 2 * u])
    axes.plot(*ends.T, color=color, lw=4, solid_capstyle="butt")
    axes.plot(*np.array([source, middle]).T, color=color, lw=1, ls=(0, (2, 3)))


def draw_detector(axes: Axes) -> None:
    """The detector as the source sees it."""
    rows, columns = 5, 7
    for i in range(rows + 1):
        axes.plot([0, columns], [i, i], color=PALE, lw=1)
    for i in range(columns + 1):
        axes.plot([i, i], [0, rows], color=PALE, lw=1)
    for row, column, name in ((0, 0, "[0, 0]"), (0, 1, "[0, 1]"), (1, 0, "[1, 0]"), (-1, -1, "[-1, -1]")):
        say(axes, (column % columns + 0.5, row % rows + 0.5), name, INK, fontsize=9)
    x, y = columns / 2, rows / 2
    arrow(axes, (x, y), (x + 2.3, y), INK)
    arrow(axes, (x, y), (x, y + 1.9), INK)
    axes.plot(x, y, "o", color=INK, ms=10, mfc="white")
    axes.plot(x, y, "o", color=INK, ms=3)
    say(axes, (x + 2.4, y - 0.4), "+u", INK)
    say(axes, (x - 0.15, y + 1.75), "+v", INK, ha="right")
    say(axes, (x - 0.2, y - 0.55), r"$n = u \times v$," + "\nto the source", INK, ha="right")
    swept(axes, (x, y), 1.4, 12, 78, "", TURN)
    say(axes, (x + 1.25, y + 1.25), "in-plane\nrotation", TURN, ha="left")
    arrow(axes, (0, -0.45), (columns, -0.45), QUIET)
    arrow(axes, (-0.45, 0), (-0.45, rows), QUIET)
    say(axes, (x, -0.9), r"columns, along $+u = (\cos a, \sin a, 0)$", QUIET)
    say(axes, (-0.9, y), "rows, along $+v = (0, 0, 1)$", QUIET, rotation=90)
    finish(axes, "The detector as the source sees it, [row, column]", (-1.3, columns + 0.3), (-1.4, rows + 0.3))


def finish(axes: Axes, title: str, x: tuple[float, float], y: tuple[float, float]) -> None:
    """Title and limits; equal scales, no frame."""
    axes.set_title(title, fontsize=12, color=INK)
    axes.set_xlim(x)
    axes.set_ylim(y)
    axes.set_aspect("equal")
    axes.set_axis_off()


def say(
    axes: Axes, place: Point, text: str, color: str, *, ha: str = "center", fontsize: float = 10.5, rotation: float = 0
) -> None:
    """Text, level with its place."""
    axes.text(place[0], place[1], text, color=color, ha=ha, va="center", fontsize=fontsize, rotation=rotation)


def arrow(axes: Axes, start: Point, end: Point, color: str) -> None:
    """An arrow from start to end."""
    ends = (start[0], start[1]), (end[0], end[1])
    style = {"arrowstyle": "-|>", "mutation_scale": 13, "shrinkA": 0, "shrinkB": 0}
    axes.add_patch(FancyArrowPatch(*ends, color=color, lw=1.5, **style))


def swept(axes: Axes, centre: Point, radius: float, start: float, end: float, name: str, color: str) -> None:
    """An angle from start to end, degrees: an arc with an arrowhead at its end and its name in the middle."""

    def at(degrees: float, distance: float = radius) -> np.ndarray:
        turn = math.radians(degrees)
        return np.asarray(centre) + distance * np.array([math.cos(turn), math.sin(turn)])

    low, high = sorted((start, end))
    middle = (centre[0], centre[1])
    axes.add_patch(Arc(middle, 2 * radius, 2 * radius, theta1=low, theta2=high, color=color, lw=1.5))
    arrow(axes, at(end - math.copysign(4, end - start)), at(end), color)
    say(axes, at((start + end) / 2, 1.17 * radius), name, color, fontsize=13)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("conventions.png"))
