"""Trained models in words, for `sinograd info`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sinograd.cli.describe import Lines, size


def is_model(path: Path) -> bool:
    """Whether it is the file of a network or the folder of a training run."""
    names = ("model.yaml", "model.pt")
    if path.suffix in (".yaml", ".yml") and path.is_file():
        with open(path, "rb") as file:
            return re.search(rb"^format: *sinograd-model\b", file.read(4096), re.MULTILINE) is not None
    return path.suffix == ".pt" or (path.is_dir() and any((path / name).is_file() for name in names))


def model_lines(path: Path) -> Lines:
    """What a model is, what for, and how it came about; ValueError and FileNotFoundError as `read_model`."""
    from sinograd.models import SavedNetwork, read_model

    saved = read_model(path)
    module = saved.build()
    lines: Lines = [("model", str(path)), ("kind", saved.model.name)]
    if saved.description:
        lines.append(("description", saved.description))
    lines.append(("parameters", f"{sum(p.numel() for p in module.parameters()):,}"))
    if isinstance(saved, SavedNetwork):
        entry = saved.model
        lines.append(("input", f"(value - {entry.offset:g}) / {entry.scale:g}"))
        lines += [(name, str(value)) for name, value in entry.options.items()]
        lines.append(("weights", size(sum(value.nbytes for value in saved.state_dict.values()))))
    lines.append(("unit", str(saved.trained_on.get("unit", "not recorded"))))
    lines += [(f"trained on, {name}", str(value)) for name, value in saved.trained_on.items()]
    made = [str(value) for name, value in saved.provenance.items() if name in ("software", "command", "time")]
    return [*lines, ("made by", ", ".join(made))] if made else lines


def model_record(path: Path) -> dict[str, Any]:
    """The same in numbers."""
    from sinograd.models import read_model

    saved = read_model(path)
    return {
        "file": str(path),
        "kind": saved.model.name,
        "parameters": sum(p.numel() for p in saved.build().parameters()),
        "trained_on": dict(saved.trained_on),
    }
