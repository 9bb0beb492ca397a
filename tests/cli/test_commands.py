"""`sinograd info`, `demo`, `doctor`, `--version`. Truth: the scan file, and the demo's own truth."""

from __future__ import annotations

import dataclasses
import errno
import functools
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.cli import doctor as doctor_module
from sinograd.io import read, read_volume
from sinograd.ops.cuda import program
from sinograd.phantoms import bone
from txrm_file import write_txrm
from walnut_files import write_reduced


def test_info(sinograd: Any, scan_file: Path, wedge_file: Path) -> None:
    result = sinograd("info", scan_file)
    assert result.exit_code == 0
    lines = dict(line.split(None, 1) for line in result.stdout.splitlines())
    assert lines["geometry"] == "cone beam"
    assert lines["distances"].startswith("source to axis 60 mm, to detector centre 90 mm, magnification 1.5")
    assert lines["angles"] == "24 views from 0 to 345 deg, steps 15 deg"
    assert lines["detector"] == "FlatDetector, 20 x 24 of 750 um"
    assert lines["grid"] == "8 x 16 x 16 voxels of 500 um (suggested by the file)"
    assert lines["sample"] == "ball"
    assert "100.0 % of the rays" in lines["coverage"]
    wedge = sinograd("info", wedge_file).stdout
    assert "fan beam" in wedge and "covers the field of view" in wedge and "rays are missing" in wedge


def test_info_of_a_detector_beside_the_axis(sinograd: Any, beside_file: Path) -> None:
    result = sinograd("info", beside_file)
    assert result.exit_code == 0, result.output
    lines = dict(line.split(None, 1) for line in result.stdout.splitlines())
    assert lines["grid"].startswith("none: the detector does not see the rotation axis in every view")
    assert lines["sample"] == "air"


def test_info_of_what_belongs_to_counts(sinograd: Any, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(100, 999, (24, 20, 30)).astype(np.uint16)
    shifts = np.linspace((-1, 0.5), (2, 0.5), 24)
    path = tmp_path / "scan.txrm"
    write_txrm(path, images, np.arange(24) * 15.0, references=images[:3], shifts=shifts, center_shift=1.5)
    lines = dict(line.split(None, 1) for line in sinograd("info", path).stdout.splitlines())
    assert lines["projections"] == "24 views x 20 rows x 30 columns, uint16 counts, 28.8 kB"
    assert lines["references"] == "3 images, uint16, averaged"
    assert lines["shifts"] == "rows -1 to 2, columns 0.5 pixels, to be applied"
    assert lines["center_shift_pixels"] == "1.5"
    calibration = sg.Calibration(images[:2], np.array([-1.0, 24.0]), images[:1], None, np.linspace(0.9, 1.1, 24))
    sg.write_scan(dataclasses.replace(sg.read(path), calibration=calibration), tmp_path / "scan.h5")
    lines = dict(line.split(None, 1) for line in sinograd("info", tmp_path / "scan.h5").stdout.splitlines())
    assert lines["references"] == "2 images, uint16, taken at views -1 to 24"
    assert (lines["dark"], lines["exposure"]) == ("1 image", "0.9 to 1.1 times the references'")
    sg.write_scan(dataclasses.replace(sg.read(path), calibration=None), tmp_path / "scan.h5", force=True)
    lines = dict(line.split(None, 1) for line in sinograd("info", tmp_path / "scan.h5").stdout.splitlines())
    assert lines["references"] == "none, and counts need one"


@pytest.fixture
def few_trabeculae(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's phantom with fewer parts, which is made and projected sooner."""
    simple = functools.partial(bone, plates=3, rods=10, canals=3, lacunae=5)
    monkeypatch.setattr("sinograd.phantoms.bone", simple)


@pytest.mark.usefixtures("few_trabeculae")
def test_demo(sinograd: Any, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    result = sinograd("demo", "-o", folder, "--size", "tiny")
    assert result.exit_code == 0, result.output
    assert {path.name for path in folder.iterdir()} == {"scan.h5", "truth.h5", "volume.h5", "slices.png"}
    scan = read(folder / "scan.h5").validate()
    assert isinstance(scan.geometry, sg.ConeBeam)
    saved = read_volume(folder / "truth.h5")
    truth, grid = saved.values, saved.grid
    saved = read_volume(folder / "volume.h5")
    volume, same_grid = saved.values, saved.grid
    assert grid.equals(same_grid)
    assert torch.corrcoef(torch.stack([truth.ravel(), volume.ravel()]))[0, 1] > 0.95
    assert volume.sum() == pytest.approx(truth.sum().item(), rel=0.05)
    error = next(line for line in result.stdout.splitlines() if line.startswith("error"))
    assert "of bone's 0.128" in error and "PSNR" in error

    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = sinograd("demo", "-o", folder, "--size", "tiny")
    assert again.exit_code == 2
    assert "already holds scan.h5, truth.h5, volume.h5, slices.png: use --force" in again.stderr
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert sinograd("demo", "-o", folder, "--size", "tiny", "--force").exit_code == 0


def test_demo_of_a_measured_scan(sinograd: Any, tmp_path: Path) -> None:
    """Truth: the phantom that stands for the walnut."""
    data = write_reduced(tmp_path / "walnut.npz")
    folder = tmp_path / "demo"
    result = sinograd("demo", "--data", data, "-o", folder, "--size", "tiny")
    assert result.exit_code == 0, result.output
    assert {path.name for path in folder.iterdir()} == {"scan.h5", "volume.h5", "slices.png"}
    lines = dict(line.split(None, 1) for line in result.stdout.splitlines())
    assert "CC BY 4.0" in lines["data"] and lines["picture"].endswith("slices.png")
    volume = read_volume(folder / "volume.h5")
    assert volume.values.shape == (32, 32, 32)
    assert read(folder / "scan.h5").metadata["attribution"].startswith("A. Meaney")
    again = sinograd("demo", "--data", data, "-o", folder, "--size", "tiny")
    assert again.exit_code == 2 and "already holds scan.h5, volume.h5, slices.png: use --force" in again.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--photons", "1e5"], "--photons and --seed are of the simulated scan"),
        ([], "absent.npz does not exist: expected the walnut's .npz file"),
    ],
)
def test_demo_of_a_scan_that_cannot_be_used(sinograd: Any, tmp_path: Path, options: list[str], message: str) -> None:
    result = sinograd("demo", "--data", tmp_path / "absent.npz", "-o", tmp_path / "demo", *options)
    assert result.exit_code == 2 and message in result.stderr
    assert not (tmp_path / "demo").exists()


def test_demo_into_a_file(sinograd: Any, tmp_path: Path) -> None:
    (tmp_path / "demo").touch()
    result = sinograd("demo", "-o", tmp_path / "demo")
    assert result.exit_code == 2 and "is a file, expected a folder" in result.stderr


@pytest.mark.usefixtures("few_trabeculae")
def test_an_interrupted_demo(sinograd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sinograd.physics.add_photon_noise", interrupted)
    result = sinograd("demo", "-o", tmp_path, "--size", "tiny")
    assert result.exit_code == 130
    assert "after 48 of 48 views; no partial scan.h5 was left" in result.stderr
    assert not list(tmp_path.iterdir())


def test_doctor(sinograd: Any) -> None:
    result = sinograd("doctor")
    assert result.exit_code == 0, result.output
    for word in ("Python", "torch", "h5py", "native module", "threads", "CUDA", "adjoint", "matched", "FDK of a ball"):
        assert word in result.stdout
    assert "FAIL" not in result.stdout


def test_doctor_finds_wrong_numbers(sinograd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fdk = sg.fdk
    monkeypatch.setattr(sg, "fdk", lambda *arguments, **options: 1.1 * fdk(*arguments, **options))
    result = sinograd("doctor")
    assert result.exit_code == 1
    assert "FAIL  FDK of a ball    amplitude off by " in result.stdout
    monkeypatch.setattr(sg, "fdk", lambda *_: 1 / 0)
    result = sinograd("doctor")
    assert result.exit_code == 1 and "ZeroDivisionError" in result.stdout


def test_doctor_finds_operators_out_of_place(sinograd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    check = sg.recon.check
    grid = sg.Grid((16, 18, 20), 1.0, (0.5, 0.0, 0.0))
    monkeypatch.setattr(sg.recon, "check", lambda operator: check(operator, grid=grid))
    result = sinograd("doctor")
    assert result.exit_code == 1
    assert "FAIL  operators        matched: " in result.stdout and "NOT CENTRED: off by " in result.stdout
    monkeypatch.setattr(sg.recon, "check", lambda *_: 1 / 0)
    result = sinograd("doctor")
    assert result.exit_code == 1 and "ZeroDivisionError" in result.stdout


def test_doctor_without_the_native_module(sinograd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sg, "_native", raising=False)
    monkeypatch.setitem(sys.modules, "sinograd._native", None)
    result = sinograd("doctor")
    assert result.exit_code == 1
    assert "FAIL  native module    cannot be loaded" in result.stdout
    assert "adjoint" not in result.stdout


def test_doctor_tells_how_to_get_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    requirements = ["torch>=2", "h5py>=3; extra == 'here'", 'no-such-thing>=1; extra == "there"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: requirements)
    texts = {finding.name: finding.text for finding in doctor_module._extras()}
    assert texts == {
        "extra here": "h5py",
        "extra there": "not installed: no-such-thing (pip install 'sinograd[there]')",
    }


@pytest.mark.parametrize(
    ("built", "text"),
    [
        (None, "this torch is a build for the CPU"),
        ("13.0", "nvidia-smi tells"),
    ],
)
def test_doctor_without_a_gpu(built: str | None, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    finding = doctor_module._cuda()
    assert (
        finding.text.startswith(f"none, everything runs on the CPU; torch sees no GPU: {text}") and not finding.failed
    )


@pytest.mark.parametrize("lacks", [None, "this GPU is an sm_70, and NVRTC ..."])
def test_doctor_says_what_a_gpu_lacks(lacks: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where nothing is missing, it tests the numbers there, too."""

    def check_compiler(arch: str) -> None:
        assert arch == "sm_70"
        if lacks is not None:
            raise RuntimeError(lacks)

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100")
    monkeypatch.setattr(program, "check_compiler", check_compiler)
    monkeypatch.setattr(doctor_module, "_adjoint_error", lambda device: {"cpu": 1e-9, "cuda": 1e-3}[device])
    found = {finding.name: finding for finding in doctor_module.findings()}
    assert found["CUDA"].text == f"Tesla V100, CUDA 13.0; {lacks or 'operators work where their tensors are'}"
    assert not found["adjoint"].failed
    assert ("adjoint on a GPU" in found) == (lacks is None)
    assert lacks is not None or found["adjoint on a GPU"].failed


def test_version_and_help(sinograd: Any) -> None:
    assert sinograd("--version").stdout == f"sinograd {sg.__version__}\n"
    for command in ((), ("reconstruct",), ("info",), ("demo",), ("doctor",), ("simulate",)):
        assert "Usage" in sinograd(*command, "--help").output


def test_the_entry_point() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    code = "import sys; from sinograd.cli import main; sys.argv[1:] = ['info', 'nothing.h5']; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "sinograd: error: nothing.h5 does not exist\n"


def test_no_arguments_show_the_help(sinograd: Any) -> None:
    result = sinograd()
    assert result.exit_code == 2 and "Usage: sinograd" in result.output and "error" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("draw",), "No such command 'draw' (sinograd --help lists the options)"),
        (("info",), "Missing argument 'SCAN' (sinograd info --help lists the options)"),
        (("info", "--xyz"), "No such option: --xyz (sinograd info --help lists the options)"),
        (
            ("reconstruct", "a.h5", "--itertions", "5"),
            "No such option: --itertions; did you mean --iterations? (sinograd reconstruct --help lists the options)",
        ),
        (
            ("reconstruct", "a.h5", "--voxel-size=1"),
            "No such option: --voxel-size; did you mean --voxel-mm? (sinograd reconstruct --help lists the options)",
        ),
        (
            ("info", "a.h5", "--sod", "60"),
            "No such option: --sod; source_to_origin is in the YAML file that --geometry names "
            "(sinograd info --help lists the options)",
        ),
    ],
)
def test_wrong_usage_is_one_line(sinograd: Any, arguments: tuple[str, ...], message: str) -> None:
    result = sinograd(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"sinograd: error: {message}\n"


def test_a_reader_that_has_enough(sinograd: Any, scan_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in `sinograd info scan.h5 | head -1`: the command ends quietly."""

    def closed(*_: object, **__: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("typer.echo", closed)
    result = sinograd("info", scan_file)
    assert (result.exit_code, result.stderr) == (1, "")


def test_doctor_on_a_gpu_machine_without_cuda_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H200")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setitem(sys.modules, "cuda.core", None)
    program.check_compiler.cache_clear()
    text = doctor_module._cuda().text
    assert text.startswith("H200, CUDA") and "pip install 'sinograd[cuda]'" in text


def test_doctor_finds_a_second_openmp_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ["/torch/lib/libgomp-a34b3233.so.1", "/usr/lib/libgomp.so.1"]
    monkeypatch.setattr("sinograd.ops.native.openmp_runtimes", lambda: found)
    finding = doctor_module._openmp()
    assert finding.failed and "two runtimes" in finding.text and all(name in finding.text for name in found)
    monkeypatch.setattr("sinograd.ops.native.openmp_runtimes", lambda: found[1:])
    assert not doctor_module._openmp().failed
