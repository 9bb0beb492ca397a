"""The models of a training configuration: which, how large, from which start, in which units.

    model: {name: bilateral, filters: 3}                # or dual-domain-bilateral
    model: {name: red-cnn, offset: auto, scale: auto}   # or another one of `sinograd.networks`, with its options

To add a network, write its class and enter it; everything else follows from these two.

1. A module with a subclass of `sinograd.networks.Network`, images [B, 1, Y, X] to the same shape. Its constructor
   has the options as arguments of plain types (int, float, bool, str, Literal, tuples of them), raises
   `InputError("channels: expected ..., got ...")` for values that cannot be, and draws the starting values from
   `generator`:

       class Smooth(Network):
           def __init__(self, channels: int = 32, *, generator: torch.Generator | None = None) -> None: ...

2. A line in `sinograd.choices`, or in another package an entry point of the group `sinograd.networks`:

       NETWORKS.add("smooth", "package.smooth:Smooth", "one line of help", learning_rate=1e-3)

Then `model: {name: smooth, channels: 64}` trains it, the file of the trained model names it with its options, and
`sinograd denoise` builds it again. `sinograd.testing.NetworkContract` tests what is expected of it. In a
configuration a network has `offset` and `scale` besides: it sees (value - offset) / scale; "auto": mean and standard
deviation of the training inputs.

To add a model of another kind: a dataclass derived from `ModelConfig`, and its line in `sinograd.choices.MODELS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from sinograd.choices import MODELS, NETWORKS
from sinograd.config.schema import AT_LEAST_ONE, POSITIVE, Check, Choice

if TYPE_CHECKING:
    from torch import nn

    from sinograd.training.samples import Samples

_SIGMAS = Check("positive numbers", lambda value: all(s > 0 for s in (value if isinstance(value, tuple) else (value,))))

Count = Annotated[int, AT_LEAST_ONE]
Positive = Annotated[float, POSITIVE]
Sigmas = Annotated[float | tuple[float, ...], _SIGMAS]
Scale = Literal["auto"] | Positive
RangeSigma = Literal["auto", "paper"] | Positive
Offset = Literal["auto"] | float
Window = int | tuple[int, ...] | None


@dataclass(frozen=True)
class ModelConfig:
    """What training asks of a model's part of the configuration.

    Attributes:
        name: the key of the registry.
        takes_scans: whether the model goes from projections to a volume, not from volume to volume.
        single_precision: whether it takes float32 alone, and may compute in float16 and bfloat16 inside.
        file_name: of the trained model in the folder of a run.
        tasks: the only ones that train it; None: those that take what it takes.
    """

    name: str
    takes_scans: ClassVar[bool] = False
    single_precision: ClassVar[bool] = False
    file_name: ClassVar[str] = "model.yaml"
    tasks: ClassVar[tuple[str, ...] | None] = None

    @property
    def ndim(self) -> int | None:
        """2 for models of images, 3 for models of volumes; None: not known before the model is built."""
        raise NotImplementedError

    @property
    def lost(self) -> tuple[int, ...]:
        """By how many voxels along each axis the output is smaller than the input in training."""
        return (0,) * (self.ndim or 0)

    @property
    def patch(self) -> int | None:
        """Rows and columns of the only images that it takes; None: any."""
        return None

    @property
    def loss_scale(self) -> float:
        """What counts as 1 in the volumes that losses compare; of a resolved configuration."""
        raise NotImplementedError

    def learning_rates(self) -> dict[str, float]:
        """The default of each parameter group."""
        raise NotImplementedError

    def check(self) -> None:
        """ConfigError unless the options go together."""

    def started(self, from_noise: bool) -> Self:
        """The same with the start values that need no data; from_noise: `TaskConfig.starts_from_noise`."""
        return self

    def resolved(self, samples: Samples) -> Self:
        """The same with every "auto" filled in from what is trained on."""
        raise NotImplementedError

    def build(self, seed: int) -> nn.Module:
        """The untrained model of a resolved configuration; random starting values follow from the seed."""
        raise NotImplementedError

    def parameter_groups(self, model: nn.Module, rates: dict[str, float]) -> list[dict[str, Any]]:
        """The parameters of a model, with a learning rate for each group, as torch's optimisers take them."""
        raise NotImplementedError


def model_names() -> tuple[str, ...]:
    """Models and networks."""
    return (*MODELS, *NETWORKS)


def model_schema(name: str) -> type[ModelConfig]:
    """The dataclass of a model or network; raises InputError for an unknown name, ImportError of a broken plugin."""
    if name in MODELS:
        return MODELS.load(name)
    from sinograd.training.models.network import network_schema

    return network_schema(name)


Model = Annotated[ModelConfig, Choice(model_names, model_schema)]


def number(value: float | str) -> float:
    """A number of a resolved configuration."""
    assert not isinstance(value, str), "the configuration is not resolved"
    return float(value)
