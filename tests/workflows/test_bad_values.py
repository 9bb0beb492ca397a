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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dose", "0.1"),
        ("photons", "x"),
        ("seed", "x"),
        ("seed", 1.5),
        ("seed", None),
        ("views", "9"),
        ("voxel_mm", "1"),
        ("noiseless", "no"),
        ("force", 1),
        ("output", 5),
        ("truth", 5),
    ],
)
def test_simulate_names_the_argument(name, value):
    with pytest.raises((InputError, InputTypeError), match=rf"^`{name}`"):
        sg.simulate("ball", **{name: value})


def test_simulate_writes_scan_and_truth_to_two_files(tmp_path):
    path = tmp_path / "one.h5"
    with pytest.raises(InputError, match="`output` and `truth` are the same file"):
        sg.simulate("ball", path, truth=path, force=True)
    assert not path.exists()


@pytest.mark.parametrize(
    ("source", "output", "more", "name"),
    [(None, "a.h5", {}, "source"), ("a.h5", None, {}, "output"), ("a.h5", "b.h5", {"force": "no"}, "force")],
)
def test_convert_names_the_argument(source, output, more, name):
    with pytest.raises(InputTypeError, match=rf"^`{name}`"):
        sg.convert(source, output, **more)
