"""Filtering where the projections are. The meta device, which refuses tensors of others, stands for a GPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sinograd import FDK, ConeBeam, CurvedDetector, FlatDetector, Grid, full_scan
from sinograd.recon import filtered_backprojection
from sinograd.recon.filtered_backprojection import make_plan

AREA = FlatDetector((8, 9), 1.0)


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"detector": CurvedDetector((8, 9), 1.0)},
        {"tilt": 0.1, "in_plane_rotation": 0.05},
        {"detector": FlatDetector((8, 9), 1.0, offset=(0.0, 2.5))},
        {"truncation": "extrapolate"},
    ],
    ids=str,
)
def test_filtering_stays_on_the_device(options: dict[str, Any], trained: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filtered_backprojection, "_check_finite", lambda filtered, part: None)
    truncation = options.pop("truncation", "none")
    options = {"detector": AREA, **options}
    geometry = ConeBeam.circular(source_to_origin=100, source_to_detector=150, angles=full_scan(12), **options)
    plan = make_plan(geometry, "fdk", truncation)
    projections = torch.empty(2, 12, 8, 9, device="meta")
    taps = plan.default_taps("hann", 1.0)
    weights = plan.weights.float().to("meta") if trained else None
    filtered = filtered_backprojection._filter_block(projections, plan, 3, taps, weights, slice(0, 12))
    assert filtered.device.type == "meta"
    assert filtered.shape == (2, 12, plan.detector.shape[0], plan.columns)


def test_parameters_follow_a_module_and_gradients_the_parameters() -> None:
    geometry = ConeBeam.circular(source_to_origin=100, source_to_detector=150, angles=full_scan(12), detector=AREA)
    module = FDK(geometry, Grid((4, 5, 6)), trainable=("taps", "weights")).to("meta")
    assert {p.device.type for p in module.parameters()} == {"meta"}
