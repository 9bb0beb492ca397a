"""From raw counts to line integrals, a block of views at a time."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.data import Scan
from sinograd.data.blocks import views_per_block
from sinograd.data.projections import ProjectionStore
from sinograd.errors import InputError, InputTypeError, PreparationWarning, TruncationWarning
from sinograd.geometry.regions import check_binning, check_span
from sinograd.preparation.beam_hardening import correct_beam_hardening_
from sinograd.preparation.beam_steps import BeamSteps
from sinograd.preparation.correction import Correction
from sinograd.preparation.defects import fill_starved_
from sinograd.preparation.destination import Destination, destination
from sinograd.preparation.odd_views import OddViews, find_odd_views
from sinograd.preparation.options import Preparation
from sinograd.preparation.overview import Overview, spans
from sinograd.preparation.prepared_geometry import prepared_geometry
from sinograd.preparation.region import joined
from sinograd.preparation.rings import SEGMENTS, check_ring_options, ring_errors
from sinograd.preparation.shifts import shift_projections_, unmeasured_edges
from sinograd.preparation.stripe_pass import TakenOut, level_bands
from sinograd.preparation.stripes.remove import band_functions
from sinograd.preparation.truncated import Truncation, find_truncation
from sinograd.preparation.view_profiles import ViewProfiles

# Bytes of float32 projections that are worked on at once, so that they stay in the cache; at least one view.
BLOCK_BYTES = 8 << 20

# Transmitted fractions of the brightest part of most views that are above any drift of a beam, and of references
# without light.
BRIGHTER, NO_LIGHT = 1.3, 100.0

# References of one brightness: the darkest as a share of the brightest.
EQUAL = 0.75

Progress = Callable[[int, int], None]


def prepare(
    scan: Scan,
    options: Preparation | None = None,
    *,
    out: Tensor | ProjectionStore | None = None,
    progress: Progress | None = None,
) -> Scan:
    """The scan with its counts turned into line integrals.

    In this order: region of the detector; dark and references, interpolated in time, and exposure; dead and hot
    elements, gaps and NaN filled from their neighbours; saturated readings, which are lower bounds, from the level of
    the air (single ones that shine out of the object from their neighbours); binning; lag and scatter; readings that
    are not above zero repaired; -log, or Paganin's filter; drift of the beam; beam hardening; rings; shifts. Scans of
    transmission start after the references, those of line integrals after the logarithm, which is undone for lag,
    scatter and phase. Shifts come last: rings belong to the detector's own columns, and line integrals can be
    interpolated across the edge of a dense object without falling below zero.

    Images that are bad as a whole are left out: references and dark images that differ from the others, and views
    without counts, in whole or in a part that others have, saturated ones, and measured ones without a number. The
    geometry of the result is that of the other views, so that weights follow.

    Views are read and worked on in blocks of about 8 MB. Beside the result, float32 [views, rows, columns], a call
    allocates that block, the means of references and dark (float32, one image for each time at which references were
    taken) and, with `rings`, 16 images and a few bands of rows of all views, of 32 MB each.

    Args:
        scan: projections of counts, transmission or line integrals, with geometry and calibration.
        options: what to do; see `Preparation`.
        out: float32 tensor of all views that takes the projections, or a store (`data.projections.ProjectionStore`),
            such as a file that is larger than the memory. Where views are left out, the result is the first part of the
            tensor, or the others of the store.
        progress: called with (views done, views) between blocks; with `rings` all views count twice.

    Returns:
        A copy of the scan with float32 projections, its geometry adjusted, kind "line integrals", no calibration;
        metadata["preparation"] has the options, the numbers of references and dark images, of elements and readings
        that were repaired ("repaired"), of rows and columns that shifts left unmeasured at each edge, and which views
        and images were left out, by reason ("left_out", where there are any).

    Raises:
        ValueError: counts without a reference, references, shifts or exposures that do not fit the projections, a
            reference that is not above the dark or holds no light, no view with a good reading, a view
            of line integrals without any, options that do not fit.

    Warns:
        PreparationWarning: readings were repaired, or more than 1 % of the detector's elements; says how many. Views,
            references or dark images were left out; says which and why. The views are brighter than the references.
            The references look as if the sample was left in them. Most of the references is saturated. Views do not
            fit those beside them: frozen, mirrored, shifted, without the object or garbage (`odd_views`); says which.
        TruncationWarning: the object reaches beyond the detector; says in which share of the views and rows, and how
            much too high that makes the volume.
    """
    if not isinstance(scan, Scan):
        raise InputTypeError(f"scan must be a Scan, got {type(scan).__name__}")
    return _Run(scan, options or Preparation(), progress).result(out)


class _Run:
    """One preparation of one scan."""

    def __init__(self, scan: Scan, options: Preparation, progress: Progress | None) -> None:
        self.scan, self.options, self.progress = scan, options, progress
        geometry = scan.geometry
        self.name = scan.name
        self.views = geometry.views
        _check_shape(scan, self.name)
        self.rows = check_span(options.rows, "rows", geometry.rows)
        self.columns = check_span(options.columns, "columns", geometry.columns)
        self.binning = check_binning(options.binning, geometry.detector.ndim)
        self.geometry, self.moves = prepared_geometry(scan, options)
        self.correction = Correction(scan, options, self.rows, self.columns, self.name)
        self.overview = Overview(self.views, self.geometry.rows, self.geometry.columns)
        self.bad: dict[str, np.ndarray] = {}
        self.truncation: Truncation | None = None
        self.profiles = ViewProfiles(self.views, self.geometry.rows, self.geometry.columns)
        self.odd_views: OddViews | None = None
        self.air = self._air()
        self.steps = BeamSteps(options, self.geometry, scan.length_unit, self.name)
        self.taken = TakenOut(options.ring_method or "")
        if options.ring_method is not None:
            check_ring_options(options.ring_width, options.ring_limit, self.views, self.geometry.columns)

    def result(self, out: Tensor | ProjectionStore | None) -> Any:
        images = destination(out, self.geometry.projection_shape)
        rings = self.options.ring_method is not None
        shape = (self.rows[1] - self.rows[0], self.columns[1] - self.columns[0])
        step = views_per_block((self.views, *shape), 4, BLOCK_BYTES)
        joins = self.binning != (1, 1)
        whole = torch.empty(min(step, self.views), *shape) if joins else torch.empty(0)
        for start in range(0, self.views, step):
            stop = min(start + step, self.views)
            block = images.block(start, stop)
            unbinned = whole[: stop - start] if joins else block
            self.correction.read(start, stop, unbinned, self.overview, self.profiles)
            if joins:
                block.copy_(joined(unbinned, self.binning))
            self._to_line_integrals(block, start)
            if not rings:
                self._finish_block(block, start)
            images.put(start, block)
            self._tell(stop, 2 if rings else 1)
        good = self._good_views()
        if rings:
            self._reduce_rings(images, step, good)
        kept = images.chosen(good)
        result = self._finished(kept, good)
        self.truncation = find_truncation(kept, result.geometry)
        self.odd_views = find_odd_views(self.profiles, self.geometry, good, self.truncation is not None)
        self._warn(good)
        return result

    def _good_views(self) -> np.ndarray:
        """Which views are good as a whole, bool [views]; ValueError where none is."""
        if self.overview.is_dark and not (self.overview.missing >= 1).all():
            raise InputError(f"{self.name}: none of {self.views} views has counts above the dark's")
        self.bad = self.overview.bad_views(scaled=self.air is not None)
        good = np.ones(self.views, dtype=bool)
        for numbers in self.bad.values():
            good &= ~np.isin(np.arange(self.views), numbers)
        computed = self.scan.kind == "line integrals"  # what left a whole view without numbers is no detector
        if not good.any() or (computed and not good.all()):
            view = int(np.flatnonzero(~good)[0])
            counts = {what: int(n[view]) for what, n in self.correction.counts.items()}
            raise InputError(
                f"{self.name}: view {view} has no good reading: {counts['saturated']} saturated, "
                f"{counts['not finite']} NaN or infinite; so have {int((~good).sum())} of {self.views} views"
            )
        return good

    def _to_line_integrals(self, block: Tensor, start: int) -> None:
        measured = self.scan.kind != "line integrals"
        if measured:
            self.overview.add(start, block)
        elif self.steps.wanted:
            block.neg_().exp_()
            if bool(block.isinf().any()):
                raise InputError(f"{self.name}: some line integrals of views {start} and on are below -88: no readings")
        if measured or self.steps.wanted:
            low = None if measured else block < self.options.smallest
            self.steps.before_repair_(block)
            self._repair_starved(block, start, low)
            self.steps.logarithm_(block)
        if self.air is not None:
            first, end = self.air
            block -= block[..., first:end].mean(dim=(1, 2), keepdim=True)
        if self.options.beam_hardening:
            correct_beam_hardening_(block, self.options.beam_hardening)

    def _repair_starved(self, block: Tensor, start: int, low: Tensor | None) -> None:
        """Readings that are not above zero, and those below the smallest; low: those that may stay below it."""
        if not float(block.min()) < self.options.smallest:
            return
        kept = None if low is None else low & (block > 0)
        values = None if kept is None else block[kept]
        if kept is not None:
            block.masked_fill_(kept, self.options.smallest)
        for number, view in enumerate(block, start):
            starved, floored = fill_starved_(view, self.options.smallest)
            self.correction.counts["not positive"][number] = starved
            self.correction.counts["raised to the smallest"][number] = floored
        if kept is not None and values is not None:
            block[kept] = values

    def _reduce_rings(self, images: Destination, step: int, good: np.ndarray) -> None:
        """Stripes of each row, constant errors of all rows together, and the shifts."""
        check_ring_options(self.options.ring_width, self.options.ring_limit, int(good.sum()), self.geometry.columns)
        method = self.options.ring_method
        assert method is not None
        functions, constant = band_functions(method)
        image = (self.geometry.rows, self.geometry.columns)
        self.taken.count = int(good.sum()) * image[0] * image[1]
        if functions:
            level_bands(images, good, image, functions, self.taken)
        errors = self._constant_errors(images, step, good) if constant else torch.zeros(image)
        self.taken.add(errors, int(good.sum()))
        for start in range(0, self.views, step):
            block = images.get(start, min(start + step, self.views))
            block -= errors
            self._finish_block(block, start)
            images.put(start, block)
            self._tell(self.views + min(start + step, self.views), 2)

    def _constant_errors(self, images: Destination, step: int, good: np.ndarray) -> Tensor:
        """Of all columns [rows, columns], from the means of segments of the good views."""
        segment = np.repeat(np.arange(SEGMENTS), [len(p) for p in np.array_split(np.arange(self.views), SEGMENTS)])
        sums = torch.zeros(SEGMENTS, self.geometry.rows, self.geometry.columns)
        for start in range(0, self.views, step):
            block = images.get(start, min(start + step, self.views))
            for number, view in enumerate(block, start):
                if good[number]:
                    sums[int(segment[number])] += view
        used = torch.from_numpy(np.bincount(segment[good], minlength=SEGMENTS))
        means = sums[used > 0] / used[used > 0].to(sums)[:, None, None]
        return ring_errors(means, width=self.options.ring_width, limit=self.options.ring_limit)

    def _finish_block(self, block: Tensor, start: int) -> None:
        """What comes last for views from `start` on."""
        if self.moves is not None:
            shift_projections_(block, self.moves[start : start + len(block)], edges=self.options.edges)
        self.profiles.add(start, block)

    def _tell(self, done: int, passes: int) -> None:
        if self.progress is not None:
            self.progress(done, passes * self.views)

    def _air(self) -> tuple[int, int] | None:
        """The binned columns of the result that lie in the air."""
        if self.options.air is None:
            return None
        first, end = check_span(self.options.air, "air", self.scan.geometry.columns)
        low = -(-(first - self.columns[0]) // self.binning[1])
        high = (end - self.columns[0]) // self.binning[1]
        if not 0 <= low < high <= self.geometry.columns:
            raise InputError(
                f"air: columns {first} to {end} hold no whole element of the columns {self.columns[0]} to "
                f"{self.columns[1]} that are used"
            )
        return low, high

    def _warn(self, good: np.ndarray) -> None:
        for text in (
            self._left_out_text(),
            self._repaired_text(good),
            self._references_text(),
            self._brightness_text(good),
            self.odd_views.text if self.odd_views is not None else "",
        ):
            if text:
                warnings.warn(f"{self.name}: {text}", PreparationWarning, stacklevel=4)
        if self.truncation is not None:
            warnings.warn(f"{self.name}: {self.truncation.text}", TruncationWarning, stacklevel=4)

    def _references_text(self) -> str:
        """Of references that are saturated as the air of the views is: nothing tells by how much."""
        share = self.correction.saturated_references
        if self.correction.clipped_air:
            return (
                f"the references are at the largest value, {self.correction.saturation:g}, and so is the air of the "
                "views, which has none of the noise of darker readings: the open beam saturates the detector, or air "
                "was set to this value; line integrals are too low by as much as the beam is brighter; `unattenuated` "
                "with the counts of the open beam mends that"
            )
        low, high = self.correction.levels
        if not share and low < EQUAL * high:
            return (
                f"the references are between {low:.4g} and {high:.4g} counts bright, and when they were taken is not "
                f"known: their mean is used, so that line integrals are off by up to {math.log(high / low):.2f}; "
                "`reference_views` of the calibration says when"
            )
        if not share:
            return ""
        return (
            f"{share:.0%} of the references' readings are at the largest value, {self.correction.saturation:g}, and "
            "the others are not: the open beam saturates the detector, and line integrals are too low by as much as it "
            "is brighter; references below saturation, or `unattenuated` with the counts of the open beam, mend that"
        )

    def _brightness_text(self, good: np.ndarray) -> str:
        """Of views that are brighter than the references, everywhere or where the sample was left in them.

        InputError where those hold no light at all.
        """
        level = self.overview.brightest if self.scan.kind == "counts" and self.air is None else 0.0
        if level > NO_LIGHT:
            raise InputError(
                f"{self.name}: reference: expected the counts of the open beam, got a {level:.3g}th part of the views' "
                "counts above the dark's: the beam was off, or a shutter closed"
            )
        depth = self.overview.sample_in_references(good)
        if depth is not None:
            return (
                f"line integrals are down to {-depth:.2f} where those of air are 0, in the shape of the object: the "
                "references look as if the sample was left in them, so that line integrals are too low by its own; "
                "references without the sample, or `unattenuated` with the counts of the open beam, mend that"
            )
        if level <= BRIGHTER:
            return ""
        return (
            f"the views transmit up to {level:.0%} of the references, so that line integrals of air are "
            f"{-math.log(level):.2f}: references of another exposure; `air` scales views to the air beside the object"
        )

    def _left_out_text(self) -> str:
        parts = []
        if self.bad:
            count = sum(len(numbers) for numbers in self.bad.values())
            reasons = "; ".join(f"{spans(numbers)} {reason}" for reason, numbers in self.bad.items())
            parts.append(f"{count} of {self.views} views ({reasons})")
        for kind, images in self.correction.left_out.items():
            parts += [f"image {number} of the {kind}, as {reason}" for number, reason in images.items()]
        return f"left out {'; '.join(parts)}; numbers count from 0" if parts else ""

    def _repaired_text(self, good: np.ndarray) -> str:
        elements, counts = self.correction.elements, self._counts(good)
        total = self.scan.geometry.rows * self.scan.geometry.columns * int(good.sum())
        readings = [f"{n} {what}" for what, n in counts.items() if n]
        parts = []
        if readings:
            share = min(100 * sum(counts.values()) / total, 100.0)  # what is not positive may be raised, too
            percent = f"{share:.2g}" if share < 10 else f"{share:.0f}"
            parts.append(f"{', '.join(readings)} of {total} readings ({percent} %)")
        if elements and sum(elements.values()) > 0.01 * self.correction.defective.numel():
            found = ", ".join(f"{n} {what}" for what, n in elements.items() if n)
            parts.append(f"{found} of {self.correction.defective.numel()} detector elements")
        return f"repaired {'; '.join(parts)}" if parts else ""

    def _counts(self, good: np.ndarray) -> dict[str, int]:
        """Readings of each kind that were repaired in the views that are used."""
        return {what: int(n[good].sum()) for what, n in self.correction.counts.items()}

    def _finished(self, out: Any, good: np.ndarray) -> Any:
        record: dict[str, Any] = {
            "options": self.options.to_dict(),
            "references": self.correction.references,
            "darks": self.correction.darks,
            "repaired": {**self.correction.elements, **self._counts(good)},
        }
        images = {kind: sorted(bad) for kind, bad in self.correction.left_out.items() if bad}
        if self.bad or images:
            record["left_out"] = {**{reason: numbers.tolist() for reason, numbers in self.bad.items()}, **images}
        if self.options.ring_method is not None:
            record["rings"] = self.taken.record
        if self.moves is not None:
            rows, columns = unmeasured_edges(self.moves[good])
            record["unmeasured"] = {"rows": list(rows), "columns": list(columns), "filled with": self.options.edges}
        return dataclasses.replace(
            self.scan,  # pyright: ignore[reportArgumentType]
            projections=out,
            geometry=self.geometry if good.all() else self.geometry[np.flatnonzero(good).tolist()],
            kind="line integrals",
            calibration=None,
            metadata={**self.scan.metadata, "preparation": record},
        )


def _check_shape(scan: Scan, name: str) -> None:
    shape, expected = tuple(int(n) for n in scan.projections.shape), scan.geometry.projection_shape
    if shape != expected:
        raise InputError(f"{name}: projections {list(shape)} do not match the geometry's {list(expected)}")
