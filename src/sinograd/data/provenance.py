"""Where a file came from: software, command, options, time."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sinograd.errors import InputTypeError


def software_version() -> str:
    """The version of sinograd that is running."""
    return sys.modules["sinograd"].__version__


def make_provenance(command: str, options: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A record for `Scan` and `write_volume`; `command` names what made the data, `more` adds entries."""
    record = {
        "software": f"sinograd {software_version()}",
        "command": command,
        "options": dict(options or {}),
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **more,
    }
    return json.loads(to_json(record))


def orientation_note(provenance: Mapping[str, Any]) -> str | None:
    """How a volume lies against the images that others publish of its scan, where the record of it says so."""
    scan = provenance.get("scan")
    metadata = scan.get("metadata") if isinstance(scan, Mapping) else None
    note = metadata.get("orientation") if isinstance(metadata, Mapping) else None
    return note if isinstance(note, str) and note else None


def to_json(record: Mapping[str, Any]) -> str:
    """JSON text of a record; paths, NumPy numbers and arrays become text, numbers and lists."""
    return json.dumps(record, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise InputTypeError(f"cannot store a {type(value).__name__} in a file's record: {value!r}")
