"""`FilteredBackprojection.add`: wrong input is one error, before the volume changes."""

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.errors import InputError, InputTypeError
from sinograd.recon import FilteredBackprojection

GRID = sg.Grid(shape=(6, 16, 16), spacing=2.0)
GEOMETRY = sg.ConeBeam.circular(
    source_to_origin=1000,
    source_to_detector=1500,
    angles=sg.full_scan(24),
    detector=sg.FlatDetector(shape=(16, 16), spacing=3.2),
)
WHOLE = FilteredBackprojection.of(GEOMETRY, GRID)
ONES = torch.ones(24, 16, 16)
ZEROS = torch.zeros(6, 16, 16)


@pytest.mark.parametrize(
    ("volume", "projections", "more", "error"),
    [
        (torch.zeros(4, 16, 16), ONES, {}, "grid.shape .6, 16, 16. does not match volume .4, 16, 16."),
        (torch.zeros(20, 16, 16), ONES, {}, "grid.shape"),
        (torch.zeros(16, 16), ONES, {}, "volume: expected at least 3 dimensions"),
        (torch.zeros(2, 6, 16, 16), ONES, {}, "volume: expected .6, 16, 16., .* got .2, 6, 16, 16."),
        (np.zeros((6, 16, 16), np.float32), ONES, {}, "volume: expected a torch.Tensor, got ndarray"),
        (ZEROS.int(), ONES, {}, "volume: expected dtype"),
        (ZEROS, ONES.numpy(), {}, "projections: expected a torch.Tensor, got ndarray"),
        (ZEROS, ONES[:, :8], {}, "projections: expected .* got .24, 8, 16."),
        (ZEROS, ONES[0], {}, "projections: expected at least 3 dimensions"),
        (ZEROS, ONES[:5], {}, "projections: expected .* got .5, 16, 16."),
        (ZEROS, ONES[:5], {"views": range(4)}, "or .*4, 16, 16. of those that are added, got .5, 16, 16."),
        (ZEROS, ONES, {"views": [0, 1]}, "views: expected a range, a slice or None, got list"),
        (ZEROS, ONES, {"views": range(0, 24, 2)}, "without steps"),
        (ZEROS, ONES, {"block": 0}, "block must be at least 1"),
        (ZEROS, ONES, {"block": "8"}, "block must be an integer"),
    ],
)
def test_wrong_input_of_add_is_one_error(volume, projections, more, error):
    with pytest.raises((InputError, InputTypeError), match=error):
        WHOLE.add(volume, projections, **more)
    assert not np.asarray(volume).any()


def test_weights_of_another_scan_are_an_error_of_add():
    with pytest.raises(InputError, match="weights: expected"):
        WHOLE.replace(WHOLE.taps, torch.ones(4, 4)).add(torch.zeros(6, 16, 16), ONES)


def test_views_may_come_alone():
    volume = torch.zeros(6, 16, 16)
    WHOLE.add(volume, ONES[:10], range(10))
    WHOLE.add(volume, ONES[10:], range(10, 24))
    assert torch.equal(volume, WHOLE.volume(ONES))
