"""One clear error for each wrong argument: which argument, what was expected, what came."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import sinograd as sg

CIRCLE = dict(source_to_origin=1000.0, source_to_detector=1500.0, angles=sg.full_scan(12))
DETECTOR = sg.FlatDetector((8, 16), 20.0)
CONE = sg.ConeBeam.circular(**CIRCLE, detector=DETECTOR)
FAN = sg.FanBeam.circular(**CIRCLE, detector=sg.FlatDetector(16, 20.0))
PARALLEL = sg.ParallelBeam(sg.full_scan(12), sg.FlatDetector(16, 20.0))
VOLUME, IMAGE = sg.Grid((8, 8, 8), 10.0), sg.Grid((8, 8), 10.0)
CONE_DATA, FAN_DATA = torch.rand(12, 8, 16), torch.rand(12, 16)


def refuse(error: type[Exception], *words: str, **call: Any) -> None:
    """The call fails, function and layer alike, and the message has the words in this order."""
    arguments: dict[str, Any] = {"projections": CONE_DATA, "geometry": CONE, "grid": VOLUME, **call}
    function, layer = (sg.fbp, sg.FBP) if arguments.pop("fbp", False) else (sg.fdk, sg.FDK)
    pattern = ".*".join(words)
    with pytest.raises(error, match=f"(?s){pattern}"):
        function(**arguments)
    projections = arguments.pop("projections")
    if arguments.keys() <= {"geometry", "grid", "window", "cutoff"}:
        with pytest.raises(error, match=f"(?s){pattern}"):
            layer(**arguments)(projections)


def circular(detector: sg.FlatDetector | sg.CurvedDetector = DETECTOR, **more: Any) -> sg.ConeBeam:
    return sg.ConeBeam.circular(**{**CIRCLE, **more}, detector=detector)


def moved_sources(sources: torch.Tensor) -> sg.ConeBeam:
    _, centre, u, v = CONE.vectors.unbind(1)
    return sg.ConeBeam.from_vectors(sources=sources, centers=centre, u=u, v=v, detector=DETECTOR)


def test_fdk_takes_cone_beams() -> None:
    refuse(TypeError, "geometry: fdk takes a ConeBeam, got FanBeam", geometry=FAN)
    refuse(TypeError, "geometry: fdk takes a ConeBeam, got ParallelBeam", geometry=PARALLEL)
    refuse(TypeError, "geometry: fdk takes a ConeBeam, got NoneType", geometry=None)


def test_fbp_takes_fan_and_parallel_beams() -> None:
    refuse(TypeError, "geometry: fbp takes a FanBeam or ParallelBeam, got ConeBeam", fbp=True)
    refuse(TypeError, "geometry: fbp takes a FanBeam or ParallelBeam, got str", geometry="fan", fbp=True)


@pytest.mark.parametrize("pitch", [20.0, -20.0, 0.5])
def test_helices(pitch: float) -> None:
    helix = sg.ConeBeam.helical(**CIRCLE, detector=DETECTOR, pitch=pitch)
    refuse(ValueError, "geometry", "FDK", "circular", "helix", "mm along z", geometry=helix)


def test_sources_off_the_circle() -> None:
    source = CONE.vectors[:, 0]
    ellipse = moved_sources(source * torch.tensor([1.2, 0.8, 1.0]))
    refuse(ValueError, "geometry", "circular orbit about z", "distance", "800", "1200", geometry=ellipse)
    saddle = moved_sources(source + torch.tensor([0.0, 0.0, 80.0]) * (4 * CONE.angles).sin()[:, None])  # type: ignore[operator]
    refuse(ValueError, "geometry", "circular orbit", "mm along z", geometry=saddle)
    anywhere = moved_sources(torch.randn(12, 3, dtype=torch.float64) * 100 + source)
    refuse(ValueError, "geometry", "circular orbit", geometry=anywhere)


def test_slanted_rays_of_a_parallel_beam() -> None:
    flat = sg.ParallelBeam(sg.full_scan(12), DETECTOR)
    direction, centre, u, v = flat.vectors.unbind(1)
    geometry = sg.ParallelBeam.from_vectors(
        directions=direction + torch.tensor([0.0, 0.0, 0.2]), centers=centre, u=u, v=v, detector=DETECTOR
    )
    refuse(ValueError, "geometry", "right angles to the rotation axis", geometry=geometry, fbp=True)


def test_curved_detectors_about_another_point() -> None:
    geometry = circular(sg.CurvedDetector((8, 16), 20.0, radius=900.0))
    refuse(ValueError, "geometry", "curved detector", "centre of curvature", "900 mm", geometry=geometry)
    for geometry in (
        circular(sg.CurvedDetector((8, 16), 20.0), tilt=0.1),
        circular(sg.CurvedDetector((8, 16), (500.0, 20.0))),
    ):
        refuse(ValueError, "geometry", "curved detector", "parallel to", "steeper than 45", geometry=geometry)


def test_detectors_that_miss_the_axis() -> None:
    geometry = circular(sg.FlatDetector((8, 16), 20.0, offset=(0.0, 400.0)))
    refuse(ValueError, "geometry", "rotation axis on the detector", geometry=geometry)
    shifts = torch.zeros(12, 2)
    shifts[5, 1] = 300.0
    refuse(ValueError, "geometry", "rotation axis on the detector in every view", geometry=circular(shifts=shifts))


def test_detectors_turned_too_far() -> None:
    refuse(ValueError, "geometry", "upright", geometry=circular(tilt=1.2))
    refuse(ValueError, "geometry", "45 degrees", geometry=circular(sg.FlatDetector((200, 16), 20.0)))


def test_voxels_behind_the_source() -> None:
    refuse(ValueError, "grid reaches behind the source", "in view", "corner", "mm", grid=sg.Grid((8, 8, 8), 300.0))
    refuse(
        ValueError,
        "grid reaches behind the source",
        projections=FAN_DATA,
        geometry=FAN,
        grid=sg.Grid((8, 8), 10.0, center=(0.0, 1100.0)),
        fbp=True,
    )


def test_grids_of_the_wrong_kind() -> None:
    refuse(ValueError, r"grid.shape \(8, 8\)", "3-D geometry", grid=IMAGE)
    refuse(ValueError, r"grid.shape \(8, 8, 8\)", "2-D geometry", projections=FAN_DATA, geometry=FAN, fbp=True)
    refuse(TypeError, "grid: expected a Grid, got tuple", grid=(8, 8, 8))


def test_projections_of_the_wrong_shape() -> None:
    shape = r"\(12, 8, 16\) does not match projections"
    refuse(ValueError, rf"{shape} \[12, 8, 15\]: columns 16 != 15", projections=CONE_DATA[..., 1:])
    refuse(ValueError, rf"{shape} \[3, 11, 8, 16\]: views 12 != 11", projections=torch.rand(3, 11, 8, 16))
    refuse(
        ValueError, rf"{shape} \[8, 12, 16\]: views 12 != 8, rows 8 != 12", projections=CONE_DATA.mT.permute(2, 0, 1)
    )
    refuse(ValueError, "projections: expected at least 3 dimensions", r"\[8, 16\]", projections=CONE_DATA[0])
    refuse(
        ValueError,
        r"\(12, 16\) does not match projections \[12, 15\]: columns 16 != 15",
        projections=FAN_DATA[:, 1:],
        geometry=FAN,
        grid=IMAGE,
        fbp=True,
    )


def test_projections_of_the_wrong_type() -> None:
    refuse(TypeError, "projections: expected a torch.Tensor, got ndarray", projections=np.zeros((12, 8, 16)))
    for dtype, name in ((torch.float16, "float16"), (torch.int32, "int32"), (torch.complex64, "complex64")):
        wrong = CONE_DATA.to(dtype)
        refuse(TypeError, f"projections: expected dtype float32 or float64, got {name}", projections=wrong)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [(0, 0, 0), (11, 7, 15), (5, 3, 7)])
@pytest.mark.parametrize("gradient", [False, True])
def test_projections_that_are_not_finite(bad: float, place: tuple[int, int, int], gradient: bool) -> None:
    projections = CONE_DATA.clone()
    projections[place] = bad
    refuse(
        ValueError,
        "projections: expected finite values, got NaN or infinity",
        "views",
        projections=projections.requires_grad_(gradient),
    )


def test_projections_that_are_not_finite_where_columns_are_added() -> None:
    projections = CONE_DATA.clone()
    projections[4, 4, 15] = math.nan
    half = circular(sg.FlatDetector((8, 16), 20.0, offset=(0.0, 100.0)))
    refuse(ValueError, "projections: expected finite values", projections=projections, geometry=half)
    turned = circular(tilt=0.1)
    refuse(ValueError, "projections: expected finite values", projections=projections, geometry=turned)


def test_windows_and_cutoffs() -> None:
    refuse(ValueError, "window: expected one of ram-lak, .*hann, .*got 'parzen'", window="parzen")
    refuse(ValueError, "window: expected one of", "got None", window=None)
    for cutoff in (0, -1.0, 1.5, math.nan):
        refuse(ValueError, r"cutoff: expected .* \(0, 1\], got", cutoff=cutoff)


def test_taps() -> None:
    refuse(ValueError, r"taps: expected an odd number of taps in one dimension, got shape \[4\]", taps=torch.rand(4))
    refuse(ValueError, "taps: expected an odd number", r"\[3, 3\]", taps=torch.rand(3, 3))
    refuse(ValueError, "taps: expected an odd number", r"\[0\]", taps=torch.rand(0))
    refuse(TypeError, "taps: expected a torch.Tensor, got list", taps=[1.0, 2.0, 1.0])


def test_weights() -> None:
    refuse(ValueError, r"weights: expected \[views, columns\] \[12, 16\], got \[12\]", weights=torch.rand(12))
    refuse(ValueError, r"weights: expected .*\[12, 16\], got \[16, 12\]", weights=torch.rand(16, 12))
    refuse(TypeError, "weights: expected a torch.Tensor, got list", weights=[[1.0]])


def test_taps_and_weights_that_are_not_finite_are_not_the_projections_fault() -> None:
    refuse(ValueError, "taps: expected finite values", taps=torch.full((3,), math.nan))
    refuse(ValueError, "weights: expected finite values", weights=torch.full((12, 16), math.nan))


def test_trainable() -> None:
    with pytest.raises(ValueError, match="trainable: expected some of taps, weights, got 'window'"):
        sg.FDK(CONE, VOLUME, trainable=("taps", "window"))
    with pytest.raises(ValueError, match="trainable: expected some of taps, weights, got 'all'"):
        sg.FBP(FAN, IMAGE, trainable="all")
