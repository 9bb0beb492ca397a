"""What an interrupted reconstruction leaves behind, and how it is resumed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.errors import InputError
from sinograd.files.inputs import own_state

if TYPE_CHECKING:
    import torch

    from sinograd.data import Scan
    from sinograd.geometry import Grid
    from sinograd.workflows.reconstruction import Request

SAVE_SECONDS = 300.0  # between two savings without an interrupt


class Partial:
    """A volume that holds some of the views or iterations, in a file beside the output: OUTPUT.partial.h5.

    `key` identifies the work: scan, options, geometry, grid and version. A file with another key is not resumed.
    """

    def __init__(self, output: Path, grid: Grid, work: Mapping[str, Any]) -> None:
        self.path = output.with_name(f"{output.name}.partial.h5")
        self.grid = grid
        self.key = hashlib.sha256(json.dumps(work, sort_keys=True, default=str).encode()).hexdigest()
        self._saved_at = time.monotonic()

    @classmethod
    def of(cls, request: Request, scan: Scan, grid: Grid) -> Partial | None:
        """That of a request for a prepared scan; None where there is no output, or the scan is no file."""
        from sinograd.data import software_version

        if request.output is None or not isinstance(request.scan, Path):
            return None
        file = request.scan.stat()
        work = {
            "scan": str(request.scan.resolve()),
            "size": file.st_size,
            "changed": file.st_mtime_ns,
            "options": dict(request.options),
            "geometry": repr(scan.geometry),
            "vectors": scan.geometry.vectors.sum(dim=0).tolist(),
            "version": software_version(),
        }
        return cls(request.output, grid, work)

    def load(self) -> tuple[torch.Tensor, int]:
        """The volume so far and the views (or iterations) in it; InputError if there is none or it is of other work."""
        from sinograd.io import read_volume

        if not self.path.exists():
            raise InputError(f"`resume`: there is no {self.path} of an interrupted run")
        with own_state():
            volume = read_volume(self.path)
        record = volume.provenance
        if record.get("key") != self.key or not volume.grid.equals(self.grid):
            raise InputError(
                f"`resume`: {self.path} was made from another scan, with other options or by another version; "
                "start without `resume`, or remove it"
            )
        return volume.values, int(record["done"])

    def save(self, volume: torch.Tensor, done: int) -> None:
        """Keep the volume after `done` views or iterations."""
        from sinograd.io import write_volume

        record = {"key": self.key, "done": done}
        write_volume(volume, self.path, self.grid, unit="1/mm", force=True, provenance=record)
        self._saved_at = time.monotonic()

    def kept(self, what: str) -> str:
        """What an interrupt leaves, in words."""
        return f"`resume=True` goes on from there ({self.path.name} holds {what})"

    @property
    def is_due(self) -> bool:
        """Whether the last saving is long ago."""
        return time.monotonic() - self._saved_at > SAVE_SECONDS

    def remove(self) -> None:
        """The work is done."""
        self.path.unlink(missing_ok=True)
