"""Write `files-0.1.0` with sinograd 0.1.0, and `expected.json`: what 0.1.0 itself reads in them.

    PYTHONPATH=<sources of 0.1.0>/src python tests/compatibility/write_0_1_0.py NEW_FOLDER

The folder must not exist. Files are small and noise-free where that makes them compress; paths in them are those of
NEW_FOLDER (here /tmp/sinograd-0.1.0), which tests replace. It refuses any other version of sinograd.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
import torch
import yaml
from numbers_of import geometry_numbers, grid_numbers, scan_numbers, tensor_numbers
from typer.testing import CliRunner

import sinograd as sg

VIEWS, ROWS, COLUMNS = 12, 6, 8
DETECTOR = sg.FlatDetector((ROWS, COLUMNS), (1.0, 1.25), (0.25, -0.5))
GRID = sg.Grid((4, 8, 8), 1.0, (0.5, 0.0, -0.25))
TRAINING: dict[str, dict[str, Any]] = {
    "supervised": {
        "data": {
            "training": [{"input": "low.h5", "target": "normal.h5", "region": {"z": [0, 3]}}],
            "validation": [{"input": "low.h5", "target": "normal.h5", "region": {"z": [3, 4]}}],
        },
        "model": {"name": "red-cnn", "channels": 2, "offset": 0.0, "scale": 0.05, "final_relu": True},
        "task": {"name": "supervised", "loss": "mae"},
        "optimizer": {"learning_rates": {"network": 1e-3}, "schedule": {"name": "plateau", "patience": 3}},
        "stop": {"max_steps": 3},
    },
    "bilateral": {
        "seed": 3,
        "data": {"training": [{"input": "low.h5", "target": "normal.h5"}]},
        "model": {"name": "bilateral", "filters": 1, "window": 3, "input_scale": 0.05},
        "stop": {"max_steps": 4, "early_stopping": None, "keep": "last"},
        "checkpoints": {"every": 1},
    },
    "noise2void": {
        "data": {"training": [{"input": "low.h5"}]},
        "model": {"name": "bilateral", "filters": 2, "dimensions": 2, "sigma_range": 0.02},
        "task": {"name": "noise2void", "fraction": 0.02},
    },
    "noise2noise": {
        "data": {
            "pairs": {
                "layout": "phantoms",
                "phantom": "abdomen",
                "count": 2,
                "shape": [2, 32, 32],
                "scan": {"beam": "fan", "views": 40, "window": "hann"},
                "realisations": 2,
            },
            "patches": {"size": 16, "per_batch": 4},
        },
        "model": {"name": "cnn-10"},
        "task": {"name": "noise2noise"},
    },
    "dual-domain": {
        "data": {"training": [{"input": "line-integrals.h5", "target": "normal.h5"}]},
        "model": {"name": "dual-domain-bilateral", "window": 3, "ramp_window": "cosine", "cutoff": 0.8},
        "task": {"name": "dual-domain", "row_margin": 2},
        "stop": {"max_steps": 1},
    },
}
PAIRS: dict[str, dict[str, Any]] = {
    "pairs-of-volumes": {
        "layout": "volumes",
        "unit": "1/mm",
        "files": [{"input": "low.h5", "target": "normal.h5", "name": "bone", "patient": "A", "group": "chest"}],
    },
    "pairs-of-phantoms": {
        "layout": "phantoms",
        "phantom": "shepp-logan",
        "count": 1,
        "shape": [2, 16, 16],
        "scan": {"beam": "fan", "views": 24, "photons": 1e5},
        "target": "voxels",
    },
}


def command(*arguments: object) -> None:
    """One run of the command line, which must succeed."""
    from sinograd.cli.app import app

    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output


def geometries() -> dict[str, sg.Geometry]:
    """One of every kind, with displacements."""
    circular = sg.ConeBeam.circular(
        source_to_origin=60,
        source_to_detector=90,
        angles=sg.full_scan(VIEWS),
        detector=DETECTOR,
        axis_offset=0.3,
        source_offset=(0.1, -0.2),
        tilt=0.01,
        yaw=-0.02,
        in_plane_rotation=0.03,
    )
    source, center, u, v = circular[::3].vectors.unbind(1)
    plain = sg.FlatDetector((ROWS, COLUMNS), (1.0, 1.25))
    curved = sg.CurvedDetector((2, 24), (2.0, 1.5), radius=100.0, offset=(0.0, 0.4))
    return {
        "cone": circular,
        "cone-shifts": sg.ConeBeam.circular(
            source_to_origin=60,
            source_to_detector=90,
            angles=[0.0, 0.4, 0.9, 1.7],
            detector=DETECTOR,
            axis_offset=[0.0, 0.1, 0.0, -0.1],
            shifts=[[0.0, 0.1], [0.2, 0.0], [0.0, 0.0], [-0.1, 0.3]],
        ),
        "cone-vectors": sg.ConeBeam.from_vectors(sources=source, centers=center, u=u, v=v, detector=plain),
        "fan-short": sg.FanBeam.short_scan(
            source_to_origin=60, source_to_detector=90, views=30, detector=sg.FlatDetector(16, 0.8, 0.2)
        ),
        "helical": sg.ConeBeam.helical(
            source_to_origin=60,
            source_to_detector=100,
            pitch=8.0,
            angles=[0.6 * view for view in range(22)],
            detector=curved,
            z_start=-9.0,
        ),
        "parallel": sg.ParallelBeam(sg.full_scan(7) / 2, DETECTOR, axis_offset=0.5, tilt=0.1),
    }


def write_geometries(expected: dict[str, Any]) -> None:
    """geometry-NAME.yaml."""
    expected["geometries"] = {}
    for name, geometry in geometries().items():
        geometry.save(f"geometry-{name}.yaml")
        expected["geometries"][name] = geometry_numbers(sg.load_geometry(f"geometry-{name}.yaml"))


def write_scans(expected: dict[str, Any]) -> None:
    """Line integrals, and counts with calibration as HDF5, an array and a folder of images."""
    geometry = sg.ConeBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=sg.full_scan(VIEWS), detector=DETECTOR
    )
    integrals = sg.phantoms.ball(3.0, 0.05).project(geometry)
    record = sg.io.make_provenance("test", {"window": "hann"})
    sg.write_scan(sg.Scan(integrals, geometry, {"sample": "ball"}, GRID, provenance=record), "line-integrals.h5")
    counts = sg.Scan(
        (40_000 * (-integrals).exp() + 200).numpy().astype(np.uint16),
        geometry,
        {"sample": "ball", "voltage_kv": 80},
        GRID,
        "counts",
        calibration=sg.Calibration(
            reference=np.stack([np.full((ROWS, COLUMNS), n, np.uint16) for n in (40_200, 40_300)]),
            reference_views=np.array([-1.0, VIEWS]),
            dark=np.full((1, ROWS, COLUMNS), 200, np.uint16),
            shifts=np.stack([np.linspace(-0.5, 0.5, VIEWS), np.zeros(VIEWS)], 1),
            exposure=np.linspace(0.9, 1.1, VIEWS),
        ),
    )
    for name in ("counts.h5", "counts.npy", "counts-stack"):
        sg.write_scan(counts, name)
    parallel = sg.ParallelBeam(sg.full_scan(8) / 2, sg.FlatDetector((4, 8), 1.0))
    transmission = (-sg.phantoms.ball(2.5, 0.05).project(parallel)).exp()
    sg.write_scan(sg.Scan(transmission, parallel, kind="transmission"), "dxchange.h5", format="dxchange")
    names = ("line-integrals.h5", "counts.h5", "counts.npy", "counts-stack", "dxchange.h5")
    expected["scans"] = {name: scan_numbers(sg.read(name)) for name in names}


def write_volumes(expected: dict[str, Any]) -> None:
    """Every format, and every command that made volumes."""
    command("reconstruct", "line-integrals.h5", "-o", "reconstructed.h5", "--window", "hann", "--cutoff", 0.9)
    command("reconstruct", "line-integrals.h5", "-o", "cgls.h5", "--algorithm", "cgls", "--iterations", 2)
    options = {"window": "cosine", "shape": [4, 6, 6], "voxel-mm": 1.5, "center-mm": [0.0, 0.5, 0.0], "mask": True}
    Path("reconstruct.yaml").write_text(yaml.safe_dump(options))
    command("reconstruct", "line-integrals.h5", "-o", "from-config.h5", "--config", "reconstruct.yaml")
    normal = sg.phantoms.ball(3.0, 0.05).voxelize(GRID)
    pattern = torch.linspace(-0.01, 0.01, normal.numel()).reshape(normal.shape).sin()
    sg.write_volume(normal, "normal.h5", GRID)
    sg.write_volume(normal + pattern, "low.h5", GRID)
    for name in ("written.tif", "written.npy", "written.mha", "written.nii.gz", "written.zarr", "written-slices"):
        sg.write_volume(normal + pattern, name, GRID)
    command("convert", "reconstructed.h5", "converted-attenuation.h5")
    hounsfield = np.where(normal.numpy() > 0.02, 40, -1000).astype(np.int16)
    image = SimpleITK.GetImageFromArray(hounsfield)
    image.SetSpacing((1.0, 1.0, 2.0))
    SimpleITK.WriteImage(image, "hounsfield.nii.gz")
    for name in ("hounsfield.h5", "hounsfield.zarr", "hounsfield.tif"):
        command("convert", "hounsfield.nii.gz", name)
    sg.save_model(sg.load_model("bone-xrm-one-filter"), "bilateral.yaml")
    command("denoise", "low.h5", "--model", "bilateral.yaml", "-o", "denoised.h5")
    names = [
        *("reconstructed.h5", "cgls.h5", "from-config.h5", "normal.h5", "low.h5", "written.tif", "written.npy"),
        *("written.mha", "written.nii.gz", "written.zarr", "written-slices", "converted-attenuation.h5"),
        *("hounsfield.nii.gz", "hounsfield.h5", "hounsfield.zarr", "hounsfield.tif", "denoised.h5"),
    ]
    expected["volumes"] = {}
    for name in names:
        values, grid, record = sg.read_volume(name)
        numbers = {"values": tensor_numbers(values), "grid": grid_numbers(grid)}
        expected["volumes"][name] = {**numbers, "command": record.get("command"), "options": record.get("options")}


def write_training(expected: dict[str, Any]) -> None:
    """Configurations, model files, a finished run and one that was interrupted."""
    from sinograd.io.typed import to_plain

    from sinograd.models import load_model
    from sinograd.training import load_config, train

    expected["configurations"], expected["models"] = {}, {}
    for name, config in TRAINING.items():
        Path(f"train-{name}.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        expected["configurations"][name] = to_plain(load_config(f"train-{name}.yaml"))
    train("train-supervised.yaml", output="run-red-cnn")
    train("train-bilateral.yaml", output="run-bilateral")

    def interrupt(done: int, total: int, loss: float) -> None:
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    try:
        train("train-bilateral.yaml", output="run-interrupted", progress=interrupt)
    except KeyboardInterrupt:
        print("interrupted")
    for run in ("run-red-cnn", "run-bilateral", "run-interrupted"):
        shutil.rmtree(f"{run}/tensorboard")
        Path(f"{run}/loss.png").unlink(missing_ok=True)
    shutil.rmtree("run-red-cnn/checkpoints")  # large, and as those of the other runs
    for name in ("run-red-cnn", "run-red-cnn/model.pt", "run-bilateral", "bilateral.yaml"):
        model = load_model(name)
        with torch.no_grad():
            result = model(sg.read_volume("low.h5")[0])
        parameters = {key: tensor_numbers(value) for key, value in model.state_dict().items()}
        expected["models"][name] = {"result": tensor_numbers(result), "parameters": parameters}


def write_pairs(expected: dict[str, Any]) -> None:
    """Files of pairs for `evaluate`."""
    from sinograd.evaluation.pairs_file import read_pairs_file

    expected["pairs"] = {}
    for name, pairs in PAIRS.items():
        Path(f"{name}.yaml").write_text(yaml.safe_dump({"pairs": pairs}, sort_keys=False))
        (pair,) = read_pairs_file(f"{name}.yaml")
        slices = pair.target.shape[0]
        expected["pairs"][name] = {
            "unit": pair.unit,
            "name": pair.name,
            "target": tensor_numbers(pair.target.read(0, slices)),
            "input": tensor_numbers(pair.inputs[0].read(0, slices)),
        }


def write_partial() -> None:
    """interrupted.h5.partial.h5, of a reconstruction that Ctrl-C stopped."""
    import sinograd.recon.filtered_backprojection as blocks
    from sinograd.cli.progress import Progress

    from sinograd.cli.app import app

    stage = Progress.stage

    def watched(self: Progress, name: str, total: int, unit: str = "views") -> Any:
        advance = stage(self, name, total, unit)

        def report(done: int, of: int, *note: str) -> None:
            advance(done, of, *note)
            if (name, done) in (("reconstructing", 4), ("iterating", 1)):
                os.kill(os.getpid(), signal.SIGINT)

        return report

    blocks.BLOCK_BYTES, blocks.BLOCK_VIEWS = 1, 4
    Progress.stage = watched  # type: ignore[method-assign]
    for arguments in (["interrupted.h5"], ["interrupted-cgls.h5", "--algorithm", "cgls"]):
        assert CliRunner().invoke(app, ["reconstruct", "line-integrals.h5", "-o", *arguments]).exit_code == 130


def main() -> None:
    """Write everything."""
    if sg.__version__ != "0.1.0" or hasattr(sg, "Volume"):
        sys.exit(f"this writes files with sinograd 0.1.0, and this one is {sg.__version__}")
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir()
    os.chdir(folder)
    torch.set_num_threads(1)
    expected: dict[str, Any] = {"folder": str(folder)}
    write_geometries(expected)
    write_scans(expected)
    write_volumes(expected)
    write_training(expected)
    write_pairs(expected)
    write_partial()
    text = json.dumps(expected, default=str)
    for kind in expected:  # a line for each file
        text = text.replace(f', "{kind}": ', f',\n"{kind}": ')
    for name in (name for kind in expected.values() if isinstance(kind, dict) for name in kind):
        text = text.replace(f'"{name}": {{', f'\n "{name}": {{')
    Path("expected.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
