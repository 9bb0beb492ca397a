"""Methods over paired volumes: denoise, time, score."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol as Interface

import torch
from torch import Tensor

from sinograd.data import Volume
from sinograd.datasets import PairedVolume, check_unit
from sinograd.errors import InputError
from sinograd.evaluation.discs import TARGET, Disc, DiscImages
from sinograd.evaluation.memory import PeakMemory
from sinograd.evaluation.methods import INPUT, Denoise, Method, unchanged
from sinograd.evaluation.protocols import Protocol, SliceScores
from sinograd.evaluation.scores import MethodInfo, Row, Sample, Scores
from sinograd.evaluation.spectra import Spectrum, measure_spectrum
from sinograd.physics import hounsfield_from_attenuation

_BLOCK = 1  # slices that are scored at a time


class Progress(Interface):
    """Called with (denoised volumes, all, the volume and method that are next)."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Tell."""
        ...


def evaluate(
    methods: Sequence[Method],
    pairs: Sequence[PairedVolume],
    protocol: Protocol,
    *,
    water: float | None = None,
    device: str | torch.device = "cpu",
    samples: int = 0,
    discs: Sequence[Disc] = (),
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Scores:
    """Score each method on each volume, against its target; the noisy volumes themselves come first, as "input".

    A volume with several realisations of the noise is denoised and scored once for each. A volume's score is the mean
    over its slices, a patient's the mean over the volumes, and tables give mean and standard deviation over patients.

    Beside the scores are the noise power spectra of what each method leaves of the noise (`Scores.spectra`, of slices
    of at least 16 x 16 pixels) and the task transfer functions at discs (`Scores.edges`).

    Args:
        methods: with different names.
        pairs: each with a target; all in one unit.
        protocol: how to score, see `sinograd.evaluation.protocol`.
        water: attenuation of water in 1/mm, to score volumes in 1/mm in HU; methods get them as they are.
        device: where volumes are denoised; the methods' modules must be there.
        samples: of how many volumes the middle slice is kept, for the page; they are spread over the volumes.
        discs: whose edges' sharpness is measured, in the mean of all slices and volumes that have them.
        progress: called before each method.
        executor: calls the work of every pair somewhere else, such as on a cluster; progress is then told of pairs.

    Returns:
        The scores. Held at a time: input, target and one method's result of one volume, and the kept slices; a float64
        slice for each disc and method.

    Raises:
        ValueError, before anything is denoised: no methods or pairs, names given twice, a volume without a target,
            with another unit or group than the protocol is for, values that cannot be in the volume's unit or are not
            finite (in the middle slices), a method trained on another unit or whose files do not fit, a disc that no
            volume can have (`DiscImages`).
        ValueError: a method that returns another shape or values that are not finite; names method and volume.
    """
    device = torch.device(device)
    methods = [unchanged(), *(m for m in methods if m.name != INPUT)]
    unit = _check(methods, pairs, protocol, water)
    images = DiscImages(discs, pairs)
    infos = tuple(MethodInfo(m.name, m.parameters, m.oracle, m.note) for m in methods)
    frequency_unit = "1/mm" if all(pair.spacing is not None for pair in pairs) else "1/pixel"
    scores = Scores(
        protocol,
        unit,
        infos,
        frequency_unit=frequency_unit,
        device=_device_name(device),
        threads=torch.get_num_threads(),
    )
    kept = {round((i + 0.5) * len(pairs) / samples - 0.5) for i in range(samples)} if samples else set()
    work = PairWork(tuple(methods), tuple(pairs), scores, frozenset(kept), tuple(discs), water, device, bool(executor))
    total, done = len(methods) * sum(len(pair.inputs) for pair in pairs), 0
    found: dict[int, PairScores] = {}
    for number, of_pair in _here(work, progress, total) if executor is None else executor(work, range(len(pairs))):
        found[number] = of_pair
        done += len(of_pair.rows)
        if progress is not None and executor is not None:
            progress(done, total, f", {pairs[number].name}")
    for number in range(len(pairs)):
        found[number].add_to(scores, images)
    scores.edges.extend(images.measure([m.name for m in methods]))
    if progress is not None:
        progress(done, total)
    return scores


@dataclass
class PairScores:
    """What the methods made of one paired volume."""

    images: DiscImages
    sample: Sample | None
    rows: list[Row] = field(default_factory=list)
    spectra: list[Spectrum] = field(default_factory=list)

    def add_to(self, scores: Scores, images: DiscImages) -> None:
        """To those of all pairs, in their order."""
        scores.rows.extend(self.rows)
        scores.spectra.extend(self.spectra)
        scores.samples.extend([] if self.sample is None else [self.sample])
        images.merge(self.images)


@dataclass(frozen=True, eq=False)
class PairWork:
    """Denoises and scores the pair of a number: the work of one call, here or elsewhere.

    Attributes:
        methods, pairs: all of them.
        scores: without a pair so far.
        kept: pairs whose middle slices are kept.
        discs, water, device: as in `evaluate`.
        elsewhere: every pair may be the first one of its process, so that methods are warmed up with each.
    """

    methods: tuple[Method, ...]
    pairs: tuple[PairedVolume, ...]
    scores: Scores
    kept: frozenset[int]
    discs: tuple[Disc, ...]
    water: float | None
    device: torch.device
    elsewhere: bool = False

    def __call__(self, number: int, told: Callable[[str], None] | None = None) -> PairScores:
        """told: called with the name of each method that is next."""
        pair, scores = self.pairs[number], self.scores
        assert pair.target is not None
        target = _read(pair, pair.target, "target", self.device)
        convert = partial(_converted, water=self.water, pair=pair)
        sample = _sample(pair, target, self.water) if number in self.kept else None
        found = PairScores(DiscImages(self.discs, self.pairs), sample)
        found.images.add(TARGET, pair, target, convert)
        for realisation, source in enumerate(pair.inputs):
            volume = _read(pair, source, f"input {realisation}", self.device)
            for method in self.methods:
                if told is not None:
                    told(method.name)
                if realisation == 0 and (number == 0 or self.elsewhere) and method.warm_up is not None:
                    with torch.inference_mode():
                        method.warm_up(volume[:1])
                made, seconds, memory = _denoise(method, pair, realisation, volume, target)
                of_slices = _score(made, target, pair, scores.protocol, convert)
                spectrum = _spectrum(made, target, method, pair, scores.frequency_unit, convert)
                found.spectra.extend([] if spectrum is None else [spectrum])
                found.rows.append(_row(method, pair, realisation, of_slices, seconds, memory, spectrum))
                found.images.add(method.name, pair, made, convert)
                if sample is not None and realisation == 0:
                    _keep(sample, method, convert(made[sample.index]), of_slices)
        return found


Executor = Callable[[PairWork, Sequence[int]], Iterable[tuple[int, PairScores]]]
"""Calls the work with every number, wherever; numbers and results in any order."""


def _here(work: PairWork, progress: Progress | None, total: int) -> Iterator[tuple[int, PairScores]]:
    """One pair after another."""
    done = itertools.count()
    for number, pair in enumerate(work.pairs):

        def told(method: str, pair: PairedVolume = pair) -> None:
            assert progress is not None
            progress(next(done), total, f", {pair.name}: {method}")

        yield number, work(number, None if progress is None else told)


def _check(methods: Sequence[Method], pairs: Sequence[PairedVolume], protocol: Protocol, water: float | None) -> str:
    """The unit of the scores."""
    names = [m.name for m in methods]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"methods: {', '.join(twice)} is there twice: expected different names (NAME=MODEL_FILE)")
    if not pairs:
        raise InputError("pairs: expected at least one paired volume, got none")
    units = []
    for pair in pairs:
        if pair.target is None:
            raise InputError(f"{pair.name}: no target, expected the volume to compare with")
        units.append("HU" if water is not None and pair.unit == "1/mm" else pair.unit)
        protocol.check(units[-1], pair.group, pair.name)
        if units[-1] != units[0]:
            raise InputError(f"pairs: {pairs[0].name} is in {units[0]}, {pair.name} in {units[-1]}: one unit for all")
        for method in methods:
            if pair.unit != "1" and method.unit not in (None, pair.unit):
                raise InputError(f"{method.name}: trained on values in {method.unit}, {pair.name} is in {pair.unit}")
    for pair in pairs:
        check_unit(pair)
    for method in methods:
        if method.check is not None:
            method.check(list(pairs))
    return "" if units[0] == "1" else units[0]


def _read(pair: PairedVolume, source: Volume, what: str, device: torch.device) -> Tensor:
    volume = source.read(0, pair.shape[0]).to(device)
    bad = int((~torch.isfinite(volume)).sum())
    if bad:
        raise InputError(f"{pair.name}: {what}: expected finite values, got {bad} NaN or infinite ones")
    return volume


@torch.inference_mode()
def _denoise(
    method: Method, pair: PairedVolume, realisation: int, volume: Tensor, target: Tensor
) -> tuple[Tensor, float, int | None]:
    """The denoised volume, seconds a slice, and bytes; NaN and None where they say nothing."""
    denoise = method.prepare(volume, target) if method.of_pair is None else method.of_pair(pair, realisation)
    with PeakMemory(volume.device) as memory:
        seconds, found = _timed(denoise, volume)
    if not isinstance(found, Tensor) or found.shape != volume.shape:
        came = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InputError(f"{method.name}: expected a volume {list(volume.shape)} of {pair.name}, got {came}")
    if not bool(torch.isfinite(found).all()):
        bad = int((~torch.isfinite(found)).sum())
        raise InputError(f"{method.name}: made {bad} NaN or infinite values of {pair.name}")
    return (found, seconds / len(volume), memory.peak) if method.timed else (found, math.nan, None)


def _timed(denoise: Denoise, volume: Tensor) -> tuple[float, Tensor]:
    cuda = volume.device.type == "cuda"
    if cuda:
        torch.cuda.synchronize(volume.device)
    start = time.perf_counter()
    found = denoise(volume)
    if cuda:
        torch.cuda.synchronize(volume.device)
    return time.perf_counter() - start, found


def _score(found: Tensor, target: Tensor, pair: PairedVolume, protocol: Protocol, convert: Denoise) -> SliceScores:
    blocks = []
    for i in range(0, len(found), _BLOCK):
        one, other = (convert(v[i : i + _BLOCK]) for v in (found, target))
        blocks.append(protocol.score(one, other, pair.group))
    return SliceScores(
        torch.cat([b.ssim for b in blocks]), torch.cat([b.psnr for b in blocks]), torch.cat([b.rmse for b in blocks])
    )


def _converted(values: Tensor, water: float | None, pair: PairedVolume) -> Tensor:
    return values if water is None or pair.unit != "1/mm" else hounsfield_from_attenuation(values, water)


def _spectrum(
    found: Tensor, target: Tensor, method: Method, pair: PairedVolume, frequency_unit: str, convert: Denoise
) -> Spectrum | None:
    spacing = (1.0, 1.0) if pair.spacing is None or frequency_unit == "1/pixel" else pair.spacing[1:]
    return measure_spectrum(found, target, spacing, convert, method=method.name, patient=pair.patient)


def _row(
    method: Method,
    pair: PairedVolume,
    realisation: int,
    scores: SliceScores,
    seconds: float,
    memory: int | None,
    spectrum: Spectrum | None,
) -> Row:
    ssim, psnr, rmse = (float(values.mean()) for values in (scores.ssim, scores.psnr, scores.rmse))
    slices = pair.shape[0]
    noise, frequency = (math.nan, math.nan) if spectrum is None else (spectrum.noise, spectrum.mean_frequency)
    return Row(
        method.name, pair.name, pair.patient, pair.group, realisation, slices, ssim, psnr, rmse, noise, frequency,
        seconds, memory,
    )  # fmt: skip


def _sample(pair: PairedVolume, target: Tensor, water: float | None) -> Sample:
    index = pair.shape[0] // 2
    unit = "HU" if water is not None and pair.unit == "1/mm" else "" if pair.unit == "1" else pair.unit
    return Sample(pair.name, pair.group, index, unit, _converted(target[index], water, pair).cpu().clone(), {}, {})


def _keep(sample: Sample, method: Method, image: Tensor, scores: SliceScores) -> None:
    sample.images[method.name] = image.cpu().clone()
    sample.scores[method.name] = (
        float(scores.ssim[sample.index]), float(scores.psnr[sample.index]), float(scores.rmse[sample.index])
    )  # fmt: skip


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
