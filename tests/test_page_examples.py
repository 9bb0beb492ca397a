"""Every Python block and every command of the README and the how-tos runs, in the order of its page, in one folder.

Names, options and order are those of the page. SHORTER has smaller sizes and fewer steps, GIVEN what a page takes from
elsewhere, NOT_RUN what needs more than this machine has.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from page_examples import Example, Session, examples

import sinograd as sg
from dicom_slices import tissue, write_slices
from scanner_files import nikon_text, nikon_vectors, stored, write_images

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    "README.md",
    *(f"docs/{name}.md" for name in ("index", "install", "commands")),
    *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs" / "howto").glob("*.md"))),
]
PAGES.remove("docs/howto/tutorial.md")  # test_tutorial.py compares what it prints

# What stands on the page, and what is run instead: only numbers differ.
SHORTER = {
    "README.md": [
        ("shape=(128, 128, 128), spacing=2.0", "shape=(32, 32, 32), spacing=8.0"),
        ("shape=(128, 128), spacing=3.2", "shape=(32, 32), spacing=12.8"),
        ("full_scan(180)", "full_scan(48)"),
        ("z: [40, 52]", "z: [4, 8]"),
        ("max_steps: 100", "max_steps: 2"),
    ],
    "docs/commands.md": [
        ("--views 180 --detector 96,128", "--views 24 --detector 12,16"),
        ("--voxel-mm 0.3 --shape 32,96,96", "--voxel-mm 2 --shape 8,16,16"),
        ("--iterations 20", "--iterations 2"),
    ],
    "docs/howto/denoiser-data.md": [
        ("shape: [4, 64, 64], scan: {beam: fan, views: 180", "shape: [1, 32, 32], scan: {beam: fan, views: 18"),
        ("max_steps: 400", "max_steps: 2"),
    ],
    "docs/howto/evaluate.md": [
        ("count: 3\n", "count: 2\n"),
        ("shape: [4, 64, 64]", "shape: [1, 32, 32]"),
        ("views: 180", "views: 18"),
        ("max_steps: 400", "max_steps: 2"),
    ],
    "docs/howto/invariance.md": [
        ("count: 20", "count: 1"),
        ("count: 4", "count: 1"),
        ("views: 300", "views: 30"),
        ("views=300", "views=30"),
        ("full_scan(180)", "full_scan(20)"),
        ("per_batch: 16", "per_batch: 2"),
        ("max_steps: 3000", "max_steps: 1"),
        ("max_steps: 2000", "max_steps: 1"),
        ("blocks: 6, hidden: 128", "blocks: 1, hidden: 8"),
        ("--crops 6 --samples 4", "--crops 2 --samples 2"),
    ],
    "docs/howto/iterate.md": [
        ("--views 40 --detector 48,128", "--views 20 --detector 4,24"),
        ("--iterations 50", "--iterations 2"),
        ("--iterations 60", "--iterations 2"),
        ("--iterations 20", "--iterations 2"),
    ],
    "docs/howto/networks.md": [
        ("size: 64, per_batch: 16", "size: 8, per_batch: 2"),
        ("max_steps: 100000", "max_steps: 1"),
        ("max_steps: 20000", "max_steps: 1"),
        ("max_steps: 5000", "max_steps: 1"),
        ("count: 80", "count: 1"),
        ("count: 4", "count: 1"),
        ("shape: [8, 128, 128]", "shape: [1, 32, 32]"),
        ("views: 360", "views: 12"),
        ("slices: 20", "slices: 1"),
        ("--views 192 --detector 8,184", "--views 24 --detector 2,46"),
    ],
    "docs/howto/reconstruct.md": [
        ("--views 360 --detector 192,256", "--views 24 --detector 12,16"),
        ("--voxel-mm 0.2 --shape 32,192,192", "--voxel-mm 2 --shape 4,16,16"),
    ],
    "docs/howto/simulate.md": [
        ("--views 576 --detector 32,368", "--views 12 --detector 2,46"),
        ("--views 300 --detector 16,192", "--views 12 --detector 2,24"),
        ("--views 360 --detector 16,368", "--views 12 --detector 2,46"),
        ("--views 720 --detector 8,512", "--views 12 --detector 2,64"),
    ],
    "docs/howto/train.md": [
        ("--views 180 --detector 96,128", "--views 24 --detector 12,16"),
        ("--shape 48,96,96", "--shape 8,16,16"),
        ("z: [16, 28]", "z: [1, 4]"),
        ("z: [34, 38]", "z: [5, 6]"),
        ("z: [20, 24], y: [24, 72], x: [24, 72]", "z: [3, 5], y: [2, 14], x: [2, 14]"),
        ("max_steps: 200", "max_steps: 2"),
        ("max_steps: 100", "max_steps: 2"),
    ],
    "docs/howto/walnut-denoise.md": [
        ("(48, 192, 192), 0.2", "(12, 24, 24), 1.6"),
        ("z: [20, 28], y: [32, 160], x: [32, 160]", "z: [4, 8], y: [2, 22], x: [2, 22]"),
        ("max_steps: 60", "max_steps: 2"),
    ],
    "docs/howto/walnut.md": [
        ("(256, 256), 0.4", "(24, 24), 4.0"),
        ("voxel_mm=0.2, shape=(192, 192, 192)", "voxel_mm=2.0, shape=(16, 16, 16)"),
    ],
}

NOT_RUN = {
    "pip install": "needs a network",
    "make ": "installs: CI runs these targets",
    "torchrun ": "starts processes: tests/training/test_distributed.py",
}


def demo(folder: Path) -> None:
    """What `make demo` leaves."""
    Session().command(f"sinograd demo -o {folder / 'demo'} --size tiny")


def walnut(folder: Path) -> None:
    """A cone-beam scan of a phantom in the form of the published file: angles fall, the last view repeats the first."""
    geometry = sg.ConeBeam.circular(
        source_to_origin=210.66,
        source_to_detector=553.74,
        angles=sg.full_scan(60),
        detector=sg.FlatDetector((24, 24), 4.0),
    )
    nut = sg.Ellipsoids(value=[0.02, 0.02], semi_axes=[[12, 9, 12], [3, 2, 4]], center=[[1, 0, 0], [5, 3, 2]])
    values = nut.project(geometry).numpy()
    angles = -np.append(geometry.angles.numpy(), 2 * np.pi)
    lengths = {"sid": 210.66, "sdd": 553.74, "du": 4.0, "dv": 4.0}
    np.savez(folder / "walnut_cone.npz", sinogram=np.append(values, values[:1], axis=0), angles=angles, **lengths)


def low_dose_folder(folder: Path) -> None:
    write_slices(folder / "low-dose-folder", tissue())


def scanner_files(folder: Path) -> None:
    """A scan as Nikon's software writes it, one as a beamline does, and a series of CT slices."""
    write_images(stored(nikon_vectors(), (0.5, 0.5)), folder, "bone_", 1)
    (folder / "bone.xtekct").write_text(nikon_text())
    with h5py.File(folder / "synchrotron.nxs", "w") as file:
        detector = file.create_group("entry/instrument/detector")
        detector["data"] = np.random.default_rng(0).integers(1, 4000, (8, 4, 6)).astype(np.uint16)
        detector["image_key"] = [2, 1, 0, 0, 0, 0, 0, 0]
        detector["x_pixel_size"] = detector["y_pixel_size"] = 0.003
        detector["x_pixel_size"].attrs["units"] = detector["y_pixel_size"].attrs["units"] = "mm"
        file["entry/sample/rotation_angle"] = np.arange(8) * 30.0
        file["entry/sample/rotation_angle"].attrs["units"] = "degree"
        for name, kind in (("entry", "NXentry"), (detector.name, "NXdetector"), ("entry/sample", "NXsample")):
            file[name].attrs["NX_class"] = kind
    write_slices(folder / "dicom_folder", tissue())


def grand_challenge(folder: Path) -> None:
    """Patients of the Low Dose CT Grand Challenge as trainings sort them, and a checkpoint of ldct-benchmark."""
    for patient in ("L067", "L096", "L109", "L143", "L506"):
        for dose in ("full", "quarter"):
            write_slices(folder / "Training_Image_Data" / patient / f"{dose}_3mm", tissue(seed=len(dose)))
    weights = sg.networks.REDCNN(channels=4).state_dict()
    names = {"encoder": "conv", "decoder": "tconv"}

    def theirs(key: str) -> str:
        return re.sub(r"(\w+)\.(\d)", lambda m: f"{names[m[1]]}{int(m[2]) + 1}", key, count=1)

    torch.save({"model_state_dict": {theirs(key): value for key, value in weights.items()}}, folder / "redcnn.pt")


GIVEN: dict[str, Callable[[Path], None]] = {
    "docs/install.md": demo,
    "docs/howto/denoiser-data.md": low_dose_folder,
    "docs/howto/formats.md": scanner_files,
    "docs/howto/networks.md": grand_challenge,
    "docs/howto/walnut.md": walnut,
    "docs/howto/walnut-denoise.md": walnut,
}


def page_text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def reason(example: Example) -> str | None:
    """Why it is not run."""
    return next((why for start, why in NOT_RUN.items() if example.text.startswith(start)), None)


def run_page(page: str, folder: Path) -> dict[str, Any]:
    """The names of the Python blocks after all examples."""
    if page in GIVEN:
        GIVEN[page](folder)
    session = Session()
    for example in examples(page_text(page)):
        if reason(example) is None:
            text = example.text
            for long, short in SHORTER.get(page, []):
                text = text.replace(long, short)
            session.run(Example(example.kind, text, example.name))
    return session.names


@pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning")  # of Lightning itself
@pytest.mark.filterwarnings(r"ignore:The 'train_dataloader' does not have many workers")
@pytest.mark.parametrize("page", PAGES[1:])  # the README in test_readme.py
def test_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(page, tmp_path)


@pytest.mark.parametrize("page", SHORTER)
def test_only_numbers_are_replaced(page: str) -> None:
    """Each replacement has its place, and changes no name or option."""
    for long, short in SHORTER[page]:
        assert long in page_text(page), long
        assert re.sub(r"\d+(\.\d+)?", "0", long) == re.sub(r"\d+(\.\d+)?", "0", short)


def test_whatever_is_not_run_stands_somewhere() -> None:
    reasons = {reason(example) for page in PAGES for example in examples(page_text(page))}
    assert reasons - {None} == set(NOT_RUN.values())
    assert set(GIVEN) | set(SHORTER) <= set(PAGES)
