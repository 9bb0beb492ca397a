"""Differences between methods: of bones with their intervals, of seeds, and what the paper claims."""

from __future__ import annotations

import math

from bone_microstructure.results import SMALLER, Results
from bone_microstructure.settings import Study
from bone_microstructure.titles import TESTS, UNITS, oracle, title_of
from study.markdown import table
from study.scoring import Summary, summarise

_STATISTICS = {"rmse": "RMSE", "corrected": "RMSE - dAvg", "r2": "R²adj, %"}
_NETWORK = "nn-sp"


def verdicts(study: Study, results: Results) -> str:
    """What was asked of NN_SP, as numbers side by side: better in bold."""
    currents = study.clinical.currents
    rows = []
    for test in dict.fromkeys(row.test for row in results.rows):
        for current in (max(currents), min(currents)):
            for parameter in ("tmd", "bvtv"):
                for statistic in ("corrected", "r2"):
                    rows.append(_verdict(study, results, (test, current, parameter, statistic)))
    heads = [
        "test",
        "mAs",
        "",
        "",
        "NN_SP",
        "unfiltered",
        "re-calibrated",
        "voxels re-cal.",
        "Gaussian",
        "oracle",
        "NN_BMD",
    ]
    text = (
        "Means over seeds and folds. The oracle is here, number by number, the best of all widths on the test data. "
        "Bold: NN_SP is better than all of unfiltered, both re-calibrations and both Gaussian filters."
    )
    return f"## NN_SP against the others\n{text}\n\n" + table(heads, rows)


def _verdict(study: Study, results: Results, key: tuple[str, float, str, str]) -> list[str]:
    test, current, parameter, statistic = key
    others = [*_baselines(), oracle(study, results, *key)]

    def value(method: str) -> float:
        return results.mean(test, method, current, parameter, statistic)

    sign = 1 if statistic in SMALLER else -1
    best = all(sign * value(_NETWORK) < sign * value(other) for other in others)
    mark = "**" if best else ""
    own = f"{mark}{value(_NETWORK):.2f}{mark}"
    rest = ["" if math.isnan(value(method)) else f"{value(method):.2f}" for method in (*others, "nn-bmd")]
    return [TESTS[test], f"{current:g}", UNITS[parameter], _STATISTICS[statistic], own, *rest]


def _baselines() -> tuple[str, ...]:
    return ("unfiltered", "recalibrated", "recalibrated-values", "gaussian")


def compared(study: Study, results: Results) -> str:
    """Paired differences."""
    currents = study.clinical.currents
    high, low = max(currents), min(currents)
    rows = []
    for test in dict.fromkeys(row.test for row in results.rows):
        for current in (high, low):
            known = {row.method for row in results.rows if row.test == test}
            for other in (*_baselines(), "oracle", *({"nn-bmd"} & known)):
                rows.append(_differences(study, results, test, (current, _NETWORK), (current, other)))
        rows.append(_differences(study, results, test, (low, _NETWORK), (high, "unfiltered")))
    text = (
        "NN_SP less the other method. RMSE: mean over the bones of a test of their means over the seeds, 95 % interval "
        "over the bones (Student's t; RMSE - dAvg with the difference of averages of the whole test). R²adj: of all "
        "places, interval over the seeds of training where there are several, so that it tells of training alone. An "
        "asterisk marks an interval on the better side of 0; there is no correction for their number. The last line of "
        f"each test compares NN_SP at {low:g} mAs with unfiltered scans at {high:g} mAs."
    )
    heads = ["test", "mAs", "less"]
    heads += [f"{UNITS[p].split(',')[0]} {words}" for p in ("tmd", "bvtv") for words in _STATISTICS.values()]
    return f"## Paired differences\n{text}\n\n" + table(heads, rows)


def _differences(
    study: Study, results: Results, test: str, first: tuple[float, str], second: tuple[float, str]
) -> list[str]:
    name = "Gaussian, oracle" if second[1] == "oracle" else title_of(study, second[1])
    at = f"{first[0]:g}" if first[0] == second[0] else f"{first[0]:g} - {second[0]:g}"
    cells = [TESTS[test], at, name]
    for parameter in ("tmd", "bvtv"):
        for statistic in _STATISTICS:
            other = second[1]
            if other == "oracle":
                other = oracle(study, results, test, second[0], parameter, statistic)
            if statistic == "r2":
                values = results.over_seeds(test, first[1], first[0], parameter, statistic)
                than = results.mean(test, other, second[0], parameter, statistic)
                found = summarise([value - than for value in values])
            else:
                keys = (test, first[1], first[0]), (test, other, second[0])
                found = results.difference(*keys, (parameter, statistic))
            cells.append(_interval(found, statistic in SMALLER))
    return cells


def _interval(found: Summary, smaller: bool) -> str:
    if found.low != found.low:
        return f"{found.mean:+.2f}"
    better = found.high < 0 if smaller else found.low > 0
    return f"{found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}]" + (" *" if better else "")
