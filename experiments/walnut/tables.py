"""The scores as tables: means and 95 % intervals over seeds, and paired differences from the unfiltered volume."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.evaluation.paired import Summary, summarise
from study.markdown import table, write_csv, write_text
from walnut.settings import Case, Study

if TYPE_CHECKING:
    from walnut.experiment import Score


@dataclass(frozen=True)
class Metric:
    """A column: digits of a score and of its difference from FDK's, which may be told in percent of that."""

    name: str
    digits: int
    difference_digits: int
    percent: bool = False

    @property
    def heads(self) -> tuple[str, str]:
        """Of the column, and of that of the differences."""
        return self.name, "from FDK, %" if self.percent else "from FDK"

    def differences(self, own: Sequence[float], plain: Sequence[float]) -> list[float]:
        """Of every seed."""
        if self.percent:
            return [100 * (mine / other - 1) for mine, other in zip(own, plain, strict=True)]
        return [mine - other for mine, other in zip(own, plain, strict=True)]


METRICS = {
    "reprojection": Metric("reprojection error", 5, 2, percent=True),
    "psnr": Metric("PSNR, dB", 2, 3),
    "ssim": Metric("SSIM", 3, 4),
}
METHODS = {"fdk": "FDK, Ram-Lak", "fdk-hann": "FDK, Hann", "filters-1": "1 filter", "filters-3": "3 filters"}
EXPLAINED = (
    "Mean over {n} seeds of the added noise and of the training, 95 % interval of it (Student's t). Differences are "
    "from the unfiltered volume of the same seed. Where no noise is added FDK has no seed, and seeds are those of the "
    "training alone. All of it is one scan of one walnut: intervals say nothing of others."
)


def write_tables(study: Study, scores: Sequence[Score], record: dict[str, Any], output: Path) -> None:
    """results.md, results.json and scores.csv."""
    rows = [dataclasses.asdict(score) for score in scores]
    write_csv(output / "scores.csv", rows)
    write_text(output / "results.json", json.dumps({"record": record, "scores": rows}, indent=1) + "\n")
    write_text(output / "results.md", results_text(study, scores, record))


def results_text(study: Study, scores: Sequence[Score], record: dict[str, Any]) -> str:
    """The page."""
    parts = [
        f"# {study.title}\n",
        "Data: A. Meaney, Cone-Beam Computed Tomography Dataset of a Walnut, Zenodo 6986012, 2022, CC BY 4.0.\n",
        EXPLAINED.format(n=len(study.seeds)) + "\n",
    ]
    for name, case in study.cases.items():
        parts += [f"## {title(case, study)}\n", _table(name, scores) + "\n"]
    parts.append("![Slices](slices.png)\n")
    parts.append("\n".join(f"- {key}: {value}" for key, value in record.items()) + "\n")
    return "\n".join(parts)


def title(case: Case, study: Study) -> str:
    """What a case is."""
    dose = "measured dose" if case.dose == 1 else f"{case.dose:.0%} of the dose"
    return f"{dose}, {120 // case.every} views"


def values(scores: Sequence[Score], case: str, method: str, metric: str) -> list[float]:
    """One number a seed, in the order of the seeds."""
    found = sorted((s for s in scores if (s.case, s.method) == (case, method)), key=lambda score: score.seed)
    return [getattr(score, metric) for score in found]


def _table(case: str, scores: Sequence[Score]) -> str:
    heads = ["", *(part for metric in METRICS.values() for part in metric.heads)]
    methods = dict.fromkeys(score.method for score in scores if score.case == case)
    return table(heads, ([METHODS[method], *_cells(scores, case, method)] for method in methods))


def _cells(scores: Sequence[Score], case: str, method: str) -> list[str]:
    cells = []
    for name, metric in METRICS.items():
        own, plain = (values(scores, case, of, name) for of in (method, "fdk"))
        cells.append(_text(summarise(own), metric.digits))
        difference = summarise(metric.differences(own, plain))
        cells.append("" if method == "fdk" else _text(difference, metric.difference_digits, sign="+"))
    return cells


def _text(found: Summary, digits: int, sign: str = "") -> str:
    """Mean and interval; the mean alone where the interval is no wider than its last digit."""
    mean, low, high = (f"{value:{sign}.{digits}f}" for value in (found.mean, found.low, found.high))
    return mean if not found.std > 0 or low == high else f"{mean} [{low}, {high}]"
