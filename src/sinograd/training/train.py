"""`train`: from a configuration to a trained model."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sinograd.config.own_code import importing
from sinograd.config.schema import to_plain
from sinograd.data import make_provenance
from sinograd.datasets import PairedVolume
from sinograd.errors import ConfigError, InputError, MissingPackageError, Stopped
from sinograd.files.inputs import inputs
from sinograd.ops.devices import compute_device
from sinograd.training.batches import Batches, build_batches
from sinograd.training.build import build_model, build_task, check_values, resolve
from sinograd.training.config import Config, config_hash
from sinograd.training.data import Progress, ScanStack, Stack, TrainingData, load_data
from sinograd.training.distributed import check_processes, leave_group, rank_of
from sinograd.training.effect import shares_of_training, warn_without_effect
from sinograd.training.history import History, save_curves
from sinograd.training.own_work import OwnWork
from sinograd.training.quality import Quality, measure_quality
from sinograd.training.resumed import check_resumed_run, data_files, file_records
from sinograd.training.risk import warn_if_worse
from sinograd.training.run_folder import RunFolder
from sinograd.training.validation import on_device

_LEAST_STEPS = 10  # of a run that is expected to have an effect


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training run.

    Attributes:
        model: the trained model with the weights of `kept_step`, as `sinograd.models.load_model` returns it.
        config: the configuration with everything filled in.
        history: losses and sigmas of every step.
        steps: how many; kept_step: the step after which the model had its weights.
        reason: why it ended: "max_steps", "converged" or "interrupted".
        seconds: of all steps, those before an interrupt included.
        folder: where the run's files are, None if nothing was written.
        trained_on: what the model file says about it.
        quality: loss and PSNR of the untouched input and of the model's output; None without targets.
    """

    model: nn.Module
    config: Config
    history: History
    steps: int
    kept_step: int
    reason: str
    seconds: float
    folder: Path | None
    trained_on: Mapping[str, Any]
    quality: Quality | None = None


def train(
    config: Config | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    data: TrainingData | None = None,
    *,
    model: nn.Module | None = None,
    loss: Any = None,
    optimizer: Any = None,
    pairs: Sequence[Any] | None = None,
    validation_pairs: Sequence[Any] | None = None,
    patches: int | Mapping[str, Any] | None = None,
    output: str | os.PathLike[str] | None = None,
    resume: bool = False,
    force: bool = False,
    allow_import: bool = False,
    progress: Callable[[int, int, float], None] | None = None,
    reading: Progress | None = None,
) -> TrainingResult:
    """Train a model: one of a configuration, or any module.

        train("run.yaml")
        train(model=my_module, loss=torch.nn.L1Loss(), optimizer=torch.optim.AdamW(my_module.parameters()), pairs=pairs)

    The same configuration, data and number of threads give the same result, bit for bit on a CPU, also when the run
    was interrupted and resumed.

    Args:
        config: a `Config`, a mapping, or the path of a YAML file; with `model` it may be left out, or hold only what
            differs from the defaults: {"stop": {"max_steps": 1000}}.
        data: what to train on; None: `pairs`, or the files that the configuration names.
        model: a module of images [B, 1, Y, X] to the same shape (of volumes [B, 1, Z, Y, X] with `ndim = 3`), which is
            trained in place on values as they are; in a `NetworkDenoiser` it sees (value - offset) / scale. With
            `ScanStack`s as data: a `DualDomainBilateral` of filters and networks, or any module that makes the volume
            of the projections, such as torch.nn.Sequential(my_module, FDK(geometry, grid)).
        loss: a name, a mapping with options, or a function of prediction and target, in the unit of the data, such as
            torch.nn.L1Loss().
        optimizer: of the parameters of `model`, or a function that makes one of parameter groups, as
            `functools.partial(torch.optim.AdamW, weight_decay=0.1)`; None: Adam.
        pairs, validation_pairs: `datasets.PairedVolume`s, or (noisy, clean) tuples of volumes or tensors [Z, Y, X];
            each tuple counts as a patient.
        patches: size of the random patches of pairs, or the keys of `patches` in a configuration; 16 of 64^2 a step
            unless the configuration says otherwise.
        output: folder of the run, instead of the configuration's; None in both: nothing is written.
        resume: continue the run in the folder.
        force: replace the run in the folder.
        allow_import: import models and losses of your own that the configuration names (`name: own`).
        progress: called with (step, steps at most, loss) after every step.
        reading: called with (stacks read, stacks) while files are read.

    Raises:
        ImportError: Lightning is not installed.
        ConfigError, ValueError, TypeError: configuration, processes or data are wrong, before anything is written.
        FileExistsError, FileNotFoundError: see `RunFolder`.
        Stopped: after an interrupt, when the step that was running has ended and was saved.

    Warns:
        NoEffectWarning: the trained model changes nothing, or data without targets for the worse, after 10 steps or
            more.
    """
    _check_lightning()
    own = OwnWork(model, loss, optimizer, pairs, validation_pairs, patches)
    beside = Path(config).resolve().parent if isinstance(config, str | os.PathLike) else Path.cwd()
    with inputs(), importing(allow_import, beside):
        merged, data = own.merged(config, data, allow_import=allow_import)
        if output is not None:
            merged = dataclasses.replace(merged, output=Path(output).resolve())
        return _train(merged, data, resume, force, progress, reading)


def _train(
    config: Config,
    data: TrainingData | None,
    resume: bool,
    force: bool,
    progress: Callable[[int, int, float], None] | None,
    reading: Progress | None,
) -> TrainingResult:
    _check_device(config)
    check_processes(config)
    first = rank_of(config) == 0
    folder = _folder(config, resume=resume, force=force and first, used=first or resume)
    if config.output is None and resume:
        raise InputError("resume: expected an output folder to resume from")
    if folder is not None:
        folder.check_inputs_stay()
    data = load_data(config, reading if first else None) if data is None else data
    data.check(config)
    batches = build_batches(config, data, rank_of(config))
    requested, config = config, resolve(config, data)
    check_values(config, data)
    config.task.check_batch(lambda: on_device(batches.of_step(0), torch.device(config.device)))
    checkpoint = None
    if folder is not None:
        if resume:
            config = folder.with_its_start(config, requested)
            folder.check_resumed(config)
            check_resumed_run(folder.path, config)
            checkpoint = folder.read_checkpoint(config)
        if first:
            folder.start(config, _provenance(config, data))
    return _run(config, data, batches, folder if first else None, checkpoint, progress if first else None)


def _folder(config: Config, *, resume: bool, force: bool, used: bool) -> RunFolder | None:
    if config.output is None or not used:
        return None
    return RunFolder(config.output, resume=resume, force=force, model_name=config.model.file_name)


def _run(
    config: Config,
    data: TrainingData,
    batches: Batches,
    folder: RunFolder | None,
    checkpoint: Path | None,
    progress: Callable[[int, int, float], None] | None,
) -> TrainingResult:
    from sinograd.training.lightning_run import fit

    model = build_model(config)
    task = build_task(config, model)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    recorder = fit(task, config, data, batches, folder, checkpoint, progress)
    history, kept = recorder.history, len(recorder.history)
    if config.stop.keep == "best" and recorder.best_weights is not None:
        model.load_state_dict(recorder.best_weights)
        kept = recorder.validation.best_step
    elif recorder.final_weights is not None:
        model.load_state_dict(recorder.final_weights)
    model.cpu().eval()
    for parameter in trained:
        parameter.requires_grad_(True)
    leave_group()
    trained_on = _trained_on(config, data, history, kept)
    if folder is not None:
        # the run's own folder knows more; a model travels, and paths of this machine with it would help nobody
        provenance = make_provenance("sinograd train", torch=torch.__version__)
        config.task.save(model, folder.model, trained_on=trained_on, provenance=provenance)
        save_curves(history, folder.curves, title=folder.path.name, force=True)
    if recorder.reason == "interrupted":
        where = f"after step {len(history)} of {config.stop.max_steps}"
        rest = "nothing was kept" if folder is None else f"`resume=True` goes on from there ({folder.path})"
        raise Stopped(where, rest)
    denoises = config.task.denoises
    if denoises and len(history) >= _LEAST_STEPS:
        _warn_of_effect(model, data)
    quality = None if rank_of(config) or not denoises else measure_quality(task, model, data, config.validation.slices)
    return TrainingResult(
        model,
        config,
        history,
        len(history),
        kept,
        recorder.reason,
        recorder.seconds,
        None if folder is None else folder.path,
        trained_on,
        quality,
    )


def _warn_of_effect(model: nn.Module, data: TrainingData) -> None:
    warn_without_effect(
        shares_of_training(model, data.training[0]),
        "the trained model changes what it was trained on",
        "other start values (model.sigma_range: auto, or about the noise), another seed or more data may help",
    )
    item = data.training[0]
    if isinstance(item, Stack) and item.target is None:
        warn_if_worse(
            model,
            item.input,
            "the trained model changes what it was trained on",
            "noise2void averages over edges that are larger than the noise; fewer filters, fewer steps or targets help",
        )


def _trained_on(config: Config, data: TrainingData, history: History, kept: int) -> dict[str, Any]:
    record: dict[str, Any] = {
        "task": config.task.name,
        "stacks": [_describe(item) for item in data.training if not isinstance(item, PairedVolume)],
        "steps": len(history),
        "kept_step": kept,
        "seed": config.seed,
        "config_sha256": config_hash(config),
    }
    pairs = [item for item in data.training if isinstance(item, PairedVolume)]
    if pairs:  # how many, not whose
        record["volumes"] = {
            "count": len(pairs),
            "slices": sum(pair.shape[0] for pair in pairs),
            "groups": sorted({pair.group for pair in pairs if pair.group}),
            "voxel_mm": list(pairs[0].spacing or ()) or None,
        }
    units = {getattr(item, "unit", None) for item in data.training}
    if len(units) == 1 and units.isdisjoint({None, "1"}):
        record["unit"] = units.pop()
    notes = list(config.task.notes)
    if notes:
        record["notes"] = notes
    for name in ("training_loss", "validation_loss"):
        _, values = history.column(name)
        if values:
            record[name] = {"first": values[0], "last": values[-1]}
    return record


def _describe(stack: Stack | ScanStack) -> dict[str, Any]:
    volume = stack.target if isinstance(stack, ScanStack) else stack.input
    assert volume is not None
    spacing = stack.grid.spacing if isinstance(stack, ScanStack) else stack.spacing
    record: dict[str, Any] = {"name": Path(stack.name).name, "shape": list(volume.shape)}
    if spacing is not None:
        record["voxel_mm"] = [float(s) for s in spacing]
    if isinstance(stack, ScanStack):
        record["projections"] = list(stack.projections.shape)
    return record


def _provenance(config: Config, data: TrainingData) -> dict[str, Any]:
    return make_provenance(
        "sinograd train",
        to_plain(config),
        config_sha256=config_hash(config),
        files=file_records(data_files(config)),
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        machine=platform.machine(),
    )


def _check_lightning() -> None:
    missing = [name for name in ("lightning", "tensorboard") if not _is_installed(name)]
    if missing:
        raise MissingPackageError(
            f'training needs {" and ".join(missing)}: pip install "sinograd[train]"', name=missing[0]
        )


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _check_device(config: Config) -> None:
    try:
        compute_device(config.device, kernels=False)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    device = torch.device(config.device)
    if device.type == "cuda" and config.devices > torch.cuda.device_count():
        raise ConfigError(f"devices: there are {torch.cuda.device_count()} CUDA devices, got {config.devices}")
    if device.index is not None and config.devices > 1:
        raise ConfigError(f"device: expected cuda for {config.devices} devices, got {config.device!r}")
