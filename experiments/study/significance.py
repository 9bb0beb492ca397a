"""Which of many differences are real: intervals of the headline as they are, all others corrected for their number."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from scipy import stats

from sinograd.evaluation.paired import Summary, holm

Key = TypeVar("Key", bound=Hashable)

COMPARED = (
    "Paired differences: mean over the test phantoms, 95 % interval (Student's t) of each by itself. Bold rows are "
    "what the study is about: an asterisk marks an interval without 0. In the other rows, of all tables together, it "
    "marks p below 0.05 after Holm's correction."
)


def p_value(found: Summary) -> float:
    """Two-sided p of Student's t test that the mean is 0; NaN where there is no deviation."""
    if not found.std > 0:
        return math.nan
    t = found.mean / (found.std / math.sqrt(found.n))
    return float(2 * stats.t.sf(abs(t), found.n - 1))


def significant(differences: Mapping[Key, Summary], is_headline: Callable[[Key], bool]) -> set[Key]:
    """The keys of differences that get an asterisk, as `COMPARED` says."""
    others = [key for key in differences if not is_headline(key)]
    corrected = holm([p_value(differences[key]) for key in others])
    real = {key for key, p in zip(others, corrected, strict=True) if p < 0.05}
    return real | {key for key, found in differences.items() if is_headline(key) and (found.low > 0 or found.high < 0)}


def interval(found: Summary, digits: int, *, real: bool) -> str:
    """Mean, interval and asterisk."""
    if math.isnan(found.low):
        return f"{found.mean:+.{digits}f}"
    mark = " *" if real else ""
    return f"{found.mean:+.{digits}f} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]{mark}"


def pair_title(better: str, than: str, *, headline: bool) -> str:
    """The head of a row."""
    return f"**{better} - {than}**" if headline else f"{better} - {than}"
