"""What methods, tests and parameters are called in tables and figures."""

from __future__ import annotations

from bone_microstructure.results import Results
from bone_microstructure.settings import Study

TESTS = {
    "position": "Other places of the training bones",
    "others": "Other bones, parameters of the same ranges",
    "parameters": "Other bones, other generator parameters",
}
CURRENTS = {360.0: "HR (Table 1)", 100.0: "LR (Table 2)"}
UNITS = {"voxel": "Voxels, mg/cm³", "bmd": "BMD, mg/cm³", "tmd": "TMD, mg/cm³", "bvtv": "BV/TV, %"}
_METHODS = {
    "unfiltered": "Unfiltered",
    "recalibrated": "Unfiltered, parameters re-calibrated",
    "recalibrated-values": "Unfiltered, voxels re-calibrated",
    "gaussian": "Gaussian, chosen in training",
    "bm4d": "BM4D, estimated sigma",
}


def title_of(study: Study, method: str) -> str:
    """For tables."""
    if method in study.networks:
        return study.networks[method].title
    if method.startswith("gaussian-"):
        return f"Gaussian, {method.removeprefix('gaussian-')} mm"
    return _METHODS[method]


def oracle(study: Study, results: Results, test: str, current: float, parameter: str, statistic: str) -> str:
    """The Gaussian filter that is best on the test data themselves."""
    widths = [f"gaussian-{sigma:g}" for sigma in study.sigmas]
    return results.best(test, widths, current, parameter, statistic)
