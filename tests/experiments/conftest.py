from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
if str(EXPERIMENTS) not in sys.path:
    sys.path.insert(0, str(EXPERIMENTS))

FEW = {
    "methods": [
        {"name": name, "title": name.upper(), "phantoms": 2, "task": {"name": "supervised"}, "model": {"name": name}}
        for name in ("red-cnn", "qae", "cnn-10")
    ]
}
DUAL = {
    "name": "dual-domain",
    "title": "Dual-domain BFs",
    "seeds": 1,
    "task": {"name": "dual-domain", "row_margin": 4, "recompute": False},
    "model": {
        "name": "dual-domain-bilateral",
        "projection_filters": 1,
        "image_filters": 2,
        "sigma_spatial": 0.5,
        "sigma_range": 0.01,
        "image_scale": 0.768,
    },
}
NETWORKS: dict[str, Any] = {
    "training": [100, 101, 102, 103, 104, 105, 106],
    "steps": {"red-cnn": 2, "qae": 2},
    "patches": {"size": 16, "per_batch": 2},
    "stop": {"max_steps": 2},
    "validate": {"every": 1, "slices": 1},
}
SMALL: dict[str, dict[str, Any]] = {
    "bone_xrm": {
        "phantoms": {"options": {"outer": [0.104, 0.09], "wall": 0.06, "height": 0.05}, "test": [201, 202]},
        "geometry": {"views": 40, "detector": {"shape": [10, 44], "spacing": 0.0135}},
        "grid": {"shape": [3, 36, 36], "spacing": [0.0056, 0.0056, 0.0056]},
        "stop": {"max_steps": 4},
        "seeds": [0, 1],
        "shown_slice": 1,
        "networks": NETWORKS,
        "further": {"methods": [DUAL, *FEW["methods"]]},
        "sizes": {"counts": [1, 2]},
        "shifts": [{"name": "dose-5", "title": "5 % dose", "noise": {"dose": 0.05}}],
        "rods": {"rod": 0.02, "ring": 0.05, "values": [0.054, 0.4], "seeds": [0]},
        "regions": [[0.1, 0.3, 0.4]],
    },
    "low_dose_ct": {
        "phantoms": {"test": [201, 202]},
        "geometry": {"angles_deg": {"step": 10, "views": 36}, "detector": {"shape": [6, 56], "spacing": [4.4, 13.2]}},
        "grid": {"shape": [3, 36, 36], "spacing": [2.0, 10.0, 10.0]},
        "stop": {"max_steps": 3},
        "seeds": [0],
        "depth": {"filters": [1, 2], "seeds": [0]},
        "starts": {"sigmas": [[0.5, 0.01], [1.0, 0.05]], "seeds": [0]},
        "shown_slice": 1,
        "networks": NETWORKS,
        "further": FEW,
        "shifts": [{"name": "parameters", "title": "other bodies", "phantoms": {"draw": {"size": [0.75, 0.85]}}}],
        "rods": {"rod": 31, "ring": 75, "seeds": [0]},
        "regions": [],
    },
}

SMALL_NOISE2NOISE: dict[str, Any] = {
    "phantoms": {"training": {"count": 2}, "validation": {"count": 1}, "test": {"count": 2}},
    "images": {
        "projections": {
            "test_every": 2,
            "geometry": {
                "angles_deg": {"step": 60, "views": 6},
                "detector": {"shape": [32, 32], "spacing": [3.8, 5.7]},
            },
        },
        "slices": {
            "shape": [32, 40],
            "spacing": 9.0,
            "count": 3,
            "test_count": 2,
            "views": 60,
            "columns": 56,
            "column_spacing": 8.0,
        },
    },
    "sets": {
        "projections": {"methods": ["n2n-mse", "n2c-mse"]},
        "slices-24": {"methods": ["n2n-mae", "n2n-mse"]},
    },
    "curves": {"projections": {"psnr": [20.0, 40.0]}, "slices": {"psnr": [10.0, 30.0, 40.0]}},
    "tuning_images": 3,
    "model": {"features": 4},
    "patches": {"size": 32, "per_batch": 2},
    "stop": {"max_steps": 3},
    "validation": {"every": 2},
    "seeds": [0],
}

SMALL_STRUCTKPN: dict[str, Any] = {
    "phantoms": {"training": {"count": 2}, "test": {"count": 2}},
    "scan": {"views": 30, "columns": 64, "column_spacing": 5.8, "shape": [32, 40], "spacing": 9.0, "count": 2,
             "test_count": 1},
    "beam": {"bin_kev": 8, "voltages": [80, 120], "currents": [90, 270]},
    "filters": ["bilateral-estimated"],
    "tables": [["low-dose", "bilateral-estimated", "wavresnet", "kpn-ls"], ["red-l1", "red-ls", "kpn-l1", "kpn-ls"]],
    "comparisons": [["kpn-ls", "red-l1"], ["kpn-ls", "kpn-l1"], ["red-ls", "red-l1"], ["red-l1", "low-dose"]],
    "methods": {
        "wavresnet": {"model": {"channels": 4, "modules": 1}, "steps": 2},
        "red-l1": {"model": {"channels": 4}},
        "red-ls": {"model": {"channels": 4}},
        "kpn-l1": {"model": {"kernel": 5, "channels": 4, "blocks": 1}},
        "kpn-ls": {"model": {"kernel": 5, "channels": 4, "blocks": 1}},
    },
    "kernels": {"sizes": [3]},
    "places": {"count": 2, "apart": 3},
    "patches": {"size": 24, "per_batch": 2},
    "stop": {"max_steps": 3},
    "validation": {"every": 1, "slices": 1},
    "seeds": [0, 1],
}  # fmt: skip

SMALL_MICROSTRUCTURE: dict[str, Any] = {
    "region": {"shape": [29, 41, 41], "phantom": [11.5, 11.5]},
    "reference": {"points": 1},
    "clinical": {
        "views": 15,
        "rows": [12, 1.0],
        "columns": [24, 0.5],
        "points": [1, 1],
        "voxel": 0.12,
        "currents": [100, 360],
        "repetitions": 2,
    },
    "sigmas": [0.2, 0.4],
    "splits": {
        "position": {"by": "position", "networks": {"nn-sp": [0], "nn-bmd": [0]}},
        "bone": {"by": "bone", "networks": {"nn-sp": [0, 1], "nn-bmd": [0]}},
    },
    "model": {"channels": [2, 2, 2, 2, 2]},
    "patches": {"per_batch": 2, "per_place": 2},
    "stop": {"max_steps": 2},
    "stages": 2,
    "places": {"folds": 4},
}


@pytest.fixture(scope="session")
def small() -> Any:
    """The quick profile of an experiment, made small; more changes may be given."""
    from study.config import load_study

    def load(name: str, **changes: Any) -> Any:
        return load_study(EXPERIMENTS / name / "config.yaml", "quick", {**SMALL[name], **changes})

    return load


@pytest.fixture
def small_noise2noise() -> Any:
    """The same of the experiment `noise2noise`."""
    from noise2noise.settings import load_study

    def load(**changes: Any) -> Any:
        return load_study(EXPERIMENTS / "noise2noise" / "config.yaml", "quick", {**SMALL_NOISE2NOISE, **changes})

    return load


@pytest.fixture
def small_structkpn() -> Any:
    """The same of the experiment `structkpn`."""
    from structkpn.settings import load_study

    def load(**changes: Any) -> Any:
        return load_study(EXPERIMENTS / "structkpn" / "config.yaml", "quick", {**SMALL_STRUCTKPN, **changes})

    return load


@pytest.fixture
def small_microstructure() -> Any:
    """The same of the experiment `bone_microstructure`, with fewer bones."""
    from bone_microstructure.settings import load_study

    file = EXPERIMENTS / "bone_microstructure" / "config.yaml"
    bones = dataclasses.asdict(load_study(file, "quick").bones)
    few = {"training": bones["training"][::2], "others": bones["others"][:1], "parameters": bones["parameters"][1:3]}

    def load(**changes: Any) -> Any:
        return load_study(file, "quick", {**SMALL_MICROSTRUCTURE, "bones": few, **changes})

    return load
