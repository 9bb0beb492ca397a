"""Prints the OpenMP runtimes of a process and of its forked worker: `python packaging/runtimes.py`.

torch and sinograd have worked in parallel before the fork, and both work again in the worker of a DataLoader. Exits
with 1 where there is not one runtime, where the worker does not end, or has other numbers.
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import sinograd as sg
from sinograd.ops.native import openmp_runtimes

SECONDS = 120  # that a worker may take: one that hangs, hangs for ever


class Slices(Dataset[tuple[Tensor, str]]):
    """Projections of constant images, and what is loaded where they are made."""

    def __init__(self, operator: sg.XRayTransform) -> None:
        self.operator = operator

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[Tensor, str]:
        return work(self.operator, index)


def work(operator: sg.XRayTransform, value: float) -> tuple[Tensor, str]:
    """Projections, after torch has worked in parallel as well; and the runtimes, one a line."""
    (torch.rand(300, 300) @ torch.rand(300, 300)).sin().sum()
    return operator(torch.full((16, 16), float(value))), "\n".join(openmp_runtimes())


def main() -> None:
    """Work here, then in a worker."""
    torch.set_num_threads(2)
    beam = sg.ParallelBeam(sg.full_scan(16), sg.FlatDetector(24, 1.0))
    operator = sg.XRayTransform(beam, sg.Grid((16, 16), 1.0))
    expected, here = work(operator, 1.0)
    workers = DataLoader(Slices(operator), num_workers=1, multiprocessing_context="fork", timeout=SECONDS)
    results = [(batch[0], text) for batch, (text,) in workers]
    there = "\n".join(sorted({line for _, text in results for line in text.split("\n")}))
    if not torch.equal(results[1][0], expected):
        sys.exit("runtimes.py: a forked worker has other numbers")
    print(f"OpenMP in the process: {here}\nOpenMP in a forked worker: {there}")
    if "\n" in here or not here or there != here:
        sys.exit("runtimes.py: expected one OpenMP runtime, the same in both")


if __name__ == "__main__":
    main()
