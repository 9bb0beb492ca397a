"""No output of a command replaces what it reads, by whatever name, nor another output. Truth: the files' bytes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import torch
from typer.testing import CliRunner

import sinograd as sg
from dicom_slices import write_slices
from sinograd.cli.app import app
from sinograd.data import Scan, Volume
from sinograd.geometry import ConeBeam, FlatDetector, Grid, full_scan
from sinograd.models import save_model
from sinograd.workflows import report

PARALLEL = "{beam: parallel, scan: circular, angles_deg: angles.txt, detector: {shape: [4, 6], spacing: 1}}"  # 8 views
TRAINING = "data: {training: [{input: v.h5, target: t.npy}]}\nmodel: {name: bilateral, filters: 1, window: 3}\n"
TRAINING += "stop: {max_steps: 1}\n"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One input of each kind."""
    folder = tmp_path_factory.mktemp("inputs") / "in"
    folder.mkdir()
    geometry = ConeBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=full_scan(6), detector=FlatDetector((4, 6), 2.0)
    )
    scan = Scan(torch.rand(6, 4, 6), geometry, {"sample": "ball"}, Grid((4, 6, 6), 1.0))
    for name in ("scan.h5", "a.npy", "stack"):
        sg.write_scan(scan, folder / name)
    counts = np.random.default_rng(0).integers(300, 800, (8, 4, 6)).astype(np.uint16)
    for place, images in (("raw", counts), ("white", counts[:2] + 900), ("dark", counts[:2] // 10)):
        (folder / place).mkdir()
        for index, image in enumerate(images):
            tifffile.imwrite(folder / place / f"{place}_{index}.tif", image)
    np.save(folder / "flat.npy", counts[:2] + 900)
    angles = "\n".join(str(22.5 * view) for view in range(8))
    (folder / "raw" / "scan.yaml").write_text("geometry: " + PARALLEL + "\n")
    (folder / "raw" / "angles.txt").write_text(angles)
    tifffile.imwrite(folder / "raw" / "flat_0.tif", counts[0] + 900)
    tifffile.imwrite(folder / "raw" / "dark_0.tif", counts[0] // 10)
    (folder / "geometry.yaml").write_text(PARALLEL)
    (folder / "angles.txt").write_text(angles)
    (folder / "options.yaml").write_text("window: hann\n")
    with h5py.File(folder / "images.h5", "w") as file:
        file["images"] = counts
    with h5py.File(folder / "linked.h5", "w") as file:
        file["exchange/data"] = h5py.ExternalLink("images.h5", "/images")
        file["exchange/data_white"], file["exchange/theta"] = counts[:2] + 900, 22.5 * np.arange(8)
        file["measurement/instrument/detector/x_pixel_size"] = 1.0
    values = torch.rand(3, 12, 12) * 0.05
    volume = Volume(values, Grid((3, 12, 12), 1.0), "1/mm")
    for name in ("v.h5", "t.npy", "v.zarr", "slices", "v.mha"):
        sg.write_volume(volume, folder / name)
    with h5py.File(folder / "far.h5", "w") as file, h5py.File(folder / "v.h5") as other:
        for name in other:
            file[name] = h5py.ExternalLink("v.h5", f"/{name}")
        file.attrs.update(other.attrs)
    write_slices(folder / "dicom", np.zeros((3, 12, 12)))
    save_model(torch.nn.Sequential(sg.BilateralFilter2d([0.5, 0.5], 0.05)), folder / "model.yaml")
    (folder / "train.yaml").write_text(TRAINING)
    (folder / "pairs.yaml").write_text("pairs: {layout: volumes, unit: 1/mm, files: [{input: v.h5, target: t.npy}]}\n")
    return folder


@pytest.fixture
def files(origin: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The inputs, whose folder is the working folder; what a test adds there is removed."""
    monkeypatch.chdir(origin)
    names, before = set(os.listdir(origin)), states(origin)
    yield origin
    for name in set(os.listdir(origin)) - names:
        path = origin / name
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    assert states(origin).keys() == before.keys()


@pytest.fixture
def copied(origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the inputs, which is the working folder."""
    shutil.copytree(origin, tmp_path / "in")
    monkeypatch.chdir(tmp_path / "in")
    return tmp_path / "in"


def states(folder: Path) -> dict[str, tuple[int, ...]]:
    """Which file has each name, its size and when it was written."""
    found: dict[str, tuple[int, ...]] = {}
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            status = os.lstat(os.path.join(place, name))
            size = (status.st_size, status.st_mtime_ns) if name in names else ()
            found[os.path.join(place, name)] = (status.st_ino, *size)
    return found


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages of work that a command began, besides reading."""
    begun: list[str] = []
    stage = report.Position.stage

    def noted(self: report.Position, name: str, *rest: Any) -> Any:
        begun.append(name)
        return stage(self, name, *rest)

    monkeypatch.setattr(report.Position, "stage", noted)
    return begun


def refused(folder: Path, line: str) -> str:
    """The message of a command that must stop with 2 and leave everything as it is."""
    before = states(folder)
    result = CliRunner().invoke(app, [*line.split(), "--force"])
    words = " ".join(result.stderr.split())
    assert states(folder) == before, f"{line}: files changed: {words}"
    assert result.exit_code == 2, f"{line}: exit code {result.exit_code}: {words}"
    assert "cannot write" in words, f"{line}: {words}"
    assert any(told in words for told in ("being read", "itself", "holds it", "is an input")), f"{line}: {words}"
    return words


def check(folder: Path, command: str, target: str, outputs: dict[str, str]) -> None:
    """outputs: command lines for an output, by the suffix that it must have."""
    path = folder / target
    fitting = [suffix for suffix in outputs if bool(suffix) is path.is_file()]
    for index, suffix in enumerate(fitting):
        link = os.link if index == 1 else os.symlink
        link(path, folder / f"link{suffix}")
        refused(folder, f"{command} {outputs[suffix].format(f'link{suffix}')}")
    if path.suffix in fitting:
        refused(folder, f"{command} {outputs[path.suffix].format(target)}")
    if path.suffix == ".yaml" and ".npy" in outputs:
        refused(folder, f"{command} {outputs['.npy'].format(target.removesuffix('.yaml') + '.npy')}")


SCANS = {
    "raw": ("raw/raw_3.tif", "raw/scan.yaml", "raw/angles.txt", "raw/flat_0.tif", "raw/dark_0.tif", "raw", "."),
    "linked.h5": ("linked.h5", "images.h5"),
    "raw --flat white --dark dark": ("white/white_1.tif", "dark/dark_0.tif", "white"),
    "raw --flat flat.npy": ("flat.npy",),
    "linked.h5 --geometry geometry.yaml": ("geometry.yaml", "angles.txt"),
    "stack": ("stack/projection_00002.tif", "stack"),
    "a.npy": ("a.npy", "a.yaml"),
    "scan.h5": ("scan.h5",),
}
VOLUMES = {
    "v.h5": ("v.h5",),
    "t.npy": ("t.npy", "t.yaml"),
    "v.zarr": ("v.zarr", "v.zarr/zarr.json"),
    "slices": ("slices", "slices/slice_00001.tif"),
    "v.mha": ("v.mha",),
    "far.h5": ("v.h5", "far.h5"),
}
VOLUME_NAMES = {".h5": "-o {}", ".npy": "-o {}", "": "-o {}"}
PICTURES = {".png": "-o new.h5 --preview {}"}


def each(inputs: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(source, target) for source, targets in inputs.items() for target in targets]


@pytest.mark.parametrize(("scan", "target"), each(SCANS | {"scan.h5 --config options.yaml": ("options.yaml",)}))
def test_reconstruct(files: Path, stages: list[str], scan: str, target: str) -> None:
    outputs = VOLUME_NAMES | PICTURES | {".html": "-o new.h5 --page {}"}
    check(files, f"reconstruct {scan} -q --shape 4,6,6", target, outputs)
    assert stages == []


def test_names_of_one_file(files: Path, stages: list[str]) -> None:
    os.symlink(files, "around")
    os.symlink("link.h5", "to-the-link.h5")
    os.symlink("scan.h5", "link.h5")
    for name in ("scan.h5", "../in/scan.h5", "around/scan.h5", str(files / "scan.h5"), "to-the-link.h5", "./scan.h5"):
        refused(files, f"reconstruct link.h5 -q -o {name}")
    for name in ("stack/../stack", "around/stack", "stack/projection_00002.tif", "stack/", "../in", "."):
        refused(files, f"reconstruct stack -q -o {name}")
    assert stages == []


def test_reconstruct_s_picture_of_the_centre(files: Path, stages: list[str]) -> None:
    check(files, "reconstruct raw -q --center auto -o new.h5", "raw/raw_3.tif", {".png": "--center-picture {}"})
    assert stages == []


@pytest.mark.parametrize(("scan", "target"), each(SCANS))
def test_convert_a_scan(files: Path, stages: list[str], scan: str, target: str) -> None:
    source, *options = scan.split(maxsplit=1)
    check(files, f"convert {' '.join(options)} -q {source}", target, {".h5": "{}", ".npy": "{}", "": "{}"})
    assert stages == []


@pytest.mark.parametrize(("volume", "target"), each(VOLUMES))
def test_convert_a_volume(files: Path, stages: list[str], volume: str, target: str) -> None:
    check(files, f"convert -q {volume}", target, {suffix: "{}" for suffix in VOLUME_NAMES})
    assert set(stages) <= {"reading", "writing"}  # where to is found when it begins


@pytest.mark.parametrize(("volume", "target"), [*each(VOLUMES), ("v.h5", "model.yaml")])
def test_denoise(files: Path, stages: list[str], volume: str, target: str) -> None:
    check(files, f"denoise {volume} -q -m model.yaml", target, VOLUME_NAMES | PICTURES)
    assert set(stages) <= {"reading"}


@pytest.mark.parametrize(("scan", "target"), each({scan: SCANS[scan] for scan in ("stack", "a.npy", "scan.h5")}))
def test_simulate(files: Path, stages: list[str], scan: str, target: str) -> None:
    check(files, f"simulate {scan} -q --dose 0.5 --photons 1000", target, {".h5": "-o {}"})
    assert stages == []


@pytest.mark.parametrize("target", ["geometry.yaml", "angles.txt"])
def test_simulate_a_phantom(files: Path, stages: list[str], target: str) -> None:
    outputs = {".h5": "-o {}", ".npy": "-o new.h5 --truth {}", ".tif": "-o new.h5 --truth {}"}
    check(files, "simulate ball -q --scanner geometry.yaml", target, outputs)
    assert stages == []


def test_simulate_a_spectrum(files: Path) -> None:
    (files / "beam.csv").write_text("40,1\n60,2\n")
    os.link("beam.csv", "hard.h5")
    refused(files, "simulate water -q --views 2 --detector 2,8 --shape 2,8,8 --spectrum beam.csv -o hard.h5")


@pytest.mark.parametrize("target", ["scan.h5", "link.yaml"])
def test_calibrate(files: Path, stages: list[str], target: str) -> None:
    os.symlink("scan.h5", "link.yaml")
    os.link("scan.h5", "hard.png")
    options = "--picture hard.png" if target == "scan.h5" else f"-o {target}"
    refused(files, f"calibrate scan.h5 -q {options}")
    assert stages == []


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ("pairs.yaml", "pairs.yaml"),
        *(("pairs.yaml", name) for name in ("v.h5", "t.yaml", "model.yaml")),
        *(("v.h5 --target far.h5 --unit 1/mm", name) for name in ("v.h5", "far.h5")),
        ("far.h5 --target t.npy --unit 1/mm", "v.h5"),
        ("v.h5 --target slices --unit 1/mm", "slices/slice_00001.tif"),
    ],
)
def test_evaluate(files: Path, monkeypatch: pytest.MonkeyPatch, options: str, target: str) -> None:
    monkeypatch.setattr("sinograd.evaluation.evaluate", None)  # which does the work
    line = f"evaluate {options} -q --protocol full-range --data-range 1 -m model.yaml -o results"
    for link in (os.symlink, os.link):
        Path("results").mkdir()
        link(files / target, "results/volumes.csv")
        refused(files, line)
        shutil.rmtree("results")


@pytest.mark.parametrize("target", ["train.yaml", "v.h5", "t.npy", "t.yaml"])
@pytest.mark.parametrize("link", [os.symlink, os.link, os.rename])
def test_train(copied: Path, target: str, link: Callable[..., None]) -> None:
    Path("run").mkdir()
    if target == "t.yaml":  # in a folder that holds other files, too
        Path("run/mine.txt").write_text("mine")
    link(copied / target, "run/config.yaml")
    if link is os.rename and target != "train.yaml":
        os.symlink("run/config.yaml", target)
    config = "run/config.yaml" if link is os.rename and target == "train.yaml" else "train.yaml"
    refused(copied, f"train {config} -q -o run")


def test_train_in_the_folder_of_its_volumes(copied: Path) -> None:
    Path("run/checkpoints").mkdir(parents=True)
    os.rename("v.h5", "run/checkpoints/v.h5")
    Path("train.yaml").write_text(TRAINING.replace("v.h5", "run/checkpoints/v.h5"))
    refused(copied, "train train.yaml -q -o run")


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ("v.h5", "v.h5"),
        ("far.h5", "v.h5"),
        ("t.npy", "t.yaml"),
        ("v.h5 --mask t.npy", "t.npy"),
        ("slices", "slices/slice_00001.tif"),
    ],
)
def test_bone(files: Path, stages: list[str], options: str, target: str) -> None:
    for name, link in (("bone.csv", os.symlink), ("report.html", os.link), ("thickness.h5", os.link)):
        Path("out").mkdir()
        link(files / target, f"out/{name}")
        refused(files, f"bone {options} -q --threshold 300 --density 20000,0 -o out")
        shutil.rmtree("out")
    assert set(stages) <= {"reading"}


@pytest.mark.parametrize(
    ("source", "target"), [("raw", "raw/raw_3.tif"), ("linked.h5", "images.h5"), ("far.h5", "v.h5")]
)
def test_info(files: Path, source: str, target: str) -> None:
    check(files, f"info {source}", target, {".png": "--picture {}"})


@pytest.mark.parametrize(
    "line",
    [
        "reconstruct scan.h5 -o o.h5 --preview p.png --center-picture p.png --center auto",
        "reconstruct scan.h5 -o o.h5 --preview p.png --center-picture sub/../p.png --center auto",
        "reconstruct scan.h5 -o o.h5 --preview one.png --center-picture two.png --center auto",
        "reconstruct scan.h5 -o o.zarr --preview o.zarr/p.png",
        "reconstruct scan.h5 -o o --preview o/p.png",
        "denoise v.h5 -m model.yaml -o o --preview o/p.png",
        "simulate ball -o one.h5 --truth two.h5",
        "simulate ball -o one.h5 --truth around/two.h5",
    ],
)
def test_outputs_that_meet(files: Path, stages: list[str], line: str) -> None:
    Path("sub").mkdir()
    os.symlink(files, "around")
    for suffix in (".png", ".h5"):
        Path(f"one{suffix}").write_text("old")
        os.link(f"one{suffix}", f"two{suffix}")
    before = states(files)
    result = CliRunner().invoke(app, [*line.split(), "-q", "--force"])
    assert result.exit_code == 2 and "one file" in " ".join(result.stderr.split()), result.output
    assert states(files) == before and set(stages) <= {"reading"}
