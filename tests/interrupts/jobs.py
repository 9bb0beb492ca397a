"""Small jobs of the commands that write, each with an old output in the place of the new one."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import sinograd as sg
from dicom_slices import write_slices
from sinograd.data import Scan, Volume
from sinograd.geometry import ConeBeam, FanBeam, FlatDetector, Grid, full_scan
from sinograd.models import save_model
from sinograd.phantoms import Ellipsoids, ball

CONFIG = """
data: {{training: [{{input: volume.h5, target: scaled.h5}}]}}
model: {{name: bilateral, filters: 1, window: 3, sigma_range: 0.2}}
stop: {{max_steps: {steps}}}
seed: {steps}
"""


@dataclass(frozen=True)
class Job:
    """A command line, that of the old output, and the outputs with what makes out their content.

    together: an interrupt leaves all of the old outputs or all of the new ones.
    """

    name: str
    new: tuple[str, ...]
    old: tuple[str, ...]
    outputs: dict[str, Callable[[Path], Any]]
    together: bool = False


def make_inputs(folder: Path) -> None:
    """What all jobs read."""
    geometry = ConeBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=full_scan(6), detector=FlatDetector((6, 8), 2.0)
    )
    projections = ball(4.0, 0.05).project(geometry)
    grid = Grid((4, 6, 6), 1.0)
    sg.write_scan(Scan(projections, geometry, {"sample": "ball"}, grid), folder / "scan.h5")
    other = ConeBeam.circular(
        source_to_origin=70, source_to_detector=90, angles=full_scan(6), detector=FlatDetector((6, 8), 2.0)
    )
    sg.write_scan(Scan(2 * projections, other, {"sample": "other"}, grid), folder / "scan2.h5")
    values = torch.rand(4, 12, 12, generator=torch.Generator().manual_seed(0)) * 0.05
    sg.write_volume(Volume(values, Grid((4, 12, 12), 1.0), "1/mm"), folder / "volume.h5")
    sg.write_volume(Volume(values + 0.1, Grid((4, 12, 12), 0.25), "1/mm"), folder / "other.h5")
    sg.write_volume(Volume(values * 0.9, Grid((4, 12, 12), 1.0), "1/mm"), folder / "scaled.h5")
    blocks = torch.rand(6, 6, 6, generator=torch.Generator().manual_seed(1)) > 0.5
    density = blocks.repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2) * 1000.0
    sg.write_volume(Volume(density, Grid((12, 12, 12), 0.5), "mg/cm3"), folder / "density.h5")
    for steps in (1, 2):
        (folder / f"train{steps}.yaml").write_text(CONFIG.format(steps=steps), encoding="utf-8")
    for name, sigma in (("model", 0.5), ("model2", 2.0)):
        layer = sg.BilateralFilter2d([sigma, sigma], 0.05)
        save_model(torch.nn.Sequential(layer), folder / f"{name}.yaml")
        layer = sg.BilateralFilter2d([sigma, sigma], 0.05, input_scale=4096.0)
        save_model(torch.nn.Sequential(layer), folder / f"{name}-hu.yaml")
    for name in ("out", "stack"):
        (folder / name).mkdir()
    for name, offset in (("fan", 0.9), ("fan2", -0.9)):
        _write_off_axis(folder / f"{name}.h5", offset)
    (folder / "jobs.yaml").write_text(
        "defaults: {force: true}\njobs: [{scan: scan.h5, output: b1.h5}, {scan: scan2.h5, output: b2.npy}]\n"
    )
    if importlib.util.find_spec("FrEIA") is not None:
        _write_sampler(folder)
    write_slices(folder / "dicom", np.random.default_rng(0).uniform(-200, 200, (3, 12, 12)))


def _write_sampler(folder: Path) -> None:
    """Untrained networks that sample what a denoiser ignores, and a volume in HU."""
    from sinograd import invariance

    random = torch.Generator().manual_seed(0)
    vae = invariance.ConditionalVAE("small", generator=random).eval()
    flow = invariance.ConditionalFlow(64, 1, 64, 1, 8, 4, random, 2).eval()
    sampler = invariance.Sampler(invariance.known_denoiser("identity"), vae, flow)
    invariance.save_invariance(sampler, folder / "sampler.pt")
    values = 200 * torch.randn(2, 64, 64, generator=random) - 500
    sg.write_volume(Volume(values, Grid((2, 64, 64), 1.0), "HU"), folder / "hu.h5")
    (folder / "hu.yaml").write_text("pairs: {layout: volumes, unit: HU, files: [{input: hu.h5}]}\n", encoding="utf-8")


def _write_off_axis(path: Path, offset: float) -> None:
    """A fan-beam scan whose file has the axis in the middle."""
    beams = [
        FanBeam.circular(
            source_to_origin=60,
            source_to_detector=90,
            angles=full_scan(12),
            detector=FlatDetector(16, 1.8),
            axis_offset=axis,
        )
        for axis in (offset, 0.0)
    ]
    body = Ellipsoids([0.05, -0.03], [[6.0, 5, 5], [1.0, 1.5, 2]], [[0.0, 0, 0], [2.0, 2, 0]])
    sg.write_scan(Scan(body.project(beams[0]).float(), beams[1]), path)


def volume(path: Path) -> Any:
    """Values and place of a volume; None where there is none."""
    if not path.exists():
        return None
    read = sg.read_volume(path)
    return _digest(read.values), tuple(round(s, 4) for s in read.grid.spacing)


def scan(path: Path) -> Any:
    """Values and geometry of a scan."""
    if not path.exists():
        return None
    read = sg.read(path).validate()
    return _digest(read.load()), round(float(read.geometry.vectors.double().sum()), 2)


def picture(path: Path) -> Any:
    """A whole PNG or page, and which one, but for the time in it."""
    if not path.exists():
        return None
    content = path.read_bytes().rstrip()
    assert content.endswith(b"IEND\xaeB`\x82") or content.endswith(b"</html>"), path
    return hashlib.blake2b(re.sub(rb"\d{4}-\d\d-\d\d[T ][\d:.+]*", b"", content), digest_size=8).hexdigest()


def results(path: Path) -> Any:
    """Which method all tables of an evaluation are about."""
    if not path.exists():
        return None
    from sinograd.evaluation.report import RESULTS
    from sinograd.files.commit import settle

    settle(path)
    assert {entry.name for entry in path.iterdir() if not entry.name.startswith(".")} - {"mine.txt"} == set(RESULTS)
    about = {
        "gaussian" in (path / name).read_text(encoding="utf-8")
        for name in ("volumes.csv", "summary.csv", "table.tex", "provenance.json", "report.html")
    }
    assert len(about) == 1, f"mixed: {about}"
    return about.pop()


def bone(path: Path) -> Any:
    """Which threshold all files of bone measures are about; the maps are whole."""
    from sinograd.files.commit import settle

    if not path.exists():
        return None
    settle(path)
    names = ("bone.csv", "bone.json", "report.html", "thickness.h5", "separation.h5", "bmd.h5", "bvtv.h5")
    assert {entry.name for entry in path.iterdir() if not entry.name.startswith(".")} == {*names, "tmd.h5", "sd.h5"}
    about = {_threshold(json.loads((path / "bone.json").read_text(encoding="utf-8")))}
    about |= {_threshold(sg.read_volume(entry).provenance) for entry in path.glob("*.h5")}
    assert len(about) == 1, f"mixed: {about}"
    picture(path / "report.html")
    return about.pop(), (path / "bone.csv").read_text(encoding="utf-8")


def _threshold(record: Any) -> float:
    return float(
        record["options"]["threshold"] if "options" in record else record["provenance"]["options"]["threshold"]
    )


def demo(path: Path) -> Any:
    """Which seed all files of a demo are about."""
    from sinograd.files.commit import settle

    if not path.exists():
        return None
    settle(path)
    names = {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}
    assert names == {"scan.h5", "truth.h5", "volume.h5", "slices.png"}, names
    made = sg.read(path / "scan.h5").validate()
    volumes = [sg.read_volume(path / name) for name in ("truth.h5", "volume.h5")]
    seeds = {int(made.provenance["options"]["seed"]), int(volumes[0].provenance["options"]["seed"])}
    seeds |= {int(volumes[1].provenance["scan"]["provenance"]["options"]["seed"])}
    assert len(seeds) == 1, f"mixed: {seeds}"
    picture(path / "slices.png")
    return seeds.pop()


def beam(path: Path) -> Any:
    """Which way the axis of a geometry lies off."""
    return None if not path.exists() else float(sg.load_geometry(path).to_dict().get("axis_offset", 0)) > 0


def table(path: Path) -> Any:
    """The names and outcomes in the table of a batch; one that is not whole yet counts as none."""
    if not path.exists():
        return None
    lines = [line.split(",")[:2] for line in path.read_text(encoding="utf-8").splitlines()]
    assert lines[0] == ["name", "status"] and all(line[1] == "done" for line in lines[1:])
    return lines if len(lines) == 3 else None


def pairs(path: Path) -> Any:
    """Values of all pairs of a folder; None before all are entered. Those that are entered are whole."""
    from sinograd.evaluation import read_pairs_file

    if not (path / "pairs.yaml").exists():
        return None
    found = [_digest(pair.inputs[0].read(0, 1)) for pair in read_pairs_file(path / "pairs.yaml")]
    return found if len(found) == 2 else None


def run(path: Path) -> Any:
    """Whose run a folder holds, by its seed; its files are readable and of this run."""
    from sinograd.training import load_config, read_history

    if not path.exists():
        return None
    seed = load_config(path / "config.yaml").seed
    if (path / "metrics.csv").exists():
        assert len(read_history(path / "metrics.csv")) <= seed
    if (path / "model.yaml").exists():
        text = (path / "model.yaml").read_text(encoding="utf-8")
        sg.load_model(path / "model.yaml")
        assert f"seed: {seed}" in text, "the model is of another run"
    return seed


def _digest(values: torch.Tensor) -> str:
    return hashlib.blake2b(values.contiguous().numpy().tobytes(), digest_size=8).hexdigest()


def _convert(name: str, source: str, old: str, output: str, check: Callable[[Path], Any]) -> Job:
    line = ("convert", source, output, "-q", "--force")
    return Job(name, line, ("convert", old, *line[2:]), {output: check})


def _pair(name: str, new: str, old: str, outputs: dict[str, Callable[[Path], Any]], together: bool = False) -> Job:
    return Job(name, tuple(new.split()), tuple(old.split()), outputs, together)


JOBS = [
    _convert("convert a scan to .npy", "scan.h5", "scan2.h5", "out.npy", scan),
    _convert("convert a scan to TIFF", "scan.h5", "scan2.h5", "stack", scan),
    _convert("convert a scan to .h5", "scan.h5", "scan2.h5", "out.h5", scan),
    *(
        _convert(f"convert a volume to {output}", "volume.h5", "other.h5", output, volume)
        for output in ("v.npy", "v.zarr", "slices", "v.tif", "v.mha", "v.nii.gz", "v.raw", "v.nrrd", "v.mrc")
    ),
    _pair(
        "reconstruct",
        "reconstruct scan.h5 -o r.npy --preview p.png --page p.html -q --force",
        "reconstruct scan2.h5 -o r.npy --preview p.png --page p.html -q --force",
        {"r.npy": volume, "p.png": picture, "p.html": picture},
        together=True,
    ),
    _pair(
        "reconstruct with iterations",
        "reconstruct scan.h5 -o r --algorithm sirt --iterations 3 -q --force",
        "reconstruct scan2.h5 -o r --algorithm sirt --iterations 3 -q --force",
        {"r": volume},
    ),
    _pair(
        "simulate",
        "simulate ball -o s.h5 --truth t.npy --views 4 --detector 6,8 --shape 4,6,6 -q --force",
        "simulate ball -o s.h5 --truth t.npy --views 5 --detector 6,8 --shape 4,8,8 -q --force",
        {"s.h5": scan, "t.npy": volume},
        together=True,
    ),
    _pair(
        "simulate to two folders",
        "simulate ball -o stack/s.h5 --truth out/t.npy --views 4 --detector 6,8 --shape 4,6,6 -q --force",
        "simulate ball -o stack/s.h5 --truth out/t.npy --views 5 --detector 6,8 --shape 4,8,8 -q --force",
        {"stack/s.h5": scan, "out/t.npy": volume},
        together=True,
    ),
    _pair(
        "denoise a volume",
        "denoise volume.h5 -m model.yaml -o d.zarr --preview d.png -q --force",
        "denoise volume.h5 -m model2.yaml -o d.zarr --preview d.png -q --force",
        {"d.zarr": volume, "d.png": picture},
        together=True,
    ),
    _pair(
        "denoise DICOM",
        "denoise dicom -m model-hu.yaml -o derived -q --force",
        "denoise dicom -m model2-hu.yaml -o derived -q --force",
        {"derived": volume},
    ),
    _pair(
        "evaluate",
        "evaluate volume.h5 --target scaled.h5 --unit 1/mm --protocol full-range --data-range 1 -m gaussian -o e -q "
        "--force",
        "evaluate volume.h5 --target scaled.h5 --unit 1/mm --protocol full-range --data-range 1 -m median -o e -q "
        "--force",
        {"e": results},
    ),
    _pair(
        "bone",
        "bone density.h5 -o b --threshold 500 --diameter 2 -q --force",
        "bone density.h5 -o b --threshold 400 --diameter 2 -q --force",
        {"b": bone},
    ),
    _pair(
        "demo",
        "demo -o demo --size tiny --photons 1e4 --seed 1 --force",
        "demo -o demo --size tiny --photons 1e4 --seed 2 --force",
        {"demo": demo},
    ),
    _pair(
        "calibrate",
        "calibrate fan.h5 --columns 16 -o beam.yaml --picture c.png -q --force",
        "calibrate fan2.h5 --columns 16 -o beam.yaml --picture c.png -q --force",
        {"beam.yaml": beam, "c.png": picture},
        together=True,
    ),
    _pair(
        "batch",
        "batch jobs.yaml -q",
        "info scan.h5",
        {"batch.csv": table, "b1.h5": volume, "b2.npy": volume},
    ),
    _pair(
        "pairs",
        "pairs scan.h5 scan2.h5 -o pairs --dose 0.5 --photons 1e5 --water 0.02 --format h5 --resume -q",
        "info scan.h5",
        {"pairs": pairs},
    ),
    _pair(
        "simulate a dose",
        "simulate scan.h5 -o low.h5 --dose 0.5 --photons 1e5 -q --force",
        "simulate scan2.h5 -o low.h5 --dose 0.5 --photons 1e5 -q --force",
        {"low.h5": scan},
    ),
    _pair("train", "train train2.yaml -o run -q --force", "train train1.yaml -o run -q --force", {"run": run}),
    _pair(
        "invariance",
        "invariance sampler.pt hu.yaml -o report.html --crops 2 --samples 2 --seed 1 -q --force",
        "invariance sampler.pt hu.yaml -o report.html --crops 2 --samples 2 --seed 2 -q --force",
        {"report.html": picture},
    ),
    _pair("info", "info scan.h5 --picture i.png --force", "info scan2.h5 --picture i.png --force", {"i.png": picture}),
]
