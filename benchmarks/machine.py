"""What a run was measured on and with."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent


def describe() -> dict:
    """Processor, cores, clock, system, date and commit; nothing that tells whose machine it is."""
    return {
        "processor": _processor("model name") or platform.processor() or platform.machine(),
        "vendor": _processor("vendor_id"),
        "family": _processor("cpu family"),
        "cores": os.cpu_count(),
        "clock_ghz": clock_ghz(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "load_average": os.getloadavg()[0],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
    }


def keep(record: dict, output: Path | None) -> None:
    """Print a record as JSON and, with an output, write it there."""
    text = json.dumps(record, indent=1)
    print(text)
    if output is not None:
        output.write_text(text + "\n", encoding="utf-8")


def clock_ghz() -> float | None:
    """The clock while one core works, measured by a small C program; None without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "clock")
        subprocess.run([compiler, "-O1", str(HERE / "clock.c"), "-o", program], check=True)
        return float(subprocess.run([program], check=True, capture_output=True, text=True).stdout)


def _processor(key: str) -> str | None:
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return None
    lines = (line.partition(":") for line in information.read_text().splitlines())
    return next((value.strip() for name, _, value in lines if name.strip() == key), None)


def _commit() -> str | None:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        cwd=HERE,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip() or None
