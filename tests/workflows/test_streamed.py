"""Volumes that are written slab by slab: the bits of `sg.fdk` of everything, whatever the memory and interruptions."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.errors import ExistingFileError, InputError
from sinograd.recon.analytic import view_filter
from sinograd.workflows import schedule, slab_job, streamed
from sinograd.workflows.manifest import Manifest
from sinograd.workflows.memory_budget import memory_bytes

VIEWS, ROWS, COLUMNS = 380, 60, 64
SMALL, MEDIUM = "2.6MB", "4.8MB"  # of 25 MB that everything takes at once: some slabs, few slabs


def geometry() -> sg.ConeBeam:
    return sg.ConeBeam.circular(
        source_to_origin=60,
        source_to_detector=90,
        angles=sg.full_scan(VIEWS),
        detector=sg.FlatDetector((ROWS, COLUMNS), 0.4),
    )


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor]:
    """A scan of line integrals, 380 views of noise, and its volume by `fdk` at once."""
    path = tmp_path_factory.mktemp("lines") / "scan.npy"
    projections = torch.from_numpy(np.random.default_rng(1).normal(0.5, 0.2, (VIEWS, ROWS, COLUMNS)).astype(np.float32))
    sg.write_scan(sg.Scan(projections, geometry()), path)
    return path, sg.fdk(projections, sg.read(path).geometry)  # angles in degrees are rounded


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan of counts with references, shifts, a dead pixel and a view without light."""
    generator = np.random.default_rng(2)
    reference = generator.integers(9000, 11000, (3, ROWS, COLUMNS)).astype(np.uint16)
    values = (reference.mean(0) * generator.uniform(0.3, 1.0, (VIEWS, ROWS, COLUMNS))).astype(np.uint16)
    values[:, 3, 5], reference[:, 3, 5], values[20] = 0, 0, 0
    calibration = sg.Calibration(reference=reference, shifts=generator.uniform(-1, 1, (VIEWS, 2)))
    path = tmp_path_factory.mktemp("counts") / "scan.h5"
    sg.write_scan(sg.Scan(values, geometry(), kind="counts", calibration=calibration), path)
    return path


pytestmark = [
    pytest.mark.filterwarnings("ignore::sinograd.errors.PreparationWarning"),
    pytest.mark.filterwarnings("ignore::sinograd.errors.CoverageWarning"),
]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preparation is planned as if its blocks were small: these scans are smaller than one."""
    monkeypatch.setattr(schedule, "BLOCK", 1 << 16)
    monkeypatch.setattr(view_filter, "STRIP_BYTES", 1 << 16)


@pytest.mark.parametrize("name", ["v.h5", "v.tif", "v.npy", "v.raw", "v.zarr", "v"])
def test_every_format_gets_the_bits_of_the_whole(tmp_path: Path, lines: tuple[Path, torch.Tensor], name: str) -> None:
    if name.endswith(".zarr"):
        pytest.importorskip("zarr")
    volume = sg.reconstruct(lines[0], tmp_path / name, memory=MEDIUM)
    assert volume.is_lazy and torch.equal(volume.values, lines[1])
    assert not Manifest(tmp_path / name).folder.exists()
    assert torch.equal(sg.read_volume(tmp_path / name).values, lines[1])


@pytest.mark.parametrize("memory", [SMALL, MEDIUM, "1GB", None])
def test_any_budget_gives_the_same_bits(
    tmp_path: Path, lines: tuple[Path, torch.Tensor], memory: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = watched_parts(monkeypatch)
    volume = sg.reconstruct(lines[0], tmp_path / "v.h5", memory=memory, dtype="float32")
    assert torch.equal(volume.values, lines[1])
    assert (len(parts) > 2) == (memory == SMALL) and (len(parts) == 1) == (memory in ("1GB", None))
    unit = volume.provenance["unit_slices"]
    expected = [slab_job.checksum(lines[1][i : i + unit].numpy()) for i in range(0, len(lines[1]), unit)]
    assert volume.provenance["checksums"] == expected


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rings": True, "center": "auto", "mask": True, "unit": "HU", "water": 0.02},
        {"binning": 2, "views": "0:300"},
        {"rows": (5, 50), "columns": (2, 60), "air": (2, 6), "center": 1.5, "truncation": "ellipse"},
    ],
)
@pytest.mark.filterwarnings("ignore::sinograd.errors.SinogradWarning")
def test_prepared_scans_have_the_bits_of_memory(tmp_path: Path, counts: Path, options: dict[str, Any]) -> None:
    whole = sg.reconstruct(counts, tmp_path / "whole.h5", **options)
    volume = sg.reconstruct(counts, tmp_path / "v.h5", memory=MEDIUM, scratch=tmp_path / "scratch", **options)
    assert not whole.is_lazy and volume.is_lazy
    assert torch.equal(volume.values, whole.values) and volume.grid.equals(whole.grid) and volume.unit == whole.unit
    for name in ("algorithm", "details", "preparation", "warnings", "geometry", "options"):
        assert volume.provenance[name] == whole.provenance[name], name
    assert volume.provenance.get("center") == whole.provenance.get("center")
    assert not list(tmp_path.glob("scratch/*"))


def test_an_interrupted_run_goes_on(
    tmp_path: Path, lines: tuple[Path, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "v.h5"
    with dying(after=2), pytest.raises(RuntimeError, match="power cut"):
        sg.reconstruct(lines[0], output, memory=SMALL)
    assert not output.exists()
    done = Manifest(output).parts()
    with pytest.raises(ExistingFileError, match="holds an interrupted run: `resume=True` goes on"):
        sg.reconstruct(lines[0], output, memory=SMALL)
    with pytest.raises(InputError, match=r"made from another scan, .*\(different: options `window`\); `force=True`"):
        sg.reconstruct(lines[0], output, memory=SMALL, window="hann", resume=True)
    with pytest.raises(InputError, match=r"`part`: .* \(different: options `window`\); remove it to start again"):
        sg.reconstruct(lines[0], output, memory=SMALL, window="hann", part="1/2", force=True)
    parts = watched_parts(monkeypatch)
    volume = sg.reconstruct(lines[0], output, memory=MEDIUM, resume=True)
    assert torch.equal(volume.values, lines[1])
    assert len(done) == 2 and min(first for first, _ in parts) == done[-1]["end"]


def test_an_interrupted_preparation_starts_again(tmp_path: Path, counts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "v.h5"
    with monkeypatch.context() as patch:
        patch.setattr(streamed, "of_scan", failing)
        with pytest.raises(RuntimeError, match="power cut"):
            sg.reconstruct(counts, output, memory=MEDIUM, resume=True)
    volume = sg.reconstruct(counts, output, memory=MEDIUM, resume=True)
    assert torch.equal(volume.values, sg.reconstruct(counts, tmp_path / "w.h5").values)


@pytest.mark.filterwarnings("ignore::sinograd.errors.SinogradWarning")
def test_prepared_blocks_are_found_again(tmp_path: Path, counts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "v.zarr"
    pytest.importorskip("zarr")
    with dying(after=1), pytest.raises(RuntimeError, match="power cut"):
        sg.reconstruct(counts, output, memory="5.5MB", center="auto")
    assert (tmp_path / "v.zarr.partial" / "prepared.zarr" / "zarr.json").exists()
    monkeypatch.setattr("sinograd.preparation.prepare", failing)
    volume = sg.reconstruct(counts, output, memory="5.5MB", center="auto", resume=True)
    monkeypatch.undo()
    whole = sg.reconstruct(counts, tmp_path / "w.h5", center="auto")
    assert torch.equal(volume.values, whole.values)
    assert volume.provenance["warnings"] == whole.provenance["warnings"]
    assert volume.provenance["center"] == whole.provenance["center"]


@pytest.mark.parametrize("count", [2, 3, 40])
def test_parts_of_a_job_array(tmp_path: Path, lines: tuple[Path, torch.Tensor], count: int) -> None:
    output = tmp_path / "v.raw"
    order = [*range(2, count + 1), 1]
    for number in order:  # of 4 units of slices: others of 40 parts have none
        assert not output.exists() or count == 40
        volume = sg.reconstruct(lines[0], output, part=f"{number}/{count}", memory=MEDIUM)
    assert torch.equal(volume.values, lines[1])
    assert not Manifest(output).folder.exists()


def test_two_runs_do_not_meet(tmp_path: Path, lines: tuple[Path, torch.Tensor]) -> None:
    output = tmp_path / "v.h5"
    code = f"""
import time
from pathlib import Path
from sinograd.workflows.manifest import Manifest
with Manifest(Path({str(output)!r})).running():
    print("in", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None and other.stdout.readline() == b"in\n"
            with pytest.raises(InputError, match=r"another run is writing .*v\.h5"):
                sg.reconstruct(lines[0], output, memory=MEDIUM)
            with pytest.raises(InputError, match="another run is writing"):
                sg.reconstruct(lines[0], output, memory=MEDIUM, part=(1, 2))
        finally:
            other.kill()
    assert torch.equal(sg.reconstruct(lines[0], output, memory=MEDIUM).values, lines[1])


@pytest.mark.parametrize("dtype", ["uint16", "uint8"])
def test_whole_numbers_in_a_range(tmp_path: Path, lines: tuple[Path, torch.Tensor], dtype: str) -> None:
    low, high = -0.02, 0.05
    volume = sg.reconstruct(lines[0], tmp_path / "v.tif", dtype=dtype, range=(low, high), memory=MEDIUM)
    most = np.iinfo(dtype).max
    exact = lines[1].double().numpy()
    stored = np.clip(np.rint((exact - low) / (high - low) * most), 0, most)
    np.testing.assert_allclose(volume.values.numpy(), stored / most * (high - low) + low, atol=1e-6)
    clipped = int(((exact < low) | (exact > high)).sum())
    assert clipped > 100 and volume.provenance["scaling"] == {
        "low": low,
        "high": high,
        "dtype": dtype,
        "clipped": clipped,
    }


def test_a_range_is_found_once(tmp_path: Path, lines: tuple[Path, torch.Tensor]) -> None:
    volumes = [
        sg.reconstruct(lines[0], tmp_path / name, dtype="uint16", memory=memory)
        for name, memory in (("a.h5", SMALL), ("b.h5", "1GB"))
    ]
    assert volumes[0].provenance["scaling"] == volumes[1].provenance["scaling"]
    assert torch.equal(volumes[0].values, volumes[1].values)
    low, high = (volumes[0].provenance["scaling"][name] for name in ("low", "high"))
    assert low < float(lines[1].quantile(0.1)) and high > float(lines[1].quantile(0.9))


def test_a_range_alone_means_16_bit(tmp_path: Path, lines: tuple[Path, torch.Tensor]) -> None:
    sg.reconstruct(lines[0], tmp_path / "v.npy", range="-2,2", memory=MEDIUM)
    assert np.load(tmp_path / "v.npy").dtype == np.uint16


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"memory": "100kB"}, r"`memory`: .* are too few: .* slices of .* voxels, which are written together, .* take"),
        ({"memory": "lots"}, r"`memory`: expected a size such as 4GB"),
        ({"memory": "0GB"}, r"`memory`: expected a size"),
        ({"range": "3,1"}, r"`range`: expected LOW,HIGH, two growing numbers"),
        ({"range": "1,2", "dtype": "float32"}, r"`range` is for whole numbers"),
        ({"dtype": "int8"}, r"`dtype` must be one of"),
        ({"part": "3/2"}, r"`part`: expected K/N with K from 1 to N"),
        ({"part": "0/2"}, r"`part`: expected K/N"),
        ({"cluster": "x"}, r"`cluster`: expected local:N, tcp://HOST:PORT or a .yaml file, got 'x'"),
        ({"cluster": "local:0"}, r"`cluster`: expected local:N with N workers, got 'local:0'"),
        ({"cluster": "queue.yaml"}, r"`cluster`: no file of a queue at queue.yaml"),
        ({"part": "1/2", "cluster": "local:2"}, r"one of them says who computes"),
        ({"dtype": "uint16", "algorithm": "helical-fbp"}, r"`dtype`: FDK, filtered backprojection and sinograd's"),
        ({"dtype": "uint16", "slice_mm": 0.8}, r"`dtype`: slices of `slice_mm`"),
    ],
)
def test_bad_input(tmp_path: Path, lines: tuple[Path, torch.Tensor], arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(sg.errors.SinogradError, match=words):
        sg.reconstruct(lines[0], tmp_path / "v.h5", **arguments)
    assert not (tmp_path / "v.h5").exists() and not Manifest(tmp_path / "v.h5").folder.exists()


@pytest.mark.parametrize(
    "algorithm, memory", [("fdk", "3"), ("fdk", "100kB"), ("fdk", "1MB"), ("sirt", "3"), ("sirt", "100kB")]
)
def test_the_memory_that_an_error_names_is_enough(
    tmp_path: Path, lines: tuple[Path, torch.Tensor], memory: str, algorithm: str
) -> None:
    """At once: of all steps the one that takes most is named. Without an output, too, that slabs need."""
    arguments = {"algorithm": algorithm, "iterations": 1 if algorithm == "sirt" else None}
    with pytest.raises(InputError, match=r"are too few: .* take [\d.]+ [kMG]B$") as first:
        sg.reconstruct(lines[0], tmp_path / "v.h5", memory=memory, **arguments)
    assert "3 bytes are too few" in str(first.value) or memory != "3"
    enough = str(first.value).rpartition(" take ")[2]
    with pytest.raises(sg.errors.OutOfMemory, match=rf"give `output`; slabs take {re.escape(enough)}$"):
        sg.reconstruct(lines[0], memory=memory, **arguments)
    sg.reconstruct(lines[0], tmp_path / "v.h5", memory=enough, **arguments)
    assert (tmp_path / "v.h5").exists()


def test_a_format_without_slabs_says_which_have_them(tmp_path: Path, lines: tuple[Path, torch.Tensor]) -> None:
    with pytest.raises(
        InputError, match=r"v\.mrc is of a format that is written at once; slabs are written to h5, tif"
    ):
        sg.reconstruct(lines[0], tmp_path / "v.mrc", part="1/2")
    with pytest.raises(sg.errors.OutOfMemory, match=r"`memory`: about .* are needed, 2\.6 MB may be used"):
        sg.reconstruct(lines[0], tmp_path / "v.mrc", memory=SMALL)


def test_a_disk_without_room_is_known_before(tmp_path: Path, counts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [1 << 20]
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(total=1 << 40, used=0, free=free[0]))
    monkeypatch.setattr("sinograd.preparation.prepare", failing)
    with pytest.raises(sg.errors.FileError, match=r"not enough free disk space, .* bytes needed"):
        sg.reconstruct(counts, tmp_path / "v.h5", memory=MEDIUM)
    free[0] = 3 << 20  # enough for the volume, not for prepared projections beside it
    with pytest.raises(InputError, match="`output`: not enough free disk space in"):
        sg.reconstruct(counts, tmp_path / "v.h5", memory=MEDIUM)


@pytest.mark.parametrize(
    "text, size", [("4GB", 4 * 10**9), ("1.5 gb", 15 * 10**8), ("2GiB", 2 << 30), ("7", 7), (9, 9)]
)
def test_sizes(text: Any, size: int) -> None:
    assert memory_bytes(text) == size


def test_a_killed_run_goes_on(tmp_path: Path, lines: tuple[Path, torch.Tensor]) -> None:
    """SIGKILL in the middle of writing a part: the rest is done, with the same bits."""
    output = tmp_path / "v.h5"
    for after in (1, 2):
        resume = output.with_name("v.h5.partial").exists()
        code = f"""
import os, signal
import sinograd as sg
from sinograd.recon.analytic import view_filter
from sinograd.workflows.slab_job import SlabJob
view_filter.STRIP_BYTES = 1 << 16
write, left = SlabJob.write, [{after}]
def killed(self, part, volume, seconds):
    left[0] -= 1
    if left[0] < 0:
        self.output.sink.write(part.slab.first, volume.numpy()[: self.output.sink.unit] + 1)
        os.kill(os.getpid(), signal.SIGKILL)
    return write(self, part, volume, seconds)
SlabJob.write = killed
sg.reconstruct({str(lines[0])!r}, {str(output)!r}, memory={SMALL!r}, resume={resume})
"""
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert result.returncode == -9, result.stderr
    parts = [json.loads(path.read_text()) for path in (tmp_path / "v.h5.partial" / "parts").iterdir()]
    assert len(parts) == 3
    volume = sg.reconstruct(lines[0], output, memory=SMALL, resume=True)
    assert torch.equal(volume.values, lines[1])


@pytest.mark.parametrize("name", ["v.h5", "v.zarr"])
def test_memory_stays_within_the_budget(tmp_path: Path, name: str) -> None:
    """A volume of 28 MB from projections of 57 MB under 50 MB: what the process takes beside its idle state."""
    if name.endswith(".zarr"):
        pytest.importorskip("zarr")
    code = f"""
from pathlib import Path
import numpy as np, torch
import sinograd as sg
def run(n, views, memory):
    geometry = sg.ConeBeam.circular(source_to_origin=80, source_to_detector=120, angles=sg.full_scan(views),
                                    detector=sg.FlatDetector((n, n), 30 / n))
    path = {str(tmp_path)!r} + f"/{{n}}.npy"
    sg.write_scan(sg.Scan(sg.shepp_logan_3d(radius=8).project(geometry), geometry), path)
    return sg.reconstruct(path, {str(tmp_path)!r} + f"/{{n}}{name}", memory=memory), path
def peak(reset=False):
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM")) << 10
torch.set_num_threads(1)
run(192, 8, "50MB"); run(16, 388, "50MB")
geometry = sg.ConeBeam.circular(source_to_origin=80, source_to_detector=120, angles=sg.full_scan(388),
                                detector=sg.FlatDetector((192, 192), 30 / 192))
sg.write_scan(sg.Scan(sg.shepp_logan_3d(radius=8).project(geometry), geometry), {str(tmp_path / "big.npy")!r})
import ctypes, gc
gc.collect(); ctypes.CDLL("libc.so.6").malloc_trim(0)
idle = peak(reset=True)
volume = sg.reconstruct({str(tmp_path / "big.npy")!r}, {str(tmp_path / name)!r}, memory="50MB")
print((peak() - idle) / 1e6, len(volume.provenance["checksums"]))
"""
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    taken, _ = map(float, result.stdout.split()[-2:])
    assert 10 < taken < 60, result.stdout  # a fifth for what the allocator keeps


def watched_parts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The slices of the parts that are computed."""
    parts: list[tuple[int, int]] = []
    original = slab_job.SlabJob.compute

    def compute(self: Any, part: Any, progress: Any = None) -> torch.Tensor:
        parts.append((part.slab.first, part.slab.last))
        return original(self, part, progress)

    monkeypatch.setattr(slab_job.SlabJob, "compute", compute)
    return parts


def failing(*_: Any, **__: Any) -> Any:
    raise RuntimeError("power cut")


@contextmanager
def dying(after: int) -> Iterator[None]:
    """Inside, writing fails after some parts."""
    original, left = slab_job.SlabJob.write, [after]

    def write(self: Any, part: Any, volume: Any, seconds: float) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("power cut")
        return original(self, part, volume, seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slab_job.SlabJob, "write", write)
        yield
