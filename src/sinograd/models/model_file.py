"""Trained models as small files that people can read, and those that come with the package, by name.

    format: sinograd-model
    version: 1
    description: what it is for
    model:                          # bilateral: filters, in the order in which they are applied
      name: bilateral               # dual-domain-bilateral: projection_filters, ramp_window, cutoff, image_filters
      filters:
      - dimensions: 3
        sigma_spatial: [0.61, 0.58, 0.59]   # voxels, in array order: (z, y, x) or (views, rows, columns)
        sigma_range: 0.0123                 # in units of input_scale
        input_scale: 0.05                   # in the units of the input: 1/mm for volumes, none for line integrals
        window: null                        # null: five standard deviations, at least 5 voxels
    trained_on: {...}               # task, stacks, voxel size, steps, losses, seed
    provenance: {...}               # software, command, time

Unknown keys are errors. Networks have too many numbers for that; their files end in .pt, see `network_file`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from torch import nn

from sinograd.config.regular_files import check_file, read_text
from sinograd.config.schema import from_plain, to_plain
from sinograd.config.shown import shown
from sinograd.config.yaml import dump_yaml, load_yaml
from sinograd.errors import ConfigError, FormatError, InputError, InputTypeError, MissingFileError
from sinograd.io.storage.atomic import replacing
from sinograd.models.bilateral import DualDomainBilateral, is_bilateral_stack
from sinograd.models.dual_domain_file import SavedDualDomain, has_networks
from sinograd.models.filter_entry import FilterEntry, describe_filter
from sinograd.models.network_file import (
    FORMAT,
    NETWORK_SUFFIX,
    VERSION,
    SavedNetwork,
    check_version,
    read_network,
    save_network,
)
from sinograd.models.own_file import SavedOwn

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class BilateralEntry:
    """A stack of bilateral filters."""

    name: Literal["bilateral"]
    filters: tuple[FilterEntry, ...]

    def build(self) -> nn.Module:
        """The sequence of layers."""
        if not self.filters:
            raise ConfigError("model.filters: expected at least one filter, got none")
        return nn.Sequential(*(entry.build() for entry in self.filters))


@dataclass(frozen=True)
class DualDomainEntry:
    """Bilateral filters before and after a reconstruction."""

    name: Literal["dual-domain-bilateral"]
    projection_filters: tuple[FilterEntry, ...]
    image_filters: tuple[FilterEntry, ...]
    ramp_window: str = "ram-lak"
    cutoff: float = 1.0

    def build(self) -> nn.Module:
        """The filters, without a scan."""
        return DualDomainBilateral(
            [entry.build() for entry in self.projection_filters],
            [entry.build() for entry in self.image_filters],
            ramp_window=self.ramp_window,
            cutoff=self.cutoff,
        )


@dataclass(frozen=True)
class SavedModel:
    """What a model file holds.

    Attributes:
        model: its parameters, as in the file; `model.name` says of which kind it is.
        description, trained_on, provenance: what it is for and how it came about.
    """

    format: Literal["sinograd-model"]
    version: int
    model: BilateralEntry | DualDomainEntry
    description: str = ""
    trained_on: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """A `torch.nn.Sequential` of filters, or a `DualDomainBilateral`."""
        return self.model.build()


AnySaved = SavedModel | SavedNetwork | SavedDualDomain | SavedOwn


def load_model(name_or_path: str | os.PathLike[str], *, module: nn.Module | None = None) -> nn.Module:
    """A trained model for use: a `torch.nn.Sequential` of filters, a `DualDomainBilateral` or a `NetworkDenoiser`.

    It is in evaluation mode (`.eval()`); `sg.train` puts it back into training mode, a loop of your own by `.train()`.

    Args:
        name_or_path: as for `read_model`.
        module: of a class of your own, whose weights the file holds; it gets them, and is returned (in a
            `NetworkDenoiser` where it was saved in one).

    Raises:
        InputError, FileError: as `read_model`; a module of another class, or none where one is needed.
    """
    saved = read_model(name_or_path)
    try:
        if isinstance(saved, SavedOwn):
            return saved.build(module).eval()
        if module is not None:
            raise InputError(f"module: none is needed, the file holds a {saved.model.name}")
    except InputError as error:
        raise type(error)(f"{os.fspath(name_or_path)}: {error}") from error
    return saved.build().eval()


def read_model(name_or_path: str | os.PathLike[str]) -> AnySaved:
    """What the file of a trained model holds.

    Args:
        name_or_path: the name of a model that comes with the package, the path of a .yaml or .pt file, or the folder
            of a training run. Of ldct-benchmark's checkpoints see `sinograd.models.ldct_benchmark`.

    Raises:
        FileNotFoundError: no such file or name (the known names are listed).
        ValueError: not a model file, or an unknown, missing or wrong key; names file and key.
    """
    text = os.fspath(name_or_path)
    source = _source(text)
    if isinstance(source, Path) and _is_archive(source):
        return _read_archive(source)
    try:
        content = read_text(source) if isinstance(source, Path) else source.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{source} is no model file: it is binary") from error
    try:
        data = load_yaml(content, str(source))
        name = data.get("format") if isinstance(data, Mapping) else None
        if name != FORMAT:
            raise ConfigError(f"it is no model file: expected format: {FORMAT}, got {shown(name)}")
        saved = from_plain(SavedModel, data)
        check_version(saved.version)
        saved.build()
    except FormatError:
        raise
    except ValueError as error:
        raise InputError(f"{source}: {error}") from error
    return saved


def save_model(
    module: nn.Module,
    path: str | os.PathLike[str],
    *,
    description: str = "",
    trained_on: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    force: bool = False,
) -> None:
    """Write a model; `load_model` gives it back.

    Bilateral filters become YAML, with the rounding of float32; all others an archive of PyTorch's, bit for bit. Of
    classes that sinograd does not know, the file names the class; `load_model(path, module=...)` needs one again.

    Args:
        module: a `torch.nn.Sequential` of bilateral filters, a `DualDomainBilateral`, a `NetworkDenoiser`, or any other
            module.
        path: a file name that ends in .yaml or .yml for bilateral filters alone, else in .pt.
        description, trained_on, provenance: plain values to keep with it.
        force: replace an existing file.

    Raises:
        TypeError: no module, or one whose state_dict holds more than tensors.
        ValueError: another suffix.
        FileExistsError: the file exists and `force` is not set.
    """
    target = Path(path)
    if not isinstance(module, nn.Module):
        raise InputTypeError(f"module: expected a torch.nn.Module, got {type(module).__name__}")
    filters = is_bilateral_stack(module) or (isinstance(module, DualDomainBilateral) and not has_networks(module))
    if not filters:
        record = {"trained_on": dict(trained_on or {}), "provenance": dict(provenance or {})}
        save_network(module, target, description=description, force=force, **record)
        return
    if target.suffix not in SUFFIXES:
        raise InputError(f"a model file ends in .yaml or .yml, got {str(target)!r}")
    entry = _entry(module)
    saved = SavedModel(FORMAT, VERSION, entry, description, dict(trained_on or {}), dict(provenance or {}))
    data = to_plain(saved)
    ordered = {key: data[key] for key in ("format", "version", "description", "model", "trained_on", "provenance")}
    text = dump_yaml(ordered)
    with replacing(target, force=force) as part:
        part.write_text(text, encoding="utf-8")


def model_names() -> list[str]:
    """Names of the trained models that come with the package, sorted."""
    return sorted(_shipped())


def _entry(module: nn.Module) -> BilateralEntry | DualDomainEntry:
    """Of filters alone."""
    if isinstance(module, DualDomainBilateral):
        return DualDomainEntry(
            "dual-domain-bilateral",
            tuple(describe_filter(layer) for layer in module.projection_filters),
            tuple(describe_filter(layer) for layer in module.image_filters),
            module.ramp_window,
            module.cutoff,
        )
    assert isinstance(module, nn.Sequential)
    return BilateralEntry("bilateral", tuple(describe_filter(layer) for layer in module))


def _shipped() -> dict[str, Traversable]:
    folder = resources.files("sinograd.models")
    return {file.name.removesuffix(".yaml"): file for file in folder.iterdir() if file.name.endswith(".yaml")}


def _source(text: str) -> Traversable:
    path = Path(text)
    if not text.endswith((*SUFFIXES, NETWORK_SUFFIX)) and path.name == text and not path.exists():
        shipped = _shipped()
        if text not in shipped:
            known = ", ".join(sorted(shipped)) or "none"
            raise MissingFileError(
                f"no trained model named {text!r}; known: {known}; or give the path of a model file or a run's folder"
            )
        return shipped[text]
    file = path / "model.yaml" if path.is_dir() else path
    if path.is_dir() and not file.exists() and (path / "model.pt").exists():
        file = path / "model.pt"
    check_file(file, f"no model file at {file}")
    return file


def _is_archive(source: Path) -> bool:
    with source.open("rb") as file:
        return file.read(2) == b"PK"


def _read_archive(path: Path) -> SavedNetwork | SavedDualDomain | SavedOwn:
    if path.suffix == ".ckpt":
        what = "a training checkpoint; the model is model.yaml in its run's folder (of networks model.pt)"
        raise InputError(f"{path} is no model file: it is {what}")
    try:
        saved = read_network(path)
        if not isinstance(saved, SavedOwn):
            saved.build()
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    return saved
