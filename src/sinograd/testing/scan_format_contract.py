"""`ScanFormatContract`: what every format of scans must pass.

A pytest class subclasses it, in this package or in another one whose format is in `sinograd.choices.SCAN_FORMATS`:

    from sinograd.testing import ScanFormatContract

    class TestMine(ScanFormatContract):
        name = "mine"                   # in the registry

        def make(self, folder):         # only for formats that do not write
            ...
            return path
"""

from __future__ import annotations

import dataclasses
import pickle
import random
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch

from sinograd.choices import SCAN_FORMATS
from sinograd.data import Calibration, Scan
from sinograd.errors import InputError, ScanWarning
from sinograd.geometry import FlatDetector, ParallelBeam
from sinograd.io import read, write_scan, written_paths
from sinograd.io.formats import file_head, writing_suffixes

VIEWS, ROWS, COLUMNS = 6, 4, 5
CALIBRATION = ("reference", "dark", "reference_views", "shifts", "exposure")


def sample_scan(keeps: frozenset[str] = frozenset(CALIBRATION)) -> Scan:
    """Counts of a parallel beam, 16 bits, with the parts of a calibration that are named."""
    counts = np.random.default_rng(0).integers(1, 4000, (VIEWS + 3, ROWS, COLUMNS)).astype(np.uint16)
    parts: dict[str, Any] = {
        "reference": counts[VIEWS : VIEWS + 2],
        "dark": counts[VIEWS + 2 :],
        "reference_views": [-1.0, VIEWS],
        "shifts": np.linspace(-0.5, 0.5, 2 * VIEWS).reshape(VIEWS, 2),
        "exposure": np.linspace(0.9, 1.1, VIEWS),
    }
    calibration = Calibration(**{name: value for name, value in parts.items() if name in keeps})
    geometry = ParallelBeam(torch.linspace(0, 2.5, VIEWS, dtype=torch.float64), FlatDetector((ROWS, COLUMNS), 0.002))
    return Scan(counts[:VIEWS], geometry, {"sample": "Knöchel"}, kind="counts", calibration=calibration)


class ScanFormatContract:
    """Content, laziness, damage and, of a format that writes, the round trip.

    Attributes:
        name: in the registry.
        keeps: the parts of a calibration that a written file holds.
        options: of the format, for `sinograd.read`.
    """

    name: str
    keeps: frozenset[str] = frozenset(CALIBRATION)
    options: Mapping[str, Any] = MappingProxyType({})

    def make(self, folder: Path) -> Path:
        """A small scan of this format in an empty folder; a format that does not write must say how."""
        path = folder / f"scan{self.written_suffix()}"
        write_scan(sample_scan(self.keeps), path, format=self.name)
        return path

    def damaged_file(self, path: Path) -> Path:
        """The file of a scan whose damage is looked at; by default the scan's, in a folder the last one."""
        return path if path.is_file() else max(found for found in path.rglob("*") if found.is_file())

    def written_suffix(self) -> str:
        """The first suffix that is written."""
        return writing_suffixes(SCAN_FORMATS.entry(self.name))[0]

    def read(self, path: Path, **more: Any) -> Scan:
        """What `sinograd.read` gives; what is odd in a sample is no matter here."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ScanWarning)
            return read(path, **self.options, **more)

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """A scan in this format."""
        (tmp_path / "made").mkdir()
        return self.make(tmp_path / "made")

    @pytest.fixture
    def writes(self) -> bool:
        """Skips a test of writing where the format only reads."""
        if not writing_suffixes(SCAN_FORMATS.entry(self.name)):
            pytest.skip(f"{self.name} is only read")
        return True

    def test_the_entry_says_what_it_must(self) -> None:
        """Suffixes in lower case, those that are written among them, and a name for people."""
        entry = SCAN_FORMATS.entry(self.name)
        suffixes = entry.about["suffixes"]
        assert entry.help and isinstance(suffixes, tuple)
        assert all(suffix == suffix.lower() and suffix[:1] in ("", ".") for suffix in suffixes)
        assert set(writing_suffixes(entry)) <= set(suffixes)
        assert entry.about["holds"] == "scan" and entry.about.get("folder", False) in (None, False, True)

    def test_the_content_decides(self, path: Path, tmp_path: Path) -> None:
        """A file of this format matches, one of something else does not, whatever its name."""
        format = SCAN_FORMATS.load(self.name)()
        assert format.matches(path, file_head(path)) is True
        for suffix in SCAN_FORMATS.entry(self.name).about["suffixes"]:
            other = tmp_path / f"other{suffix or '.bin'}"
            for content in (b"\0" * 3000, b"no scan at all\n" * 200, bytes(range(256)) * 8):
                other.write_bytes(content)
                assert not format.matches(other, file_head(other))

    def test_views_are_read_lazily_as_whole(self, path: Path) -> None:
        """Any views are those of the whole scan, also after pickling, as workers of a DataLoader need it."""
        scan = self.read(path)
        whole = scan.load()
        assert tuple(whole.shape) == tuple(scan.geometry.projection_shape)
        last = scan.shape[0] - 1
        for views in (slice(0, 1), slice(1, None, 2), [last, 0], [0, 0, last], slice(0, 0)):
            assert torch.equal(scan.load(views), whole[views]), views
            assert torch.equal(pickle.loads(pickle.dumps(scan)).load(views), whole[views]), views
        part = scan[1::2]
        assert torch.equal(part.load(), whole[1::2]) and part.geometry.equals(scan.geometry[1::2])
        part.validate()

    def test_a_given_geometry_is_taken(self, path: Path) -> None:
        """`read(path, geometry=...)` gives the scan that geometry."""
        scan = self.read(path)
        other = scan.geometry[list(range(len(scan.geometry)))[::-1]]
        assert self.read(path, geometry=other).geometry.equals(other)

    def test_a_truncated_file_is_one_error_that_names_it(self, path: Path) -> None:
        """Cut anywhere; half of a file is never a scan."""
        file = self.damaged_file(path)
        content = file.read_bytes()
        for length in sorted({1, 7, len(content) // 3, len(content) // 2, len(content) - 1}):
            file.write_bytes(content[:length])
            error = self.outcome(path)
            assert error is not None or length > len(content) // 2, f"{length} of {len(content)} bytes were read"

    def test_a_damaged_file_is_one_error_that_names_it(self, path: Path) -> None:
        """Some bytes are others: it is read all the same, or an InputError names file or folder."""
        file = self.damaged_file(path)
        content = file.read_bytes()
        draw = random.Random(0)
        for trial in range(40):
            damaged = bytearray(content)
            for _ in range(1 + trial % 4):
                place = draw.randrange(len(content) if trial % 2 else min(len(content), 1024))
                damaged[place] = draw.randrange(256)
            file.write_bytes(damaged)
            self.outcome(path)

    def outcome(self, path: Path) -> Exception | None:
        """The error of reading a scan to its last number, which must be of bad input and name the path; or None."""
        try:
            scan = self.read(path)
            scan.validate()
            for name in ("reference", "dark"):
                if getattr(scan.calibration, name, None) is not None:
                    scan.calibration.load(name)  # pyright: ignore[reportOptionalMemberAccess]
        except (InputError, OSError) as error:
            assert str(path.parent) in str(error), f"the error names no file: {error}"
            return error
        return None

    def test_round_trip(self, writes: bool, tmp_path: Path) -> None:
        """Counts stay counts; geometry, calibration and the sample's name come back; all views are reported."""
        scan, path = sample_scan(self.keeps), tmp_path / f"out{self.written_suffix()}"
        steps: list[tuple[int, int]] = []
        write_scan(scan, path, format=self.name, progress=lambda done, total: steps.append((done, total)))
        assert steps and steps == sorted(steps) and steps[-1] == (VIEWS, VIEWS)
        assert sorted(tmp_path.iterdir()) == sorted(written_paths(scan, path, self.name))
        again = self.read(path)
        assert again.kind == "counts" and again.load().equal(scan.load())
        assert np.dtype(again.projections.dtype) == np.uint16
        assert again.geometry.vectors.allclose(scan.geometry.vectors, rtol=1e-9, atol=1e-12)
        assert again.metadata["sample"] == "Knöchel"
        assert again.calibration is not None and scan.calibration is not None
        for name in self.keeps:
            one, other = getattr(again.calibration, name), getattr(scan.calibration, name)
            np.testing.assert_allclose(np.asarray(one[:]), np.asarray(other[:]), rtol=1e-12, err_msg=name)

    def test_a_copy_of_a_copy_is_the_same(self, writes: bool, path: Path, tmp_path: Path) -> None:
        """A lazy scan can be written, and its file is read as it is."""
        first, out = self.read(path), tmp_path / f"again{self.written_suffix()}"
        write_scan(first, out, format=self.name)
        second = self.read(out)
        assert second.load().equal(first.load()) and second.kind == first.kind

    def test_nothing_is_replaced_unless_forced(self, writes: bool, path: Path) -> None:
        """An existing scan stays, and is replaced as a whole with `force`."""
        scan = self.read(path)
        short = dataclasses.replace(scan[:3])
        with pytest.raises(FileExistsError, match=path.stem):
            write_scan(short, path, format=self.name)
        assert self.read(path).shape == scan.shape
        kept = dataclasses.replace(short, projections=np.asarray(short.load()).astype(np.uint16), calibration=None)
        write_scan(kept, path, format=self.name, force=True)
        assert self.read(path).shape[0] == 3

    def test_an_interrupt_leaves_nothing(self, writes: bool, tmp_path: Path) -> None:
        """Nothing partial is left where the views cannot be read to their end."""

        class Broken:
            shape, dtype = (VIEWS, ROWS, COLUMNS), np.dtype(np.uint16)

            def __getitem__(self, views: Any) -> np.ndarray:
                raise KeyboardInterrupt

        folder = tmp_path / "out"
        folder.mkdir()
        with pytest.raises(KeyboardInterrupt):
            broken = dataclasses.replace(sample_scan(self.keeps), projections=Broken())
            write_scan(broken, folder / f"scan{self.written_suffix()}", format=self.name)
        assert not list(folder.iterdir())
        shutil.rmtree(folder)
