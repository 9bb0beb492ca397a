"""What tasks share that train a denoiser against networks which judge its images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from torch import Tensor, nn

from sinograd.choices import ADVERSARIAL_LOSSES
from sinograd.config.schema import Choice
from sinograd.config.signature import options_of, schema_of
from sinograd.errors import ConfigError, InputError
from sinograd.losses.adversarial import AdversarialLoss
from sinograd.models import NetworkDenoiser
from sinograd.training.data_config import Data
from sinograd.training.task_config import TaskConfig
from sinograd.training.tasks.supervised import SupervisedTask


def adversarial_schema(name: str) -> type:
    """The dataclass of an adversarial loss's options; raises InputError for an unknown name."""
    kind = ADVERSARIAL_LOSSES.load(name)
    return schema_of(name, kind if "__init__" in vars(kind) else _no_options)


AdversarialChoice = Annotated[Any, Choice(lambda: ADVERSARIAL_LOSSES, adversarial_schema, short=True)]


def adversarial_loss(choice: Any) -> AdversarialLoss:
    """An adversarial loss from what a configuration says: a name, or its options; in Python a loss itself."""
    if isinstance(choice, str):
        return ADVERSARIAL_LOSSES.load(choice)()
    return choice if hasattr(choice, "generator") else ADVERSARIAL_LOSSES.load(choice.name)(**options_of(choice))


@dataclass(frozen=True)
class AdversarialConfig(TaskConfig):
    """What adversarial tasks share: targets, patches, and a loss that rises and falls as the players learn."""

    loss_falls: ClassVar[bool] = False

    def check_images(self, shape: Sequence[int]) -> None:
        """ConfigError for images [..., Y, X] that the judging networks cannot take."""
        raise NotImplementedError

    def check_data(self, data: Data) -> None:
        """ConfigError unless whole stacks or patches have the size that the judging networks take."""
        if data.patches is None:
            return
        size = data.patches.size
        try:
            self.check_images((size, size) if isinstance(size, int) else size)
        except ConfigError as error:
            raise ConfigError(f"data.patches.size: {error}") from error

    def check(self) -> None:
        """The adversarial loss, too."""
        super().check()
        try:
            adversarial_loss(getattr(self, "adversarial", "least-squares"))
        except InputError as error:
            raise ConfigError(f"task.adversarial.{error}") from error


class AdversarialTask(SupervisedTask):
    """A denoiser, and networks in `extra` that judge its images as it sees them itself: (values - offset) / scale."""

    manual = True

    def images(self, values: Tensor) -> Tensor:
        """Slices or patches [..., Y, X] as the judging networks see them, [B, 1, Y, X]."""
        offset = self.model.offset if isinstance(self.model, NetworkDenoiser) else 0.0
        return ((values - offset) / self.scale).reshape(-1, 1, *values.shape[-2:])


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Inside, the weights of these modules get no gradients; what goes through them does."""
    weights = [weight for module in modules for weight in module.parameters() if weight.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)


def _no_options() -> None:
    """Stands for a class without options."""
