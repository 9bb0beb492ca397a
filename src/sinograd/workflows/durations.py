"""Durations as people read them."""

from __future__ import annotations


def duration_text(seconds: float) -> str:
    """For example "8 s", "2 min 05 s" or "1 h 02 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def time_text(elapsed: float, done: float, total: float | None) -> str:
    """Time that went by and, while work is left, an estimate of what it takes: "8 s, 16 s left"."""
    text = duration_text(elapsed)
    if not total or not 0 < done < total:
        return text
    return f"{text}, {duration_text(elapsed * (total / done - 1))} left"
