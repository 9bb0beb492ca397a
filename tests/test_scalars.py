"""Numbers of NumPy and torch, arrays and tensors without dimensions, and fractions are numbers in the public API.

Truth: the result of Python's float. What is no number is one error, which names the argument.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.errors import SinogradError
from sinograd.metrics import noise_power_spectrum, psnr, ssim
from sinograd.phantoms import ball
from sinograd.workflows.values import recorded

ANGLES = sg.full_scan(6)
LINE, AREA = sg.FlatDetector(8, 1.0), sg.FlatDetector((6, 8), 1.0)
BEAM: dict[str, Any] = {"source_to_origin": 40.0, "source_to_detector": 80.0, "angles": ANGLES}
FAN, CONE = sg.FanBeam.circular(**BEAM, detector=LINE), sg.ConeBeam.circular(**BEAM, detector=AREA)
SQUARE, BOX = sg.Grid((6, 6), 1.0), sg.Grid((4, 6, 6), 1.0)
A = sg.XRayTransform(FAN, SQUARE)
DRAW = torch.Generator().manual_seed(3)
SINOGRAM, IMAGE, OTHER = torch.rand(6, 8, generator=DRAW), torch.rand(16, 16), torch.rand(16, 16)
LINES = torch.full((4, 8), 2.0)
VOLUME = sg.Volume(torch.rand(4, 6, 6), BOX, "1/mm")
PIXELS = sg.Volume(torch.rand(4, 6, 6), BOX, "1/pixel")
SCAN = sg.Scan(SINOGRAM, sg.ParallelBeam(ANGLES / 2, LINE))

Call = Callable[[Any], Any]
Table = dict[str, tuple[float, Call]]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def of_iterations() -> Table:
    """Every argument of the iterative algorithms that is a float by its default, and the bounds."""
    more = {"sart": {}, "os_sart": {"subsets": 3}}
    table: Table = {}
    for name in ("sirt", "sart", "os_sart", "cgls", "lsqr", "fista_tv", "chambolle_pock_tv", "gradient_descent"):
        algorithm: Any = getattr(sg.recon, name, None)
        if algorithm is None:
            continue
        for key, parameter in inspect.signature(algorithm).parameters.items():
            default = {"lower": 0.0, "upper": 0.5, "regularization": 0.125}.get(key, parameter.default)
            if isinstance(default, float):
                options = {"iterations": 2, **more.get(name, {})}
                table[f"{name} {key}"] = (
                    default,
                    lambda value, f=algorithm, key=key, options=options: (
                        f(A, SINOGRAM, **{**options, key: value}).image
                    ),
                )
    return table


def of_geometries() -> Table:
    table: Table = {
        "short_scan start": (0.25, lambda v: sg.short_scan(5, 0.25, start=v)),
        "full_scan start": (0.25, lambda v: sg.full_scan(5, start=v)),
        "FlatDetector spacing": (0.5, lambda v: sg.FlatDetector(8, v).spacing),
        "FlatDetector offset": (0.5, lambda v: sg.FlatDetector(8, 1.0, offset=v).column_offset),
        "CurvedDetector radius": (50.0, lambda v: sg.CurvedDetector(8, 1.0, radius=v).radius),
        "Grid spacing": (0.5, lambda v: sg.Grid((4, 4), v).spacing),
        "Grid center": (0.5, lambda v: sg.Grid((4, 4), 1.0, (v, v)).center),
        "shift_detector column": (0.5, lambda v: sg.shift_detector(FAN, v).vectors),
        "helix pitch": (4.0, lambda v: sg.ConeBeam.helical(**BEAM, pitch=v, detector=AREA).vectors),
    }
    for key, value in {"source_to_origin": 30.0, "source_to_detector": 90.0, "axis_offset": 0.5}.items():
        table[f"FanBeam {key}"] = (
            value, lambda v, key=key: sg.FanBeam.circular(**{**BEAM, key: v}, detector=LINE).vectors
        )  # fmt: skip
    for key in ("tilt", "yaw", "in_plane_rotation"):
        table[f"ConeBeam {key}"] = (
            0.125,
            lambda v, key=key: sg.ConeBeam.circular(**BEAM, **{key: v}, detector=AREA).vectors,
        )
    return table


def of_filters() -> Table:
    table: Table = {}
    for key, value in {"sigma_spatial": 0.5, "sigma_range": 0.25, "input_scale": 0.5}.items():
        table[f"BilateralFilter2d {key}"] = value, lambda v, key=key: sg.BilateralFilter2d(**{key: v})(IMAGE).detach()
    return table


TABLE: Table = {
    **of_geometries(),
    **of_iterations(),
    **of_filters(),
    "low_dose dose": (0.25, lambda v: sg.low_dose(LINES, v, 1e4, generator=seeded())),
    "low_dose photons": (1e4, lambda v: sg.low_dose(LINES, 0.5, v, generator=seeded())),
    "add_photon_noise photons": (1e4, lambda v: sg.add_photon_noise(LINES, v, generator=seeded())),
    "add_photon_noise floor": (0.5, lambda v: sg.add_photon_noise(LINES, 1e4, floor=v, generator=seeded())),
    "add_photon_noise electronic_noise": (
        2.0, lambda v: sg.add_photon_noise(LINES, 1e4, electronic_noise=v, generator=seeded())
    ),
    "bowtie radius": (10.0, lambda v: sg.bowtie_transmission(FAN, v)),
    "bowtie attenuation": (0.25, lambda v: sg.bowtie_transmission(FAN, 10.0, v)),
    "psnr data_range": (1.5, lambda v: psnr(IMAGE, OTHER, data_range=v)),
    "ssim data_range": (1.5, lambda v: ssim(IMAGE, OTHER, data_range=v)),
    "noise_power_spectrum spacing": (0.5, lambda v: noise_power_spectrum(IMAGE, spacing=v).frequency_x),
    "shepp_logan_3d radius": (5.0, lambda v: sg.shepp_logan_3d(radius=v).voxelize(BOX)),
    "shepp_logan_3d value": (0.5, lambda v: sg.shepp_logan_3d(5.0, v).voxelize(BOX)),
    "shepp_logan_2d radius": (5.0, lambda v: sg.shepp_logan_2d(radius=v).voxelize(SQUARE)),
    "bone size": (5.0, lambda v: sg.bone(1, size=v, plates=3, rods=3, canals=2, lacunae=2).voxelize(BOX)),
    "ball radius": (2.0, lambda v: ball(v, 0.5).voxelize(BOX)),
    "ball value": (0.5, lambda v: ball(2.0, v).voxelize(BOX)),
    "Ellipsoids value": (0.5, lambda v: sg.Ellipsoids(v, [[1, 1, 1]]).voxelize(BOX)),
    "Ellipsoids of several value": (0.5, lambda v: sg.Ellipsoids([v, 1], [[1, 1, 1]] * 2).voxelize(BOX)),
    "Ellipsoids semi_axes": (0.5, lambda v: sg.Ellipsoids([1], [[1, v, 1]]).voxelize(BOX)),
    "correct_beam_hardening coefficients": (0.5, lambda v: sg.preparation.correct_beam_hardening(LINES, [1, v])),
    "fbp cutoff": (0.5, lambda v: sg.fbp(SINOGRAM, FAN, SQUARE, cutoff=v)),
    "fdk cutoff": (0.5, lambda v: sg.fdk(torch.ones(6, 6, 8), CONE, BOX, cutoff=v)),
    "Volume.to water": (0.25, lambda v: VOLUME.to("HU", water=v).values),
    "Volume.to pixel_mm": (0.25, lambda v: PIXELS.to("1/mm", pixel_mm=v).values),
    "Scan.with_pixel pixel_mm": (0.25, lambda v: SCAN.with_pixel(v).geometry.vectors),
}  # fmt: skip
KINDS: dict[str, Callable[[float], Any]] = {
    "np.float64": np.float64,
    "np.float32": np.float32,
    "array": lambda value: np.array(value, dtype=np.float32),
    "tensor": torch.tensor,
    "float64 tensor": lambda value: torch.tensor(value, dtype=torch.float64),
    "Fraction": Fraction,
}
WRONG = {
    "bool": True,
    "np.bool": np.bool_(True),
    "bool tensor": torch.tensor(True),
    "text": "0.5",
    "NaN": math.nan,
    "np NaN": np.float32("nan"),
    "complex": 0.5j,
}
NONE_IS_A_CHOICE = ("offset", "radius", "center", "lower", "upper", "regularization", "smoothing", "water", "pixel_mm")


@pytest.mark.filterwarnings("ignore::sinograd.errors.SinogradWarning")
@pytest.mark.parametrize("name", TABLE)
def test_every_kind_of_number(name: str) -> None:
    value, call = TABLE[name]
    want = call(value)
    for kind, make in KINDS.items():
        found = call(make(value))
        torch.testing.assert_close(torch.as_tensor(found), torch.as_tensor(want), rtol=1e-5, atol=1e-6, msg=kind)


@pytest.mark.filterwarnings("ignore::sinograd.errors.SinogradWarning")
@pytest.mark.parametrize("name", TABLE)
def test_what_is_no_number_is_an_error_that_names_it(name: str) -> None:
    argument, call = name.split()[-1], TABLE[name][1]
    wrong = WRONG if argument in NONE_IS_A_CHOICE else {**WRONG, "None": None}
    for kind, value in wrong.items():
        with pytest.raises(SinogradError, match=argument):
            call(value)
            pytest.fail(f"{name} took {kind}")


JOBS: Table = {
    "reconstruct cutoff": (0.5, lambda v: sg.reconstruct(SCAN, cutoff=v).values),
    "reconstruct voxel_mm": (0.5, lambda v: sg.reconstruct(SCAN, voxel_mm=v).values),
    "reconstruct center": (0.5, lambda v: sg.reconstruct(SCAN, center=v).values),
    "reconstruct center_mm": (0.5, lambda v: sg.reconstruct(SCAN, center_mm=(v, v)).values),
    "reconstruct pixel_mm": (0.25, lambda v: sg.reconstruct(SCAN, pixel_mm=v).values),
    "simulate size_mm": (4.0, lambda v: sg.simulate("ball", scanner=CONE, size_mm=v).projections[:]),
    "simulate voxel_mm": (0.5, lambda v: sg.simulate("ball", scanner=CONE, voxel_mm=v).projections[:]),
    "simulate photons": (1e4, lambda v: sg.simulate("ball", scanner=CONE, photons=v).projections[:]),
}


@pytest.mark.filterwarnings("ignore::sinograd.errors.SinogradWarning")
@pytest.mark.parametrize("name", JOBS)
def test_jobs_take_every_kind_of_number_and_no_truth_value(name: str) -> None:
    argument, (value, call) = name.split()[-1], JOBS[name]
    want = torch.as_tensor(call(value))
    for kind, make in KINDS.items():
        torch.testing.assert_close(torch.as_tensor(call(make(value))), want, rtol=1e-5, atol=1e-6, msg=kind)
    for kind in ("bool", "np.bool", "bool tensor", "complex"):
        with pytest.raises(SinogradError, match=argument):
            call(WRONG[kind])
            pytest.fail(f"{name} took {kind}")


def test_fractions_are_recorded_as_numbers_that_a_configuration_can_repeat() -> None:
    arguments = {"cutoff": Fraction(1, 3), "center_mm": (Fraction(1, 4), np.float32(0.5)), "shape": np.array([4, 4])}
    assert recorded(arguments) == {"cutoff": 1 / 3, "center_mm": "0.25,0.5", "shape": "4,4"}


def test_whole_numbers_choose_slices() -> None:
    for number in (np.int64, np.array, torch.tensor):
        assert VOLUME.read(number(1), number(3)).equal(VOLUME.values[1:3])
    for wrong in (True, 1.0, Fraction(1), torch.tensor(1.0), "1"):
        with pytest.raises(SinogradError, match="first must be an integer"):
            VOLUME.read(wrong, 3)
    with pytest.raises(SinogradError, match="size: expected a whole number or two"):
        noise_power_spectrum(IMAGE, spacing=1, size=8.0)
    assert noise_power_spectrum(IMAGE, spacing=1, size=torch.tensor(8)).power.shape == (8, 8)


def test_coefficients_keep_their_gradients() -> None:
    second = torch.tensor(0.5, requires_grad=True)
    sg.preparation.correct_beam_hardening(LINES, [1, second]).sum().backward()
    assert second.grad == LINES.square().sum()
