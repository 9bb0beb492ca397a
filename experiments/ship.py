"""Put filters that an experiment trained into the package: `python experiments/ship.py bone_xrm`.

The model of seed 0 of every filter becomes src/sinograd/models/EXPERIMENT-METHOD.yaml (with dashes), which `sinograd
denoise --model EXPERIMENT-METHOD` and `sinograd.models.load_model` find by name. Of studies in HU there is the same
filter for volumes in HU, EXPERIMENT-METHOD-hu.yaml.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Annotated

import typer
from torch import nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
PACKAGE = HERE.parent / "src/sinograd/models"


def ship(
    experiment: Annotated[str, typer.Argument(help="Folder of the experiment.")],
    profile: Annotated[str, typer.Option(help="quick or full: which runs.")] = "quick",
    cache: Annotated[Path, typer.Option(help="Where training runs are kept.")] = HERE.parent / "build/experiments",
    output: Annotated[Path, typer.Option(help="Folder to write to.")] = PACKAGE,
) -> None:
    """Copy trained filters, with a description of what they are for."""
    from sinograd.models import read_model, save_model
    from study.config import config_hash, load_study
    from study.methods import run_folder, training_config

    study = load_study(HERE / experiment / "config.yaml", profile)
    where = f"experiments/{experiment}, {profile} profile, configuration {config_hash(study)[:16]}, seed 0"
    for method in study.methods:
        if method.is_network:
            continue
        saved = read_model(run_folder(cache / experiment, study, method, training_config(study, method, 0)))
        description = f"{method.title}. {study.title}, {100 * study.noise.dose:g} % dose: {where}."
        water, made = study.scale.water, saved.build()
        forms = {"": (made, "1/mm", "")}
        if water is not None:
            forms["-hu"] = (in_hu(made, water), "HU", f" The same filters for HU (water {water:g} 1/mm).")
        for end, (model, unit, words) in forms.items():
            target = output / f"{experiment}-{method.name}{end}.yaml".replace("_", "-")
            save_model(
                model,
                target,
                description=description + words,
                trained_on={**saved.trained_on, "unit": unit},
                provenance={key: value for key, value in saved.provenance.items() if key != "options"},
                force=True,
            )
            typer.echo(f"{target}")


def in_hu(model: nn.Module, water: float) -> nn.Module:
    """The same filters for HU: exactly, as they see differences alone, over `input_scale`."""
    converted = copy.deepcopy(model)
    for layer in converted.modules():
        scale = getattr(layer, "input_scale", None)
        if scale is not None:
            scale.fill_(float(f"{float(scale) * 1000 / water:.6g}"))
    return converted


if __name__ == "__main__":
    typer.run(ship)
