"""`sinograd train`: a configuration in, the folder of a training run out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sinograd.cli.describe import Lines, show
from sinograd.cli.errors import reported
from sinograd.cli.progress import Progress
from sinograd.errors import InputError

if TYPE_CHECKING:
    from sinograd.training import TrainingResult


@reported
def train(
    config: Annotated[
        Path,
        typer.Argument(metavar="CONFIG", help="YAML file: task, data, model and when to stop.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FOLDER", help="Folder of the run. Default: the file's `output`."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", metavar="", help="Go on with the run in the folder, to the same result.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace the run in the folder.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Print warnings and errors only.")] = False,
) -> None:
    """Train a denoiser: bilateral filters or a network; with targets, without, or end to end from projections."""
    from sinograd.training import load_config
    from sinograd.training import train as run
    from sinograd.training.distributed import first_process

    if output is None and load_config(config).output is None:
        raise InputError(f"{config}: output: missing, expected the folder of the run (or -o FOLDER)")
    with Progress(quiet=quiet) as progress:
        bars = _Bars(progress)
        try:
            result = run(config, output=output, resume=resume, force=force, progress=bars.step, reading=bars.reading)
        except ImportError as error:
            raise InputError(str(error)) from None
    if not quiet and first_process():
        show(summary(result))


class _Bars:
    """A bar for reading and one for the steps, each when its first report comes."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stage = ""

    def reading(self, done: int, total: int) -> None:
        self._advance("reading", done, total, "stacks")

    def step(self, done: int, total: int, loss: float) -> None:
        self._advance("training", done, total, "steps", f", loss {loss:.4g}")

    def _advance(self, name: str, done: int, total: int, unit: str, note: str = "") -> None:
        if name != self._stage:
            self._stage, self._report = name, self._progress.stage(name, total, unit)
        self._report(done, total, note)


def summary(result: TrainingResult) -> Lines:
    """What was done, for the terminal."""
    from sinograd.models import bilateral_filters
    from sinograd.models.model_file import describe_filter

    config, history = result.config, result.history
    ended = {"max_steps": "all were made", "converged": "the loss fell no further"}[result.reason]
    lines = [
        ("task", config.task.name),
        ("model", f"{config.model.name}, {sum(p.numel() for p in result.model.parameters())} parameters"),
        ("steps", f"{result.steps} of at most {config.stop.max_steps}: {ended}"),
    ]
    for name in ("training_loss", "validation_loss"):
        values = history.column(name)[1] if name in history.columns else []
        if values:
            lines.append((name.replace("_", " "), f"{values[0]:.4g} to {values[-1]:.4g}, least {min(values):.4g}"))
    lines.append(("weights", f"those after step {result.kept_step}"))
    for name, layer in bilateral_filters(result.model).items():
        entry = describe_filter(layer)
        spatial = ", ".join(f"{sigma:.4g}" for sigma in entry.sigma_spatial)
        scale = f"{entry.sigma_range:.4g} x {entry.input_scale:.4g}"
        lines.append((f"filter {name}", f"sigma {spatial} voxels; range {scale}"))
    lines += [("seconds", f"{result.seconds:.2f}"), ("run", str(result.folder))]
    return lines
