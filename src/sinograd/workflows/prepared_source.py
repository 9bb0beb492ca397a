"""Prepared projections of a scan where the schedule says: in memory, read from the scan, or in a scratch file."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.data.projections import ChosenViews, Projections, load_views, read_rows
from sinograd.errors import InputError, PreparationWarning, TruncationWarning
from sinograd.io.storage.scratch import Scratch
from sinograd.workflows.schedule import IN_MEMORY, IN_SCAN

if TYPE_CHECKING:
    from sinograd.data import Scan
    from sinograd.preparation import Preparation

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Ready:
    """Rows and columns of line integrals in a file, which need no preparation: read when they are needed.

    Attributes:
        stored: of the whole detector.
        rows, columns: that are used.
    """

    stored: Projections
    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def shape(self) -> tuple[int, ...]:
        """[views, rows, columns]."""
        return (int(self.stored.shape[0]), self.rows[1] - self.rows[0], self.columns[1] - self.columns[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32."""
        return np.dtype(np.float32)

    def __getitem__(self, views: Any) -> Any:
        found = load_views(self.stored, views)
        return found[..., slice(*self.rows), slice(*self.columns)]

    def read_rows(self, views: slice | list[int], rows: slice) -> Any:
        """Rows of some views; nothing else is read."""
        first, end, _ = rows.indices(self.shape[1])
        found = read_rows(self.stored, views, slice(self.rows[0] + first, self.rows[0] + end))
        return found[..., slice(*self.columns)]


def prepared(
    scan: Scan, options: Preparation, source: str, scratch: Path, progress: Progress, continued: bool
) -> tuple[Scan, str]:
    """The scan with prepared projections, and where they are.

    Line integrals in a file that hold NaN are repaired, and so go to the scratch file.

    Args:
        scan: of counts, transmission or line integrals.
        options: of its preparation.
        source: IN_MEMORY, IN_SCAN or IN_SCRATCH.
        scratch: the folder of a scratch file.
        progress: called between blocks.
        continued: rows are continued where they end in the object, which then needs no warning.

    Warns as `prepare`.
    """
    from sinograd.preparation import prepare
    from sinograd.preparation.prepared_geometry import prepared_geometry

    with warnings.catch_warnings():
        if continued:
            warnings.simplefilter("ignore", TruncationWarning)
        if source == IN_SCAN:
            try:
                return _checked(ready_scan(scan, options), progress), source
            except InputError:
                source = "scratch"
        if source == IN_MEMORY:
            return prepare(scan, options, progress=progress).validate(), source
        shape = prepared_geometry(scan, options)[0].projection_shape
        store = Scratch.new(scratch, shape)
        made = prepare(scan, options, out=store, progress=progress).validate()
        store.flush()
        return made, source


def ready_scan(scan: Scan, options: Preparation) -> Scan:
    """A scan of line integrals as it is read without preparation, with the record that `prepare` makes of it."""
    from sinograd.geometry.regions import check_span
    from sinograd.preparation.correction import READINGS
    from sinograd.preparation.prepared_geometry import prepared_geometry

    geometry = scan.geometry
    rows, columns = (
        check_span(options.rows, "rows", geometry.rows),
        check_span(options.columns, "columns", geometry.columns),
    )
    record = {"options": options.to_dict(), "references": 0, "darks": 0, "repaired": dict.fromkeys(READINGS, 0)}
    return dataclasses.replace(
        scan,
        projections=Ready(scan.projections, rows, columns),
        geometry=prepared_geometry(scan, options)[0],
        calibration=None,
        metadata={**scan.metadata, "preparation": record},
    )


def restored(scan: Scan, options: Preparation, plan: dict[str, Any]) -> Scan:
    """The prepared scan of a plan: nothing is prepared again but what was in memory.

    Raises:
        InputError: the scratch file is gone.
    """
    from sinograd.preparation import prepare
    from sinograd.preparation.prepared_geometry import prepared_geometry

    if plan["source"] == IN_MEMORY:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return prepare(scan, options)
    if plan["source"] == IN_SCAN:
        return ready_scan(scan, options)
    geometry = prepared_geometry(scan, options)[0]
    store = Scratch(Path(plan["scratch"]), geometry.projection_shape)
    if not store.is_whole():
        raise InputError(f"`resume`: the prepared projections {store.folder} are gone; `force=True` starts again")
    projections: Any = store
    if plan["views"] is not None:
        geometry, projections = geometry[plan["views"]], ChosenViews(store, np.array(plan["views"]))
    return dataclasses.replace(
        scan,
        projections=projections,
        geometry=geometry,
        kind="line integrals",
        calibration=None,
        metadata={**scan.metadata, "preparation": plan["preparation"]},
    )


def kept_views(made: Scan) -> list[int] | None:
    """Numbers of the views that preparation left in a scan; None: all of them."""
    return made.projections.order.tolist() if isinstance(made.projections, ChosenViews) else None


def fingerprint(scan: Scan) -> str:
    """Of shape, type, geometry and a few views of a scan, as stored."""
    digest = hashlib.blake2b(digest_size=16)
    vectors = scan.geometry.vectors.detach().numpy()
    digest.update(f"{scan.shape} {scan.projections.dtype} {scan.kind} {vectors.shape}".encode())
    digest.update(np.ascontiguousarray(vectors).data)
    for view in sorted({0, scan.shape[0] // 2, scan.shape[0] - 1}):
        digest.update(np.ascontiguousarray(scan.load(slice(view, view + 1)).numpy()).data)
    return digest.hexdigest()


def _checked(scan: Scan, progress: Progress) -> Scan:
    """The scan, whose numbers are finite; InputError where they are not.

    Warns:
        PreparationWarning: views do not fit those beside them.
        TruncationWarning: the object reaches beyond the detector.
    """
    from sinograd.preparation.odd_views import find_odd_views
    from sinograd.preparation.truncated import find_truncation
    from sinograd.preparation.view_profiles import Watched

    watched = Watched(scan.projections)
    dataclasses.replace(scan, projections=watched).validate(progress)
    truncation = find_truncation(scan.projections, scan.geometry)
    every = np.ones(scan.geometry.views, dtype=bool)
    odd = find_odd_views(watched.profiles, scan.geometry, every, truncation is not None)
    if odd is not None:
        warnings.warn(f"{scan.name}: {odd.text}", PreparationWarning, stacklevel=3)
    if truncation is not None:
        warnings.warn(f"{scan.name}: {truncation.text}", TruncationWarning, stacklevel=3)
    return scan
