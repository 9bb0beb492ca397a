"""The YAML loader and dumper. Truth: PyYAML's own, and the values that were written."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sinograd.config.yaml import MAX_DEPTH, dump_yaml, load_yaml
from sinograd.errors import FormatError
from sinograd.geometry import ConeBeam, FlatDetector, Geometry, full_scan

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
records = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)


@given(records)
def test_what_is_dumped_is_loaded(record: Any) -> None:
    assert load_yaml(dump_yaml(record)) == record


@given(records)
def test_what_older_versions_wrote_loads_as_it_did(record: Any) -> None:
    """They wrote with PyYAML's dumper, and numbers always with a point: 1.0e-05."""
    text = yaml.safe_dump(record, sort_keys=False, default_flow_style=None, width=110)
    if not any(NUMBER.fullmatch(word) for word in re.split(r"[\s,:\[\]{}]+", text)):
        assert load_yaml(text) == yaml.safe_load(text)
    assert load_yaml(yaml.safe_dump({"x": 1e-5, "y": [1e22, math.pi, -0.0]})) == {"x": 1e-5, "y": [1e22, math.pi, -0.0]}


@pytest.mark.parametrize("text", ["1e-3", "1E3", "-.5e+2", "2.e1", "1e5"])
def test_numbers_with_an_exponent_are_numbers(text: str) -> None:
    assert load_yaml(f"a: {text}") == {"a": float(text)}
    assert load_yaml(dump_yaml({"a": text})) == {"a": text}  # text that looks like one stays text


def test_geometries_have_the_same_text_and_values_as_before() -> None:
    geometry = ConeBeam.circular(
        source_to_origin=100, source_to_detector=150, angles=full_scan(7), detector=FlatDetector((4, 5), 0.3)
    )
    by_vectors = ConeBeam.from_vectors(
        **dict(zip(("sources", "centers", "u", "v"), geometry.vectors.unbind(1), strict=True)),
        detector=geometry.detector,
    )
    for one in (geometry, by_vectors):
        before = yaml.safe_dump(one.to_dict(), sort_keys=False, default_flow_style=None, width=110)
        assert dump_yaml(one.to_dict()) == before
        assert Geometry.from_dict(load_yaml(before)).equals(one)


def test_merge_keys_and_shared_lists() -> None:
    assert load_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}") == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}}
    shared = [1, 2]
    assert "&" not in dump_yaml({"a": shared, "b": shared})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3", "key 'a' is given twice at line 3, column 1"),
        ("outer: {a: 1, a: 2}", "key 'a' is given twice"),
        ("1: x\n1.0: y", "is given twice"),
        ("a: [1", "while parsing"),
        ("!!python/object:os.system {}", "could not determine a constructor"),
        ("? [1]\n: 2", "unhashable key"),
        ("[" * 100_000, f"nested more than {MAX_DEPTH} levels deep at line 1"),
        ("- " * 100_000, f"nested more than {MAX_DEPTH} levels deep"),
        ("a: \0", "control characters are not allowed"),
        ("day: 2001-99-99", "month must be"),
    ],
)
def test_bad_yaml_names_its_source_on_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(FormatError, match=words) as caught:
        load_yaml(text, "scan.yaml")
    assert str(caught.value).startswith("scan.yaml is not a YAML file: ") and "\n" not in str(caught.value)
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(FormatError, match=r"a\.yaml is not a YAML file"):
        load_yaml(tmp_path / "a.yaml")


def test_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"a: \xff")
    with pytest.raises(FormatError, match=r"a\.yaml is not a YAML file: .*utf-8"):
        load_yaml(tmp_path / "a.yaml")
    with pytest.raises(FileNotFoundError):
        load_yaml(tmp_path / "none.yaml")
