"""`VolumeFormatContract`: what every format of volumes must pass.

A pytest class subclasses it, in this package or in another one whose formats are in `sinograd.choices.VOLUME_FORMATS`:

    from sinograd.testing import VolumeFormatContract

    class TestMine(VolumeFormatContract):
        formats = {"nrrd": "volume.nrrd"}  # names in the registry, and what a file of each is called

Formats that are only read override `make`, which then makes a file by other means.
"""

from __future__ import annotations

import errno
import math
import pickle
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pytest
import torch

from sinograd.choices import VOLUME_FORMATS
from sinograd.data.provenance import make_provenance
from sinograd.data.volume import Volume
from sinograd.errors import ExistingFileError, InputError, InputIndexError, MissingFileError
from sinograd.geometry import Grid
from sinograd.io.formats import file_head, matching_format
from sinograd.io.volumes.format import VolumeFormat
from sinograd.io.volumes.read_write import open_volume, read_volume, write_volume

GRIDS = {
    "volume": Grid((5, 4, 3), (0.3, 0.2, 0.1), (1.0, -2.0, 3.5)),
    "one slice": Grid((1, 4, 5), 0.25, (0.1, 0.2, 0.3)),
    "image": Grid((4, 5), (0.2, 0.1), (1.0, -2.0)),
}
UNITS = ("1/mm", "HU", "mg/cm3", "1", None)
DTYPES = (torch.float64, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool)
_STRANGERS = {"text": b"not a volume\n" * 100, "zeros": bytes(4096), "one byte": b"\0"}


def hounsfield(grid: Grid, unit: str | None = "HU", seed: int = 0) -> Volume:
    """Whole numbers between air and bone, which every type and format holds exactly."""
    values = torch.randint(-1000, 1500, grid.shape, generator=torch.Generator().manual_seed(seed)).float()
    return Volume(values, grid, unit, make_provenance("test", {"window": "hann", "file": "Kn\u00f6chel.h5"}))


class VolumeFormatContract:
    """Values, grids, units, types, records, damage and atomic writing of the formats that a subclass names.

    formats: their names in the registry, each with the name of a file or folder in it.
    rounding: relative, of spacing and position.
    grids, units: of the volumes that are made, for formats that hold only some.
    misses_files: whether the format notices that one of its files is missing; a series of slices cannot, at its ends.
    """

    formats: Mapping[str, str]
    rounding: float = 1e-6
    grids: Mapping[str, Grid] = MappingProxyType(GRIDS)
    units: Sequence[str | None] = UNITS
    misses_files: bool = True

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Parametrizes with the formats of the class, and its grids and units."""
        for argument, values in (("name", {name: name for name in self.formats}), ("grid", self.grids)):
            if argument in metafunc.fixturenames:
                metafunc.parametrize(argument, values.values(), ids=values.keys())
        if "unit" in metafunc.fixturenames:
            metafunc.parametrize("unit", self.units, ids=str)

    def volume(self, unit: str | None = "HU", seed: int = 0) -> Volume:
        """A volume that the formats hold, in HU if they can."""
        return hounsfield(next(iter(self.grids.values())), unit, seed)

    def make(self, name: str, volume: Volume, folder: Path) -> Path:
        """A file of a volume in a format; skips the test where the format cannot be written."""
        entry = VOLUME_FORMATS.entry(name)
        if not entry.about.get("writes"):
            pytest.skip(f"{name} is only read, and this contract has no other way to make a file")
        write_volume(volume, folder / self.formats[name], force=True)
        return folder / self.formats[name]

    @pytest.fixture
    def format(self, name: str) -> VolumeFormat:
        """The format; skips the test without the package that it needs."""
        entry = VOLUME_FORMATS.entry(name)
        if entry.about.get("package"):
            pytest.importorskip(entry.about["package"], reason="an optional package")
        format: VolumeFormat = entry.load()()
        return format

    def test_the_entry_says_what_the_class_does(self, name: str, format: VolumeFormat) -> None:
        """Suffixes, folder, what is kept and where the unit stands."""
        entry = VOLUME_FORMATS.entry(name)
        assert isinstance(format, VolumeFormat) and entry.help and entry.about["holds"] == format.holds == "volume"
        assert entry.about["suffixes"] and all(s == s.lower() and s[:1] in (".", "") for s in entry.about["suffixes"])
        assert bool(entry.about.get("folder")) == bool(format.folder)
        assert format.keeps <= {"unit", "provenance", "dtype"} and format.unit_place

    def test_a_volume_comes_back(self, name: str, format: VolumeFormat, grid: Grid, tmp_path: Path) -> None:
        """Values, grid and record; unknown where the format does not keep them."""
        volume = hounsfield(grid)
        path = self.make(name, volume, tmp_path)
        again = read_volume(path)
        assert not again.is_lazy and torch.equal(again.values, volume.values.to(again.dtype))
        assert again.shape == volume.shape and again.file == path
        for one, other in ((again.grid.spacing, grid.spacing), (again.grid.center, grid.center)):
            assert one == pytest.approx(other, rel=self.rounding)
        if "provenance" in format.keeps:
            assert again.provenance == volume.provenance

    def test_the_unit_comes_back(self, name: str, format: VolumeFormat, unit: str | None, tmp_path: Path) -> None:
        """And another one can be stated for files that do not say."""
        path = self.make(name, self.volume(unit), tmp_path)
        expected = unit if "unit" in format.keeps else None
        assert read_volume(path).unit == open_volume(path).unit == expected
        stated = expected or "HU"
        assert read_volume(path, unit=stated).unit == stated

    @pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
    def test_types_come_back(self, name: str, format: VolumeFormat, dtype: torch.dtype, tmp_path: Path) -> None:
        """Labels and masks, strided; formats that do not keep a type hold the values in another one."""
        grid = next(iter(self.grids.values()))
        values = torch.arange(math.prod(grid.shape)).reshape(grid.shape[::-1]).remainder(7).to(dtype).permute(2, 1, 0)
        path = self.make(name, Volume(values, grid, "1"), tmp_path)
        for again in (read_volume(path), open_volume(path)):
            assert torch.equal(again.values.double(), values.double())
            if "dtype" in format.keeps:
                assert again.dtype == dtype == again.values.dtype

    def test_lazy_is_eager(self, name: str, format: VolumeFormat, grid: Grid, tmp_path: Path) -> None:
        """Slices read one by one, after pickling, are those of the whole; slices that are not there are an error."""
        path = self.make(name, hounsfield(grid), tmp_path)
        whole = read_volume(path)
        lazy = pickle.loads(pickle.dumps(open_volume(path)))
        assert lazy.is_lazy and lazy.dtype == whole.dtype and lazy.unit == whole.unit
        assert lazy.grid.equals(whole.grid) and lazy.provenance == whole.provenance
        assert torch.equal(lazy.values, whole.values) and lazy.values.shape == whole.values.shape
        for first in range(whole.slices):
            assert torch.equal(lazy.read(first, first + 1, None), whole.read(first, first + 1, None))
        assert lazy.read(0, 0).shape == (0, *whole.shape[-2:]) and 1 <= lazy.block <= whole.slices
        with pytest.raises(InputIndexError):
            lazy.read(0, whole.slices + 1)

    def test_it_is_recognised_by_content(self, name: str, format: VolumeFormat, tmp_path: Path) -> None:
        """And other content is not."""
        path = self.make(name, self.volume(), tmp_path)
        assert format.matches(path, file_head(path))
        choice = matching_format(VOLUME_FORMATS, path)
        assert choice is not None and choice.entry.name == name
        if not format.folder:
            for stranger, content in _STRANGERS.items():
                (tmp_path / "stranger").write_bytes(content)
                assert not format.matches(tmp_path / "stranger", content[:1024]), stranger
        else:
            (tmp_path / "empty").mkdir()
            assert not format.matches(tmp_path / "empty", b"")

    def test_damage_is_one_clear_error(self, name: str, format: VolumeFormat, tmp_path: Path) -> None:
        """Cut files, missing ones and other content: an error of bad input that names the path."""
        path = self.make(name, self.volume(), tmp_path)
        files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
        for file in files:
            whole = file.read_bytes()
            for content in (whole[: len(whole) // 3], b"", b"not a volume\n" * 20, None):
                if content is None and path.is_dir() and not self.misses_files:
                    continue
                if content is None:
                    file.unlink()
                else:
                    file.write_bytes(content)
                try:
                    read_volume(path)
                except (InputError, MissingFileError) as error:
                    assert str(path.parent) in str(error)
                else:  # a level of a pyramid that is not looked at, a file that is not needed
                    assert path.is_dir() and torch.equal(read_volume(path).values, self.volume().values)
            file.write_bytes(whole)
        assert torch.equal(read_volume(path).values, self.volume().values)

    def test_nothing_is_replaced_unless_said(self, name: str, format: VolumeFormat, tmp_path: Path) -> None:
        """By `force`; a folder only if it holds nothing else."""
        self._needs_writing(name)
        path = self.make(name, self.volume(), tmp_path)
        with pytest.raises(ExistingFileError, match="already exists"):
            write_volume(self.volume(seed=1), path)
        assert torch.equal(read_volume(path).values, self.volume().values)
        write_volume(self.volume(seed=1), path, force=True)
        assert torch.equal(read_volume(path).values, self.volume(seed=1).values)
        if format.folder:
            (path / "notes.txt").write_text("mine")
            with pytest.raises(ExistingFileError, match="holds other files"):
                write_volume(self.volume(), path, force=True)

    @pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=repr)
    def test_writing_is_atomic(
        self, name: str, format: VolumeFormat, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the last step fails nothing is left, and what was there stays."""
        self._needs_writing(name)

        def stop(file: int) -> None:
            raise error

        path = tmp_path / self.formats[name]
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", stop)
            with pytest.raises(type(error)):
                write_volume(self.volume(), path)
        assert not list(tmp_path.iterdir())
        write_volume(self.volume(), path)
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", stop)
            with pytest.raises(type(error)):
                write_volume(self.volume(seed=1), path, force=True)
        assert torch.equal(read_volume(path).values, self.volume().values)
        assert {file.name for file in tmp_path.iterdir()} == {file.name for file in format.written_paths(path)}

    def test_a_lazy_volume_is_written(self, name: str, format: VolumeFormat, tmp_path: Path) -> None:
        """One that is read from another file, to the same values."""
        self._needs_writing(name)
        volume = self.volume()
        write_volume(volume, tmp_path / "source.npy")
        path = tmp_path / "written"
        path.mkdir()
        write_volume(open_volume(tmp_path / "source.npy"), path / self.formats[name])
        assert torch.equal(read_volume(path / self.formats[name]).values, volume.values)
        shutil.rmtree(path)

    def _needs_writing(self, name: str) -> None:
        if not VOLUME_FORMATS.entry(name).about.get("writes"):
            pytest.skip(f"{name} is only read")
