"""The part of training that is Lightning's: steps, validation, checkpoints, logs. Imported by `train` only.

One of Lightning's epochs is one step here. So every checkpoint is one between epochs, which Lightning restores
exactly, and a run can stop and resume after any step.
"""

from __future__ import annotations

import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from sinograd.config.schema import to_plain
from sinograd.errors import InputError, Stopped
from sinograd.interrupts import Interrupts
from sinograd.io.storage.atomic import replacing
from sinograd.training.batches import Batches
from sinograd.training.build import build_optimizers
from sinograd.training.config import Config
from sinograd.training.convergence import Convergence
from sinograd.training.data import TrainingData
from sinograd.training.history import History, sigmas
from sinograd.training.random_streams import stream
from sinograd.training.run_folder import RunFolder
from sinograd.training.tasks.task import Task
from sinograd.training.validation import on_device, validation_loss

StepReport = Callable[[int, int, float], None]

_PRECISION = {"float32": "32-true", "float16": "16-mixed", "bfloat16": "bf16-mixed"}


class Steps(pl.LightningModule):
    """A model, its task and its data."""

    def __init__(self, task: Task, config: Config, data: TrainingData, batches: Batches) -> None:
        super().__init__()
        self.model = task.model
        self.config, self.data, self.batches = config, data, batches
        self.work = task
        self.automatic_optimization = not self.work.manual
        if len(self.work.extra):
            self.extra = self.work.extra

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """The loss of what is the step's turn."""
        step = self.current_epoch
        stack = on_device(self.batches.of_step(step), self.device)
        # each process draws its own
        number = step * self.trainer.world_size + self.trainer.global_rank
        generator = stream(self.config.seed, "training", number)
        if self.work.manual:
            loss = self.work.step(stack, generator, self._optimizers(), self._optimize)
        else:
            loss = self.work.loss(stack, generator)
        self.log("training_loss", loss, batch_size=1)
        return loss

    @torch.no_grad()
    def validate(self) -> list[float]:
        """The loss of every validation stack or volume; every process measures all, so that all know the same."""
        self.eval()
        with self.trainer.precision_plugin.val_step_context():
            losses = [
                validation_loss(
                    self.work,
                    item,
                    stream(self.config.seed, "validation", number),
                    slices=self.config.validation.slices,
                    device=self.device,
                )
                for number, item in enumerate(self.data.validation)
            ]
        self.train()
        return losses

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Those of the task."""
        return list(build_optimizers(self.config, self.work))

    def _optimizers(self) -> list[Any]:
        optimizers = self.optimizers()
        return optimizers if isinstance(optimizers, list) else [optimizers]

    def _optimize(self, loss: Tensor, optimizer: Any) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()


class Recorder(pl.Callback):
    """Keeps the history, the best weights and the checkpoints, and ends training."""

    def __init__(
        self, config: Config, count: int, folder: RunFolder | None, interrupts: Interrupts, report: StepReport | None
    ) -> None:
        self.config, self.folder, self.interrupts, self.report = config, folder, interrupts, report
        self.history = History()
        self.training = Convergence(config.stop.early_stopping, over=count)
        self.validation = Convergence(config.stop.early_stopping)
        rule = config.optimizer.schedule
        self.schedule = None if rule is None else rule.build(config.stop.max_steps)
        self.best_weights: dict[str, Tensor] | None = None
        self.reason = "max_steps"
        self.seconds = 0.0
        self.final_weights: dict[str, Tensor] | None = None
        self._started: dict[str, float] = {}
        self._loss = math.nan
        self._saved_step = 0
        self._since = time.perf_counter()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The table as the checkpoint knows it: rows after that are run again."""
        self.interrupts.catch()  # Lightning has taken SIGTERM
        self._since = time.perf_counter()
        if self.folder is not None and len(self.history):
            self.history.write_csv(self.folder.metrics)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The sigmas that the step starts from, and learning rates that change."""
        self._started = sigmas(_steps(pl_module).model)
        if self.schedule is not None:
            self.schedule.before_step(trainer.current_epoch, trainer.optimizers)
            self._started["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The loss, averaged over the processes; InputError if it is not finite."""
        self._loss = float(outputs["loss"])
        if trainer.world_size > 1:
            self._loss = float(trainer.strategy.reduce(outputs["loss"].detach().clone(), reduce_op="mean"))
        figures = {name: float(value) for name, value in _steps(pl_module).work.figures.items()}
        self._started |= figures
        for name, value in {**figures, "training_loss": self._loss}.items():
            if not math.isfinite(value):
                raise self._diverged(f"the {name.replace('_', ' ')} is {value} in step {trainer.current_epoch + 1}")

    def _diverged(self, words: str) -> InputError:
        kept = f"; the state after step {self._saved_step} is kept" if self.folder and self._saved_step else ""
        advice = "smaller learning rates (optimizer.learning_rates) or other start values may help"
        return InputError(f"{words}: {advice}{kept}")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After the step and, where it is due, the validation: the row, what is best, what is to be kept."""
        module, step = _steps(pl_module), trainer.current_epoch + 1
        values = {"training_loss": self._loss, "validation_loss": math.nan}
        self.training.update(step, self._loss)
        if self.config.validation.due(step) and module.data.validation:
            measured = module.validate()
            values["validation_loss"] = math.fsum(measured) / len(measured)
            for logger in trainer.loggers:
                logger.log_metrics({"validation_loss": values["validation_loss"]}, step - 1)
            if self.validation.update(step, values["validation_loss"]):
                self.best_weights = _weights(module)
            if self.schedule is not None:
                self.schedule.after_validation(values["validation_loss"], trainer.optimizers)
        self.history.append(step, {**values, **self._started})
        for logger in trainer.loggers:
            logger.log_metrics(self._started, step - 1)
        if self.folder is not None:
            self.history.append_csv(self.folder.metrics)
        if self.report is not None:
            self.report(step, self.config.stop.max_steps, self._loss)
        self._end_if_due(trainer, step, bool(module.data.validation))
        last = trainer.should_stop or step == self.config.stop.max_steps
        due = last or step % self.config.checkpoints.every == 0
        if due:
            self._check_weights(module, step)
        if last:
            self.final_weights = _weights(module)
        if self.config.output is not None and due:
            self._save(trainer)
            self._saved_step = step

    def _check_weights(self, module: Steps, step: int) -> None:
        """InputError before weights that are not finite replace the last good checkpoint."""
        for name, weight in module.named_parameters():
            if not bool(torch.isfinite(weight).all()):
                raise self._diverged(f"the weights ({name}) are not finite after step {step}")

    def _end_if_due(self, trainer: pl.Trainer, step: int, validated: bool) -> None:
        watched = self.validation if validated else self.training
        falls = validated or self.config.task.loss_falls
        # one process alone may have got the signal
        interrupted = trainer.strategy.reduce_boolean_decision(self.interrupts.requested, all=False)
        if falls and watched.stalled(step):
            self.reason, trainer.should_stop = "converged", True
        elif interrupted and step < self.config.stop.max_steps:
            self.reason, trainer.should_stop = "interrupted", True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The time is up."""
        self._count_seconds()

    def _count_seconds(self) -> None:
        now = time.perf_counter()
        self.seconds, self._since = self.seconds + now - self._since, now

    def _save(self, trainer: pl.Trainer) -> None:
        """All processes must come here; the first one writes."""
        self._count_seconds()
        if self.folder is None:
            trainer.save_checkpoint(os.devnull)
            return
        with replacing(self.folder.checkpoint, force=True) as temporary:
            trainer.save_checkpoint(temporary)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of this."""
        return {
            "history": {name: list(column) for name, column in self.history.columns.items()},
            "training": self.training.state(),
            "validation": self.validation.state(),
            "schedule": None if self.schedule is None else self.schedule.state(),
            "best_weights": self.best_weights,
            "seconds": self.seconds,
            "reason": self.reason,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from it."""
        self.history.columns = {name: list(column) for name, column in state_dict["history"].items()}
        self.training.load(state_dict["training"])
        self.validation.load(state_dict["validation"])
        if self.schedule is not None:
            self.schedule.load(state_dict["schedule"])
        self.best_weights, self.seconds = state_dict["best_weights"], state_dict["seconds"]
        self._saved_step = len(self.history)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Which run it is of."""
        checkpoint["sinograd"] = {"version": 1, "config": to_plain(self.config)}


def fit(
    task: Task,
    config: Config,
    data: TrainingData,
    batches: Batches,
    folder: RunFolder | None,
    checkpoint: Path | None,
    report: StepReport | None,
) -> Recorder:
    """Train the task's model in place, from a checkpoint if one is given; without a folder nothing is written."""
    device = torch.device(config.device)
    module = Steps(task, config, data, batches)
    with Interrupts() as interrupts, _quiet():
        recorder = Recorder(config, batches.round, folder, interrupts, report)
        trainer = pl.Trainer(
            accelerator="gpu" if device.type == "cuda" else device.type,
            devices=[device.index or 0] if device.type == "cuda" and config.devices == 1 else config.devices,
            strategy=_strategy(config, module),
            use_distributed_sampler=False,
            precision=_PRECISION[config.precision],  # pyright: ignore
            max_epochs=config.stop.max_steps,
            limit_val_batches=0,  # `Steps.validate` does it, at any steps
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            logger=_tensorboard(folder) if folder is not None else False,
            callbacks=[recorder],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=None if folder is None else str(folder.path),
        )
        module.train()  # Lightning leaves a model that was loaded, or used, as it was
        try:
            trainer.fit(module, range(1), ckpt_path=checkpoint, weights_only=True)
        except SystemExit:  # what Lightning makes of a KeyboardInterrupt
            step = len(recorder.history) + 1
            rest = "nothing was kept" if folder is None else "`resume=True` goes on from the last checkpoint"
            raise Stopped(f"in the middle of step {step}", rest) from None
        for logger in trainer.loggers:
            logger.finalize("success")
    return recorder


def _tensorboard(folder: RunFolder) -> Any:
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(folder.path, name="", version="tensorboard")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's advice, which is about data loaders and files that are not used here."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _strategy(config: Config, module: Steps) -> str:
    if config.devices == 1:
        return "auto"
    # of several optimisers each backward pass reaches a part of the weights alone
    return "ddp_find_unused_parameters_true" if module.work.manual else "ddp"


def _weights(module: Steps) -> dict[str, Tensor]:
    """Copies of those that are the result."""
    return {key: value.detach().cpu().clone() for key, value in module.work.kept.state_dict().items()}


def _steps(module: pl.LightningModule) -> Steps:
    assert isinstance(module, Steps)
    return module
