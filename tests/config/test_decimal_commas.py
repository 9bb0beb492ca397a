"""Decimal commas in YAML files of geometries and scans. Truth: what a reader of the text sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sinograd as sg
from sinograd.config.decimal_commas import load_numbers
from sinograd.errors import FormatError, SinogradError

CONE = """beam: cone
scan: circular
source_to_origin: 100
source_to_detector: 150
angles_deg: {start: 0, step: 10, views: 36}
detector:
  shape: [4, 5]
  spacing: 0.5
"""


def geometry(path: Path, old: str, new: str) -> sg.Geometry:
    assert old in CONE
    path.write_text(CONE.replace(old, new))
    return sg.load_geometry(path)


def test_numbers_that_are_clear(tmp_path: Path) -> None:
    """Texts in the lines of a file; three digits after the comma where others of the list are clear."""
    path = tmp_path / "cone.yaml"
    assert geometry(path, "spacing: 0.5", "spacing: 0,5").detector.spacing == (0.5, 0.5)
    assert geometry(path, "spacing: 0.5", "spacing:\n  - 0,5\n  - '1,5'").detector.spacing == (0.5, 1.5)
    assert sg.load_geometry("walnut").views > 0
    angles = geometry(path, "{start: 0, step: 10, views: 36}", "[0, '0,125', '1,250', '-2,5']").angles
    assert angles is not None
    np.testing.assert_allclose(np.degrees(angles.numpy()), [0, 0.125, 1.25, -2.5])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[0, 5]", [0, 5]),
        ("[0,1,2,3]", [0, 1, 2, 3]),
        ("[0.5,1.5]", [0.5, 1.5]),
        ("[1,-5]", [1, -5]),
        ("[0, 1, 2,\n  5]", [0, 1, 2, 5]),
        ("[[0,0,1], [0,1,0]]", [[0, 0, 1], [0, 1, 0]]),
        ("[1,2.5]", [1, 2.5]),
        ("'a,5'", "a,5"),
    ],
)
def test_lists_stay_what_they_are(tmp_path: Path, text: str, value: object) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"angles: {text}\ndetector: {{shape: [4,5], spacing: 1}}\nmetadata: {{x: '1,5', y: [0,5]}}\n")
    expected = {"angles": value, "detector": {"shape": [4, 5], "spacing": 1}, "metadata": {"x": "1,5", "y": [0, 5]}}
    assert load_numbers(path) == expected


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("spacing: 0.5", "spacing: [0,5, 0,5]", "detector.spacing"),
        ("spacing: 0.5", "spacing: [1,5]", "detector.spacing"),
        ("spacing: 0.5", "offset: [0,5]\n  spacing: 0.5", "detector.offset"),
        ("spacing: 0.5", "offset: [1.5, 0,5]\n  spacing: 0.5", "detector.offset"),
        ("{start: 0, step: 10, views: 36}", "[0,0,0,5,1,0]", "angles_deg"),
        ("{start: 0, step: 10, views: 36}", "[0,0,5]", "angles_deg"),
        ("{start: 0, step: 10, views: 36}", "[0, 0,5, 1]", "angles_deg"),
        ("{start: 0, step: 10, views: 36}", "{start: 0, step: 0,5, views: 36}", "angles_deg.step"),
        ("{start: 0, step: 10, views: 36}", "{start: 0,5, step: 0,5, views: 36}", "angles_deg.start"),
        ("source_to_origin: 100", "source_to_origin: 1,250", "source_to_origin"),
        ("source_to_origin: 100", "source_to_origin: 1,250.5", "source_to_origin"),
        ("source_to_origin: 100", "source_to_origin: 1.250,5", "source_to_origin"),
        ("source_to_origin: 100", "source_to_origin: 1,2,5", "source_to_origin"),
    ],
)
def test_what_can_be_one_number_or_two_is_an_error(tmp_path: Path, old: str, new: str, key: str) -> None:
    """In a geometry and in a scan; it names file and key and says how to write a number."""
    path = tmp_path / "cone.yaml"
    with pytest.raises(FormatError, match=rf"{key}: .*write a decimal number as 0\.5, with a point") as caught:
        geometry(path, old, new)
    assert str(path) in str(caught.value)
    np.save(tmp_path / "scan.npy", np.ones((36, 4, 5), np.float32))
    (tmp_path / "scan.yaml").write_text(path.read_text())
    with pytest.raises(SinogradError, match=rf"{key}: .*with a point"):
        sg.read(tmp_path / "scan.npy")


def test_entries_of_a_scan(tmp_path: Path) -> None:
    """Counts with a comma between thousands, exposures and shifts."""
    np.save(tmp_path / "scan.npy", np.ones((36, 4, 5), np.float32))
    nested = "geometry:\n" + "".join(f"  {line}\n" for line in CONE.splitlines())
    for more, key in (("reference: 60,000", "reference"), ("shifts: [[0,5, 1,5]]", "shifts")):
        (tmp_path / "scan.yaml").write_text(f"{nested}{more}\n")
        with pytest.raises(FormatError, match=rf"{key}: .*with a point"):
            sg.read(tmp_path / "scan.npy")


def test_lists_that_hold_each_other_many_times(tmp_path: Path) -> None:
    """Each is looked at once."""
    path = tmp_path / "a.yaml"
    path.write_text("a: &a [1, 2]\nb: &b [*a, *a]\nc: [*b, *b]\n")
    assert load_numbers(path)["c"] == [[[1, 2], [1, 2]]] * 2
