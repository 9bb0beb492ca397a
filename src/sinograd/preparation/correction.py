"""Blocks of views read and corrected by dark images, references and a map of defects."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.data import Scan
from sinograd.errors import InputError
from sinograd.preparation.clipped_air import is_clipped
from sinograd.preparation.defects import Defects, find_defects, plan_repair
from sinograd.preparation.options import Preparation
from sinograd.preparation.overview import Overview
from sinograd.preparation.references import grouped_means, reference_times, time_weights
from sinograd.preparation.robust_means import without_outliers
from sinograd.preparation.saturation import (
    SAMPLES,
    WHITE,
    fill_saturated_,
    is_mark,
    limit_of_bits,
    marked_elements,
    may_hold_marks,
    plateau,
    stated_saturation,
    stored_type,
    type_limit,
)
from sinograd.preparation.screening import screen_darks, screen_references
from sinograd.preparation.view_profiles import ViewProfiles

# Types that torch converts to float32 on all cores.
CONVERTED = tuple(np.dtype(kind) for kind in ("u1", "u2", "i2", "i4", "f4", "f8"))

# Readings that are repaired.
READINGS = ("saturated", "not finite", "not positive", "raised to the smallest")

# Share of a reference's elements with light below the largest value that shows that it is no white level.
LIT = 0.01

# Share of the references' counts by which one of their readings stands out from the other images, and of the darks'.
REFERENCE_SHARE, DARK_SHARE = 0.1, 0.01

KINDS = ("counts", "transmission", "line integrals")


class Correction:
    """What turns stored views into transmitted fractions, and counts what it repairs.

    Attributes:
        references, darks: how many images were used. left_out: those that were not, by number, with the reason.
        defective: elements of the region that are filled, bool [rows, columns].
        elements: how many of each kind. counts: how many readings of each kind were filled, in each view.
        at_limit: readings at the type's largest value that are taken for values.
        saturated_references: share of the references' elements at the largest value, where it is most of them and the
            others have light; else 0.
        levels: least and largest brightness of references that were averaged over unknown times, counts.
        clipped_air: whether references are at the largest value, and the air of the views is, too, without noise.
    """

    def __init__(
        self, scan: Scan, options: Preparation, rows: tuple[int, int], columns: tuple[int, int], name: str
    ) -> None:
        self.scan, self.name = scan, name
        self._part = (slice(*rows), slice(*columns))
        if scan.kind not in KINDS:
            raise InputError(f"{name}: kind must be one of {', '.join(KINDS)}, got {scan.kind!r}")
        raw = scan.kind == "counts"
        self.counts = {kind: np.zeros(scan.geometry.views, dtype=np.int64) for kind in READINGS}
        self.elements: dict[str, int] = {}
        self.left_out: dict[str, dict[int, str]] = {"references": {}, "darks": {}}
        self.at_limit = 0
        self.saturated_references = 0.0
        self.clipped_air = False
        self.levels = (1.0, 1.0)
        self._marks = raw
        stated = options.saturation or stated_saturation(scan.metadata, name)
        self._stated = stated is not None
        self.saturation = (stated or type_limit(scan.projections.dtype)) if raw else None
        self.references = self.darks = 0
        self._gains = self._dark = self._exposure = None
        self._times = np.zeros(1)
        self.defective = torch.zeros(rows[1] - rows[0], columns[1] - columns[0], dtype=torch.bool)
        if raw:
            self._read_calibration(scan.calibration, options)
        self._fill = plan_repair(self.defective) if self.defective.any() else None
        vars(self).pop("_samples", None)  # not needed any more

    def read(self, start: int, stop: int, block: Tensor, overview: Overview, profiles: ViewProfiles) -> None:
        """Views start to stop - 1 into a block [views, rows, columns] of transmitted fractions.

        A view without any good reading becomes zero. The shares of saturated and missing readings go to `overview`, the
        marks of the readings to `profiles`.
        """
        _copy(self.scan.projections[start:stop], block, self._part)
        profiles.mark(start, block)
        if self._marks:
            marked = is_mark(block, self.scan.projections.dtype)
            if marked is not None:
                block.masked_fill_(marked, torch.nan)
        bad = self._bad_readings(block, start)
        self._correct(block, start)
        if self._fill is not None:
            self._fill.fill_(block)
        elements = max(int((~self.defective).sum()), 1)
        for view, (missing, full) in bad.items():
            self._repair_view(block[view - start], view, missing, full)
            overview.saturated[view] = self.counts["saturated"][view] / elements
            overview.missing[view] = self.counts["not finite"][view] / elements

    def _repair_view(self, image: Tensor, view: int, missing: Tensor, full: Tensor) -> None:
        """Fill the missing and the saturated readings of a view of transmitted fractions."""
        if not self._stated:
            value = full & ((image - 1).abs() <= WHITE)
            self.at_limit += int(value.sum())
            full = full & ~value
        self.counts["saturated"][view] = int(full.sum())
        self.counts["not finite"][view] = int(missing.sum())
        unusable = missing | self.defective
        if full.any():
            missing = missing | fill_saturated_(image, full, unusable)
        if bool((missing | self.defective).all()):
            image.zero_()
        elif missing.any() or self._fill is not None:
            plan_repair(missing | self.defective).fill_(image)

    def _bad_readings(self, block: Tensor, start: int) -> dict[int, tuple[Tensor, Tensor]]:
        """Masks of the readings that are no numbers, and of those at saturation, of the views that have any."""
        low, high = (float(v) for v in torch.aminmax(block))
        saturated = self.saturation is not None and high >= self.saturation
        if np.isfinite(low) and np.isfinite(high) and not saturated:
            return {}
        masks = {}
        for view, image in enumerate(block, start):
            missing = ~torch.isfinite(image)
            full = torch.zeros_like(missing) if self.saturation is None else image >= self.saturation
            full &= ~missing & ~self.defective
            missing &= ~self.defective
            if bool((missing | full).any()):
                masks[view] = missing, full
        return masks

    def _correct(self, block: Tensor, start: int) -> None:
        if self._gains is None:
            return
        if self._dark is not None:
            block -= self._dark
        if len(self._gains) == 1:
            block *= self._gains[0]
        else:
            first, fraction = time_weights(self._times, np.arange(start, start + len(block)))
            gain = torch.empty_like(self._gains[0])
            for view, i, f in zip(block, first.tolist(), fraction.tolist(), strict=True):
                torch.lerp(self._gains[i], self._gains[i + 1], f, out=gain)
                view /= gain
        if self._exposure is not None:
            block /= self._exposure[start : start + len(block), None, None]

    def _read_calibration(self, calibration: Any, options: Preparation) -> None:
        references = self._reference_images(calibration, options)
        if not self._stated and stored_type(self.scan.projections.dtype).kind in "iuf":
            top = plateau(self._samples, self.scan.projections.dtype, references)
            seen = [images[torch.isfinite(images)] for images in (self._samples, references) if images is not None]
            brightest = max(float(values.max()) for values in seen if values.numel()) if any(map(len, seen)) else 0.0
            bits = limit_of_bits(self.scan.metadata, self.scan.projections.dtype, brightest)
            self.saturation = top or bits or self.saturation
        dark_mean = self._dark_mean(calibration, references, options)
        if references is not None:
            means = self._reference_means(references, getattr(calibration, "reference_views", None), dark_mean)
        else:
            blank = torch.full(self.defective.shape, float(options.unattenuated or 1.0))
            means = (blank if dark_mean is None else blank + dark_mean)[None]
        if dark_mean is not None and _middle(means) < _middle(dark_mean):
            raise InputError(
                f"{self.name}: reference: expected counts above the dark's, got {_middle(means):.4g} against "
                f"{_middle(dark_mean):.4g} in the median: `reference` and `dark` may be swapped"
            )
        self._find_defects(means, dark_mean, options)
        gains = means if dark_mean is None else means - dark_mean
        gains = torch.where(torch.isfinite(gains) & (gains > 0), gains, 1.0)
        self._gains = gains.reciprocal_() if len(gains) == 1 else gains
        self._dark = None if dark_mean is None else torch.where(torch.isfinite(dark_mean), dark_mean, 0.0)
        self._exposure = self._checked_exposure(calibration)

    def _checked_exposure(self, calibration: Any) -> Tensor | None:
        exposure, views = getattr(calibration, "exposure", None), self.scan.geometry.views
        if exposure is None:
            return None
        values = np.asarray(exposure, dtype=np.float64)
        if values.shape != (views,) or not (np.isfinite(values) & (values > 0)).all():
            raise InputError(
                f"{self.name}: exposure: expected {views} positive numbers, one a view, got "
                f"{list(values.shape)} from {values.min() if values.size else 0:g}"
            )
        return torch.tensor(values, dtype=torch.float32)

    def _reference_images(self, calibration: Any, options: Preparation) -> Tensor | None:
        """All references, NaN where they hold marks; None where `unattenuated` stands for them."""
        reference = getattr(calibration, "reference", None)
        if reference is None:
            if options.unattenuated is None:
                raise InputError(
                    f"{self.name}: the scan holds raw counts and no reference (flat field); give `flat`, a file or "
                    "folder of flat fields, or `unattenuated`, the counts without object"
                )
            return None
        images = self._images("reference", reference)
        marked = is_mark(images, reference.dtype)
        if marked is not None and marked.any():
            self._marks = 2 * int(marked.sum()) <= marked.numel()  # else the white level of 32-bit images
            if self._marks:
                images.masked_fill_(marked, torch.nan)
        return images

    def _dark_mean(self, calibration: Any, references: Tensor | None, options: Preparation) -> Tensor | None:
        """Mean of the dark images that hold no light, [rows, columns]."""
        dark = getattr(calibration, "dark", None)
        if dark is None:
            return None
        images = self._images("dark", dark)
        if references is None:
            response = float(options.unattenuated or 1.0)
        else:
            response = _middle(references[0]) - min(_middle(image) for image in images)
        bad = screen_darks(images, response)
        self.left_out["darks"] = bad
        good = [i for i in range(len(images)) if i not in bad]
        self.darks, images = len(good), images[good] if bad else images
        group = np.zeros(len(images), dtype=np.int64)
        return without_outliers(images.mean(0)[None], images, group, share=0.0, least=DARK_SHARE * abs(response))[0]

    def _reference_means(self, images: Tensor, taken: Any, dark: Tensor | None) -> Tensor:
        """Mean references of each time, [times, rows, columns], of the images that are good as a whole."""
        times, group = reference_times(taken, len(images))
        bad = screen_references(images, group, dark, timed=taken is not None)
        if bad:
            self.left_out["references"] = bad
            good = [i for i in range(len(images)) if i not in bad]
            images = images[good]
            times, group = reference_times(times[group[good]], len(good))
        self.references, self._times = len(images), times
        means = without_outliers(grouped_means(images, group), images, group, share=REFERENCE_SHARE)
        if taken is None and len(images) > 1:
            levels = images.flatten(1).nanmedian(1).values - (0.0 if dark is None else _middle(dark))
            self.levels = (float(levels.min()), float(levels.max()))
        return self._without_saturated(means) if self.saturation is not None else means

    def _without_saturated(self, means: Tensor) -> Tensor:
        """Mean references with NaN in place of those that are saturated.

        Where most of a reference is at the type's largest value, that is the white level of corrected images.
        """
        assert self.saturation is not None
        full = means >= self.saturation
        if not self._stated and 2 * int(full.sum()) > full.numel():
            lit = ~full & (means > 0.5 * self.saturation)
            if int(lit.sum()) > LIT * full.numel():  # a white level is the same everywhere
                self.saturated_references = int(full.sum()) / full.numel()
            else:
                self.clipped_air = is_clipped(self._neighbours(), self.saturation)
            return means
        return torch.where(full, torch.nan, means)

    def _find_defects(self, means: Tensor, dark: Tensor | None, options: Preparation) -> None:
        """Looks for elements that are dead in any of the references (each divides some views), and for gaps."""
        weakest = means.amin(0)  # NaN where any is
        try:
            defects = find_defects(weakest, dark, dead=options.dead if options.repair else 0.0, hot=options.hot)
        except ValueError as error:
            raise InputError(f"{self.name}: {error}") from error
        if not options.repair:
            defects.hot.zero_()
        gaps = self._gaps(weakest)
        if 2 * int((gaps | defects.any).sum()) > gaps.numel():
            raise InputError(
                f"{self.name}: expected counts in most elements, got marks of gaps in {int(gaps.sum())} of "
                f"{gaps.numel()} in every view"
            )
        defects = Defects(defects.dead | gaps, defects.hot & ~gaps, defects.invalid & ~gaps)
        self.defective = defects.any
        self.elements = defects.counts()

    def _gaps(self, reference: Tensor) -> Tensor:
        """Elements that hold marks in place of counts in every view that is looked at: bool [rows, columns]."""
        if not self._marks or not may_hold_marks(self.scan.projections.dtype):
            return torch.zeros(self.defective.shape, dtype=torch.bool)
        marked = marked_elements(self._samples, self.scan.projections.dtype)
        # a reference that was measured there, and differs from element to element, shows that it is none
        usable = torch.isfinite(reference) & (reference > 0)
        constant = not usable.any() or bool((reference[usable] == reference[usable][0]).all())
        return marked if constant else marked & ~usable

    @functools.cached_property
    def _samples(self) -> Tensor:
        """The region of a few views, [views, rows, columns]; NaN where they hold marks."""
        projections, views = self.scan.projections, self.scan.geometry.views
        places = np.unique(np.linspace(0, views - 1, SAMPLES).round().astype(int)).tolist()
        samples = torch.empty(len(places), *self.defective.shape)
        for sample, view in zip(samples, places, strict=True):
            _copy(projections[view : view + 1], sample[None], self._part)
        marked = is_mark(samples, projections.dtype) if self._marks else None
        return samples if marked is None else samples.masked_fill_(marked, torch.nan)

    def _neighbours(self) -> Tensor:
        """The region of a few pairs of neighbouring views, [pairs, 2, rows, columns]."""
        views = self.scan.geometry.views
        places = np.unique(np.linspace(0, max(views - 2, 0), SAMPLES).round().astype(int)).tolist()
        pairs = torch.empty(len(places), 2, *self.defective.shape)
        for pair, view in zip(pairs, places, strict=True):
            _copy(self.scan.projections[view : view + 2], pair, self._part)
        return pairs

    def _images(self, kind: str, images: Any) -> Tensor:
        """All images of the region as float32 [n, rows, columns]."""
        expected = self.scan.geometry.projection_shape[1:]
        shape = tuple(int(n) for n in images.shape)
        if len(shape) != len(expected) + 1 or shape[0] == 0 or shape[1:] != expected:
            raise InputError(
                f"{self.name}: {kind} {list(shape)} does not match the projections: expected [n, "
                f"{', '.join(map(str, expected))}] with n at least 1"
            )
        block = torch.empty(shape[0], *self.defective.shape)
        _copy(images[0 : shape[0]], block, self._part)
        return block


def _middle(images: Tensor) -> float:
    """Median of the values that are numbers."""
    return float(images.nanmedian())


def _copy(stored: Any, into: Tensor, part: tuple[slice, slice]) -> None:
    """The region of stored images [n, (rows,) columns], of any type, into a float32 tensor [n, rows, columns]."""
    if not isinstance(stored, Tensor):
        array = np.asarray(stored)
        if array.dtype in CONVERTED and array.flags.writeable and all(step >= 0 for step in array.strides):
            stored = torch.from_numpy(array)
        else:
            images = array if array.ndim == 3 else array[:, None, :]
            np.copyto(into.numpy(), images[:, part[0], part[1]], casting="unsafe")
            return
    images = stored.detach() if stored.ndim == 3 else stored.detach()[:, None, :]
    into.copy_(images[:, part[0], part[1]])
