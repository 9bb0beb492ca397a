"""Paired volumes from files and folders as people have them."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import sinograd as sg
from dicom_slices import tissue, write_slices
from sinograd.datasets import (
    LdctAndProjection,
    Mayo2016,
    PairFiles,
    Volumes,
    load_pairs,
    with_absolute_paths,
)
from sinograd.datasets.files import names_of
from sinograd.datasets.ldct_and_projection import split_table

_SHAPE = (3, 8, 8)


def _volume(path: Path, seed: int = 0, spacing: float = 1.0, scale: float = 100.0) -> torch.Tensor:
    path.parent.mkdir(parents=True, exist_ok=True)
    volume = torch.randn(_SHAPE, generator=torch.Generator().manual_seed(seed)) * scale
    sg.write_volume(volume, path, sg.Grid(_SHAPE, spacing))
    return volume


def test_files_named_one_by_one(tmp_path: Path) -> None:
    low, normal = _volume(tmp_path / "low.h5", 1), _volume(tmp_path / "normal.npy", 2)
    noise = _volume(tmp_path / "noise-2.tif", 3)
    spec = Volumes(
        "volumes",
        "HU",
        (
            PairFiles(Path("low.h5"), Path("normal.npy"), patient="anna", group="chest"),
            PairFiles((Path("low.h5"), Path("noise-2.tif")), name="twice"),
        ),
    )
    first, second = load_pairs(with_absolute_paths(spec, tmp_path))
    assert (first.name, first.patient, first.group, first.unit) == ("low", "anna", "chest", "HU")
    assert first.target is not None and first.spacing == (1.0, 1.0, 1.0)
    assert torch.equal(first.inputs[0].read(0, 3), low) and torch.equal(first.target.read(1, 2), normal[1:2])
    assert (second.name, second.patient, second.target) == ("twice", "twice", None)
    assert torch.equal(second.inputs[1].read(0, 3), noise)


def test_files_of_one_name_are_told_apart() -> None:
    """Patients whose folders hold files of the same names stay different patients."""
    paths = [Path(p) for p in ("/d/a/low.h5", "/d/b/low.nii.gz", "/d/c.h5", "/d/a/low.h5")]
    assert names_of(paths) == ["a/low", "b/low", "c", "a/low"]
    deep = [Path(p) for p in ("/d/1/x/low.h5", "/d/2/x/low.h5", "/d/2/y/low.h5")]
    assert names_of(deep) == ["1/x/low", "2/x/low", "y/low"] and names_of([]) == []


def test_two_folders_by_name(tmp_path: Path) -> None:
    clean = tissue(_SHAPE)
    for name, seed in (("b", 1), ("a", 2)):
        _volume(tmp_path / "input" / f"{name}.npy", seed)
        _volume(tmp_path / "target" / f"{name}.h5", seed)
    write_slices(tmp_path / "input" / "c", clean, spacing=(1, 1, 1))
    write_slices(tmp_path / "target" / "c", clean, spacing=(1, 1, 1))
    pairs = load_pairs(Volumes("volumes", "HU", folder=tmp_path))
    assert [pair.name for pair in pairs] == ["a", "b", "c"]
    assert torch.equal(pairs[2].inputs[0].read(0, 3), torch.from_numpy(clean).float())
    (tmp_path / "target" / "b.h5").unlink()
    shutil.rmtree(tmp_path / "input" / "c")
    with pytest.raises(ValueError, match=r"without a partner: 2 of the volumes, input/b.npy, target/c"):
        load_pairs(Volumes("volumes", "HU", folder=tmp_path))


def test_volumes_that_do_not_fit(tmp_path: Path) -> None:
    _volume(tmp_path / "low.h5")
    _volume(tmp_path / "thick.h5", spacing=2.0)
    _volume(tmp_path / "mu.h5", scale=0.02)
    sg.write_volume(torch.zeros(2, 8, 8), tmp_path / "short.h5", sg.Grid((2, 8, 8)))

    def pair(target: str, unit: Any = "HU") -> Any:
        return load_pairs(Volumes("volumes", unit, (PairFiles(tmp_path / "low.h5", tmp_path / target),)))

    with pytest.raises(ValueError, match="low: target has voxels of 2 x 2 x 2 mm, the input of 1 x 1 x 1 mm"):
        pair("thick.h5")
    with pytest.raises(ValueError, match="low: target has 2 x 8 x 8 voxels, the input 3 x 8 x 8"):
        pair("short.h5")
    with pytest.raises(ValueError, match=r"low: the unit is HU, but the target's values .* attenuation in 1/mm"):
        pair("mu.h5")
    sg.write_volume(torch.randn(_SHAPE) * 100, tmp_path / "moved.h5", sg.Grid(_SHAPE, 1.0, (0, 0, 1.5)))
    with pytest.raises(ValueError, match=r"low: the target lies 0, 0, 1\.5 mm \(x, y, z\) from the input"):
        pair("moved.h5")
    with pytest.raises(FileNotFoundError, match=r"none\.h5 does not exist"):
        pair("none.h5")
    write_slices(tmp_path / "slices", tissue(_SHAPE))
    with pytest.raises(ValueError, match="DICOM slices are in HU, the unit was given as 1/mm"):
        pair("slices", "1/mm")
    with pytest.raises(ValueError, match="takes either files or a folder, got neither"):
        load_pairs(Volumes("volumes", "HU"))
    with pytest.raises(FileNotFoundError, match="a folder of pairs holds input and target"):
        load_pairs(Volumes("volumes", "HU", folder=tmp_path))
    with pytest.raises(TypeError, match="spec must be one of the layouts"):
        load_pairs("volumes")  # pyright: ignore[reportArgumentType]


# --- Low Dose CT Grand Challenge 2016 ---


def _mayo(
    folder: Path, layout: str, patient: str, thickness: int = 3, doses: tuple[str, ...] = ("full", "quarter")
) -> None:
    for dose in doses:
        name = f"{dose}_{thickness}mm"
        place = {
            "distributed": folder / f"{thickness}mm B30" / name / patient / name,
            "patients": folder / patient / name,
            "flat": folder / name,
        }[layout]
        image = tissue(_SHAPE, seed=int(patient[1:]) + 1000 * (dose == "quarter"))
        write_slices(place, image, name=f"{patient}_{dose[0].upper()}D_{thickness}_1.CT.0001.{{:04d}}.IMA")


@pytest.mark.parametrize("layout", ["distributed", "patients", "flat"])
def test_mayo2016(tmp_path: Path, layout: str) -> None:
    for patient in ("L096", "L067"):
        _mayo(tmp_path, layout, patient)
    pairs = load_pairs(Mayo2016("mayo2016", tmp_path))
    assert [(p.name, p.patient, p.unit, p.group) for p in pairs] == [
        (name, name, "HU", "abdomen") for name in ("L067", "L096")
    ]
    assert pairs[0].target is not None
    assert torch.equal(pairs[0].inputs[0].read(0, 3), torch.from_numpy(tissue(_SHAPE, 1067)).float())
    assert torch.equal(pairs[0].target.read(0, 3), torch.from_numpy(tissue(_SHAPE, 67)).float())
    (only,) = load_pairs(Mayo2016("mayo2016", tmp_path, patients=("l096",)))
    assert only.patient == "L096"


def test_mayo2016_in_another_state(tmp_path: Path) -> None:
    spec = Mayo2016("mayo2016", tmp_path / "data")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_pairs(spec)
    (tmp_path / "data").mkdir()
    with pytest.raises(ValueError, match="holds no folders full_1mm"):
        load_pairs(spec)
    _mayo(tmp_path / "data", "patients", "L067")
    _mayo(tmp_path / "data", "patients", "L096", doses=("full",))
    with pytest.raises(ValueError, match=r"without a pair: 1 of the patients, L096 \(full dose only\)"):
        load_pairs(spec)
    with pytest.raises(ValueError, match="has no patients L333; it has L067, L096"):
        load_pairs(dataclasses.replace(spec, patients=("L067", "L333")))
    assert len(load_pairs(dataclasses.replace(spec, patients=("L067",)))) == 1
    _mayo(tmp_path / "data", "patients", "L067", thickness=1)
    with pytest.raises(
        ValueError, match=r"pairs.thickness_mm: .* has slices of 1 and 3 mm, expected one of these, got None"
    ):
        load_pairs(spec)
    assert len(load_pairs(dataclasses.replace(spec, patients=("L067",), thickness_mm=1))) == 1
    _mayo(tmp_path / "data" / "D45", "patients", "L067")
    with pytest.raises(ValueError, match=r"L067 has 2 series of .* dose and 3 mm, in .*D45.*: choose by pairs.kernel"):
        load_pairs(dataclasses.replace(spec, patients=("L067",), thickness_mm=3))
    assert len(load_pairs(dataclasses.replace(spec, kernel="D45"))) == 1


def test_mayo2016_with_a_missing_slice(tmp_path: Path) -> None:
    _mayo(tmp_path, "patients", "L067")
    image = tissue((5, 8, 8))
    shutil.rmtree(tmp_path / "L067" / "quarter_3mm")
    files = write_slices(tmp_path / "L067" / "quarter_3mm", image)
    files[2].unlink()
    with pytest.raises(ValueError, match=r"L067, quarter dose: 1 slice is missing between 1-002.dcm and 1-004.dcm"):
        load_pairs(Mayo2016("mayo2016", tmp_path))


# --- LDCT-and-Projection-data ---


def _ldct(root: Path, patient: str, slices: int = 3, which: tuple[str, ...] = ("Low", "Full")) -> dict[str, str]:
    names = {}
    for dose in which:
        name = f"LDCT-and-Projection-data/{patient}/12-23-2021-NA-NA-61870/1.000000-{dose} Dose Images-00959"
        write_slices(root / name, tissue((slices, 4, 4), seed=len(dose)), name="1-{:03d}.dcm")
        names[dose] = f"./{name}"
    (root / "LDCT-and-Projection-data" / patient / "12-23-2021-NA-NA-61870" / "2.000000-Low Dose Projections-1").mkdir(
        exist_ok=True
    )
    return names


def test_the_split_is_ldct_benchmarks() -> None:
    """Patients and slices as published: 35 / 10 / 5 of each group, 12136 / 5680 / 1253 slices to train on ..."""
    table = split_table()
    counts = {
        split: [(sum(p[0] == g for p in held), sum(n for p, n in held.items() if p[0] == g)) for g in "CLN"]
        for split, held in table.items()
    }
    assert counts == {
        "train": [(35, 12136), (35, 5680), (35, 1253)],
        "val": [(10, 3352), (10, 1652), (10, 345)],
        "test": [(5, 1825), (5, 827), (5, 184)],
    }
    assert len({patient for held in table.values() for patient in held}) == 150


def test_ldct_and_projection(tmp_path: Path) -> None:
    for patient in ("L241", "C121", "N252"):
        _ldct(tmp_path, patient)
    for folder in (tmp_path, tmp_path / "LDCT-and-Projection-data"):
        pairs = load_pairs(LdctAndProjection("ldct-and-projection", folder))
        assert [(p.patient, p.group) for p in pairs] == [("C121", "chest"), ("L241", "abdomen"), ("N252", "neuro")]
    assert pairs[0].target is not None
    assert torch.equal(pairs[0].inputs[0].read(0, 3), torch.from_numpy(tissue((3, 4, 4), 3)).float())
    assert torch.equal(pairs[0].target.read(0, 3), torch.from_numpy(tissue((3, 4, 4), 4)).float())
    chosen = LdctAndProjection("ldct-and-projection", tmp_path, groups=("chest", "neuro"), patients=("C121", "L241"))
    assert [p.patient for p in load_pairs(chosen)] == ["C121"]


def test_ldct_and_projection_split(tmp_path: Path) -> None:
    name, slices = next(item for item in split_table()["test"].items() if item[0].startswith("N"))
    _ldct(tmp_path, name, slices)
    spec = LdctAndProjection("ldct-and-projection", tmp_path, split="test", patients=(name,))
    (pair,) = load_pairs(spec)
    assert pair.shape[0] == slices
    with pytest.raises(ValueError, match="has no folders of 14 of 15 patients: C121"):
        load_pairs(dataclasses.replace(spec, patients=()))
    with pytest.raises(ValueError, match=rf"pairs\.patients: {name} not in the split train"):
        load_pairs(dataclasses.replace(spec, split="train"))
    low = next(tmp_path.glob(f"*/{name}/*/*Low Dose Images*"))
    sorted(low.iterdir())[-1].unlink()
    with pytest.raises(ValueError, match=rf"holds {slices - 1} slices, the split tells of {slices}: an incomplete"):
        load_pairs(spec)


def test_ldct_and_projection_with_another_info(tmp_path: Path) -> None:
    names = _ldct(tmp_path, "C001", 2)
    info = tmp_path / "info.yml"
    entry = {"id": "C001", "input": names["Low"], "target": names["Full"], "n_slices": 2}
    info.write_text(yaml.safe_dump({"train_set": [entry], "val_set": [], "test_set": [], "mean": 481.4}))
    spec = LdctAndProjection("ldct-and-projection", tmp_path, split="train", info=info)
    assert [p.patient for p in load_pairs(spec)] == ["C001"]
    inner = dataclasses.replace(spec, folder=tmp_path / "LDCT-and-Projection-data")
    assert [p.patient for p in load_pairs(inner)] == ["C001"]
    info.write_text("train_set: [{id: C001}]\nval_set: []\ntest_set: []\n")
    with pytest.raises(ValueError, match=r"is no info.yml of ldct-benchmark: .*KeyError: 'n_slices'"):
        load_pairs(spec)


def test_ldct_and_projection_without_a_partner(tmp_path: Path) -> None:
    _ldct(tmp_path, "L004", which=("Full",))
    spec = LdctAndProjection("ldct-and-projection", tmp_path)
    with pytest.raises(ValueError, match="L004 has no folder with 'low dose images' in the name"):
        load_pairs(spec)
    with pytest.raises(ValueError, match="holds no patients C121"):
        load_pairs(dataclasses.replace(spec, groups=("neuro",)))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_pairs(dataclasses.replace(spec, folder=tmp_path / "none"))


def test_progress_counts_the_patients(tmp_path: Path) -> None:
    for patient in ("L067", "L096"):
        _mayo(tmp_path, "patients", patient)
    calls: list[tuple[int, int]] = []
    load_pairs(Mayo2016("mayo2016", tmp_path), lambda done, total: calls.append((done, total)))
    assert calls == [(1, 2), (2, 2)]


def test_padding_is_passed_on(tmp_path: Path) -> None:
    image = np.full(_SHAPE, 40.0)
    image[:, 0] = -2000.0
    for part in ("input", "target"):
        write_slices(tmp_path / part / "a", image, intercept=-3000.0)
    (air,) = load_pairs(Volumes("volumes", "HU", folder=tmp_path))
    (kept,) = load_pairs(Volumes("volumes", "HU", folder=tmp_path, padding="keep"))
    assert air.inputs[0].read(0, 1).unique().tolist() == [-1000, 40]
    assert kept.inputs[0].read(0, 1).unique().tolist() == [-2000, 40]
