"""`sg.reconstruct`. Truth: the volume that the command writes, bit for bit, and `sg.fdk`."""

from __future__ import annotations

import dataclasses
import inspect
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import sinograd as sg
from sinograd.choices import ALGORITHMS
from sinograd.workflows import reconstruction
from sinograd.workflows.object_corrections import ObjectCorrections


def same(a: sg.Volume, b: sg.Volume) -> None:
    torch.testing.assert_close(a.values, b.values, rtol=0, atol=0)
    assert a.grid.equals(b.grid) and a.unit == b.unit == "1/mm"


HELICAL = ("helical-fbp", "katsevich")  # whose tests have scans of a helix


@pytest.mark.parametrize("name", ["auto", *(name for name in ALGORITHMS.names() if name not in HELICAL)])
def test_the_same_bits_as_the_command(command: Any, cone: Path, fan: Path, tmp_path: Path, name: str) -> None:
    scan = fan if name == "fbp" else cone
    iterations = {"iterations": 2} if name not in ("auto", "fdk", "fbp") else {}
    more = ("--iterations", 2) if iterations else ()
    command("reconstruct", scan, "-o", tmp_path / "out.h5", "--algorithm", name, *more)
    volume = sg.reconstruct(scan, algorithm=name, **iterations)
    same(volume, sg.read_volume(tmp_path / "out.h5"))
    assert not volume.is_lazy and volume.provenance["command"] == "sinograd reconstruct"


def test_natural_values_and_texts_are_the_same(cone: Path) -> None:
    natural = sg.reconstruct(
        str(cone),
        views=slice(0, 24, 2),
        rows=(2, 18),
        binning=(2, 2),
        shape=(4, 8, 8),
        center_mm=(0, 0.5, -1),
        center=0.5,
        beam_hardening=(1.0, 0.1),
        window="hann",
    )
    texts = sg.reconstruct(
        cone,
        views="0:24:2",
        rows="2:18",
        binning="2,2",
        shape="4,8,8",
        center_mm="0,0.5,-1",
        center="0.5",
        beam_hardening="1,0.1",
        window="hann",
    )
    same(natural, texts)
    assert natural.shape == (4, 8, 8)


def test_a_volume_repeats_the_call_that_made_it(command: Any, cone: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "views": slice(None, None, 2),
        "rows": (2, 18),
        "binning": (1, 2),
        "shape": (4, 8, 8),
        "beam_hardening": (1.0, 0.1),
        "center": 0.25,
        "non_negative": False,
        "cutoff": 0.8,
    }
    made = sg.reconstruct(cone, tmp_path / "made.h5", **options)
    command("reconstruct", cone, "--config", tmp_path / "made.h5", "-o", tmp_path / "again.h5")
    same(made, sg.read_volume(tmp_path / "again.h5"))


def test_a_scan_in_memory(cone: Path) -> None:
    scan = sg.read(cone)
    loaded = dataclasses.replace(scan, projections=scan.load(), file=None)
    before = loaded.load().clone()
    volume = sg.reconstruct(loaded)
    same(volume, sg.reconstruct(cone))
    torch.testing.assert_close(loaded.load(), before, rtol=0, atol=0)
    assert volume.provenance["scan"] == {
        "file": None,
        "metadata": {"sample": "ball"},
        "provenance": dict(scan.provenance),
        "in_memory": True,
    }
    assert "in_memory" not in sg.reconstruct(cone).provenance["scan"]


@pytest.mark.filterwarnings("ignore::sinograd.errors.CenterWarning")  # it is moved on purpose
def test_another_geometry(cone: Path, tmp_path: Path) -> None:
    moved = sg.shift_detector(sg.read(cone).geometry, column=0.75)
    moved.save(tmp_path / "moved.yaml")
    volume = sg.reconstruct(sg.read(cone), geometry=moved)
    same(volume, sg.reconstruct(cone, geometry=tmp_path / "moved.yaml"))
    centred = sg.reconstruct(cone, center=1.0, shape=volume.shape, voxel_mm=volume.spacing[0])
    torch.testing.assert_close(volume.values, centred.values, rtol=1e-4, atol=1e-6)


def test_every_file_is_written(cone: Path, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.{end}" for name, end in (("preview", "png"), ("page", "html"))}
    volume = sg.reconstruct(cone, tmp_path / "out.tif", **files)  # pyright: ignore[reportArgumentType]
    same(volume, sg.read_volume(tmp_path / "out.tif"))
    assert all(path.stat().st_size > 5000 for path in files.values())
    with pytest.raises(sg.errors.ExistingFileError, match="already exists: use `force=True`"):
        sg.reconstruct(cone, tmp_path / "out.tif")
    sg.reconstruct(cone, tmp_path / "out.tif", force=True)


def test_warnings_are_python_warnings_and_recorded(cone: Path) -> None:
    with pytest.warns(sg.errors.GridWarning, match="lies outside the field of view") as caught:
        volume = sg.reconstruct(cone, center_mm=(0, 0, 500))
    assert volume.provenance["warnings"] == [str(warning.message) for warning in caught]


class Notes:
    """A report that keeps what it is told."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int, str]] = []
        self.last: dict[str, tuple[int, int]] = {}
        self.warnings: list[str] = []

    def stage(self, name: str, total: int, unit: str = "views") -> Any:
        self.stages.append((name, total, unit))
        return lambda done, total, note="": self.last.update({name: (done, total)})

    def warning(self, text: str) -> None:
        self.warnings.append(text)


def test_a_report_of_ones_own(cone: Path) -> None:
    notes = Notes()
    with pytest.warns(sg.errors.GridWarning):
        sg.reconstruct(cone, center_mm=(0, 0, 500), report=notes)
    assert notes.stages == [("reading", 24, "views"), ("reconstructing", 24, "views"), ("writing", 0, "views")]
    assert notes.last["reconstructing"] == (24, 24) and len(notes.warnings) == 1
    with pytest.raises(TypeError, match="`report`: expected"):
        sg.reconstruct(cone, report="loud")


def test_an_interrupt_is_resumed(cone: Path, tmp_path: Path) -> None:
    class Interrupting(Notes):
        def stage(self, name: str, total: int, unit: str = "views") -> Any:
            return lambda done, total, note="": os.kill(os.getpid(), signal.SIGINT) if done == 3 else None

    options: dict[str, Any] = {"algorithm": "sirt", "iterations": 5}
    with pytest.raises(sg.errors.Stopped, match=r"`resume=True` goes on from there") as raised:
        sg.reconstruct(cone, tmp_path / "out.h5", report=Interrupting(), **options)
    assert raised.value.stage.startswith("while iterating, after 3 of 5 iterations")
    assert not (tmp_path / "out.h5").exists()
    resumed = sg.reconstruct(cone, tmp_path / "out.h5", resume=True, **options)
    assert resumed.provenance["details"].startswith("5 iterations")
    with pytest.raises(sg.errors.Stopped, match="nothing was kept"):
        sg.reconstruct(sg.read(cone), report=Interrupting(), **options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"window": "box"}, ValueError, "`window` must be one of ram-lak, .*, got 'box'"),
        ({"algorithm": "magic"}, ValueError, "`algorithm` must be one of auto, fdk, .*, got 'magic'"),
        ({"truncation": "yes"}, ValueError, "`truncation` must be one of none, ellipse, got 'yes'"),
        ({"shape": (4, 4.5, 4)}, ValueError, "`shape`: expected whole numbers with commas between them"),
        ({"shape": "4,x"}, ValueError, "`shape`: expected numbers with commas between them, got '4,x'"),
        ({"shape": (4, 4)}, ValueError, "`shape` must have 3 numbers for this scan, got 2"),
        ({"views": "1"}, ValueError, "`views`: expected FIRST:END"),
        ({"views": slice(30, None)}, ValueError, "`views`: no view of .* is chosen"),
        ({"rows": (1, 2, 3)}, ValueError, "`rows`: expected FIRST:END, two whole numbers"),
        ({"binning": (1, 2, 3)}, ValueError, "`binning`: expected N or ROWS,COLUMNS"),
        (
            {"center": "middle"},
            ValueError,
            "`center`: expected file, auto, a number of pixels or column:NUMBER .*, got 'middle'",
        ),
        ({"cutoff": 1.5}, ValueError, "`cutoff` must be from 0 to 1, got 1.5"),
        ({"iterations": 3}, ValueError, r"`iterations` is for iterative algorithms \(sirt, "),
        ({"device": "gpu"}, ValueError, "`device='gpu'`: expected cpu, cuda or cuda:1"),
        ({"resume": True}, ValueError, "`resume` needs a scan file and an `output`"),
        ({"center_picture": "c.png"}, ValueError, "`center_picture` shows the search of `center='auto'`"),
        ({"page_3d": True}, ValueError, "`page_3d` is for a page: give `page`"),
        ({"scan": 3}, TypeError, "`scan`: expected a file, a folder or a Scan, got a int"),
        ({"scan": "none.h5"}, FileNotFoundError, "none.h5 does not exist"),
    ],
)
def test_bad_input(
    cone: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """One error of the family, before anything is prepared."""
    monkeypatch.setattr("sinograd.workflows.pipeline._prepare", lambda *_: pytest.fail("prepared"))
    with pytest.raises(error, match=message) as raised:
        sg.reconstruct(**{"scan": cone, **options})
    assert isinstance(raised.value, sg.SinogradError)


def test_the_scan_is_never_replaced(cone: Path) -> None:
    for scan in (cone, sg.read(cone)):
        with pytest.raises(ValueError, match="`output` is the scan itself"):
            sg.reconstruct(scan, cone, force=True)


def test_defaults_of_preparation_are_those_of_its_class() -> None:
    parameters = inspect.signature(sg.reconstruct).parameters
    for field in dataclasses.fields(sg.Preparation):
        assert parameters[field.name].default == field.default, field.name


def test_a_request_has_every_argument() -> None:
    """So that none is forgotten on the way; `report` is of the call alone."""
    names = set(inspect.signature(sg.reconstruct).parameters) - {"report"}
    preparation = {field.name for field in dataclasses.fields(sg.Preparation)}
    corrections = {field.name for field in dataclasses.fields(ObjectCorrections)} | {"filter"}
    held = {"preparation", "corrections", "options"}
    request = {field.name for field in dataclasses.fields(reconstruction.Request)} - held
    assert names == request | preparation | corrections


def test_what_a_dry_run_prices_depends_on_the_algorithm(command: Any, cone: Path, tmp_path: Path) -> None:
    from sinograd.workflows.estimate import estimate

    scan = sg.read(cone)
    assert scan.grid is not None
    costs = {name: estimate(scan, scan.geometry, scan.grid, name) for name in ("cgls", "fista-tv")}
    few, many = (ALGORITHMS.entry(name).about for name in ("cgls", "fista-tv"))
    more = (many["images"] + 3 * many["images_per_axis"] - few["images"]) * 4 * 20 * 18 * 18
    more += (many["projections"] - few["projections"]) * 4 * 24 * 20 * 24
    assert costs["fista-tv"].memory - costs["cgls"].memory == more > 0
    long = estimate(scan, scan.geometry, scan.grid, "cgls", 10_000)
    assert long.reconstruct_seconds > costs["cgls"].reconstruct_seconds
    plan = ("reconstruct", cone, "-o", tmp_path / "o.h5", "--algorithm", "sirt", "--iterations", 100000, "--dry-run")
    assert "about" in command(*plan).stdout


def test_another_direct_algorithm(cone: Path) -> None:
    def halved(projections: torch.Tensor, geometry: Any, grid: sg.Grid, *, window: str, cutoff: float) -> torch.Tensor:
        return sg.fdk(projections, geometry, grid, window=window, cutoff=cutoff) / 2

    ALGORITHMS.add("halved", halved)
    try:
        volume = sg.reconstruct(cone, algorithm="halved", window="hann")
        torch.testing.assert_close(2 * volume.values, sg.reconstruct(cone, window="hann").values, rtol=0, atol=0)
        assert volume.provenance["algorithm"] == "HALVED"
    finally:
        ALGORITHMS.remove("halved")
