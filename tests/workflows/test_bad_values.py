"""`sg.reconstruct`: a value of the wrong type is one error that names the argument, before any work."""

import pytest

import sinograd as sg
from sinograd.errors import InputError, InputTypeError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cutoff", "0.5"),
        ("cutoff", None),
        ("cutoff", True),
        ("voxel_mm", "2"),
        ("voxel_mm", (1, 2)),
        ("iterations", "3"),
        ("iterations", 1.5),
        ("iterations", True),
        ("tv_strength", "2"),
        ("mask", "no"),
        ("force", "no"),
        ("resume", 1),
        ("non_negative", None),
        ("repair", "no"),
        ("rings", "no"),
        ("unattenuated", "5"),
        ("saturation", "x"),
        ("dead", "x"),
        ("dead", None),
        ("ring_width", None),
        ("views", slice("a")),
        ("views", slice(0, 5, 0)),
        ("geometry", 5),
        ("output", 5),
        ("preview", 5),
        ("page", 5),
    ],
)
def test_wrong_type_names_the_argument(name, value):
    with pytest.raises((InputError, InputTypeError), match=rf"^`{name}`"):
        sg.reconstruct("no-such-scan.h5", **{name: value})
