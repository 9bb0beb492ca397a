"""The configuration of an experiment: `config.yaml` in its folder. This page is its schema.

What is common to all profiles stands at the top, what a profile changes under `profiles: {quick: ..., full: ...}`;
mappings are merged, everything else is replaced. Lengths in mm, attenuation in 1/mm, angles in degrees.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml

from sinograd.config.schema import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, Check, from_plain, to_plain
from sinograd.config.yaml import load_yaml
from sinograd.datasets import PatchesSpec
from sinograd.errors import ConfigError
from sinograd.geometry import Geometry, Grid
from sinograd.training.config import Adam, Plateau, Stop, Validation
from sinograd.training.model_config import Model
from sinograd.training.models import BilateralModel, NetworkModel
from sinograd.training.optimizer_config import OptimizerConfig
from sinograd.training.task_config import TaskChoice

_FRACTION = Check("a fraction above 0 and below 1", lambda value: 0 < value < 1)
_SOME = Check("a list that is not empty", lambda value: len(value) > 0)
_INTERVAL = Check("two numbers, the smaller one first", lambda value: value[0] < value[1])

Interval = Annotated[tuple[float, float], _INTERVAL]
Region = tuple[float, float, float]
Seeds = Annotated[tuple[int, ...], _SOME]
Precision = Literal["float32", "bfloat16"]
LATER = {"later": True}  # metadata of a field that older configurations have not
T = TypeVar("T")


@dataclass(frozen=True)
class Phantoms:
    """Which objects: `kind` names a function of `sinograd.phantoms`, options are its arguments; seeds by use.

    draw: smallest and largest factor of an option, drawn for each phantom from its seed; "size" scales all lengths.
    """

    kind: Literal["tibia", "abdomen"]
    training: int
    test: Seeds
    options: dict[str, Any] = field(default_factory=dict)
    draw: dict[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class Noise:
    """photons: per pixel and view, unattenuated, of the normal dose; dose: of the low one, as a fraction of it.

    electronic_noise: in photons. bowtie_mm: radius of the water cylinder that a bowtie filter is made for. correlation:
    standard deviation, in detector pixels, of the Gaussian that all noise is convolved with; its variance stays.
    """

    photons: Annotated[float, POSITIVE]
    dose: Annotated[float, _FRACTION]
    electronic_noise: Annotated[float, NOT_NEGATIVE] = 0.0
    bowtie_mm: Annotated[float, POSITIVE] | None = None
    correlation: Annotated[float, NOT_NEGATIVE] = 0.0


@dataclass(frozen=True)
class Scale:
    """How values are scored and shown.

    unit: "1/mm", or "HU" with the attenuation of `water`. data_range: of PSNR and SSIM, in the unit. window: what the
    figures show; difference: half the width of the window of the difference images.
    """

    unit: Literal["1/mm", "HU"]
    data_range: Annotated[float, POSITIVE]
    window: Interval
    difference: Annotated[float, POSITIVE]
    water: Annotated[float, POSITIVE] | None = None


@dataclass(frozen=True)
class Space:
    """The grid of the volumes."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]


@dataclass(frozen=True)
class Method:
    """A denoiser: name for files, title for tables; task and model as in the configuration of `sinograd train`.

    phantoms: how many of `networks.training` it learns from; null: networks from all, filters from one stack. seeds:
    how many of the study's it is trained with, the first ones; null: all. patches: instead of those of all
    networks. like: the network whose learning rate and steps it has. optimizer: instead of the learning rate and the
    schedule of all networks.
    """

    name: str
    title: str
    task: TaskChoice
    model: Model
    phantoms: Annotated[int, AT_LEAST_ONE] | None = None
    seeds: Annotated[int, AT_LEAST_ONE] | None = None
    patches: PatchesSpec | None = None
    like: str | None = None
    optimizer: OptimizerConfig | None = field(default=None, metadata=LATER)

    @property
    def is_network(self) -> bool:
        """Whether patches of several phantoms are learnt from, not one stack."""
        return isinstance(self.model, NetworkModel)


@dataclass(frozen=True)
class Networks:
    """How networks are trained, which a single stack would not be enough for: on random patches of other phantoms'
    slices, as long as validation phantoms show progress. learning_rates: by the names of the methods; steps: of some,
    instead of those of `stop`. precision: of what they compute in training.
    """

    training: Seeds
    validation: Seeds
    learning_rates: dict[str, Annotated[float, POSITIVE]]
    patches: PatchesSpec
    stop: Stop
    validate: Validation
    schedule: Plateau | None = None
    steps: dict[str, Annotated[int, AT_LEAST_ONE]] = field(default_factory=dict)
    precision: Precision = field(default="float32", metadata=LATER)


@dataclass(frozen=True)
class Depth:
    """Figure 6: stacks of so many filters, trained as `like`."""

    filters: tuple[int, ...]
    like: str
    seeds: Seeds


@dataclass(frozen=True)
class Starts:
    """Whether the end depends on the start: `like` trained from other (spatial, range) sigmas."""

    like: str
    sigmas: Annotated[tuple[tuple[float, float], ...], _SOME]
    seeds: Seeds


@dataclass(frozen=True)
class Sizes:
    """What more training data are worth: methods trained on the first so many of `networks.training`."""

    methods: Annotated[tuple[str, ...], _SOME]
    counts: Annotated[tuple[int, ...], _SOME]
    seeds: Seeds


@dataclass(frozen=True)
class Shift:
    """Test phantoms that differ from the training's: `phantoms` and `noise` change those of the study.

    seeds: how many of the study's are taken, the first ones.
    """

    name: str
    title: str
    phantoms: dict[str, Any] = field(default_factory=dict)
    noise: dict[str, Any] = field(default_factory=dict)
    seeds: Annotated[int, AT_LEAST_ONE] = 1


@dataclass(frozen=True)
class Lacunae:
    """Dark things in the bone's tube, below `threshold` (1/mm), of at least so many voxels, are counted."""

    threshold: Annotated[float, POSITIVE]
    smallest: Annotated[int, AT_LEAST_ONE] = 2


@dataclass(frozen=True)
class Rods:
    """A cylinder with rods for resolution and contrast; lengths in mm, attenuation in 1/mm, seeds of its noise.

    radius, background: of the cylinder. rod: the rods' radius. ring: distance of their middles from the axis. values:
    their attenuation, one rod each; the first one's resolution, the last one's contrast-to-noise ratio is measured.
    """

    radius: Annotated[float, POSITIVE]
    background: Annotated[float, POSITIVE]
    rod: Annotated[float, POSITIVE]
    ring: Annotated[float, POSITIVE]
    values: Annotated[tuple[float, ...], _SOME]
    seeds: Seeds


@dataclass(frozen=True)
class Implant:
    """Figure 7: a phantom with metal, denoised by what was trained without."""

    metal: Literal["titanium", "steel"]
    phantom: int
    methods: tuple[str, ...]


@dataclass(frozen=True)
class Study:
    """An experiment in one profile.

    comparisons: pairs (better, than) of methods whose scores are subtracted; headline: those that the study is about.
    regions: squares of the shown slice that are drawn enlarged, (top, left, size) as fractions of its height, width and
    height. further: methods and comparisons of a profile, beside those of all profiles.
    """

    title: str
    profile: str
    phantoms: Phantoms
    geometry: dict[str, Any]
    grid: Space
    noise: Noise
    scale: Scale
    methods: Annotated[tuple[Method, ...], _SOME]
    comparisons: tuple[tuple[str, str], ...]
    seeds: Seeds
    headline: tuple[tuple[str, str], ...] = ()
    optimizer: Adam = field(default_factory=Adam)
    stop: Stop = field(default_factory=Stop)
    networks: Networks | None = None
    depth: Depth | None = None
    starts: Starts | None = None
    sizes: Sizes | None = None
    shifts: tuple[Shift, ...] = ()
    lacunae: Lacunae | None = None
    rods: Rods | None = None
    implant: Implant | None = None
    regions: tuple[Region, ...] = ()
    shown_slice: Annotated[int, NOT_NEGATIVE] = 0
    truth_supersampling: Annotated[int, AT_LEAST_ONE] = 3

    @property
    def scan_geometry(self) -> Geometry:
        """The geometry that `geometry` describes."""
        return Geometry.from_dict(self.geometry)

    @property
    def volume_grid(self) -> Grid:
        """The grid that `grid` describes."""
        return Grid(self.grid.shape, self.grid.spacing)

    @property
    def data_range(self) -> float:
        """`scale.data_range` in 1/mm."""
        return self.scale.data_range * self.per_unit

    @property
    def per_unit(self) -> float:
        """1/mm for one unit of `scale`."""
        return 1.0 if self.scale.water is None else self.scale.water / 1000

    def method(self, name: str) -> Method:
        """The method of that name."""
        return next(method for method in self.methods if method.name == name)

    def seeds_of(self, method: Method) -> tuple[int, ...]:
        """What a method is trained with."""
        return self.seeds[: method.seeds]

    def shifted(self, shift: Shift) -> Study:
        """The study with the objects and the noise of other tests."""
        parts = {
            "phantoms": from_plain(Phantoms, merged(to_plain(self.phantoms), shift.phantoms), "phantoms"),
            "noise": from_plain(Noise, merged(to_plain(self.noise), shift.noise), "noise"),
        }
        return replace(self, **parts)


def load_study(file: str | Path, profile: str, changes: Mapping[str, Any] | None = None) -> Study:
    """Read a profile; `changes` is merged in last. Raises ConfigError naming the file and the key."""
    return load_profile(Study, file, profile, changes, _check)


def load_profile(
    kind: type[T], file: str | Path, profile: str, changes: Mapping[str, Any] | None, check: Callable[[T], None]
) -> T:
    """As `load_study`, for any dataclass with a field `profile`; `check` raises what else is wrong."""
    file = Path(file)
    try:
        data = load_yaml(file.read_text(encoding="utf-8"))
        profiles = data.pop("profiles", {})
        if profile not in profiles:
            raise ConfigError(f"no profile {profile!r}, expected one of {', '.join(profiles)}")
        whole = merged(merged(data, profiles[profile] or {}), changes or {})
        for key, more in whole.pop("further", {}).items():
            whole[key] = [*whole[key], *more]
        study = from_plain(kind, {**whole, "profile": profile})
        check(study)
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: {error}") from error
    return study


def config_hash(study: Any) -> str:
    """SHA-256 of the whole configuration in this profile; later keys count where they are not the default."""
    plain = to_plain(study)
    parts = [(study, plain), (getattr(study, "networks", None), plain.get("networks"))]
    parts += zip(getattr(study, "methods", ()), plain.get("methods", ()), strict=True)
    for part, keys in parts:
        for f in fields(part) if is_dataclass(part) else ():
            if f.metadata.get("later") and getattr(part, f.name) == f.default:
                del keys[f.name]
    return digest(plain)


def digest(plain: Any) -> str:
    """SHA-256 of plain data."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def check_headline(headline: Sequence[tuple[str, str]], comparisons: Sequence[tuple[str, str]]) -> None:
    """ConfigError unless all of them are compared."""
    for pair in headline:
        if pair not in comparisons:
            raise ConfigError(f"headline: {' - '.join(pair)} is not among the comparisons")


def _check(study: Study) -> None:
    names = [method.name for method in study.methods]
    if len(set(names)) < len(names):
        raise ConfigError(f"methods: a name is given twice among {', '.join(names)}")
    known = {"low-dose", *names}
    for better, than in study.comparisons:
        for name in (better, than):
            if name not in known:
                raise ConfigError(f"comparisons: no method {name!r}, expected some of {', '.join(sorted(known))}")
    check_headline(study.headline, study.comparisons)
    used = [study.depth.like] if study.depth else []
    used += study.sizes.methods if study.sizes else ()
    used += [study.starts.like] if study.starts else []
    used += study.implant.methods if study.implant else ()
    for name in used:
        if name not in names:
            raise ConfigError(f"no method {name!r}, expected one of {', '.join(names)}")
    for like in (study.depth, study.starts):
        if like is not None and not isinstance(study.method(like.like).model, BilateralModel):
            raise ConfigError(f"like: expected a stack of filters in the image, got {like.like!r}")
    _check_networks(study)
    for number, shift in enumerate(study.shifts):
        try:
            study.shifted(shift)
        except ConfigError as error:
            raise ConfigError(f"shifts[{number}].{error}") from error
    if (study.scale.unit == "HU") != (study.scale.water is not None):
        raise ConfigError("scale.water: expected with the unit HU and only then")
    trained = [study.phantoms.training]
    trained += [] if study.networks is None else [*study.networks.training, *study.networks.validation]
    for seed in trained:
        if seed in study.phantoms.test:
            raise ConfigError(f"phantoms: {seed} is both trained on and tested on")
    for top, left, size in study.regions:
        if min(top, left) < 0 or size <= 0 or max(top, left) + size > 1:
            raise ConfigError(f"regions: expected squares inside the slice, got {top}, {left}, {size}")
    if not study.shown_slice < study.grid.shape[0]:
        raise ConfigError(f"shown_slice: expected less than {study.grid.shape[0]}, got {study.shown_slice}")
    if study.scan_geometry.ndim != 3:
        raise ConfigError("geometry: expected a cone beam")
    most = 0 if study.networks is None else len(study.networks.training)
    wanted = [method.phantoms or 0 for method in study.methods]
    if max([*wanted, *(study.sizes.counts if study.sizes else ())]) > most:
        raise ConfigError(f"networks.training: {most} phantoms, but methods or sizes take more")


def _check_networks(study: Study) -> None:
    names = [method.name for method in study.methods if method.is_network]
    if study.networks is None:
        if names:
            raise ConfigError(f"networks: missing, {names[0]} is a network")
        return
    if sorted(study.networks.learning_rates) != sorted(names):
        given = ", ".join(study.networks.learning_rates) or "none"
        raise ConfigError(f"networks.learning_rates: expected one each for {', '.join(names)}, got {given}")
    both = {*study.networks.training} & {*study.networks.validation}
    if both:
        raise ConfigError(f"networks: {min(both)} is both trained on and validated on")


def merged(base: Any, changes: Any) -> Any:
    """Mappings, merged; anything else is replaced."""
    if isinstance(base, Mapping) and isinstance(changes, Mapping):
        return {**base, **{key: merged(base.get(key), value) for key, value in changes.items()}}
    return changes
