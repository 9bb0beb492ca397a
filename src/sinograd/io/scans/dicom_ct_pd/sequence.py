"""The views of one scan in their order: mixed series, gaps and repeats in the sequence, and angles that wrap."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sinograd.config.shown import shown
from sinograd.errors import FormatError, ScanWarning
from sinograd.io.scans.dicom_ct_pd.header import ViewHeader
from sinograd.io.scans.dicom_ct_pd.tags import TAGS

_TURN = 2 * math.pi
_SAME = 1e-5  # of numbers that files round


def ordered(headers: Sequence[ViewHeader], folder: Path) -> list[ViewHeader]:
    """The views by InstanceNumber.

    Raises:
        FormatError: files of several series, spectra or detectors, or several files with one number.

    Warns:
        ScanWarning: numbers are missing between the first and the last view, with how many and where; or files have no
            number and stay in the order of their names.
    """
    _check_one_scan(headers, folder)
    without = [header.path.name for header in headers if header.number is None]
    if without:
        if len(without) < len(headers):
            raise FormatError(
                f"{folder}: {len(without)} of {len(headers)} files have no InstanceNumber ({without[0]} ...)"
            )
        _warn(f"{folder}: its files have no InstanceNumber; the views are in the order of their names")
        return list(headers)
    views = sorted(headers, key=lambda header: header.number or 0)
    numbers = np.array([header.number for header in views])
    steps = np.diff(numbers)
    if (steps == 0).any():
        first = int(np.flatnonzero(steps == 0)[0])
        raise FormatError(
            f"{folder}: {int((steps == 0).sum())} views are repeated: {views[first].path.name} and "
            f"{views[first + 1].path.name} both have InstanceNumber {numbers[first]}"
        )
    gaps = np.flatnonzero(steps > 1)
    if len(gaps):
        missing = int((steps[gaps] - 1).sum())
        before, after = int(numbers[gaps[0]]), int(numbers[gaps[0] + 1])
        _warn(
            f"{folder}: {missing} of {int(numbers[-1] - numbers[0]) + 1} views are missing, in {len(gaps)} "
            f"gap{'s' * (len(gaps) > 1)}, the first between InstanceNumber {before} and {after}; the others keep their "
            "places"
        )
    return views


def unwrapped(views: Sequence[ViewHeader], folder: Path) -> np.ndarray:
    """Gantry angles that count on over the turns, radians [views]; views that are missing count, too.

    Warns:
        ScanWarning: the direction of rotation changes, or a step is much larger than the others.
    """
    wrapped = np.array([header.focus[0] for header in views])
    if len(views) < 2:
        return wrapped
    places = _places(views)
    counts = np.diff(places)
    steps = (np.diff(wrapped) + math.pi) % _TURN - math.pi
    usual = float(np.median(steps[counts == counts.min()]) / counts.min())
    expected = usual * counts
    steps = expected + (np.diff(wrapped) - expected + math.pi) % _TURN - math.pi
    odd = np.flatnonzero(np.abs(steps - expected) > 0.5 * abs(usual) + 1e-4)
    if usual == 0 or len(odd):
        place = int(odd[0]) if len(odd) else 0
        _warn(
            f"{folder}: the gantry turns by {math.degrees(usual):.4g} degrees from view to view, but {len(odd)} steps "
            f"differ from that by more than half, the first ({math.degrees(steps[place] / counts[place]):.4g} degrees) "
            f"between {views[place].path.name} and {views[place + 1].path.name}"
        )
    return wrapped[0] + np.concatenate([[0.0], np.cumsum(steps)])


def _places(views: Sequence[ViewHeader]) -> np.ndarray:
    if any(header.number is None for header in views):
        return np.arange(len(views))
    return np.array([header.number for header in views])


def _check_one_scan(headers: Sequence[ViewHeader], folder: Path) -> None:
    first = headers[0]
    series: dict[str, list[ViewHeader]] = {}
    for header in headers:
        series.setdefault(header.same["SeriesInstanceUID"], []).append(header)
    if len(series) > 1:
        texts = [f"{len(held)} files ({held[0].path.name} ...)" for held in series.values()]
        raise FormatError(f"{folder} holds {len(series)} series of projections, expected one: {'; '.join(texts[:4])}")
    for header in headers[1:]:
        for name, value in first.same.items():
            other = header.same[name]
            equal = math.isclose(value, other, rel_tol=_SAME) if isinstance(value, float) else value == other
            if not equal:
                tag = f" {TAGS[name].text}" if name in TAGS else ""
                raise FormatError(
                    f"{header.path}: {name}{tag} is {shown(other)}, but {shown(value)} in {first.path.name}: all views "
                    "of a scan must have the same"
                )


def _warn(text: str) -> None:
    warnings.warn(text, ScanWarning, stacklevel=4)
