"""The result of a reconstruction, and the record of how it was made."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.workflows.centering import center_text

if TYPE_CHECKING:
    from sinograd.data import Scan, Volume
    from sinograd.preparation import Center
    from sinograd.workflows.reconstruction import Request
    from sinograd.workflows.streamed_plan import Found
    from sinograd.workflows.turning import Turns


@dataclass(frozen=True)
class Reconstruction:
    """The result of a request.

    Attributes:
        volume: in 1/mm (1/pixel where the pixel size is not known), with its record.
        scan: the prepared scan.
        algorithm, details: in words.
        center: of the search, if there was one.
        seconds: by stage.
        warnings: their texts, once each.
        schedule: of a volume that was written slab by slab.
        missing: slices that other runs of parts have not written yet.
        turns: of the search, if there was one and it found some.
    """

    volume: Volume
    scan: Scan
    algorithm: str
    details: str
    center: Center | None
    seconds: Mapping[str, float]
    warnings: list[str]
    schedule: Found | None = None
    missing: int = 0
    turns: Turns | None = None


def with_record(request: Request, result: Reconstruction, **more: Any) -> Volume:
    """The volume with the record of how it was made; `more` adds entries."""
    from sinograd.data import make_provenance

    scan = result.scan
    metadata = {name: value for name, value in scan.metadata.items() if name != "preparation"}
    source = {
        "file": None if request.file is None else str(request.file.resolve()),
        "metadata": metadata,
        "provenance": scan.provenance,
    }
    if not isinstance(request.scan, Path):
        source["in_memory"] = True
    made: dict[str, Any] = {
        "algorithm": result.algorithm,
        "details": result.details,
        "scan": source,
        "preparation": scan.metadata.get("preparation", {}),
        "geometry": repr(scan.geometry),
        "warnings": result.warnings,
        **more,
    }
    if result.center is not None:
        made["center"] = center_text(result.center)
    if result.turns is not None:
        made["turns"] = result.turns.text
    return result.volume.with_provenance(make_provenance("sinograd reconstruct", request.options, **made))


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stage(self, name: str) -> None:
        """The stage `name` ends now."""
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self._last = now
