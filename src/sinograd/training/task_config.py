"""The tasks of a training configuration: what is compared with what.

    task: {name: supervised, loss: mse}   # or noise2noise, noise2void, dual-domain; each with options of its own
    task: {name: supervised, loss: {name: ssim, weights: uniform, width: 7}}

`loss` is one of `sinograd.choices.LOSSES`: its name, or a mapping with its options.

To add a task: a module in `training.tasks` with a dataclass derived from `TaskConfig` (the options) and a class derived
from `training.tasks.Task` (the work), and a line in `sinograd.choices.TASKS`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from sinograd.choices import TASKS
from sinograd.config.schema import Choice
from sinograd.errors import ConfigError, InputError, InputTypeError, MissingFileError
from sinograd.losses.loss import LOSS, Loss, as_loss, with_found_options

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sinograd.datasets import PairedVolume
    from sinograd.training.data import ScanStack, Stack
    from sinograd.training.data_config import Data, StackFiles
    from sinograd.training.model_config import ModelConfig
    from sinograd.training.tasks.task import Task

# A name, or the `losses.loss_schema` of a loss with options; in Python a mapping as well.
LossChoice = Annotated[Any, LOSS]

# Of fields that came after 0.1: hashes of configurations leave them out where they have their default.
LATER = {"later": True}


@dataclass(frozen=True)
class TaskConfig:
    """What training asks of a task's part of the configuration.

    Attributes:
        name: the key of the registry.
        takes_scans: whether it starts from projections (`ScanStack`) and not from volumes (`Stack`).
        needs_target: whether each stack must have one.
        starts_from_noise: whether "auto" starts range sigmas at the noise of the data, not at the paper's 0.01.
        models: the only ones that it trains; None: those that take what it takes.
        denoises: whether what it trains makes images better, so that it can be measured against doing nothing.
        loss_falls: whether the training loss falls as training goes on; else it ends no training early.
    """

    name: str
    takes_scans: ClassVar[bool] = False
    needs_target: ClassVar[bool] = True
    starts_from_noise: ClassVar[bool] = False
    loss_falls: ClassVar[bool] = True
    models: ClassVar[tuple[str, ...] | None] = None
    denoises: ClassVar[bool] = True

    @property
    def measure(self) -> Loss:
        """The loss that the configuration names."""
        return as_loss(getattr(self, "loss", "mse"))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the record of a model that was trained with it has to say."""
        return tuple(getattr(self.measure, "notes", ()))

    @property
    def files(self) -> tuple[Path, ...]:
        """Files that it reads, beside the data: they must be the same ones when a run is resumed."""
        return ()

    def resolved(self, pairs: Callable[[], Iterable[tuple[Tensor, Tensor]]]) -> TaskConfig:
        """With the options of the loss that it finds from unfiltered training data, pairs of input and target."""
        choice = getattr(self, "loss", "mse")
        found = with_found_options(choice, pairs)
        return self if found is choice else dataclasses.replace(self, **{"loss": found})

    def check(self) -> None:
        """ConfigError unless the options go together and the loss takes its own."""
        try:
            self.measure  # noqa: B018
        except ConfigError as error:
            where = "task." if str(error).startswith("loss") else "task.loss."
            raise ConfigError(f"{where}{error}") from error
        except (InputError, InputTypeError) as error:
            raise ConfigError(f"task.loss.{error}") from error
        except MissingFileError as error:
            raise MissingFileError(f"task.loss.{error}") from error

    def check_model(self, model: ModelConfig) -> None:
        """ConfigError unless the model's options go with the task's."""

    def check_files(self, files: StackFiles, where: str, *, trained: bool) -> None:
        """ConfigError, naming the key, unless the files of a stack are what the task takes."""
        if files.target is None and self.needs_target:
            raise ConfigError(f"{where}.target: missing, the task {self.name} needs one")
        if len(files.inputs) > 1:
            raise ConfigError(f"{where}.input: expected one file for the task {self.name}, got {len(files.inputs)}")

    def check_data(self, data: Data) -> None:
        """ConfigError unless the data's part of the configuration is for the task."""

    def check_images(self, shape: Sequence[int]) -> None:
        """ConfigError for training images [..., Y, X] that the task cannot take."""

    def check_item(self, item: Stack | ScanStack | PairedVolume, *, trained: bool) -> None:
        """ValueError, naming the item, unless it has what the task compares."""
        if self.needs_target and item.target is None:
            raise InputError(f"{item.name}: the task {self.name} needs a target")

    def check_batch(self, batch: Callable[[], Stack | ScanStack]) -> None:
        """InputError unless the first batch, which `batch` gives on the device of training, can be worked on."""

    def load(self, files: StackFiles) -> Stack | ScanStack:
        """What files hold, float32."""
        from sinograd.training.data import load_stack

        return load_stack(files)

    def stacks(self, stacks: Sequence[Stack] | Sequence[ScanStack]) -> Sequence[Stack] | Sequence[ScanStack]:
        """What the steps take in turn."""
        return stacks

    def pairs(self, pairs: Sequence[PairedVolume]) -> Sequence[PairedVolume]:
        """What patches are drawn from."""
        return pairs

    def learning_rates(self) -> dict[str, float]:
        """Parameter groups that the task has besides those of the model, with their default rates."""
        return {}

    def build(self, model: nn.Module, settings: ModelConfig, seed: int) -> Task:
        """The work of a resolved configuration; random starting values, if there are any, follow from the seed."""
        raise NotImplementedError

    def save(
        self, model: nn.Module, path: Path, *, trained_on: Mapping[str, Any], provenance: Mapping[str, Any]
    ) -> None:
        """Write the file of a trained model."""
        from sinograd.models import save_model

        save_model(model, path, trained_on=trained_on, provenance=provenance, force=True)


def task_schema(name: str) -> type[TaskConfig]:
    """The dataclass of a task; raises InputError for an unknown name."""
    return TASKS.load(name)


def supervised() -> TaskConfig:
    """The default."""
    return task_schema("supervised")(name="supervised")


TaskChoice = Annotated[TaskConfig, Choice(lambda: TASKS, task_schema)]
