"""Run an experiment: simulate its scans, train its methods, score them, write tables and figures.

    python experiments/run.py bone_xrm                      # quick profile: two cores, minutes
    python experiments/run.py low_dose_ct --profile full --device cuda
    python experiments/run.py bone_xrm --profile evening --seeds 1 --methods qae --output runs/part --add

Data and training runs are kept under --cache: a run that was stopped goes on where it was, a finished one is not
trained again. Results go to the experiment's results/PROFILE/ unless --output says otherwise.
"""

from __future__ import annotations

import functools
import importlib
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def run(
    experiment: Annotated[str, typer.Argument(help="The name of a folder here: bone_xrm, walnut ...")],
    profile: Annotated[str, typer.Option(help="quick or full; bone_microstructure: quick or evening.")] = "quick",
    output: Annotated[Path | None, typer.Option(help="Folder for tables and figures.")] = None,
    cache: Annotated[Path, typer.Option(help="Folder for data and training runs.")] = HERE.parent / "build/experiments",
    device: Annotated[str, typer.Option(help="Where to train: cpu or cuda.")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="Threads; the figures of time depend on it.")] = None,
    data: Annotated[Path | None, typer.Option(help="The measured scan, for walnut.")] = None,
    methods: Annotated[
        str, typer.Option(help="bone_xrm, low_dose_ct: some methods by name, with commas; the tables say so.")
    ] = "",
    seeds: Annotated[int | None, typer.Option(min=1, help="The same studies: so many of the seeds.")] = None,
    precision: Annotated[
        str, typer.Option(help="The same and structkpn: float32 on a processor without units for bfloat16.")
    ] = "",
    add: Annotated[
        bool, typer.Option("--add", help="The same studies: keep the other methods of the results in --output.")
    ] = False,
    other_noise: Annotated[
        bool, typer.Option("--other-noise", help="With --add: those may be of a processor that draws other noise.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Other phantoms and seeds than those that are reported; needs --output.")
    ] = False,
) -> None:
    """Run EXPERIMENT and write its results."""
    import torch

    config = HERE / experiment / "config.yaml"
    if not config.is_file():
        known = ", ".join(sorted(path.parent.name for path in HERE.glob("*/config.yaml")))
        raise typer.BadParameter(f"expected one of {known}, got {experiment!r}")
    if debug and output is None:
        raise typer.BadParameter("--debug needs --output: its results are none to keep")
    if (methods or seeds or precision or add) and output is None:
        raise typer.BadParameter("--methods, --seeds, --precision, --add need --output: the whole study's results stay")
    if other_noise and not add:
        raise typer.BadParameter("--other-noise needs --add")
    if threads is not None:
        torch.set_num_threads(threads)
    start = time.perf_counter()

    def report(text: str) -> None:
        typer.echo(f"{time.perf_counter() - start:7.1f} s  {text}", err=True)

    folder = HERE / experiment / "results" / profile if output is None else output
    more = {} if data is None else {"data": data}
    from sinograd.errors import ConfigError

    try:
        made = _prepared(experiment, config, profile, debug, precision)
        if methods or seeds or add:
            made = functools.partial(_part(made, methods, seeds), add=add, other_noise=other_noise)
        made(cache / experiment, device=device, report=report, **more).run(folder)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    report(f"done: {folder}")
    typer.echo((folder / "results.md").read_text(encoding="utf-8"))


def _prepared(experiment: str, config: Path, profile: str, debug: bool, precision: str) -> functools.partial[Any]:
    """The experiment of a study; it still wants its cache, and what else it takes."""
    from study.config import merged

    own = (HERE / experiment / "experiment.py").is_file()
    module = importlib.import_module(f"{experiment}.experiment" if own else "study.experiment")
    settings = importlib.import_module(f"{experiment}.settings" if own else "study.config")
    study = settings.load_study(config, profile)
    changes: dict[str, Any] = {}
    if precision:
        own_key, networks = hasattr(study, "precision"), getattr(study, "networks", None)
        if not own_key and not hasattr(networks, "precision"):
            raise typer.BadParameter(f"--precision: {experiment} has no such choice")
        changes = {"precision": precision} if own_key else {"networks": {"precision": precision}}
    if debug:
        changes = merged(module.debug_changes(study), changes)
    if changes:
        study = settings.load_study(config, profile, changes)
    return functools.partial(module.Experiment, study)


def _part(made: functools.partial[Any], methods: str, seeds: int | None) -> functools.partial[Any]:
    """The same with some of the methods and seeds."""
    from study.config import Study
    from study.part import only

    (study,) = made.args
    if not isinstance(study, Study):
        raise typer.BadParameter("--methods, --seeds and --add: only bone_xrm and low_dose_ct can be run in part")
    names = [name.strip() for name in methods.split(",")] if methods else []
    return functools.partial(made.func, only(study, names, seeds), whole=study)


if __name__ == "__main__":
    app()
