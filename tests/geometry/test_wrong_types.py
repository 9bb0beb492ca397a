"""Geometry files with any value of any type at any key: a geometry, or an error of sinograd on one short line."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sinograd.config.yaml import load_yaml
from sinograd.errors import InputError, SinogradError
from sinograd.geometry import (
    ConeBeam,
    CurvedDetector,
    FanBeam,
    FlatDetector,
    Geometry,
    Grid,
    ParallelBeam,
    full_scan,
    load_geometry,
)

DEEP: list[Any] = []
for _ in range(150):
    DEEP = [DEEP]
WRONG: tuple[Any, ...] = (
    None,
    True,
    "x\x1b[2J",
    "1",
    "",
    [],
    {},
    [1, [2, 3]],
    [None, "a"],
    [[]],
    {"a": {1: [2]}},
    DEEP,
    -1,
    0,
    0.5,
    10**30,
    10**300,
    10**400,
    1e308,
    -1e-320,
    math.inf,
    math.nan,
    [1e308] * 5,
    list(range(5)),
    ["y" * 100_000],
)
FLAT = FlatDetector((4, 5), 0.3, (0.1, 0.2))
CONE = {"source_to_origin": 100, "source_to_detector": 150, "angles": full_scan(5)}
GEOMETRIES: dict[str, Geometry] = {
    "cone": ConeBeam.circular(**CONE, detector=FLAT, axis_offset=0.1, source_offset=(0.1, 0.2), tilt=0.1, yaw=0.2),
    "curved": ConeBeam.circular(**CONE, detector=CurvedDetector((4, 5), 0.3, 120.0), shifts=[[0.1, 0.2]] * 5),
    "helical": ConeBeam.helical(**CONE, pitch=3.0, detector=FLAT),
    "fan": FanBeam.short_scan(source_to_origin=100, source_to_detector=150, views=9, detector=FlatDetector(5, 0.3)),
    "parallel": ParallelBeam([0.0, 0.3, 0.7, 0.8, 2.0], FLAT, axis_offset=[0.1, 0.2, 0.3, 0.4, 0.5]),
    "vectors": ParallelBeam.from_vectors(
        directions=[[0.0, 1, 0]] * 2,
        centers=[[0.0, 0, 0]] * 2,
        u=[[1.0, 0, 0]] * 2,
        v=[[0.0, 0, 1]] * 2,
        detector=FlatDetector((4, 5), 1.0),
    ),
}


def places(value: Any) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in a record, that of the record itself too."""
    yield ()
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from ((key, *path) for path in places(inner))


def with_value(record: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.copy(record)
    changed[path[0]] = with_value(record[path[0]], path[1:], value)
    return changed


def one_line(error: BaseException) -> bool:
    text = str(error)
    return isinstance(error, SinogradError) and "\n" not in text and 0 < len(text) < 1000


@pytest.mark.parametrize("name", GEOMETRIES)
def test_any_value_at_any_key(name: str) -> None:
    record = GEOMETRIES[name].to_dict()
    read = 0
    for path in places(record):
        for value in WRONG:
            changed = with_value(record, path, value)
            try:
                geometry = Geometry.from_dict(changed)
            except Exception as error:
                assert one_line(error), (path, type(error), str(error)[:500])
            else:
                read += 1
                assert len(repr(geometry)) < 10_000
    assert read > 0


@pytest.mark.parametrize("key", ["shape", "spacing", "center"])
def test_any_value_of_a_grid(key: str) -> None:
    record = Grid((2, 3, 4), 0.1, (1, 2, 3)).to_dict()
    for path in places(record[key]):
        for value in WRONG:
            try:
                Grid.from_dict(with_value(record, (key, *path), value))
            except Exception as error:
                assert one_line(error), (path, type(error), str(error)[:500])


def test_thousands_of_keys_are_one_short_line(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text("beam: cone\nscan: circular\n" + "".join(f"k{i}: 1\n" for i in range(20_000)))
    with pytest.raises(InputError, match=r"many\.yaml: unknown cone circular geometry key k0, k1, .* and 19992 more"):
        load_geometry(path)


def test_a_description_of_billions_of_views(tmp_path: Path) -> None:
    """24 bytes of text that would be gigabytes of vectors."""
    record = GEOMETRIES["cone"].to_dict()
    record["angles_deg"] = {"start": 0.0, "step": 1.0, "views": 10**9}
    with pytest.raises(InputError, match="angles_deg views must be at most 1,000,000, got 1,000,000,000"):
        Geometry.from_dict(record)
    assert load_yaml("a: 1_000") == {"a": 1000}
