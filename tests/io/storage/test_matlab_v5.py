"""MATLAB files of version 5. Truth: SciPy's reader for whole files; damaged ones are one error, and never crash."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sinograd.errors import FormatError
from sinograd.io.storage.matlab import load_matlab, variable_names

STRUCT: dict[str, Any] = {
    "matrix": np.arange(6.0).reshape(2, 3),
    "cube": np.arange(24, dtype=np.int32).reshape(2, 3, 4),
    "text": "Knöchel",
    "number": 3.5,
    "row": np.int16([[1, 2, 3]]),
    "complex": np.array([1 + 2j, 3]),
    "single": np.float32([1.5, 2.5]),
    "large": np.uint64([2**63, 1]),
    "inner": {"deep": np.array([1.0, 2.0])},
}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return np.array_equal(one, other) and np.asarray(one).dtype.kind == np.asarray(other).dtype.kind


@pytest.mark.parametrize("packed", [False, True])
def test_as_scipy_reads_it(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"CtData": STRUCT, "other": np.eye(3)}, do_compression=packed)
    found = load_matlab(path, ("CtData", "missing"))
    assert list(found) == ["CtData"] and variable_names(path) == ["CtData", "other"]
    assert same(found["CtData"], scipy.io.loadmat(path, simplify_cells=True)["CtData"])


def test_other_kinds(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    cells = np.array(["ab", np.eye(2), 3.0], dtype=object)
    structs = np.array([(1.0, "x"), (2.0, "y")], dtype=[("a", "O"), ("b", "O")])
    scipy.io.savemat(path, {"c": cells, "s": structs, "rows": np.array(["abc", "de "]), "e": np.zeros((0, 3))})
    found = load_matlab(path, ("c", "s", "rows", "e"))
    assert found["c"][0] == "ab" and np.array_equal(found["c"][1], np.eye(2)) and found["c"][2] == 3.0
    assert found["s"] == [{"a": 1.0, "b": "x"}, {"a": 2.0, "b": "y"}]
    assert found["rows"] == ["abc", "de"] and np.size(found["e"]) == 0


def test_big_endian_and_text_of_16_bits(tmp_path: Path) -> None:
    """As MATLAB on other machines, and as MATLAB writes text, element by element."""

    def element(kind: int, data: bytes) -> bytes:
        return struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)

    text = (
        element(6, struct.pack(">II", 4, 0))
        + element(5, struct.pack(">ii", 1, 3))
        + element(1, b"t")
        + element(4, "Kö°".encode("utf-16-be"))
    )
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI"
    (tmp_path / "a.mat").write_bytes(head + element(14, text))
    assert load_matlab(tmp_path / "a.mat", ("t",)) == {"t": "Kö°"}


def test_a_variable_that_inflates_without_end(tmp_path: Path) -> None:
    packed = zlib.compress(struct.pack("<II", 14, 1 << 30) + bytes(300 << 20), 9)
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    (tmp_path / "a.mat").write_bytes(head + struct.pack("<II", 15, len(packed)) + packed)
    with pytest.raises(FormatError, match=r"a\.mat is a truncated or damaged MATLAB file"):
        load_matlab(tmp_path / "a.mat", ("",))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_bytes(tmp_path: Path, changes: list[tuple[float, int]]) -> None:
    path = tmp_path / "a.mat"
    if not path.exists():
        scipy.io.savemat(path, {"CtData": STRUCT})
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[128 + int(place * (len(content) - 128))] = value
    (tmp_path / "b.mat").write_bytes(content)
    try:
        load_matlab(tmp_path / "b.mat", ("CtData",))
    except FormatError as error:
        assert "b.mat" in str(error) and "\n" not in str(error)
