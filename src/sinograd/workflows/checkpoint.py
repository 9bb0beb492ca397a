"""What an interrupted reconstruction leaves behind, and how it is resumed."""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.choices import ALGORITHMS
from sinograd.errors import InputError
from sinograd.files.inputs import own_state
from sinograd.workflows.job import goes_on

if TYPE_CHECKING:
    import torch

    from sinograd.data import Scan
    from sinograd.geometry import Grid
    from sinograd.recon import State
    from sinograd.workflows.reconstruction import Request

SAVE_SECONDS = 300.0  # between two savings without an interrupt


class Partial:
    """A volume that holds some of the views or iterations, in a file beside the output: OUTPUT.partial.h5.

    `work` identifies what is computed: the prepared projections by their digest, options, geometry, grid and version.
    A file of other work is not resumed. It is called where a file is written or read, because it reads everything.
    """

    def __init__(self, output: Path, grid: Grid, work: Callable[[], Mapping[str, Any]], unit: str = "1/mm") -> None:
        self.path = output.with_name(f"{output.name}.partial.h5")
        self.grid, self.unit = grid, unit
        self._work = work
        self._saved_at = time.monotonic()
        self.is_saved = False

    @classmethod
    def of(cls, request: Request, scan: Scan, grid: Grid) -> Partial | None:
        """That of a request for a prepared scan; None where there is no output, or the scan is no file."""
        if request.output is None or not isinstance(request.scan, Path):
            return None
        return cls(request.output, grid, lambda: _work(request, scan, grid), scan.volume_unit)

    @functools.cached_property
    def work(self) -> dict[str, str]:
        """What is computed, as text by its part."""
        return {name: json.dumps(value, sort_keys=True, default=str) for name, value in self._work().items()}

    def load(self) -> tuple[torch.Tensor, int]:
        """The volume so far and the views (or iterations) in it; InputError if there is none or it is of other work."""
        from sinograd.io import read_volume

        if not self.path.exists():
            raise InputError(f"`resume`: there is no {self.path} of an interrupted run")
        with own_state():
            volume = read_volume(self.path)
        record, done = volume.provenance.get("work"), volume.provenance.get("done")
        known = record if isinstance(record, dict) else {}
        other = [name for name, text in self.work.items() if known.get(name) != text]
        if other or not volume.grid.equals(self.grid) or not isinstance(done, int):
            raise InputError(
                f"`resume`: {self.path} was made from another scan, with other options or by another version "
                f"(different: {', '.join(other or ['grid'])}); start without `resume`, or remove it"
            )
        self.is_saved = True
        return volume.values, done

    def load_state(self, algorithm: str) -> State:
        """The state of an iterative algorithm; InputError if there is none, or it is of other work."""
        import numpy as np
        import torch

        from sinograd.io.storage.hdf5.layout import opened
        from sinograd.recon import State

        self.load()
        parts: dict[str, dict[str, torch.Tensor]] = {"values": {}, "record": {}, "run": {}}
        with own_state(), opened(self.path) as file:
            for part, values in parts.items():
                group: Any = file.get(f"state/{part}")
                for name in group or ():
                    values[name] = torch.from_numpy(np.asarray(group[name][()]))
        if "iterations" not in parts["run"]:
            raise InputError(f"`resume`: {self.path} holds no state of {algorithm}; start without `resume`")
        run = parts["run"]
        name = ALGORITHMS.load(algorithm).__name__
        return State(name, int(run["iterations"]), parts["values"], parts["record"], run.get("start"))

    def save(self, volume: torch.Tensor, done: int, state: State | None = None) -> None:
        """Keep the volume after `done` views or iterations, and the state of an iterative algorithm."""
        from sinograd.data import Volume
        from sinograd.io.storage.atomic import replacing
        from sinograd.io.volumes.sinograd_hdf5 import SinogradHdf5

        record = {"work": self.work, "done": done}
        needed = volume.nbytes + (0 if state is None else sum(value.nbytes for value in state.values.values()))
        with own_state(), replacing(self.path, force=True, needed=needed) as temporary:
            SinogradHdf5().write(Volume(volume, self.grid, self.unit, record), temporary)
            if state is not None:
                _write_state(state, temporary)
        self._saved_at, self.is_saved = time.monotonic(), True

    def kept(self, what: str) -> str:
        """What an interrupt leaves, in words."""
        return goes_on(self.path.name, what)

    @property
    def is_due(self) -> bool:
        """Whether the last saving is long ago."""
        return time.monotonic() - self._saved_at > SAVE_SECONDS

    def remove(self) -> None:
        """The work is done."""
        self.path.unlink(missing_ok=True)


def _work(request: Request, scan: Scan, grid: Grid) -> dict[str, Any]:
    """All that the volume depends on, by its part in words."""
    from sinograd.data import software_version

    return {
        "scan": str(Path(request.scan).resolve()) if isinstance(request.scan, Path) else None,
        "projections": _digest(scan.load()),
        "geometry": [repr(scan.geometry), _digest(scan.geometry.vectors)],
        "grid": repr(grid),
        "options": dict(request.options),
        "version": software_version(),
    }


def _digest(values: torch.Tensor) -> str:
    """Of type, shape and every number."""
    array = values.detach().cpu().contiguous().numpy()
    digest = hashlib.blake2b(f"{array.dtype} {array.shape}".encode(), digest_size=32)
    digest.update(array.data)
    return digest.hexdigest()


def _write_state(state: State, path: Path) -> None:
    """Add the state to a file, as groups that readers of volumes do not look at."""
    import h5py
    import torch

    run = {"iterations": torch.tensor(state.iterations)} | ({} if state.start is None else {"start": state.start})
    with h5py.File(path, "a") as file:
        for part, values in {"values": state.values, "record": state.record, "run": run}.items():
            for name, value in values.items():
                file.create_dataset(f"state/{part}/{name}", data=value.detach().cpu().numpy())
