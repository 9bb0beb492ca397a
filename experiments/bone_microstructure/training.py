"""Networks of a study: trained in stages, and found again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

import sinograd as sg
from bone_microstructure.places import Place
from bone_microstructure.scans import BoneScans, data_hash
from bone_microstructure.settings import Study
from sinograd.config.schema import to_plain
from sinograd.datasets import PairedVolume
from sinograd.io.storage.atomic import replacing
from sinograd.training import TrainingData
from sinograd.training.config import Config, Data, Validation, config_hash
from sinograd.training.tasks import Supervised
from study.config import digest
from study.methods import Trained, train_or_find

_VALIDATE = 50  # steps


def config_of(study: Study, name: str, seed: int, steps: int, validated: bool) -> Config:
    """A training run of so many steps, as `sinograd train` takes it."""
    stop = dataclasses.replace(study.stop, max_steps=steps)
    config = Config(
        task=Supervised(loss=study.networks[name].loss),
        model=study.model,
        data=Data(patches=study.patches),
        optimizer=study.optimizer,
        stop=stop,
        seed=seed,
    )
    return dataclasses.replace(config, validation=Validation(every=_VALIDATE)) if validated else config


def train_in_stages(
    study: Study,
    name: str,
    seed: int,
    scans: dict[str, BoneScans],
    parts: tuple[Sequence[Place], Sequence[Place]],
    folder: Path,
    stages: int = 1,
) -> list[tuple[Trained, Path]]:
    """The network after each stage of one training run, and the folder that it is kept in.

    parts: places to train on and to watch.

    A run that was stopped goes on where it was; each stage is kept in a folder of its own.
    """
    found = []
    for stage in range(1, stages + 1):
        config = config_of(study, name, seed, study.stop.max_steps * stage // stages, bool(parts[1]))
        place = folder / "runs" / f"{name}-{seed}-{_key(study, name, seed, parts)}" / f"{stage}-of-{stages}"
        before = place.parent / f"{stage - 1}-of-{stages}"
        if stage > 1 and not place.exists():
            _copy(before, place)
        found.append((train_or_find(config, lambda: _data(study, scans, parts), place), place))
    return found


def _copy(before: Path, place: Path) -> None:
    """What a run needs to go on under another name."""
    import shutil

    part = place.with_name(place.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(before, part, ignore=shutil.ignore_patterns("finished.json"))
    part.rename(place)


def _key(study: Study, name: str, seed: int, parts: tuple[Sequence[Place], ...]) -> str:
    config = config_of(study, name, seed, study.stop.max_steps, bool(parts[1]))
    bones = to_plain(study.bones.training)
    places = [[[place.bone, *place.start] for place in part] for part in parts]
    return digest([config_hash(config), data_hash(study), bones, places])[:12]


def _data(study: Study, scans: dict[str, BoneScans], parts: tuple[Sequence[Place], ...]) -> TrainingData:
    return TrainingData(*([_pair(study, scans[place.bone], place) for place in part] for part in parts))


def _pair(study: Study, scans: BoneScans, place: Place) -> PairedVolume:
    size = study.places.size
    grid = sg.Grid(size, study.region.spacing)
    patches = place.cut(scans.scans, size).flatten(0, 1)
    inputs = tuple(sg.Volume(values.contiguous(), grid, "mg/cm3") for values in patches)
    target = sg.Volume(place.cut(scans.truth, size).contiguous(), grid, "mg/cm3")
    return PairedVolume(f"{place.bone} {place.start}", place.bone, inputs, target, "mg/cm3")


@torch.inference_mode()
def denoised(model: nn.Module, scans: BoneScans, folder: Path) -> Tensor:
    """All scans of a bone, [currents, repetitions, Z, Y, X]; kept in the folder of the run and found again."""
    file = folder / f"denoised-{scans.name}.pt"
    if file.is_file():
        return torch.load(file, weights_only=True)
    network = model.eval()
    found = torch.stack([network(volume) for volume in scans.scans.flatten(0, 1)]).view_as(scans.scans)
    with replacing(file, force=True) as temporary:
        torch.save(found, temporary)
    return found
