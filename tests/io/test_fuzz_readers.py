"""A few hundred mutations over all readers; `make fuzz` runs thousands. `tests/fuzz.py` says what a failure is."""

from __future__ import annotations

import sys

import pytest

import fuzz
from fuzz_cases import CASES

COUNT = 5 * len(CASES)


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")
def test_every_reader_reads_or_says_in_one_line_why_not() -> None:
    pytest.importorskip("SimpleITK", reason="needs the extra io")
    pytest.importorskip("zarr", reason="needs the extra io")
    results = list(fuzz.results(first=10**6, count=COUNT, seed=0))
    assert [result["number"] for result in results] == list(range(10**6, 10**6 + COUNT))
    assert [result for result in results if result["end"] not in ("read", "refused")] == []
    assert {result["case"] for result in results} == set(CASES)
    assert sum(result["end"] == "read" for result in results) > COUNT // 20
