"""Whether a run can go on: enough steps are asked for, and its data files are those it started with."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sinograd.config.json import load_json
from sinograd.errors import InputError
from sinograd.training.config import Config
from sinograd.training.data_config import Data

_WHOLE = 256 << 20  # bytes of a file that is read whole; of larger ones 256 blocks of 1 MB
_BLOCK = 1 << 20


def data_files(config: Config) -> list[Path]:
    """The files that a configuration names as data or for its task, sorted; not those that lie in folders it names."""
    named: list[Path | None] = list(config.task.files)
    data = Data() if config.data is None else config.data
    stacks = (*data.training, *data.validation)
    named += [path for entry in stacks for path in (*entry.inputs, entry.target)]
    for pairs in (data.pairs, data.validation_pairs):
        for entry in getattr(pairs, "files", ()):
            held = getattr(entry, "input", entry)
            named += [*(held if isinstance(held, tuple) else (held,)), getattr(entry, "target", None)]
    return sorted({path for path in named if path is not None and path.exists()})


def file_records(files: Iterable[Path]) -> list[dict[str, Any]]:
    """Name, size and digest of files, for the provenance of a run; of folders the name alone."""
    return [
        {"file": str(path), "bytes": path.stat().st_size, **({"digest": _digest(path)} if path.is_file() else {})}
        for path in files
    ]


def check_resumed_run(folder: Path, config: Config) -> None:
    """InputError where the run in a folder has more steps than are asked for, or a data file is another one now."""
    done = _steps(folder / "metrics.csv")
    if done > config.stop.max_steps:
        raise InputError(
            f"{folder} has {done} steps already, stop.max_steps is {config.stop.max_steps}: nothing is left to train; "
            f"give more than {done} steps, or another output for a shorter run"
        )
    stored = _stored(folder / "provenance.json")
    for path in data_files(config):
        before = stored.get(str(path))
        if before is None or not path.is_file():
            continue
        bytes_now, bytes_then = path.stat().st_size, before.get("bytes")
        changed = bytes_now != bytes_then
        if not changed and (not isinstance(before.get("digest"), str) or before["digest"] == _digest(path)):
            continue
        how = f"{bytes_then:,} bytes then, {bytes_now:,} now" if changed else "of the same size, with other content"
        raise InputError(
            f"{path} was replaced or changed since the run in {folder} started ({how}): bring it back, or start a new "
            "run with it"
        )


def _steps(metrics: Path) -> int:
    """The last step in a table of steps; 0 where there is none."""
    try:
        with open(metrics, newline="", encoding="utf-8") as file:
            steps = [int(row["step"]) for row in csv.DictReader(file) if (row.get("step") or "").isdecimal()]
    except OSError:
        return 0
    return max(steps, default=0)


def _stored(provenance: Path) -> dict[str, dict[str, Any]]:
    try:
        record = load_json(provenance.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    files = record.get("files") if isinstance(record, dict) else None
    entries = [entry for entry in files if isinstance(entry, dict)] if isinstance(files, list) else []
    return {str(entry.get("file")): entry for entry in entries if isinstance(entry.get("bytes"), int)}


def _digest(path: Path) -> str:
    size, state = path.stat().st_size, hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        if size <= _WHOLE:
            while block := file.read(_BLOCK):
                state.update(block)
        else:
            blocks = _WHOLE // _BLOCK
            for number in range(blocks):
                file.seek(number * (size - _BLOCK) // (blocks - 1))
                state.update(file.read(_BLOCK))
    return state.hexdigest()
