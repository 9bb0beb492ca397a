"""Blocks of views read and corrected by dark images, references and a map of defects."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.data import Scan
from sinograd.errors import InputError
from sinograd.preparation.defects import find_defects, plan_repair
from sinograd.preparation.options import Preparation
from sinograd.preparation.references import grouped_means, reference_times, time_weights

# Types that torch converts to float32 on all cores.
CONVERTED = tuple(np.dtype(kind) for kind in ("u1", "u2", "i2", "i4", "f4", "f8"))

KINDS = ("counts", "transmission", "line integrals")


class Correction:
    """What turns stored views into transmitted fractions, and counts what it repairs.

    Attributes:
        references, darks: how many images there were.
        defective: elements of the region that are filled, bool [rows, columns].
        elements: how many of each kind. counts: how many readings of each kind were filled.
    """

    def __init__(
        self, scan: Scan, options: Preparation, rows: tuple[int, int], columns: tuple[int, int], name: str
    ) -> None:
        self.scan, self.name = scan, name
        self._part = (slice(*rows), slice(*columns))
        calibration = scan.calibration
        if scan.kind not in KINDS:
            raise InputError(f"{name}: kind must be one of {', '.join(KINDS)}, got {scan.kind!r}")
        raw = scan.kind == "counts"
        self.counts = {"saturated": 0, "not finite": 0, "not positive": 0, "raised to the smallest": 0}
        self.elements: dict[str, int] = {}
        self.saturation = _saturation(scan.projections.dtype, options) if raw else None
        self.references = self.darks = 0
        self._gains = self._dark = self._exposure = None
        self._times = np.zeros(1)
        self.defective = torch.zeros(rows[1] - rows[0], columns[1] - columns[0], dtype=torch.bool)
        if raw:
            self._read_calibration(calibration, options)
        self._fill = plan_repair(self.defective) if self.defective.any() else None

    def read(self, start: int, stop: int, block: Tensor) -> None:
        """Views start to stop - 1 into a block [views, rows, columns] of transmitted fractions."""
        _copy(self.scan.projections[start:stop], block, self._part)
        bad = self._bad_readings(block, start)
        self._correct(block, start)
        if self._fill is not None:
            self._fill.fill_(block)
        for view, mask in bad.items():
            plan_repair(mask | self.defective).fill_(block[view - start])

    def _bad_readings(self, block: Tensor, start: int) -> dict[int, Tensor]:
        """Masks of the saturated readings and of those that are no numbers, of the views that have any."""
        low, high = (float(v) for v in torch.aminmax(block))
        saturated = self.saturation is not None and high >= self.saturation
        if np.isfinite(low) and np.isfinite(high) and not saturated:
            return {}
        masks = {}
        for view, image in enumerate(block, start):
            wrong = ~torch.isfinite(image)
            full = torch.zeros_like(wrong) if self.saturation is None else image >= self.saturation
            full &= ~wrong & ~self.defective
            wrong &= ~self.defective
            if not bool((wrong | full).any()):
                continue
            if bool((wrong | full | self.defective).all()):
                raise InputError(
                    f"{self.name}: view {view} has no good reading: {int(full.sum())} saturated, "
                    f"{int(wrong.sum())} NaN or infinite"
                )
            self.counts["saturated"] += int(full.sum())
            self.counts["not finite"] += int(wrong.sum())
            masks[view] = wrong | full
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
        views = self.scan.geometry.views
        reference, dark = (getattr(calibration, key, None) for key in ("reference", "dark"))
        if dark is not None:
            dark_mean = self._images("dark", dark).mean(0)
            self.darks = int(dark.shape[0])
        else:
            dark_mean = None
        if reference is not None:
            images = self._images("reference", reference)
            self.references = len(images)
            self._times, group = reference_times(getattr(calibration, "reference_views", None), len(images))
            means = grouped_means(images, group)
        elif options.unattenuated is not None:
            blank = torch.full(self.defective.shape, float(options.unattenuated))
            means = (blank if dark_mean is None else blank + dark_mean)[None]
        else:
            raise InputError(
                f"{self.name}: the scan holds raw counts and no reference (flat field); give `unattenuated`, the "
                "counts without object, or a calibration with a reference"
            )
        self._find_defects(means, dark_mean, options)
        gains = means if dark_mean is None else means - dark_mean
        gains = torch.where(torch.isfinite(gains) & (gains > 0), gains, 1.0)
        self._gains = gains.reciprocal_() if len(gains) == 1 else gains
        self._dark = None if dark_mean is None else torch.where(torch.isfinite(dark_mean), dark_mean, 0.0)
        exposure = getattr(calibration, "exposure", None)
        if exposure is not None:
            values = np.asarray(exposure, dtype=np.float64)
            if values.shape != (views,) or not (np.isfinite(values) & (values > 0)).all():
                raise InputError(
                    f"{self.name}: exposure: expected {views} positive numbers, one a view, got "
                    f"{list(values.shape)} from {values.min() if values.size else 0:g}"
                )
            self._exposure = torch.tensor(values, dtype=torch.float32)

    def _find_defects(self, means: Tensor, dark: Tensor | None, options: Preparation) -> None:
        """Looks for elements that are dead in any of the references: each divides some views."""
        weakest = means.amin(0)
        if self.saturation is not None and self.references:
            weakest = torch.where((means >= self.saturation).any(0), torch.nan, weakest)
        try:
            defects = find_defects(weakest, dark, dead=options.dead if options.repair else 0.0, hot=options.hot)
        except ValueError as error:
            raise InputError(f"{self.name}: {error}") from error
        if not options.repair:
            defects.hot.zero_()
        self.defective = defects.any
        self.elements = defects.counts()

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


def _saturation(dtype: Any, options: Preparation) -> float | None:
    """Counts from which a reading is saturated."""
    if options.saturation is not None:
        return options.saturation
    kind = np.dtype(str(dtype).removeprefix("torch."))
    return float(np.iinfo(kind).max) if kind.kind == "u" and kind.itemsize <= 2 else None


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
