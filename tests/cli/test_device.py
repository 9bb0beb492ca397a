"""`sinograd reconstruct --device`. A small budget on the CPU stands for a small card. Truth: the run without."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from sinograd.io import read_volume
from sinograd.ops import InSlabs, slab_plan
from sinograd.recon import FilteredBackprojection
from sinograd.workflows import analytic as filtering
from sinograd.workflows import iterative as iterating

MEMORY = 30_000


@pytest.fixture
def small_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--device cuda` computes on the CPU, in slabs."""
    monkeypatch.setattr("sinograd.ops.devices.compute_device", lambda device, kernels=True: torch.device("cpu"))
    original = FilteredBackprojection.on
    monkeypatch.setattr(FilteredBackprojection, "on", lambda self, device: original(self, device, MEMORY))
    monkeypatch.setattr(filtering, "_parts", lambda where, whole: whole.parts(MEMORY, element=4, on_gpu=False))


def run(sinograd: Any, scan: Path, output: Path, *more: object) -> torch.Tensor:
    result = sinograd("reconstruct", scan, "-o", output, *more)
    assert result.exit_code == 0, result.output
    return read_volume(output).values


@pytest.mark.usefixtures("small_card")
def test_slabs(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    run(sinograd, scan_file, tmp_path / "slabs.h5", "--device", "cuda", "--window", "hann")
    provenance = read_volume(tmp_path / "slabs.h5").provenance
    assert provenance["details"].endswith("slabs") and ", on cuda in " in provenance["details"]
    assert "device" not in provenance["options"]  # the volume can be repeated elsewhere


def test_slabs_give_the_same(sinograd: Any, scan_file: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    expected = run(sinograd, scan_file, tmp_path / "whole.h5")
    request.getfixturevalue("small_card")
    volume = run(sinograd, scan_file, tmp_path / "slabs.h5", "--device", "cuda:0")
    assert (volume - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.usefixtures("small_card")
def test_slabs_that_are_interrupted_leave_nothing(
    sinograd: Any, scan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sinograd.workflows.report import Position as Progress

    advance = Progress._advance

    def watched(self: Progress, done: int, total: int, note: str = "") -> None:
        advance(self, done, total, note)
        if self._stage == "reconstructing":
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Progress, "_advance", watched)
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--device", "cuda")
    assert result.exit_code == 130 and "no partial out.h5 was left" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["scan.h5"]
    resumed = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--device", "cuda", "--resume")
    assert resumed.exit_code == 2 and "slabs on cuda, and those of an interrupted run are not kept" in resumed.stderr


def test_iterations_in_slabs(sinograd: Any, scan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the images do not fit, the operator computes slab by slab."""
    options = ("--algorithm", "cgls", "--iterations", 2)
    expected = run(sinograd, scan_file, tmp_path / "whole.h5", *options)
    made: list[object] = []

    def in_slabs(request: Any, operator: Any, projections: torch.Tensor, start: Any) -> Any:
        class Card:
            type = "cuda"

        with monkeypatch.context() as patch:
            patch.setattr(iterating, "chosen_device", lambda name: Card())
            patch.setattr(slab_plan, "memory_of", lambda device, memory: MEMORY)
            patch.setattr("sinograd.ops.InSlabs", lambda operator, device: InSlabs(operator, "cpu", memory=100_000))
            found, *rest = placed(request, operator, projections, start)
        made.append(found)
        assert rest[0] is projections
        return found, *rest

    placed = iterating._placed
    monkeypatch.setattr(iterating, "_placed", in_slabs)
    volume = run(sinograd, scan_file, tmp_path / "slabs.h5", *options)
    assert isinstance(made[0], InSlabs)
    assert (volume - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--algorithm", "sirt")])
def test_no_gpu(
    more: tuple[str, ...], sinograd: Any, scan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line with the remedy, before anything is read."""
    monkeypatch.setattr("sinograd.io.read", lambda *_, **__: pytest.fail("read"))
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--device", "cuda", *more)
    assert result.exit_code == 2 and len(result.stderr.strip().splitlines()) == 1
    assert "--device cuda: expected one that is here, got 'cuda', and torch sees no GPU: " in result.stderr


def test_an_unknown_device(sinograd: Any, scan_file: Path, tmp_path: Path) -> None:
    result = sinograd("reconstruct", scan_file, "-o", tmp_path / "out.h5", "--device", "gpu")
    assert result.exit_code == 2 and "--device gpu: expected cpu, cuda or cuda:1 ..., got 'gpu'" in result.stderr
