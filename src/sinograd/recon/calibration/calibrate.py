"""`calibrate`: arguments of a geometry, found from the projections."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sinograd.errors import CalibrationError, CalibrationWarning, InputError, InputTypeError
from sinograd.geometry import Geometry, checks
from sinograd.geometry.learned import changed, check_learnable, start_value
from sinograd.recon.calibration.criteria import CRITERIA
from sinograd.recon.calibration.descend import Found, descend, standard_errors
from sinograd.recon.calibration.identifiability import sensitivities, undetermined
from sinograd.recon.calibration.level import LEAST_COLUMNS, Level, checked_projections, make_level
from sinograd.recon.calibration.reprojection import Normal
from sinograd.recon.calibration.result import ANGLES, Calibrated

# What pixels and voxels displace images by, in pixels of the finest level: measured with ellipsoids (64 columns, a cone
# of 29 degrees), up to 0.016. A criterion with a `model_error` errs by that.
MODEL_ERROR = 0.01

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Task:
    """What is learnt, from what, and within which bounds; values in mm and radians."""

    projections: Tensor
    geometry: Geometry
    learn: tuple[str, ...]
    bounds: Mapping[str, tuple[float, float]]
    criterion: str
    bootstrap: int = 0

    def level(self, values: Mapping[str, float], learn: Sequence[str], columns: int) -> Level:
        """The scan at so many columns, where the arguments have these values."""
        return make_level(self.projections, self.placed(values), learn, columns)

    def placed(self, values: Mapping[str, float]) -> Geometry:
        """The geometry with these values."""
        return changed(self.geometry, {name: torch.tensor(v, dtype=torch.float64) for name, v in values.items()})

    def search(self, level: Level) -> Found:
        """The least criterion at a level."""
        first = level.values(torch.zeros(len(level.learn), dtype=torch.float64))
        limits = torch.tensor(
            [[(end - float(first[name])) for end in self.bounds[name]] for name in level.learn], dtype=torch.float64
        )
        return descend(CRITERIA.load(self.criterion)(level), limits / level.scales[:, None])


def calibrate(
    projections: Any,
    geometry: Geometry,
    *,
    learn: Sequence[str] = ("axis_offset",),
    criterion: str = "reprojection",
    bounds: Mapping[str, tuple[float, float]] | None = None,
    columns: int = 128,
    bootstrap: int = 0,
    progress: Progress | None = None,
) -> Calibrated:
    """Finds arguments of a geometry from projections of any object, coarse to fine.

    Args:
        projections: line integrals [views, (rows,) columns].
        geometry: a parallel, fan or cone beam that is given by arguments (not by vectors); flat or curved.
        learn: names of arguments, as for `LearnedGeometry`, that are one number for all views. Of two that move images
            in the same way, the later one is held.
        criterion: a name of `recon.calibration.criteria.CRITERIA`: "reprojection" (what no volume explains of the
            projections; for any geometry, and the most precise), "sparsity" (of the reconstruction's gradient) or
            "entropy" (of its values), which take orbits of `fdk` and `fbp` with flat detectors, and tell of the axis
            alone; or "redundancy", which reconstructs nothing: rays that were measured from both sides of parallel and
            fan beams, planes through two sources of a cone beam with a flat detector that sees the object whole.
        bounds: (low, high) of arguments in mm and radians; by default 10 % of the field of view or detector for
            offsets, 5 degrees for angles and 5 % for distances on both sides of what the geometry has.
        columns: of the finest level that is used; coarser ones have half as many each, and at least 32.
        bootstrap: draws of the photon noise in which the last level's search is repeated for the standard errors, 20 or
            more; 0: the sandwich estimator. It takes as many times as long, and an orbit of `fdk` or `fbp`.
        progress: called with (levels done, levels).

    Returns:
        The geometry, values and standard errors. Those hold the noise of the projections (estimated from them) as it
        passes to the values (sandwich estimator H^-1 J H^-1: P. J. Huber, 1967), and what pixels and voxels err by: a
        third of the last change between levels, and what displacements of a hundredth of a pixel would
        make (of four for the redundancy of cone beams).

    Raises:
        TypeError, ValueError: wrong arguments or names.
        CalibrationError: the criterion falls towards a bound, or nothing can be determined; `result` holds the last
            good state.

    Warns:
        CalibrationWarning: arguments that the scan cannot determine, which are held; a search that did not converge.
    """
    task = _checked(projections, geometry, learn, criterion, bounds)
    draws = 0 if bootstrap == 0 else checks.count(bootstrap, "bootstrap")
    if draws == 1:
        raise InputError("bootstrap: expected 0 or at least 2 draws, got 1")
    task = dataclasses.replace(task, bootstrap=draws)
    levels = _levels(geometry.columns, checks.count(columns, "columns"))
    with torch.no_grad():
        finest = make_level(task.projections, task.geometry, task.learn[:1], levels[-1])
        held = undetermined(finest.start, task.learn, _ranges(task))
    active = [name for name in task.learn if name not in held]
    values = {name: float(start_value(task.geometry, name)) for name in task.learn}
    if not active:
        raise _error("the scan determines none of what is to be learnt", task, values, held)
    history: list[dict[str, float]] = []
    for number, width in enumerate(levels[:-1]):
        some = _of_level(task, values, active, width)
        if some:
            level = task.level(values, some, width)
            found = task.search(level)
            values |= _plain(level.values(found.theta))
            history.append({name: values[name] for name in some})
        if progress is not None:
            progress(number + 1, len(levels))
    return _finish(task, values, active, held, (levels, history, progress))


def _finish(
    task: _Task, values: dict[str, float], active: list[str], held: dict[str, str], rest: tuple[Any, Any, Any]
) -> Calibrated:
    """The finest level; arguments whose standard errors exceed their bounds are held, and the others found again."""
    levels, history, progress = rest
    ranges = _ranges(task)
    while True:
        level = task.level(values, active, levels[-1])
        found = task.search(level)
        noise = dict(zip(active, (standard_errors(found.normal, level) * level.scales).tolist(), strict=True))
        vague = [name for name in active if not noise[name] < ranges[name]]
        if not vague:
            break
        held = held | {name: f"its standard error, {noise[name]:.2g}, exceeds its bounds" for name in vague}
        values = values | {name: float(start_value(task.geometry, name)) for name in vague}
        active = [name for name in active if name not in vague]
        if not active:
            raise _error("the scan determines none of what is to be learnt", task, values, held)
    final = values | _plain(level.values(found.theta))
    if task.bootstrap:
        from sinograd.recon.calibration.bootstrap import bootstrap_errors

        spread = bootstrap_errors(level, found.theta, task.search, task.bootstrap)
        noise = dict(zip(active, (spread * level.scales).tolist(), strict=True))
    criterion = CRITERIA.load(task.criterion)(level)
    model = _model_errors(found.normal, level, getattr(criterion, "model_error", MODEL_ERROR))
    errors = {name: math.hypot(noise[name], model[name], _change(name, final, history)) for name in active}
    first = {name: float(start_value(task.geometry, name)) for name in active}
    start = torch.tensor([(first[name] - values[name]) for name in active], dtype=torch.float64) / level.scales
    before = criterion.cost(start)
    result = Calibrated(
        task.placed(final), final, errors, held, task.criterion, before, found.normal.cost, found.converged
    )
    if progress is not None:
        progress(len(levels), len(levels))
    _tell(result, task, active)
    return result


def _tell(result: Calibrated, task: _Task, active: list[str]) -> None:
    ends = []
    for name in active:
        low, high = task.bounds[name]
        if min(result.values[name] - low, high - result.values[name]) <= 1e-6 * (high - low):
            ends.append(f"{name} {result.values[name]:.6g} of {low:.6g} to {high:.6g}")
    if ends:
        raise CalibrationError(f"the criterion {task.criterion} falls up to the bounds: {', '.join(ends)}", result)
    if result.held:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in result.held.items())
        warnings.warn(f"the scan cannot determine {reasons}; held", CalibrationWarning, stacklevel=4)
    if not result.converged:
        warnings.warn("the calibration did not converge; its last state is given", CalibrationWarning, stacklevel=4)


def _error(what: str, task: _Task, values: dict[str, float], held: dict[str, str]) -> CalibrationError:
    reasons = "; ".join(f"{name}: {reason}" for name, reason in held.items())
    state = Calibrated(task.placed(values), values, {}, held, task.criterion, math.nan, math.nan, False)
    return CalibrationError(f"{what} ({reasons})", state)


def _of_level(task: _Task, values: Mapping[str, float], active: Sequence[str], width: int) -> list[str]:
    """Those that a level of so many columns determines."""
    level = task.level(values, active[:1], width)
    out = undetermined(level.start, active, _ranges(task))
    return [name for name in active if name not in out]


def _model_errors(normal: Normal, level: Level, displaced: float) -> dict[str, float]:
    """What so many pixels, in the pattern that does most, would make of the arguments, mm or radians."""
    if normal.pixel is None:
        pixels = sensitivities(level.start, level.learn)
        return {name: displaced / max(pixels[name], 1e-300) for name in level.learn}
    spread = torch.linalg.pinv(normal.curvature).diagonal().clamp_min(0) * normal.pixel
    return dict(zip(level.learn, (displaced * level.scales * spread.sqrt()).tolist(), strict=True))


def _change(name: str, final: Mapping[str, float], history: Sequence[Mapping[str, float]]) -> float:
    """Errors of pixels and voxels fall with their squares: a third of the last change remains."""
    return abs(final[name] - history[-1][name]) / 3 if history and name in history[-1] else 0.0


def _levels(columns: int, finest: int) -> list[int]:
    """Columns of the levels, coarse to fine: powers of two of the finest factor."""
    factor = max(1, math.ceil(columns / finest))
    widths = [columns // factor]
    while widths[0] // 2 >= LEAST_COLUMNS:
        factor *= 2
        widths.insert(0, columns // factor)
    return widths


def _checked(projections: Any, geometry: Geometry, learn: Sequence[str], criterion: str, bounds: Any) -> _Task:
    if not isinstance(geometry, Geometry):
        raise InputTypeError(f"geometry: expected a Geometry, got {type(geometry).__name__}")
    if geometry.scan == "vectors":
        raise InputError(
            "geometry: expected one that is given by arguments (such as ConeBeam.circular), got vectors; "
            "sg.LearnedGeometry learns their motion"
        )
    CRITERIA.entry(criterion)
    still = geometry[:]  # without gradients and with angles that stay
    names = check_learnable(still, learn)
    for name in names:
        if start_value(still, name).ndim:
            raise InputError(f"learn: expected arguments that are one number for all views, got {name}")
    data = checked_projections(projections, geometry)
    return _Task(data, still, names, _bounds(still, names, bounds or {}), criterion)


def _bounds(geometry: Geometry, names: Sequence[str], given: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    unknown = [name for name in given if name not in names]
    if unknown:
        raise InputError(f"bounds: expected some of {', '.join(names)}, got {', '.join(unknown)}")
    result = {}
    for name in names:
        value = float(start_value(geometry, name))
        reach = _reach(geometry, name, value)
        low, high = given.get(name, (value - reach, value + reach))
        low, high = checks.number(low, f"bounds of {name}"), checks.number(high, f"bounds of {name}")
        if not low < value < high:
            raise InputError(f"bounds: {name} {value:.6g} does not lie between {low:.6g} and {high:.6g}")
        result[name] = (low, high)
    return result


def _reach(geometry: Geometry, name: str, value: float) -> float:
    """How far an argument may lie from what the geometry has."""
    detector = geometry.detector
    if name in ANGLES:
        return math.radians(5.0)
    if name == "axis_offset":
        return 0.1 * detector.columns * detector.column_spacing / geometry.magnification
    if name == "column_offset":
        return 0.1 * detector.columns * detector.column_spacing
    if name in ("row_offset", "z_start"):
        return 0.1 * detector.rows * detector.row_spacing
    return 0.05 * abs(value)  # distances, pitch


def _ranges(task: _Task) -> dict[str, float]:
    return {name: (high - low) / 2 for name, (low, high) in task.bounds.items()}


def _plain(values: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}
