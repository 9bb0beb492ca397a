"""The schema of pairs and patches: what its page shows can be read, wrong keys and values end with their path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sinograd.config.schema import from_plain, to_plain
from sinograd.config.yaml import load_yaml
from sinograd.datasets import (
    LdctAndProjection,
    Mayo2016,
    OwnVolume,
    PairedVolume,
    PairsSpec,
    PatchesSpec,
    Phantoms,
    ScanSpec,
    Volumes,
    spec,
    with_absolute_paths,
)
from sinograd.errors import ConfigError


def _documented() -> list[dict[str, Any]]:
    """The layouts in the module's own example, one mapping each."""
    assert spec.__doc__ is not None
    example = spec.__doc__.split("\n\n", 1)[1].split("Paths are relative")[0]
    blocks, patches = example.split("\n    patches:")
    found = []
    for block in blocks.removeprefix("    pairs:\n").split("\n\n"):
        lines = [line for line in block.splitlines() if not line.strip().startswith("...")]
        found.append(load_yaml("\n".join(lines)))
    return [*found, load_yaml(f"patches:{patches}")["patches"]]


def test_what_is_documented_can_be_read() -> None:
    *layouts, patches = _documented()
    specs = [from_plain(PairsSpec, data) for data in layouts]  # pyright: ignore[reportArgumentType]
    assert [type(one) for one in specs] == [Mayo2016, LdctAndProjection, Volumes, Phantoms, OwnVolume]
    assert from_plain(PatchesSpec, patches) == PatchesSpec()
    for one in specs:
        again = from_plain(PairsSpec, load_yaml(yaml.safe_dump(to_plain(one))))  # pyright: ignore[reportArgumentType]
        assert again == one


def test_every_key_is_documented() -> None:
    *layouts, patches = _documented()
    for data in layouts:
        one = from_plain(PairsSpec, data)  # pyright: ignore[reportArgumentType]
        text = spec.__doc__ or ""
        assert [key for key in to_plain(one) if f"{key}" not in text] == []
    assert set(patches) == set(to_plain(PatchesSpec()))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"layout": "phantom"}, "layout: expected mayo2016, ldct-and-projection, volumes, phantoms or own-volume, got"),
        ({"folder": "a"}, "layout: missing, expected mayo2016"),
        ({"layout": "mayo2016"}, "folder: missing, expected the path"),
        ({"layout": "mayo2016", "foldr": "a"}, r"foldr: unknown key \(did you mean folder\?\)"),
        ({"layout": "ldct-and-projection", "folder": "a", "split": "valid"}, "split: expected train, val or test"),
        ({"layout": "ldct-and-projection", "folder": "a", "groups": ["liver"]}, r"groups\[0\]: expected chest, abd"),
        ({"layout": "volumes", "folder": "a"}, "unit: missing, expected HU, 1/mm, mg/cm3, 1 or none"),
        ({"layout": "volumes", "unit": "HU", "files": [{"input": []}]}, r"files\[0\]\.input: expected"),
        ({"layout": "phantoms", "shape": [0, 4, 4]}, "shape: expected three whole numbers of at least 1"),
        ({"layout": "phantoms", "scan": {"photons": -1}}, r"scan\.photons: expected a positive number, got -1"),
        ({"layout": "own-volume", "files": [], "unit": "HU"}, "files: expected a list that is not empty"),
    ],
)
def test_wrong_keys_and_values(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_plain(PairsSpec, data)  # pyright: ignore[reportArgumentType]


def test_paths_are_relative_to_the_file() -> None:
    base = Path("/data/run")
    data = {"layout": "own-volume", "files": ["a.h5", "/b.h5"], "unit": "HU", "scan": {"scanner": "mine.yaml"}}
    moved = with_absolute_paths(from_plain(PairsSpec, data), base)  # pyright: ignore[reportArgumentType]
    assert moved.files == (base / "a.h5", Path("/b.h5")) and moved.scan.scanner == str(base / "mine.yaml")
    named = Phantoms(scan=ScanSpec(beam="fan", scanner="htc2022"))
    assert with_absolute_paths(named, base) == named
    pair = {"layout": "volumes", "unit": "HU", "files": [{"input": ["a", "b"], "target": "c"}]}
    (files,) = with_absolute_paths(from_plain(PairsSpec, pair), base).files  # pyright: ignore[reportArgumentType]
    assert files.input == (base / "a", base / "b") and files.target == base / "c"


def test_patches_as_described() -> None:
    import torch

    pair = PairedVolume("a", "a", (torch.zeros(2, 8, 8),), None, "HU")
    patches = PatchesSpec((4, 6), 3, augment=False, weights="slice", pad=-2000.0, cache_mb=1).build([pair])
    assert patches.size == (4, 6) and patches.per_batch == 3 and patches.pad == -2000
    assert patches.cache.limit == 1 << 20 and patches.weights == "slice" and not patches.augment
