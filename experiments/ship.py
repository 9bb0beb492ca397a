"""Put filters that an experiment trained into the package: `python experiments/ship.py bone_xrm RUNS`.

RUNS is the folder of training runs that `experiments/run.py` keeps, build/experiments/EXPERIMENT/runs-HASH. The model
of seed 0 of every method becomes src/sinograd/models/EXPERIMENT-METHOD.yaml (with dashes), which `sinograd denoise
--model EXPERIMENT-METHOD` and `sinograd.models.load_model` find by name.
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
    runs: Annotated[Path, typer.Argument(help="Folder of its training runs.")],
    profile: Annotated[str, typer.Option(help="quick or full: what the runs are of.")] = "quick",
    output: Annotated[Path, typer.Option(help="Folder to write to.")] = PACKAGE,
) -> None:
    """Copy trained filters, with a description of what they are for."""
    from sinograd.models import read_model, save_model
    from study.config import load_study

    study = load_study(HERE / experiment / "config.yaml", profile)
    where = f"experiments/{experiment}, {profile} profile, {runs.name.replace('runs-', 'configuration ')}, seed 0"
    for method in study.methods:
        saved = read_model(runs / f"{method.name}-seed-0")
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
