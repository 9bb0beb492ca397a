"""Writes docs/training-keys.md: `python docs/training_keys.py`.

Types and defaults are those of the schema, meanings those of its docstrings.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sinograd.choices import LOSSES, MODELS, NETWORKS, SCHEDULES, TASKS
from sinograd.config.schema import Choice, in_words, to_plain
from sinograd.datasets import spec
from sinograd.losses import loss_schema
from sinograd.training import config, data_config
from sinograd.training.model_config import model_schema
from sinograd.training.models.network import NetworkModel
from sinograd.training.schedules import schedule_schema
from sinograd.training.task_config import task_schema

PAGE = Path(__file__).resolve().parent / "training-keys.md"

INTRODUCTION = """# Keys of a training file

A run of `sinograd train` is one YAML file; [Train a denoiser](howto/train.md) and
[networks](howto/networks.md) have examples. A wrong key or value is an error before anything is written. Keys with a
default may be left out. Paths are relative to the file's folder, lengths in mm, attenuation in 1/mm. Losses are in
units of the model's `input_scale` (dual-domain: `image_scale`, networks: `scale`), squared for squared errors.

The heading `task: noise2void` stands for the keys beside `name` in `task: {name: noise2void}`, those of `pairs`
beside `layout`. This page is made from the schema, by `docs/training_keys.py`."""


def meanings(kind: Callable[..., Any]) -> dict[str, str]:
    """What the sections Attributes and Args of docstrings say of each name, those of base classes too."""
    found: dict[str, str] = {}
    for part in reversed(kind.__mro__ if isinstance(kind, type) else (kind,)):
        within, names = False, list[str]()
        for line in inspect.cleandoc(part.__doc__ or "").splitlines():
            entry = re.fullmatch(r" {4}(\w+(?:, \w+)*): (.+)", line)
            if line and not line.startswith("    "):
                within, names = line in ("Attributes:", "Args:"), []
            elif within and entry:
                names = entry[1].split(", ")
                found.update(dict.fromkeys(names, entry[2]))
            elif names and line.startswith(" " * 8):
                found.update({name: f"{found[name]} {line.strip()}" for name in names})
    return found


def table(kind: Any, about: Callable[..., Any] | None = None, without: tuple[str, ...] = ()) -> list[str]:
    """The keys of a dataclass; `about` has their meanings if it does not."""
    hints = typing.get_type_hints(kind, include_extras=True)
    said = meanings(about or kind)
    lines = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for field in dataclasses.fields(kind):
        if field.name not in without and field.metadata.get("plain", True):
            assert field.name in said, f"{kind.__name__}: a line for {field.name} is missing under Attributes (Args)"
            cells = (f"`{field.name}`", _value(field.name, hints[field.name]), _default(field), said[field.name])
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines if len(lines) > 2 else ["No other keys."]


def _value(name: str, hint: Any) -> str:
    """The words of the schema; parts with tables of their own are named, not listed."""
    words = re.sub(r"a mapping of the keys [\w, ]+?(?= or |$)", "a mapping, below", in_words(hint))
    words = words.replace("a list of entries: a mapping, below", "a list of mappings, below").replace(
        "of entries", "entries"
    )
    words = words.replace(" of a file", " of a folder") if name in ("folder", "output") else words
    if any(isinstance(item, Choice) for item in typing.get_args(hint)):
        return "a name, or a mapping with it, below" if "or a mapping" in words else "a mapping with a name, below"
    if any(isinstance(item, Choice) for member in typing.get_args(hint) for item in typing.get_args(member)):
        return "a mapping with a name, below, or null"
    parts = words.split(" or ")
    return words if len(set(parts)) == len(parts) else " or ".join(dict.fromkeys(parts))


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        value = to_plain(field.default)
    elif field.default_factory is not dataclasses.MISSING:
        value = to_plain(field.default_factory())
    else:
        return "needed"
    if isinstance(value, dict):
        first = ", ".join(f"{key}: {value[key]}" for key in list(value)[:1])
        return f"`{{{first}}}`" if "name" in value or len(value) < 2 else "as below"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = [", ".join(f"{key}: {item}" for key, item in value[0].items())]
        return f"`[{{{value[0]}}}]`"
    words = {None: "null", True: "true", False: "false", "": '""'}
    return f"`{words.get(value, value) if isinstance(value, str | bool | None) else value}`"


def sections() -> Iterator[tuple[str, list[str]]]:
    """Titles with their tables."""
    yield "## The file", table(config.Config)
    for name in TASKS:
        yield f"## task: {name}", table(task_schema(name), without=("name",))
    for name in LOSSES:
        about: Any = LOSSES.load(name)
        if len(dataclasses.fields(loss_schema(name))) > 1:
            yield f"## loss: {name}", table(loss_schema(name), about, without=("name",))
    yield "## data", table(data_config.Data)
    yield "## training, validation: a list of", table(data_config.StackFiles)
    yield "## region", table(data_config.Region)
    for layout in (spec.Volumes, spec.Mayo2016, spec.LdctAndProjection, spec.Phantoms, spec.OwnVolume):
        name = typing.get_args(typing.get_type_hints(layout)["layout"])[0]
        yield f"## pairs: {name}", table(layout, without=("layout",))
    yield "## files of the layout volumes: a list of", table(spec.PairFiles)
    yield "## scan of the layouts phantoms and own-volume", table(spec.ScanSpec)
    yield "## patches", table(spec.PatchesSpec)
    for name in MODELS:
        yield f"## model: {name}", table(model_schema(name), without=("name",))
    yield "## model: a network", table(NetworkModel, without=("name",))
    for name in NETWORKS:
        shared = tuple(field.name for field in dataclasses.fields(NetworkModel))
        lines = table(model_schema(name), NETWORKS.load(name), without=shared)
        if len(lines) > 1:
            yield f"## model: {name}, besides those of every network", lines
    yield "## optimizer: adam", table(config.Adam, without=("name",))
    yield "## optimizer: sgd", table(config.Sgd, without=("name",))
    for name in SCHEDULES:
        yield f"## schedule: {name}", table(schedule_schema(name), without=("name",))
    yield "## stop", table(config.Stop)
    yield "## early_stopping", table(config.EarlyStopping)
    yield "## validation", table(config.Validation)
    yield "## checkpoints", table(config.Every)


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, *("\n".join([title, "", *lines]) for title, lines in sections())]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
