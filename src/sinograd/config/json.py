"""JSON texts of files: one loader, whose errors are one line."""

from __future__ import annotations

import json
from typing import Any

from sinograd.errors import FormatError


def load_json(text: str | bytes) -> Any:
    """What a text holds; FormatError, without a source, for no JSON, or lists nested without end."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise FormatError(f"no JSON: {reason}") from error
