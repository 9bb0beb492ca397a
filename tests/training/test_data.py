"""What is trained on. Truth: the volumes and scans that were written."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import sinograd as sg
from sinograd.data import Scan
from sinograd.io import write_scan, write_volume
from sinograd.training import ConfigError, ScanStack, Stack, TrainingData, load_data
from sinograd.training.build import resolve
from sinograd.training.config import as_config
from sinograd.training.random_streams import stack_of_step
from sinograd.training.samples import typical_size

GRID = sg.Grid((6, 7, 8), (2.0, 1.0, 1.0), (1.0, 2.0, 3.0))


def config(folder: Path, entry: dict[str, Any], **more: Any) -> Any:
    files = {key: str(folder / value) if key in ("input", "target") else value for key, value in entry.items()}
    return as_config({"data": {"training": [files]}, **more})


def test_regions_of_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noisy, clean = torch.rand(2, *GRID.shape)
    write_volume(noisy, tmp_path / "noisy.npy", GRID)
    write_volume(clean, tmp_path / "clean.tif", GRID)
    entry = {"input": "noisy.npy", "target": "clean.tif", "region": {"z": [1, 4], "x": [5, 8]}}
    monkeypatch.setattr("sinograd.training.data.read_volume", None)  # the other slices are not read
    stack = load_data(config(tmp_path, entry)).training[0]
    assert isinstance(stack, Stack) and stack.target is not None
    assert torch.equal(stack.input, noisy[1:4, :, 5:8]) and torch.equal(stack.target, clean[1:4, :, 5:8])
    assert stack.spacing == (2.0, 1.0, 1.0)
    assert stack.input.untyped_storage().nbytes() == stack.input.nbytes  # the rest of the file is let go


def test_regions_of_scans(tmp_path: Path) -> None:
    """The part of the grid lies where it lay in the whole, and its reconstruction is that part of the whole's."""
    geometry = sg.ConeBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=sg.full_scan(12), detector=sg.FlatDetector((40, 30), 1.0)
    )
    projections = torch.rand(geometry.projection_shape)
    write_scan(Scan(projections, geometry), tmp_path / "scan.h5")
    whole = sg.fdk(projections, geometry, GRID)
    write_volume(whole, tmp_path / "normal.h5", GRID)
    entry = {"input": "scan.h5", "target": "normal.h5", "region": {"z": [1, 3], "y": [2, 7]}}
    task, model = {"name": "dual-domain", "row_margin": 1}, {"name": "dual-domain-bilateral"}
    stack = load_data(config(tmp_path, entry, task=task, model=model)).training[0]
    assert isinstance(stack, ScanStack)
    assert stack.geometry.rows < 20
    torch.testing.assert_close(stack.target, whole[1:3, 2:7], rtol=0, atol=0)
    again = sg.fdk(stack.projections, stack.geometry, stack.grid)
    torch.testing.assert_close(again, whole[1:3, 2:7], rtol=0, atol=1e-6)
    # the same from memory
    inside = ScanStack(projections, geometry, stack.grid, stack.target).needed_part(1)
    assert torch.equal(inside.projections, stack.projections) and inside.geometry.equals(stack.geometry)


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    write_volume(torch.rand(6, 7, 8), tmp_path / "a.h5", GRID)
    write_volume(torch.rand(6, 7, 8), tmp_path / "b.h5", sg.Grid((6, 7, 8), 1.0))
    write_volume(torch.rand(7, 8), tmp_path / "image.h5", sg.Grid((7, 8), 1.0))
    counts = Scan(torch.rand(4, 5, 6), sg.ParallelBeam(sg.full_scan(4), sg.FlatDetector((5, 6), 1.0)))
    write_scan(counts, tmp_path / "scan.h5")
    dual = {"task": {"name": "dual-domain"}, "model": {"name": "dual-domain-bilateral"}}
    cases: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({"input": "a.h5", "target": "b.h5"}, {}, "b.h5 is on Grid"),
        ({"input": "a.h5", "target": "a.h5", "region": {"y": [0, 8]}}, {}, "region.y: expected an end of at most 7"),
        ({"input": "image.h5", "target": "image.h5", "region": {"z": [0, 1]}}, {}, "is an image and has no z"),
        ({"input": "scan.h5", "target": "a.h5"}, {}, "is not a volume"),
        ({"input": "a.h5", "target": "a.h5"}, dual, "is a volume, not a scan"),
        ({"input": "scan.h5", "target": "image.h5"}, dual, "is a 3-D scan"),
    ]
    for entry, more, words in cases:
        with pytest.raises(ValueError, match=re.escape(words)):
            load_data(config(tmp_path, entry, **more))
    with pytest.raises(ConfigError, match="data: missing"):
        load_data(as_config({}))


def test_tensors_that_do_not_fit() -> None:
    supervised, flat = as_config({}), as_config({"model": {"name": "bilateral", "dimensions": 2}})
    good = Stack(torch.rand(3, 4, 5), torch.rand(3, 4, 5), "one")
    TrainingData([good]).check(supervised)
    TrainingData([Stack(torch.rand(4, 5), torch.rand(4, 5))]).check(flat)
    cases: list[tuple[Any, type[Exception], str]] = [
        ([], ValueError, "data.training: expected at least one stack, got none"),
        ([good.input], TypeError, "the task supervised takes a Stack, got a Tensor"),
        ([dataclasses.replace(good, target=None)], ValueError, "one: the task supervised needs a target"),
        (
            [dataclasses.replace(good, target=torch.rand(3, 4, 6))],
            ValueError,
            "one: target [3, 4, 6] does not match in",
        ),
        (
            [dataclasses.replace(good, input=torch.ones(3, 4, 5).int())],
            TypeError,
            "expected a float32 or float64",
        ),
        (
            [Stack(torch.rand(4, 5), torch.rand(4, 5))],
            ConfigError,
            "model.dimensions: 3 does not fit stack",
        ),
    ]
    for training, kind, words in cases:
        with pytest.raises(kind, match=re.escape(words)):
            TrainingData(training).check(supervised)


def test_scales() -> None:
    """99.9 % of the absolute values lie below it; targets before inputs; what is given stays."""
    values = torch.linspace(-1, 1, 100_001)
    assert typical_size([values]) == pytest.approx(0.999, abs=1e-3)
    assert typical_size([torch.cat([torch.zeros(10_000), torch.ones(1)])]) == 1.0
    with pytest.raises(ValueError, match="all values are zero"):
        typical_size([torch.zeros(5)])
    data = TrainingData([Stack(torch.full((3, 4, 5), 2.0), torch.full((3, 4, 5), 3.0))])
    assert resolve(as_config({}), data).model.input_scale == 3.0  # type: ignore[union-attr]
    given = as_config({"model": {"name": "bilateral", "input_scale": 7.0}})
    assert resolve(given, data).model.input_scale == 7.0  # type: ignore[union-attr]
    rates = resolve(as_config({"optimizer": {"learning_rates": {"range": 0.1}}}), data).optimizer.learning_rates
    assert rates == {"spatial": 0.01, "range": 0.1}


def test_every_stack_has_its_turn() -> None:
    for seed in (0, 1):
        turns = [stack_of_step(seed, step, 4) for step in range(40)]
        assert all(sorted(turns[start : start + 4]) == [0, 1, 2, 3] for start in range(0, 40, 4))
        assert len({tuple(turns[start : start + 4]) for start in range(0, 40, 4)}) > 3
    assert [stack_of_step(0, step, 1) for step in range(3)] == [0, 0, 0]
