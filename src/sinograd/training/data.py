"""Training data: stacks of slices, scans with the volume that they should become, and paired volumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from sinograd.data import Scan
from sinograd.data.blocks import view_blocks
from sinograd.datasets import PairedVolume, load_pairs
from sinograd.errors import ConfigError, InputError, InputTypeError, UnitError
from sinograd.geometry import Geometry, Grid, detector_region
from sinograd.io import open_volume, read, read_volume
from sinograd.recon.analytic.needed_rows import needed_rows
from sinograd.training.config import Config
from sinograd.training.data_config import Region, StackFiles

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Stack:
    """A noisy volume [..., Z, Y, X] (or images [..., Y, X]) and, for supervised training, what it should become.

    name: for messages and records. spacing: mm, and unit: of the values, where they are known, for records. others: the
    same object with other realisations of the noise, for Noise2Noise.
    """

    input: Tensor
    target: Tensor | None = None
    name: str = "stack"
    spacing: tuple[float, ...] | None = None
    others: tuple[Tensor, ...] = ()
    unit: str | None = None

    def check(self) -> None:
        """ValueError or TypeError, naming the stack, unless shapes, dtypes and numbers will do."""
        _check_numbers(self.input, f"{self.name}: input")
        for i, other in enumerate(self.others):
            _check_numbers(other, f"{self.name}: others[{i}]")
            _check_same(other, tuple(self.input.shape), f"{self.name}: others[{i}]", "input")
        if self.target is not None:
            _check_numbers(self.target, f"{self.name}: target")
            _check_same(self.target, tuple(self.input.shape), f"{self.name}: target", "input")


@dataclass(frozen=True, eq=False)
class ScanStack:
    """Noisy line integrals [views, rows, columns] and the volume on `grid` that they should become.

    Rows that the grid does not need may be left out: `needed_part` does that.
    """

    projections: Tensor
    geometry: Geometry
    grid: Grid
    target: Tensor
    name: str = "scan"

    def check(self) -> None:
        """ValueError or TypeError, naming the scan, unless shapes, dtypes and numbers will do."""
        _check_numbers(self.projections, f"{self.name}: projections")
        _check_numbers(self.target, f"{self.name}: target")
        _check_same(self.projections, self.geometry.projection_shape, f"{self.name}: projections", "the geometry")
        _check_same(self.target, self.grid.shape, f"{self.name}: target", "grid.shape")

    def needed_part(self, margin: int) -> ScanStack:
        """The same with the detector rows that the grid needs and `margin` on both sides."""
        if self.geometry.ndim == 2:
            return self
        rows = needed_rows(self.geometry, self.grid, margin)
        part = self.projections[..., rows[0] : rows[1], :]
        # a view would keep all rows in memory
        part = part.clone() if part.shape != self.projections.shape else part
        return ScanStack(part, detector_region(self.geometry, rows), self.grid, self.target, self.name)


@dataclass(frozen=True)
class TrainingData:
    """Stacks, or scans for the dual-domain task, that are in memory; or paired volumes, whose slices are read."""

    training: Sequence[Stack] | Sequence[ScanStack] | Sequence[PairedVolume]
    validation: Sequence[Stack] | Sequence[ScanStack] | Sequence[PairedVolume] = field(default_factory=tuple)

    def check(self, config: Config) -> None:
        """ConfigError, ValueError or TypeError unless the data fit the configuration's task and model."""
        if not self.training:
            raise InputError("data.training: expected at least one stack, got none")
        for item in self.training:
            self._check_kind(item, config)
            config.task.check_item(item, trained=True)
        for item in self.validation:
            self._check_kind(item, config)
            config.task.check_item(item, trained=False)
        units = {item.unit for item in (*self.training, *self.validation) if isinstance(item, PairedVolume)}
        if len(units) > 1:
            raise InputError(f"data: expected volumes in one unit, got {' and '.join(sorted(units))}")
        self._check_patients()
        patches = config.data is not None and config.data.patches is not None
        if not patches and any(isinstance(item, PairedVolume) for item in self.training):
            raise ConfigError("data.patches: missing, paired volumes are trained on in patches")
        schedule = config.optimizer.schedule
        if schedule is not None and schedule.needs_validation and not self.validation:
            words = f"{schedule.name} looks at the validation loss, and data.validation is empty"
            raise ConfigError(f"optimizer.schedule: {words}")
        self._check_loss(config)

    def _check_patients(self) -> None:
        """InputError where a patient is trained on and validates: then the best step is one that knows the answers."""
        trained = {item.patient for item in self.training if isinstance(item, PairedVolume)}
        for item in self.validation:
            if isinstance(item, PairedVolume) and item.patient in trained:
                words = f"{item.name} is of the patient {item.patient}, who is trained on, too"
                raise InputError(f"data.validation: {words}: expected other patients")

    def _check_loss(self, config: Config) -> None:
        """InputError where images are too small for the loss, UnitError where it is for values in another unit."""
        unit = getattr(config.task.measure, "unit", None)
        for item in (*self.training, *self.validation):
            if unit is not None and isinstance(item, PairedVolume) and item.unit != unit:
                raise UnitError(f"{item.name}: the loss needs values in {unit}, and the volume is in {item.unit}")
        check = getattr(config.task.measure, "check", lambda shape: None)
        shapes = {item.name: _image_shape(item) for item in (*self.training, *self.validation)}
        if config.data is not None and config.data.patches is not None:
            size = config.data.patches.size
            patch = (size, size) if isinstance(size, int) else size
            lost = config.model.lost or (0,) * len(patch)
            kept = tuple(n - less for n, less in zip(patch, lost, strict=True))
            shapes |= {item.name: kept for item in self.training}
        trained = {item.name for item in self.training}
        for name, shape in shapes.items():
            try:
                check(shape)
                if name in trained:
                    config.task.check_images(shape)
            except InputError as error:
                raise type(error)(f"{name}: {error}") from None

    def _check_kind(self, item: object, config: Config) -> None:
        kind = ScanStack if config.task.takes_scans else Stack
        if not isinstance(item, kind if kind is ScanStack else (Stack, PairedVolume)):
            expected, got = kind.__name__, type(item).__name__
            raise InputTypeError(f"data: the task {config.task.name} takes a {expected}, got a {got}")
        needed = config.model.ndim
        if isinstance(item, PairedVolume):
            return
        assert isinstance(item, Stack | ScanStack)
        item.check()
        if isinstance(item, Stack) and config.model.single_precision:
            _check_single(item, config.model.name)
        ndim = item.geometry.ndim if isinstance(item, ScanStack) else item.input.ndim
        if needed is None:
            return
        if ndim < needed or (isinstance(item, ScanStack) and ndim != needed):
            raise ConfigError(f"model.dimensions: {needed} does not fit {item.name}, which has {ndim} dimensions")


def _image_shape(item: Stack | ScanStack | PairedVolume) -> tuple[int, ...]:
    if isinstance(item, PairedVolume):
        return tuple(item.shape)
    return tuple(item.target.shape if isinstance(item, ScanStack) else item.input.shape)


def load_data(config: Config, progress: Progress | None = None) -> TrainingData:
    """Read the files that a configuration names, float32; of paired volumes only names and shapes.

    Raises:
        ConfigError: no data are named.
        FileNotFoundError, ValueError: name the file, the expected and the actual content.
    """
    if config.data is None:
        raise ConfigError("data: missing, expected a mapping of the keys training, validation")
    parts = (config.data.training, config.data.validation)
    count, done = sum(map(len, parts)), 0
    loaded: list[list[Stack] | list[ScanStack] | list[PairedVolume]] = []
    for part, pairs in zip(parts, (config.data.pairs, config.data.validation_pairs), strict=True):
        if pairs is not None:
            loaded.append(load_pairs(pairs))
            continue
        stacks = []
        for files in part:
            stacks.append(config.task.load(files))
            done += 1
            if progress is not None:
                progress(done, count)
        loaded.append(stacks)
    return TrainingData(*loaded)


def load_stack(files: StackFiles) -> Stack:
    """The region of a volume, with its target and other realisations; errors as `load_data`."""
    first = _open(files.inputs[0], files.region)
    index, part = _part(files, first.grid)
    noisy = first.read(index)
    rest = [_like(first, path, files).read(index) for path in files.inputs[1:]]
    clean = None if files.target is None else _like(first, files.target, files).read(index)
    return Stack(noisy, clean, str(files.inputs[0]), part.spacing, tuple(rest), first.unit)


@dataclass(frozen=True)
class _Opened:
    """A volume's grid, what reads a part of it, and its unit where that is known."""

    grid: Grid
    read: Callable[[tuple[slice, ...]], Tensor]
    unit: str | None


def _open(path: Path, region: Region) -> _Opened:
    """A volume, of which the slices of the region alone are read, of files that allow it."""
    opened = None if region.z is None else open_volume(path).as_slices()
    if opened is None or opened.block >= opened.shape[0]:
        volume = read_volume(path)
        return _Opened(volume.grid, lambda index: volume.values[index].clone().float(), volume.unit)
    read_slices = opened.read
    return _Opened(
        opened.grid, lambda index: read_slices(index[0].start, index[0].stop)[:, *index[1:]].clone(), opened.unit
    )


def _like(first: _Opened, path: Path, files: StackFiles) -> _Opened:
    """Another volume, which must be on the grid of the first and in its unit."""
    other = _open(path, files.region)
    if not other.grid.equals(first.grid):
        raise InputError(f"{path} is on {other.grid!r}, {files.inputs[0]} on {first.grid!r}: expected the same grid")
    if None not in (other.unit, first.unit) and other.unit != first.unit:
        raise InputError(f"{path} is in {other.unit}, {files.inputs[0]} in {first.unit}: expected the same unit")
    return other


def load_scan(files: StackFiles, margin: int) -> ScanStack:
    """The rows of a scan that its target's region needs, with `margin` more on both sides; errors as `load_data`."""
    assert files.target is not None
    target = _open(files.target, files.region)
    grid = target.grid
    index, part = _part(files, grid, files.target)
    scan = read(files.inputs[0])
    scan.check_shape()
    if scan.kind != "line integrals":
        raise InputError(f"{files.inputs[0]} holds {scan.kind}, expected line integrals: prepare it first")
    if scan.geometry.ndim != grid.ndim:
        raise InputError(
            f"{files.inputs[0]} is a {scan.geometry.ndim}-D scan, {files.target} has {grid.ndim} dimensions"
        )
    rows = None if scan.geometry.ndim == 2 else needed_rows(scan.geometry, part, margin)
    geometry = scan.geometry if rows is None else detector_region(scan.geometry, rows)
    projections = _load_rows(scan, rows)
    return ScanStack(projections, geometry, part, target.read(index), str(files.inputs[0]))


def _load_rows(scan: Scan, rows: tuple[int, int] | None) -> Tensor:
    """Some rows of all views, read block by block."""
    if rows is None:
        return scan.load()
    views, _, columns = scan.shape
    part = torch.empty(views, rows[1] - rows[0], columns)
    for start, stop in view_blocks(scan.shape, scan.projections.dtype.itemsize):
        part[start:stop] = scan.load(slice(start, stop))[:, rows[0] : rows[1]]
    return part


def _part(files: StackFiles, grid: Grid, file: object = None) -> tuple[tuple[slice, ...], Grid]:
    """The slices of a region and its grid."""
    return region_of(grid, files.region, str(file or files.inputs[0]))


def region_of(grid: Grid, region: Region, name: str) -> tuple[tuple[slice, ...], Grid]:
    """The slices and the grid of a region; ConfigError when it does not lie inside."""
    extents = (region.z, region.y, region.x)[3 - grid.ndim :]
    if grid.ndim == 2 and region.z is not None:
        raise ConfigError(f"region.z: {name} is an image and has no z")
    index, center = [], []
    for axis, extent, count, spacing, middle in zip(
        "zyx"[3 - grid.ndim :], extents, grid.shape, grid.spacing, reversed(grid.center), strict=True
    ):
        first, end = (0, count) if extent is None else extent
        if end > count:
            raise ConfigError(f"region.{axis}: expected an end of at most {count}, as {name} has, got {end}")
        index.append(slice(first, end))
        center.append(middle + ((first + end - 1) / 2 - (count - 1) / 2) * spacing)
    shape = tuple(part.stop - part.start for part in index)
    return tuple(index), Grid(shape, grid.spacing, tuple(reversed(center)))


def _check_numbers(tensor: Tensor, name: str) -> None:
    if not isinstance(tensor, Tensor) or tensor.dtype not in (torch.float32, torch.float64):
        kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise InputTypeError(f"{name}: expected a float32 or float64 tensor, got {str(kind).removeprefix('torch.')}")
    bad = int((~torch.isfinite(tensor)).sum())
    if bad or tensor.numel() == 0:
        raise InputError(f"{name}: expected finite values, got {bad} NaN or infinite ones among {tensor.numel()}")


def _check_single(stack: Stack, model: str) -> None:
    for tensor in (stack.input, *stack.others, *([] if stack.target is None else [stack.target])):
        if tensor.dtype != torch.float32:
            dtype = str(tensor.dtype).removeprefix("torch.")
            raise InputTypeError(f"{stack.name}: expected float32 for the network {model}, got {dtype}")


def _check_same(tensor: Tensor, shape: tuple[int, ...], name: str, other: str) -> None:
    if tuple(tensor.shape) != tuple(shape):
        raise InputError(f"{name} {list(tensor.shape)} does not match {other} {list(shape)}")
