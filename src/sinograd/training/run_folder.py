"""The folder of a training run.

    config.yaml       the configuration, every key written out
    provenance.json   software, data files, machine, time
    metrics.csv       one row a step: losses and sigmas
    tensorboard/      the same for TensorBoard's log folder
    checkpoints/      last.ckpt: the state of the training, to resume from
    loss.png          curves of losses and sigmas
    model.yaml        the trained model, as `sinograd denoise` and `load_model` take it; of networks model.pt

Other files in the folder are left alone.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sinograd.config.schema import differences, to_plain
from sinograd.data.provenance import to_json
from sinograd.errors import ConfigError, ExistingFileError, InputError, MissingFileError
from sinograd.files.commit import settle
from sinograd.files.inputs import check_output
from sinograd.io.storage.atomic import replacing, replacing_files, replacing_folder
from sinograd.io.storage.torch_archive import read_checkpoint
from sinograd.training.config import Config, read_config, save_text

_NAMES = (
    *("config.yaml", "provenance.json", "metrics.csv", "tensorboard", "checkpoints", "loss.png"),
    *("model.yaml", "model.pt"),
)

# Keys that may differ when a run is resumed: its folder, its length, the interval of checkpoints.
_FREE = ("output", "stop", "checkpoints")


_STARTED = ("config.yaml", "provenance.json", "checkpoints")


def _is_run(folder: Path) -> bool:
    """Whether a folder holds files of a run and nothing else."""
    return all(entry.name in _NAMES for entry in folder.iterdir())


class RunFolder:
    """Paths in the folder of a run, and the rules about using it. model_name: of the file of the trained model.

    Raises:
        FileExistsError: the folder is not empty, without `resume` and `force`.
        FileNotFoundError: `resume` without a run.
        ValueError: both.
    """

    def __init__(
        self, path: Path, *, resume: bool = False, force: bool = False, model_name: str = "model.yaml"
    ) -> None:
        self.path, self.resume, self.force, self.model_name = Path(path), resume, force, model_name
        if self.path.is_dir():
            settle(self.path, clean=True)
        else:
            settle(self.path.parent)
        if resume and force:
            raise InputError("resume and force exclude each other: one continues a run, the other replaces it")
        if self.path.exists() and not self.path.is_dir():
            raise ExistingFileError(f"{self.path} is a file, expected a folder for the run")
        if resume and not self.config.is_file():
            raise MissingFileError(f"{self.path} holds no run to resume: it has no config.yaml")
        if not (resume or force) and self.path.is_dir() and any(self.path.iterdir()):
            raise ExistingFileError(
                f"{self.path} is not empty: `resume=True` goes on with its run, `force=True` replaces it"
            )

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """The table of steps."""
        return self.path / "metrics.csv"

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.path / self.model_name

    @property
    def curves(self) -> Path:
        """The picture of the losses."""
        return self.path / "loss.png"

    def with_its_start(self, config: Config, requested: Config) -> Config:
        """The resolved configuration with the range sigma that the run started from, where "auto" was requested."""
        stored = read_config(self.config).model
        if getattr(requested.model, "sigma_range", None) != "auto" or type(stored) is not type(config.model):
            return config
        start = {"sigma_range": getattr(stored, "sigma_range")}  # noqa: B009
        return dataclasses.replace(config, model=dataclasses.replace(config.model, **start))

    def check_resumed(self, config: Config) -> None:
        """ConfigError, with the keys, unless the folder's run has this resolved configuration."""
        stored, requested = to_plain(read_config(self.config)), to_plain(config)
        for key in _FREE:
            stored.pop(key, None)
            requested.pop(key, None)
        lines = differences(stored, requested)
        if lines:
            words = "; ".join(lines)
            raise ConfigError(f"{self.config} is of another run, it and this configuration differ in {words}")

    def read_checkpoint(self, config: Config) -> Path | None:
        """The checkpoint to resume from, None if the run has none yet.

        Raises:
            ValueError: damaged, or of another model or run.
        """
        if not self.checkpoint.is_file():
            return None
        checkpoint = read_checkpoint(self.checkpoint)
        try:
            record = {"model": checkpoint["sinograd"]["config"]["model"]}
        except (TypeError, KeyError, IndexError):
            raise InputError(f"{self.checkpoint} is no checkpoint of sinograd: it holds no configuration") from None
        lines = differences(record["model"], to_plain(config)["model"], "model")
        if lines:
            words = "; ".join(lines)
            raise InputError(f"{self.checkpoint} is of another model: it and this configuration differ in {words}")
        return self.checkpoint

    def start(self, config: Config, provenance: Mapping[str, Any]) -> None:
        """Make the folder with configuration and provenance; with `force` in the place of the old run, in one step."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        texts = {"config.yaml": save_text(config), "provenance.json": to_json(provenance) + "\n"}
        if self.resume:
            self.checkpoint.parent.mkdir(exist_ok=True)
            for name, text in texts.items():
                if not self._is_read(name):
                    self.write_text(name, text)
            return
        self.check_inputs_stay()
        with self._replacing() as made:
            for name, text in texts.items():
                (made / name).write_text(text, encoding="utf-8")
            (made / "checkpoints").mkdir()

    def check_inputs_stay(self) -> None:
        """InputError where the old run, which `force` removes, holds a file that is read: the configuration, say."""
        if self.force and self.path.is_dir():
            for name in _NAMES:
                if os.path.lexists(self.path / name):
                    check_output(self.path / name, "the run in `output`")

    def _is_read(self, name: str) -> bool:
        """Whether a file of the run is the configuration that this one was given."""
        try:
            check_output(self.path / name)
        except InputError:
            return True
        return False

    def _replacing(self) -> AbstractContextManager[Path]:
        """The new folder; a temporary one in a folder that holds other files, too, which stay."""
        if self.path.is_dir() and not _is_run(self.path):
            there = [name for name in _NAMES if os.path.lexists(self.path / name)]
            return replacing_files(self.path, _STARTED, force=True, stale=there)
        return replacing_folder(self.path, ours=_is_run, force=True)

    def write_text(self, name: str, text: str) -> None:
        """Replace a text file of the folder."""
        with replacing(self.path / name, force=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
