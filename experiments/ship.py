"""Put filters that an experiment trained into the package: `python experiments/ship.py bone_xrm`.

The model of seed 0 of every filter becomes src/sinograd/models/EXPERIMENT-METHOD.yaml (with dashes), which `sinograd
denoise --model EXPERIMENT-METHOD` and `sinograd.models.load_model` find by name.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

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
        target = output / f"{experiment}-{method.name}.yaml".replace("_", "-")
        save_model(
            saved.build(),
            target,
            description=f"{method.title}. {study.title}, {100 * study.noise.dose:g} % dose: {where}.",
            trained_on=saved.trained_on,
            provenance={key: value for key, value in saved.provenance.items() if key != "options"},
            force=True,
        )
        typer.echo(f"{target}")


if __name__ == "__main__":
    typer.run(ship)
