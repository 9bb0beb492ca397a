"""What an iterative algorithm on stored tensors leaves between two iterations: a folder of its images and projections.

    state/NAME.raw      float32 planes, one file for each stored tensor of the state
    state/small.pt      everything else of the state, by torch.save
    image.raw           the volume when the algorithm has ended, and image.json what there is to tell about it

A folder appears when it is whole.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sinograd.choices import ALGORITHMS
from sinograd.files.folders import flush_folder
from sinograd.io.storage.write_errors import writing
from sinograd.ops.stored import Space, StoredTensor
from sinograd.recon import State
from sinograd.workflows.checkpoint import SAVE_SECONDS
from sinograd.workflows.job import goes_on

_PARTS = ("values", "record", "run")


class StoredState:
    """See above. space: where the stored tensors lie; its folder is made anew, but for what was kept."""

    def __init__(self, space: Space, name: str) -> None:
        self.space, self._name = space, name
        self.is_saved = self._folder.exists()
        self._saved_at = time.monotonic()
        space.folder.mkdir(parents=True, exist_ok=True)
        kept = (self._folder, self._image, self._facts)
        for path in space.folder.iterdir():
            if path not in kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    @property
    def is_due(self) -> bool:
        """Whether the last saving is long ago."""
        return time.monotonic() - self._saved_at > SAVE_SECONDS

    def kept(self, what: str) -> str:
        """What an interrupt leaves, in words."""
        return goes_on(self._name, what)

    def save(self, volume: Tensor, done: int, state: State) -> None:
        """Keep a state, whose stored tensors are copies that nobody else holds: the folder takes their files."""
        new = self.space.folder / "state.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        run = {"iterations": torch.tensor(done)} | ({} if state.start is None else {"start": state.start})
        small: dict[str, Any] = {"shapes": {}}
        with writing(self._folder):
            for part, values in zip(_PARTS, (state.values, state.record, run), strict=True):
                for name, value in values.items():
                    if isinstance(value, StoredTensor):
                        small["shapes"][f"{part}.{name}"] = list(value.shape)
                        _moved(value, new / f"{part}.{name}.raw")
                    else:
                        small[f"{part}.{name}"] = value
            torch.save(small, new / "small.pt")
            flush_folder(new)
            shutil.rmtree(self._folder, ignore_errors=True)
            os.rename(new, self._folder)
            flush_folder(self.space.folder)
        self._saved_at, self.is_saved = time.monotonic(), True

    def load(self, algorithm: str) -> State | None:
        """The state that was kept last; None: there is none."""
        if not self._folder.exists():
            return None
        small = torch.load(self._folder / "small.pt", weights_only=True)
        parts: dict[str, dict[str, Tensor]] = {part: {} for part in _PARTS}
        found = {
            name: self.space.over(self._folder / f"{name}.raw", shape) for name, shape in small.pop("shapes").items()
        }
        for name, value in {**small, **found}.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value
        run = parts["run"]
        name = ALGORITHMS.load(algorithm).__name__
        return State(name, int(run["iterations"]), parts["values"], parts["record"], run.get("start"))

    def finish(self, image: StoredTensor, **facts: Any) -> None:
        """Keep the volume at the end, and what there is to tell about it."""
        with writing(self._image):
            _moved(image, self._image)
            part = self._facts.with_name(".image.json")
            part.write_text(json.dumps(facts), encoding="utf-8")
            os.replace(part, self._facts)
            flush_folder(self.space.folder)
            shutil.rmtree(self._folder, ignore_errors=True)

    def finished(self, shape: tuple[int, ...]) -> tuple[StoredTensor, dict[str, Any]] | None:
        """The volume at the end, with its facts; None: it is not there yet."""
        if not self._facts.exists():
            return None
        return self.space.over(self._image, shape), json.loads(self._facts.read_text(encoding="utf-8"))

    @property
    def _folder(self) -> Path:
        return self.space.folder / "state"

    @property
    def _image(self) -> Path:
        return self.space.folder / "image.raw"

    @property
    def _facts(self) -> Path:
        return self.space.folder / "image.json"


def _moved(tensor: StoredTensor, path: Path) -> None:
    """The tensor's file under another name, which the disk has."""
    descriptor = os.open(tensor.file.path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(tensor.file.path, path)
