"""Jobs interrupted at some of their file operations; `make interrupts` tries all. Truth: old and new outputs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from interrupts.check import Bench
from interrupts.jobs import JOBS
from interrupts.run import warm_up


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    warm_up(["h5py", "tifffile", "sinograd.ops", "sinograd.cli.app"])
    yield Bench(tmp_path_factory.mktemp("interrupts") / "bench")
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("job", "places"),
    [
        ("convert a scan to .npy", {"INT": (0.3,), "KILL": (0.72, 0.8, 0.9)}),
        ("convert a volume to v.npy", {"TERM": (0.5,), "KILL": (0.75, 0.85)}),
        ("simulate to two folders", {"TERM": (0.9,), "KILL": (0.6, 0.7, 0.8, 0.85, 0.9)}),
        ("convert a volume to slices", {"INT": (0.6,), "TERM": (0.9,), "KILL": (0.97,)}),
    ],
)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_an_interrupt_leaves_the_old_or_the_new(bench: Bench, job: str, places: dict[str, tuple[float, ...]]) -> None:
    chosen = next(entry for entry in JOBS if entry.name == job)
    count = bench.prepare(chosen)
    assert count > 20
    for name, shares in places.items():
        for share in shares:
            assert bench.interrupt(chosen, int(share * count), name) in ("old", "new")
