"""Hints for unknown keys: words of papers and of other programs, and slips of the pen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sinograd.config.near_keys import did_you_mean, near_keys
from sinograd.geometry import Geometry, load_geometry
from sinograd.io import read, read_volume

CONE = ("beam", "scan", "source_to_origin", "source_to_detector", "angles_deg", "detector", "axis_offset", "tilt_deg")
GRID = ("shape", "spacing", "center")


@pytest.mark.parametrize(
    "word",
    [
        "SOD",
        "DSO",
        "dist_source_origin",
        "distance_source_origin",
        "source_origin",
        "SAD",
        "SrcToObject",
        "source_iso_dist",
        "sid",
    ],
)
def test_words_for_the_source(word: str) -> None:
    assert near_keys(word, CONE)[0] == "source_to_origin"


@pytest.mark.parametrize(
    "word", ["SDD", "DSD", "dist_source_detector", "source-detector", "SrcToDetector", "source_detector_dist"]
)
def test_words_for_the_detector(word: str) -> None:
    assert near_keys(word, CONE) == ["source_to_detector"]


def test_other_words() -> None:
    assert near_keys("ODD", CONE) == ["source_to_detector = source_to_origin + ODD"]
    assert near_keys("DistanceOriginDetector", CONE)[0].endswith("source_to_origin + DistanceOriginDetector")
    assert near_keys("voxel_size", GRID) == ["spacing"]
    assert near_keys("voxel-size", ("voxel_mm", "shape")) == ["voxel_mm"]
    assert near_keys("pixel_size", CONE) == ["detector.spacing"]
    assert near_keys("pixel_size", ("shape", "spacing", "offset")) == ["spacing"]
    assert near_keys("COR", CONE) == ["axis_offset"]
    assert near_keys("source_to_orgin", CONE) == ["source_to_origin"]
    assert near_keys("ANGLES-DEG", CONE) == ["angles_deg"]
    assert near_keys("qqq", CONE) == []
    assert did_you_mean(["SOD", "qqq", "SDD"], CONE) == (
        "; did you mean source_to_origin (for SOD), source_to_detector (for SDD)?"
    )


def test_messages_name_near_keys(tmp_path: Path) -> None:
    fan = {"beam": "fan", "scan": "circular", "angles_deg": [0.0], "detector": {"shape": 4, "spacing": 1}}
    far = {"source_to_origin": 1, "source_to_detector": 2}
    with pytest.raises(ValueError, match=r"key SOD, SDD; .*did you mean source_to_origin \(for SOD\), source_to_detec"):
        Geometry.from_dict({**fan, "SOD": 100, "SDD": 200})
    with pytest.raises(ValueError, match=r"detector key pixel_size; .*did you mean spacing\?"):
        Geometry.from_dict({**fan, **far, "detector": {"shape": 4, "pixel_size": 1}})
    (tmp_path / "fan.yaml").write_text("beam: fan\nscan: circular\nDSO: 5\n")
    with pytest.raises(ValueError, match=r"did you mean source_to_origin\?"):
        load_geometry(tmp_path / "fan.yaml")
    np.save(tmp_path / "a.npy", np.zeros((2, 3), np.float32))
    (tmp_path / "a.yaml").write_text("SOD: 5\nflats: f.tif\n")
    with pytest.raises(ValueError, match=r"mean geometry.source_to_origin \(for SOD\), reference \(for flats\)\?"):
        read(tmp_path / "a.npy")
    np.save(tmp_path / "v.npy", np.zeros((2, 3), np.float32))
    (tmp_path / "v.yaml").write_text("shape: [2, 3]\nvoxel_size: 0.5\ncenter_mm: [0, 0]\n")
    with pytest.raises(ValueError, match=r"did you mean spacing_mm\?"):
        read_volume(tmp_path / "v.npy")
