"""How long a training step of each network takes in the evening profiles: `python experiments/steps.py`.

Processor time of one thread, mean of some steps after the first, on noise of the studies' sizes: what is learnt does
not change how long it takes. Writes steps.md beside this file.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

PROFILE = "evening"
CORES = 2


@dataclasses.dataclass(frozen=True)
class Row:
    """A network of a study: patches of a step and their size, steps of a run, processor time of a step."""

    study: str
    network: str
    patches: str
    steps: int
    seconds: float

    @property
    def hours(self) -> float:
        """Of a run on two cores, at best."""
        return self.steps * self.seconds / CORES / 3600


def main(
    steps: Annotated[int, typer.Option(help="Steps that are timed, after the first.")] = 2,
    output: Annotated[Path, typer.Option(help="The table.")] = HERE / "steps.md",
) -> None:
    """Measure, print and write the table."""
    import torch

    torch.set_num_threads(1)
    rows = []
    for study, title, config, shape in runs():
        rows.append(Row(study, title, _patches(config), config.stop.max_steps, step_seconds(config, shape, steps)))
        typer.echo(f"{study}, {title}: {rows[-1].seconds:.2f} s", err=True)
    text = table(rows)
    output.write_text(text, encoding="utf-8")
    typer.echo(text)


def runs() -> Iterator[tuple[str, str, Any, tuple[int, int, int]]]:
    """Study, network, configuration and shape of a volume; `low_dose_ct` has the networks and patches of `bone_xrm`."""
    import structkpn.methods
    import structkpn.settings
    import study.config
    import study.methods

    bones = study.config.load_study(HERE / "bone_xrm" / "config.yaml", PROFILE)
    for method in bones.methods:
        if method.is_network:
            yield "bone_xrm", method.title, study.methods.training_config(bones, method, 0), bones.grid.shape
    kernels = structkpn.settings.load_study(HERE / "structkpn" / "config.yaml", PROFILE)
    for method in kernels.methods.values():
        config = structkpn.methods.training_config(kernels, method, 0)
        yield "structkpn", method.title, config, (16, *kernels.scan.shape)


def step_seconds(config: Any, shape: tuple[int, int, int], steps: int) -> float:
    """Processor time of a training step."""
    import torch

    from sinograd.datasets import PairedVolume
    from sinograd.training import TrainingData, train

    clean = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    pair = PairedVolume("noise", "nobody", (clean + 0.1 * torch.randn(shape),), clean, "1")
    times: list[float] = []
    stop = dataclasses.replace(config.stop, max_steps=1 + steps, keep="last")
    short = dataclasses.replace(config, stop=stop, optimizer=dataclasses.replace(config.optimizer, schedule=None))
    train(short, TrainingData([pair]), progress=lambda *_: times.append(time.process_time()))
    return (times[-1] - times[0]) / steps


def table(rows: list[Row]) -> str:
    """As Markdown."""
    from study.markdown import table as made
    from study.record import record_of

    record = record_of("", "", PROFILE, "cpu")
    heads = ["study", "network", "patches a step", "steps", "core-seconds a step", "hours on two cores, at least"]
    cells = [[r.study, r.network, r.patches, str(r.steps), f"{r.seconds:.2g}", f"{r.hours:.1f}"] for r in rows]
    about = (
        f"Commit {record['commit']}, {record['date']}; {record['device']}, torch {record['torch']}. Processor time of "
        "one thread; two cores share it at best. `low_dose_ct` trains the networks of `bone_xrm` on patches of the "
        "same size. A run that is stopped goes on where it was."
    )
    return f"# Steps of the evening profiles\n\n{about}\n\n{made(heads, cells)}\n"


def _patches(config: Any) -> str:
    size = config.data.patches.size
    words = f"{size} x {size}" if isinstance(size, int) else " x ".join(map(str, size))
    return f"{config.data.patches.per_batch} of {words}"


if __name__ == "__main__":
    typer.run(main)
