"""Why a scan has another number of angles than of projections, in words, and what to do."""

from __future__ import annotations

import numpy as np

_TURN, _CLOSE = 360.0, 0.25  # degrees; of a step


def count_advice(views: int, degrees: np.ndarray, references: int = 0, darks: int = 0) -> str:
    """For the end of an error about `views` projections and len(degrees) angles; "" where nothing explains it.

    Args:
        views: number of projections.
        degrees: the angles.
        references, darks: how many of these there are beside the projections.
    """
    angles = len(degrees)
    more = angles - views
    words = {
        references + darks: f"references and dark images ({references} + {darks})",
        references: f"references ({references})",
        darks: f"dark images ({darks})",
    }
    if more > 1 and more in words:
        return f": the {more} more are as many as the {words[more]}; leave out the angles of these"
    if abs(more) == 1:
        return _one_more(degrees, more)
    if more in words and more > 0:
        return f": the one more is that of the {words[more]}; leave it out"
    distinct = len(np.unique(np.round(degrees, 6)))
    steps = np.flatnonzero(np.abs(np.diff(degrees)) < 1e-6) if angles > 1 else np.empty(0, int)
    if more > 1 and distinct == views:
        at = f", such as number {int(steps[0]) + 1} at {degrees[steps[0]]:g} degrees" if len(steps) else ""
        return f": {more} angles are repeated{at}, {distinct} are different; leave out the repeated ones"
    if more < -1 and views % angles == 0:
        every = views // angles
        return f": there are {every} projections for each angle; repeat each angle {every} times, or take 1 in {every}"
    if more > 1 and angles % views == 0:
        every = angles // views
        return f": there are {every} angles for each projection; take 1 in {every}"
    if more < -1 and -more in words:
        return f": the {-more} more projections are as many as the {words[-more]}; leave these frames out"
    if more > 1 and len(steps) >= more:
        return f": {len(steps)} angles repeat the one before them; leave out {more} of these"
    return f": {abs(more)} {'angles' if more > 0 else 'projections'} too many, or the scan was aborted"


def _one_more(degrees: np.ndarray, more: int) -> str:
    """One angle or one projection too many: a scan with both ends, 0 and 360 degrees."""
    first, last = float(degrees[0]), float(degrees[-1])
    step = float(np.median(np.abs(np.diff(degrees)))) if len(degrees) > 1 else 0.0
    if more > 0:
        span = abs(last - first)
        half = abs(span - _TURN / 2) <= _CLOSE * step
        if half or abs(span - _TURN) <= _CLOSE * step:
            same = "is opposite to" if half else "is"
            return f": the last angle, {last:g} degrees, {same} the first, {first:g}; leave out the last angle"
        return ": there is one angle too many; leave out the one without a projection, the last as a rule"
    span = abs(last - first) + step
    ends = next((turn for turn in (_TURN, _TURN / 2) if abs(span - turn) <= _CLOSE * step), None)
    if ends is not None:
        return f": the last projection closes the {ends:g} degrees, where the first one was taken; leave it out"
    return ": the last projection has no angle; leave it out, or give its angle"
