"""Which code, configuration and machine made a result."""

from __future__ import annotations

import datetime
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

import sinograd
from sinograd.config.schema import to_plain
from study.config import Study, config_hash
from study.data import data_hash


def make_record(study: Study, device: str) -> dict[str, Any]:
    """For the head of the tables, and for parts that are added: how the methods were tested."""
    record = record_of(config_hash(study), data_hash(study), study.profile, device)
    return record | {"processor": _processor(), "tests": tests_of(study)}


def tests_of(study: Study) -> dict[str, Any]:
    """What rows and pictures of a study depend on beside the data, the seeds, the test phantoms and the training."""
    implant = study.implant and {"metal": study.implant.metal, "phantom": study.implant.phantom}
    scale = {name: getattr(study.scale, name) for name in ("unit", "data_range", "water")}
    others = {name: to_plain(getattr(study, name)) for name in ("shifts", "lacunae", "rods", "shown_slice")}
    return {"scale": scale, **others, "implant": implant}


def record_of(config_sha256: str, data_sha256: str, profile: str, device: str) -> dict[str, Any]:
    """The same of any experiment."""
    return {
        "commit": commit(),
        "config_sha256": config_sha256,
        "data_sha256": data_sha256,
        "profile": profile,
        "sinograd": sinograd.__version__,
        "torch": torch.__version__,
        **made_on(device),
    }


def made_on(device: str) -> dict[str, Any]:
    """Which machine works here, and when."""
    return {
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else _processor(),
        "threads": torch.get_num_threads(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def commit() -> str:
    """The commit of the checkout, marked where code or configurations differ from it; "unknown" without git."""
    folder = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git(
            "status", "--porcelain", "--untracked-files=no", "--", "src", "kernels", "experiments", ":!*/results/*"
        )
        return git("rev-parse", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
