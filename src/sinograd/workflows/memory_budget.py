"""How much memory a job may use: `memory` of a request, or a share of what the machine has free."""

from __future__ import annotations

import math
import re
from typing import Any

from sinograd.data.memory import available_memory
from sinograd.errors import InputError, InputTypeError

SHARE = 0.6
"""Of the free memory, what is used without being told."""

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


class TooFewBytes(InputError):
    """A budget is too small; `what` takes `enough` bytes."""

    def __init__(self, memory: int, what: str, enough: int) -> None:
        super().__init__(f"`memory`: {size_text(memory)} are too few: {what} take {enough_text(enough)}")
        self.what, self.enough = what, enough


def memory_bytes(value: Any, name: str = "memory") -> int | None:
    """Bytes of a whole number or of text such as "4GB", "1.5 GB", "500MB" or "2GiB"; None stays None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InputTypeError(f"`{name}`: expected bytes, or text such as '4GB', got {value!r:.40}")
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", str(value), re.IGNORECASE)
    size = 0 if match is None else round(float(match[1]) * _UNITS[(match[2] or "").lower()])
    if size <= 0:
        raise InputError(f"`{name}`: expected a size such as 4GB, 500MB or 2GiB, got {value!r:.40}")
    return size


def budget(memory: int | None) -> int:
    """Bytes to plan with."""
    if memory is not None:
        return memory
    free = available_memory()
    return int(SHARE * free) if math.isfinite(free) else 4 * 10**9


def size_text(count: float) -> str:
    """For example "1.5 GB", "120 MB" or "20 kB"."""
    if count < 1e6:
        return f"{count:.0f} bytes" if count < 1000 else f"{count / 1e3:.3g} kB"
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"


def enough_text(count: int) -> str:
    """As `size_text` has it, but rounded up: who gives so much has enough."""
    step = 10 ** max(0, len(str(count)) - 3)
    return size_text(-(-count // step) * step)
