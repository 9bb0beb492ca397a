"""The filter of the CPU's kernels. Truth: convolution by its definition, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import sinograd as sg
from sinograd.ops.native import native
from sinograd.recon.analytic import virtual_detector
from sinograd.recon.analytic.ramp import circular_kernel
from sinograd.recon.analytic.row_filter import RowFilter, Weights
from sinograd.recon.analytic.virtual_detector import upright_detector

SETS = native().instruction_sets()
PRECISION = {torch.float32: 2e-6, torch.float64: 1e-14}


def random(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).sub(0.5).to(dtype)


@settings(max_examples=60)
@given(
    columns=st.integers(1, 600),
    views=st.integers(1, 5),
    rows=st.integers(1, 9),
    before=st.integers(0, 9),
    dtype=st.sampled_from(list(PRECISION)),
    name=st.sampled_from(SETS),
    weighted=st.sampled_from(("", "pixels", "columns", "views", "both")),
)
def test_rows_are_convolved(
    columns: int, views: int, rows: int, before: int, dtype: torch.dtype, name: str, weighted: str
) -> None:
    """Any taps, not only symmetric ones; of padded rows a part is kept."""
    padded = columns + before + 3
    kept = (min(2, padded - 1), padded)
    taps = random(1, 2 * padded - 1, dtype=dtype)
    filtered = RowFilter.of(circular_kernel(taps, padded, kept), columns, before, kept)
    values, out = (
        random(2, views, rows, columns, dtype=dtype),
        torch.full((views, rows, kept[1] - kept[0]), 7.0, dtype=dtype),
    )
    pixels = random(3, rows, columns, dtype=dtype) if weighted in ("pixels", "both") else None
    count = 1 if weighted == "columns" else views
    of_columns = random(4, count, columns, dtype=dtype) if weighted in ("columns", "views", "both") else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SINOGRAD_SIMD", name)
        filtered.rows(values, Weights(pixels, of_columns), out)
    weights = torch.ones(1, 1, columns, dtype=torch.float64)
    weights = weights if pixels is None else weights * pixels.double()
    weights = weights if of_columns is None else weights * of_columns.double()[:, None]
    expected = np.zeros((views, rows, padded))
    for i in range(views):
        for j in range(rows):
            row = np.pad((values.double() * weights)[i, j].numpy(), (before, 3))
            expected[i, j] = np.convolve(row, taps.double().numpy())[padded - 1 : 2 * padded - 1]
    scale = np.abs(expected).max() + np.sqrt(columns) / 10
    np.testing.assert_allclose(out.numpy(), expected[..., kept[0] : kept[1]], rtol=0, atol=PRECISION[dtype] * scale)


def test_bits_depend_on_nothing_but_the_row() -> None:
    """Neither on the rows beside it nor on the number of threads; a NaN stays in its row."""
    kernel = circular_kernel(random(1, 399), 200)
    filtered, threads = RowFilter.of(kernel, 200, 0, (0, 200)), torch.get_num_threads()
    rows, whole = random(2, 1, 50, 200), torch.empty(1, 50, 200)
    filtered.rows(rows, Weights(None, None), whole)
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            for first, end in ((0, 50), (3, 4), (7, 40), (49, 50)):
                part = torch.empty(1, end - first, 200)
                filtered.rows(rows[:, first:end], Weights(None, None), part)
                assert torch.equal(part, whole[:, first:end])
    finally:
        torch.set_num_threads(threads)
    rows[0, 5, 17] = torch.nan
    found = torch.empty_like(whole)
    filtered.rows(rows, Weights(None, None), found)
    assert found[0, 5].isnan().all()
    assert torch.equal(found[0, 6:], whole[0, 6:]) and torch.equal(found[0, :5], whole[0, :5])


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("dtype", list(PRECISION))
@pytest.mark.parametrize("together", [1 << 17, 200])
def test_images_of_tilted_detectors(
    name: str, dtype: torch.dtype, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read, weighted and filtered as one after another, in bands of rows, of any views."""
    monkeypatch.setenv("SINOGRAD_SIMD", name)
    monkeypatch.setattr(virtual_detector, "TAPS_TOGETHER", together)
    geometry = sg.ConeBeam.circular(
        angles=sg.full_scan(37),
        detector=sg.FlatDetector((30, 40), (0.9, 0.8)),
        source_to_origin=120,
        source_to_detector=180,
        tilt=0.05,
        in_plane_rotation=-0.04,
    )
    for detector in (upright_detector(geometry), upright_detector(geometry).of_rows((7, 21))):
        assert detector.turned_alike
        held = slice(*detector.real_rows or (None,))
        images, count = random(5, 2, 37, 30, 40, dtype=dtype)[:, :, held], detector.row_count
        columns = detector.shape[1]
        weights = Weights(random(6, count, columns, dtype=dtype), random(7, 37, columns, dtype=dtype))
        filtered = RowFilter.of(
            circular_kernel(random(8, 2 * columns - 1, dtype=dtype), columns), columns, 0, (0, columns)
        )
        found, expected = (torch.empty(2, 37, count, columns, dtype=dtype) for _ in range(2))
        for taps in detector.shared_taps(images):
            pixels = weights.pixels[slice(*taps.rows)] if weights.pixels is not None else None
            filtered.images(images, taps, Weights(pixels, weights.columns), found)
        for i in range(2):
            rows = detector.read(images[i], slice(0, 37))
            filtered.rows(rows, weights, expected[i])
        scale = float(expected.abs().max())
        torch.testing.assert_close(found, expected, rtol=0, atol=PRECISION[dtype] * scale)


def refused(change: dict[str, Any]) -> None:
    """Calls the kernel with one argument that would read or write beyond its arrays."""
    kernel = torch.zeros(128)
    made = RowFilter.of(kernel, 20, 0, (0, 20))
    arguments: dict[str, Any] = dict(
        images=torch.zeros(3, 5, 6),
        output=torch.zeros(3, 2, 20),
        places=torch.zeros(2, 40, 4, dtype=torch.int32),
        factors=torch.zeros(2, 40, 4),
        shape=(2, 5, 6, 0, 2),
        roots=made.roots,
        response=made.response,
        numbers=(0, 20, 0, 20),
        of_pixels=torch.zeros(0),
        of_columns=torch.zeros(0),
    )
    native().filter_images(**arguments)
    with pytest.raises(ValueError, match=r"numbers|elements|beyond"):
        native().filter_images(**{**arguments, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"images": torch.zeros(89)},
        {"output": torch.zeros(3, 2, 19)},
        {"places": torch.full((2, 40, 4), 6, dtype=torch.int32)},
        {"places": torch.full((2, 40, 4), -1, dtype=torch.int32)},
        {"places": torch.zeros(2, 39, 4, dtype=torch.int32)},
        {"factors": torch.zeros(2, 39, 4)},
        {"shape": (2, 5, 6, 1, 2)},
        {"shape": (0, 5, 6, 0, 2)},
        {"numbers": (109, 20, 0, 20)},
        {"numbers": (0, 20, 109, 20)},
        {"numbers": (-1, 20, 0, 20)},
        {"roots": torch.zeros(14, 2)},
        {"response": torch.zeros(63, 4)},
        {"of_pixels": torch.zeros(39)},
        {"of_columns": torch.zeros(41)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, Any]) -> None:
    refused(change)
