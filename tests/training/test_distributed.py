"""Two processes under torchrun. Truth: one plain loop whose loss is the mean over the processes' stacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

import sinograd
from sinograd.geometry import Grid
from sinograd.io import write_volume
from sinograd.models import load_model
from sinograd.training import load_config, read_history
from sinograd.training.build import build_model
from sinograd.training.random_streams import stack_of_step

STEPS = 3


@pytest.mark.skipif(sys.platform != "linux", reason="torchrun's gloo backend is tried on Linux")
def test_two_processes_do_what_one_loop_does(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    stacks = []
    for i in range(2):
        clean = torch.rand(2, 12, 12, generator=generator)
        noisy = clean + 0.1 * torch.randn(clean.shape, generator=generator)
        stacks.append((noisy, clean))
        write_volume(noisy, tmp_path / f"noisy{i}.npy", Grid((2, 12, 12), 1.0))
        write_volume(clean, tmp_path / f"clean{i}.npy", Grid((2, 12, 12), 1.0))
    files = [{"input": f"noisy{i}.npy", "target": f"clean{i}.npy"} for i in range(2)]
    config = {
        "output": "run",
        "devices": 2,
        "model": {"name": "noise2noise-unet", "features": 2, "offset": 0.5, "scale": 0.3},
        "data": {"training": files, "validation": files[:1]},
        "stop": {"max_steps": STEPS, "keep": "last"},
        "validation": {"every": 2},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(sinograd.__file__).parents[1])}
    command = [*launcher, "-m", "sinograd.cli", "train", str(tmp_path / "config.yaml")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count(f"{STEPS} of at most {STEPS}") == 1  # one process prints

    model = build_model(load_config(tmp_path / "run" / "config.yaml"))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        used = [stacks[stack_of_step(0, 2 * step + rank, 2)] for rank in range(2)]
        loss = torch.stack([(model(noisy) - clean).square().mean() for noisy, clean in used]).mean() / 0.3**2
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    history = read_history(tmp_path / "run" / "metrics.csv")
    assert history.column("training_loss")[1] == pytest.approx(losses, rel=1e-4)
    assert history.column("validation_loss")[0] == [2]
    trained = load_model(tmp_path / "run").state_dict()
    for key, value in model.state_dict().items():
        torch.testing.assert_close(trained[key], value, rtol=1e-4, atol=1e-5)
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
