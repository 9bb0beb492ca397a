"""A step of dual-domain training in a process of its own: the peak of its memory, and what it has not imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

STEP = """
import re, sys, torch, sinograd as sg
from pathlib import Path
from sinograd.models import DualDomainBilateral, bilateral_stack
from sinograd.training import ScanStack
from sinograd.training.tasks import DualDomainTask

def peak():
    # not ru_maxrss, which a child inherits from a larger parent
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

torch.set_num_threads(1)
detector = sg.FlatDetector((48, 1024), 0.0056)
geometry = sg.ConeBeam.short_scan(source_to_origin=12, source_to_detector=48, views=VIEWS, detector=detector)
grid = sg.Grid((4, 64, 64), 0.0014)
model = DualDomainBilateral(bilateral_stack(1, window=3), bilateral_stack(1, window=3))
task = DualDomainTask(model, 1.0, recompute=True)

def step(views):
    part = geometry[torch.linspace(0, VIEWS - 1, views).long()]
    task.loss(ScanStack(torch.rand(part.projection_shape), part, grid, torch.rand(grid.shape)), None).backward()

step(12)  # what is needed however large the scan is
before = peak()
step(VIEWS)
print((peak() - before) / (4 * VIEWS * 48 * 1024))
print("lightning" in sys.modules, "matplotlib" in sys.modules)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from Linux's /proc")
@pytest.mark.filterwarnings("ignore")
def test_a_step_takes_a_few_times_the_projections() -> None:
    """Projections, what the filter makes of them, its normaliser and two gradients: five times the projections, and
    some fixed blocks. With everything kept it was 16 times.
    """
    command = [sys.executable, "-W", "ignore", "-c", STEP.replace("VIEWS", "240")]
    # Freed blocks go back at once; else how many glibc keeps differs from run to run, by three times the projections.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 17)}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr
    ratio, imported = result.stdout.splitlines()
    assert 3 < float(ratio) < 10
    assert imported == "False False"
