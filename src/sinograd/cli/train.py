"""`sinograd train`: a configuration in, the folder of a training run out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.cli.command import Option, command
from sinograd.cli.options import OUTPUT_GROUP, SHARED
from sinograd.errors import InputError
from sinograd.workflows.report import Report, opened_report

if TYPE_CHECKING:
    from sinograd.cli.describe import Lines
    from sinograd.training import TrainingResult
    from sinograd.training.quality import Quality


OPTIONS = {
    **SHARED,
    "config": Option(
        Path, "YAML file: task, data, model and when to stop.", metavar="CONFIG", argument=True, required=True
    ),
    "output": Option(
        Path,
        "Folder of the run. Default: the file's `output`.",
        ("-o", "--output"),
        metavar="FOLDER",
        panel=OUTPUT_GROUP,
    ),
    "resume": Option(bool, "Continue the run in the folder, to the same result.", panel=OUTPUT_GROUP),
    "force": Option(bool, "Replace the run in the folder.", panel=OUTPUT_GROUP),
    "allow_import": Option(
        bool, "Import and run code that the file names (`name: own`); without it, such a file is an error."
    ),
}


@command(OPTIONS)
def train(
    config: Path,
    output: Path | None = None,
    resume: bool = False,
    force: bool = False,
    allow_import: bool = False,
    quiet: bool = False,
    json: bool = False,
) -> None:
    """Train a denoiser: bilateral filters or a network; with targets, without, or end to end from projections."""
    from sinograd.training import load_config
    from sinograd.training import train as run
    from sinograd.training.distributed import first_process

    if output is None and load_config(config, allow_import=allow_import).output is None:
        raise InputError(f"{config}: output: missing, expected the folder of the run (or `output=FOLDER`)")
    with opened_report(None if quiet or json else "bar") as report:
        bars = _Bars(report)
        options: dict[str, Any] = {"output": output, "resume": resume, "force": force, "allow_import": allow_import}
        result = run(config, **options, progress=bars.step, reading=bars.reading)
    if json and first_process():
        from sinograd.cli.records import print_record

        print_record("train", record(result))
    elif not quiet and first_process():
        from sinograd.cli.describe import show

        show(summary(result))


class _Bars:
    """A bar for reading and one for the steps, each when its first report comes."""

    def __init__(self, report: Report) -> None:
        self._open = report.stage
        self._stage = ""

    def reading(self, done: int, total: int) -> None:
        self._advance("reading", done, total, "stacks")

    def step(self, done: int, total: int, loss: float) -> None:
        self._advance("training", done, total, "steps", f", loss {loss:.4g}")

    def _advance(self, name: str, done: int, total: int, unit: str, note: str = "") -> None:
        if name != self._stage:
            self._stage, self._report = name, self._open(name, total, unit)
        self._report(done, total, note)


def record(result: TrainingResult) -> dict[str, Any]:
    """What was done, in numbers."""
    from sinograd.models import bilateral_filters
    from sinograd.models.model_file import describe_filter

    config, history = result.config, result.history
    losses = {name: history.column(name)[1] for name in ("training_loss", "validation_loss") if name in history.columns}
    filters = {name: describe_filter(layer) for name, layer in bilateral_filters(result.model).items()}
    return {
        "task": config.task.name,
        "model": config.model.name,
        "parameters": sum(p.numel() for p in result.model.parameters()),
        "steps": result.steps,
        "most_steps": config.stop.max_steps,
        "stopped": result.reason,
        **{name: {"first": v[0], "last": v[-1], "least": min(v)} for name, v in losses.items() if len(v)},
        "kept_step": result.kept_step,
        "quality": None if result.quality is None else _quality_record(result.quality),
        "filters": {
            name: {
                "sigma_spatial_voxels": entry.sigma_spatial,
                "sigma_range": entry.sigma_range,
                "input_scale": entry.input_scale,
            }
            for name, entry in filters.items()
        },
        "folder": None if result.folder is None else str(result.folder),
        "duration_s": result.seconds,
    }


def _quality_record(quality: Quality) -> dict[str, Any]:
    return {
        "on": quality.on,
        "input_loss": quality.input_loss,
        "loss": quality.loss,
        "input_psnr_db": quality.input_psnr,
        "psnr_db": quality.psnr,
        "psnr_data_range": quality.data_range,
        "switched_off": list(quality.switched_off),
    }


def _quality_lines(quality: Quality) -> Lines:
    """The untouched input beside the output."""
    on = f"{quality.on} data"
    if quality.input_loss is None or quality.input_psnr is None:
        psnr = f"{quality.psnr:.2f} dB"
        return [(f"{quality.on}", f"loss {quality.loss:.4g}, PSNR {psnr} (data range {quality.data_range:.4g})")]
    return [
        ("loss", f"{quality.loss:.4g} on the {on}; of the untouched input {quality.input_loss:.4g}"),
        (
            "PSNR",
            f"{quality.psnr:.2f} dB; of the untouched input {quality.input_psnr:.2f} dB "
            f"(data range {quality.data_range:.4g}, of the targets)",
        ),
    ]


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
    off = () if result.quality is None else result.quality.switched_off
    if result.quality is not None:
        lines += _quality_lines(result.quality)
    for name, layer in bilateral_filters(result.model).items():
        entry = describe_filter(layer)
        spatial = ", ".join(f"{sigma:.4g}" for sigma in entry.sigma_spatial)
        scale = f"{entry.sigma_range:.4g} x {entry.input_scale:.4g}"
        note = "; switched off: it changes nothing" if name in off else ""
        lines.append((f"filter {name}", f"sigma {spatial} voxels; range {scale}{note}"))
    lines += [("seconds", f"{result.seconds:.2f}"), ("run", str(result.folder))]
    return lines
