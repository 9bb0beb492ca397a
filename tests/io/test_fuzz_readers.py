"""A few hundred mutations over all readers; `make fuzz` runs thousands. `tests/fuzz.py` says what a failure is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import fuzz
from fuzz_cases import CASES
from sinograd.choices import SCAN_FORMATS, VOLUME_FORMATS
from sinograd.io.formats import matching_format

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


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore")
def test_every_case_is_read_before_it_is_damaged(name: str, tmp_path: Path) -> None:
    if name in ("nrrd packed", "mhd", "mhd packed"):
        pytest.importorskip("SimpleITK", reason="needs the extra io")
    if name.startswith("Zarr"):
        pytest.importorskip("zarr", reason="needs the extra io")
    fuzz._read_all(CASES[name].kind, CASES[name].make(tmp_path))
    assert (tmp_path / CASES[name].damaged).is_file()


@pytest.mark.filterwarnings("ignore")
def test_every_format_has_a_case(tmp_path: Path) -> None:
    """Truth: the registries of formats."""
    pytest.importorskip("SimpleITK", reason="needs the extra io")
    pytest.importorskip("zarr", reason="needs the extra io")
    tried: dict[str, set[str]] = {"scan": set(), "volume": set()}
    for number, case in enumerate(CASES.values()):
        if case.kind in tried:
            folder = tmp_path / str(number)
            folder.mkdir()
            registry = SCAN_FORMATS if case.kind == "scan" else VOLUME_FORMATS
            choice = matching_format(registry, case.make(folder))
            tried[case.kind].add(choice.entry.name if choice else "")
    assert tried["scan"] == {entry.name for entry in SCAN_FORMATS.entries()}
    assert tried["volume"] == {entry.name for entry in VOLUME_FORMATS.entries()}
