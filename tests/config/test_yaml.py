"""The YAML loader and dumper. Truth: PyYAML's own, and the values that were written."""

from __future__ import annotations

import cProfile
import math
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sinograd.config.yaml import MAX_DEPTH, MAX_VALUES, dump_yaml, load_yaml
from sinograd.errors import FileError, FormatError
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
        ("a: !!float ''", "'' is no float"),
        ("a: !!bool x", "'x' is no bool"),
        ("a: !!int ''", "'' is no int"),
        ("a: !!set [b]", "!!set are not read"),
        ("a: !!binary YQ==", "!!binary are not read"),
        ("a: !!map [1]", "expected a mapping node"),
        ("a: !!timestamp [x]", "expected a scalar node"),
        (f"a: 0x{'f' * 5000}", "a number of too many digits"),
        (f"a: {'9' * 5000}", "is no int"),
        (":".join(["a: 1", *["59"] * 5000]), "too many digits"),
        ("a: &a [*a]", "&a holds itself at line 1"),
        ("a: &a {b: &b [*a]}", "&a holds itself"),
        ("<<: [1]", "mapping"),
    ],
)
def test_bad_yaml_names_its_source_on_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(FormatError, match=words) as caught:
        load_yaml(text, "scan.yaml")
    assert str(caught.value).startswith("scan.yaml is not a YAML file: ") and "\n" not in str(caught.value)
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(FormatError, match=r"a\.yaml is not a YAML file"):
        load_yaml(tmp_path / "a.yaml")


def bomb(levels: int, width: int = 10) -> str:
    """Lists of lists: `width ** levels` values behind a few lines."""
    lines = [f"x0: &a0 [{', '.join('x' * width)}]"]
    lines += [f"x{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels)]
    return "\n".join([*lines, f"beam: *a{levels - 1}"])


def test_aliases_count_each_time() -> None:
    """Ten lines stand for 10^10 values; 10^5 of them are read."""
    with pytest.raises(FormatError, match="holds more than 1,000,000 values at line 6"):
        load_yaml(bomb(10))
    assert len(load_yaml(bomb(5))["beam"]) == 10
    merged = "a: &a {x: 1}\nb: {<<: [" + ", ".join(["*a"] * 2_000_000) + "]}"
    with pytest.raises(FormatError, match="more than 1,000,000 values"):
        load_yaml(merged)


def test_long_words_take_no_time() -> None:
    """A pattern that tries every split of 200,000 digits would take minutes."""
    start = time.process_time()
    with pytest.raises(FormatError, match="is no int"):
        load_yaml("a: " + "9" * 200_000)
    assert load_yaml("a: " + "9" * 200_000 + "x")["a"].endswith("9x")
    assert load_yaml("a: 1" + " " * 200_000 + "b")["a"].endswith("b")
    assert time.process_time() - start < 5


@pytest.mark.parametrize("text", ["[" * 100 + "]" * 100 + ",", "-1.25,", "x,", "[],"])
def test_work_grows_as_the_number_of_values_does(text: str) -> None:
    """Function calls, a few for each value, so that the largest file takes seconds."""

    def calls(values: int) -> int:
        count = values // max(1, text.count("["))
        profile = cProfile.Profile()
        profile.enable()
        found = load_yaml("a: [" + text * count + "]")["a"]
        profile.disable()
        assert len(found) == count
        return sum(entry.callcount for entry in profile.getstats())

    count = MAX_VALUES // 5 // max(1, text.count("["))  # a fifth of the largest file
    assert len(load_yaml("a: [" + text * count + "]")["a"]) == count
    few, many = calls(MAX_VALUES // 400), calls(MAX_VALUES // 100)
    assert many < 4.2 * few and many < 60 * MAX_VALUES // 100


@given(st.from_regex(r"[-+]?[0-9]{1,18}(\.[0-9]{0,9})?([eE][-+][0-9]{1,3})?", fullmatch=True))
def test_numbers_are_those_of_pyyaml(text: str) -> None:
    """Octal ones, too; only numbers with an exponent and no point are text there."""
    expected, got = yaml.safe_load(text), load_yaml(text)
    assert got == (float(text) if isinstance(expected, str) and "e" in text.lower() else expected)
    assert isinstance(expected, str) or type(got) is type(expected)


@pytest.mark.parametrize("text", ["!!float {a: 1}", "!!int [1]", "!!float [1.5]", "!!int {1: 2}"])
def test_collections_that_say_they_are_numbers(text: str) -> None:
    with pytest.raises(FormatError, match="is not a YAML file"):
        load_yaml(text)


def test_dates_are_text() -> None:
    assert load_yaml("a: 2001-12-31\nb: 2001-99-99\nc: 2001-12-14t21:59:43.10-05:00") == {
        "a": "2001-12-31",
        "b": "2001-99-99",
        "c": "2001-12-14t21:59:43.10-05:00",
    }


def test_pipes_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(FileError, match=r"a\.yaml is a named pipe \(FIFO\), expected a file"):
        load_yaml(tmp_path / "a.yaml")
    with pytest.raises(FileError, match="is a device"):
        load_yaml(Path("/dev/zero"))


def test_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"a: \xff")
    with pytest.raises(FormatError, match=r"a\.yaml is not a YAML file: .*utf-8"):
        load_yaml(tmp_path / "a.yaml")
    with pytest.raises(FileNotFoundError):
        load_yaml(tmp_path / "none.yaml")
