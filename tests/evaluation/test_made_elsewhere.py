"""Volumes of other programs and models that start from projections, in the table. Truth: numpy, direct calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

import sinograd as sg
from sinograd.cli.app import app
from sinograd.data import Scan, Volume
from sinograd.datasets import PairedVolume
from sinograd.errors import FormatError, InputError, UnitError
from sinograd.evaluation import evaluate, find_method, finished_volumes, from_scans, protocol
from sinograd.geometry import Grid
from sinograd.io import write_scan, write_volume
from sinograd.layers import Unrolled
from sinograd.models import DualDomainBilateral, bilateral_stack, save_model

GRID = Grid((3, 24, 28), (1.0, 0.8, 0.8))
FULL = protocol("full-range", data_range=1000, unit="HU")


def case(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    clean = 200 * torch.rand(GRID.shape, generator=generator)
    return clean + 30 * torch.randn(GRID.shape, generator=generator), clean


@pytest.fixture
def pairs() -> list[PairedVolume]:
    made = []
    for seed, name in enumerate(("p1.h5", "p2.h5")):
        noisy, clean = case(seed)
        made.append(PairedVolume(name, name[:2], (Volume(noisy, GRID, "HU"),), Volume(clean, GRID, "HU"), "HU"))
    return made


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """What another program made: the clean volume + 5 HU, as numpy files with a YAML file beside them."""
    for seed, name in enumerate(("p1", "p2")):
        write_volume(case(seed)[1] + 5, tmp_path / f"{name}-theirs.npy", GRID, unit="HU")
    return tmp_path


def test_files_of_another_program(pairs: list[PairedVolume], others: Path) -> None:
    scores = evaluate([finished_volumes("theirs", others / "{stem}-theirs.npy")], pairs, FULL)
    assert scores.by_patient("theirs", "rmse") == pytest.approx({"p1": 5, "p2": 5}, rel=1e-4)
    expected = 10 * np.log10(1000**2 / 25)
    assert scores.by_patient("theirs", "psnr")["p1"] == pytest.approx(expected, abs=1e-3)
    assert scores.seconds("theirs") is None and scores.memory("theirs") is None and scores.seconds("input") is not None
    assert scores.best("psnr") == "theirs"
    by_patient = evaluate([find_method(f"also={others}/{{patient}}-theirs.npy")], pairs, FULL)
    assert by_patient.by_patient("also", "rmse") == pytest.approx({"p1": 5, "p2": 5}, rel=1e-4)
    one = evaluate([find_method(f"one={others}/p1-theirs.npy")], pairs[:1], FULL)  # one volume needs no fields
    assert one.by_patient("one", "rmse") == pytest.approx({"p1": 5}, rel=1e-4)


def test_bare_arrays(pairs: list[PairedVolume], tmp_path: Path) -> None:
    """As NumPy writes them, of any real type: on the voxels and in the unit of the noisy volumes."""
    for seed, name in enumerate(("p1", "p2")):
        np.save(tmp_path / f"{name}.npy", (case(seed)[1] + 5).double().numpy())
    scores = evaluate([finished_volumes("theirs", tmp_path / "{stem}.npy")], pairs, FULL)
    assert scores.by_patient("theirs", "rmse") == pytest.approx({"p1": 5, "p2": 5}, rel=1e-4)
    for values, words in (
        (np.zeros((3, 24, 27)), "3 x 24 x 27"),
        (np.zeros(5), r"expected real numbers \[Z, Y, X\] or \[Y, X\], got float64 \[5\]"),
        (np.zeros(GRID.shape, dtype=complex), "complex128"),
        (np.full(GRID.shape, np.nan), "NaN"),
    ):
        np.save(tmp_path / "p1.npy", values)
        with pytest.raises(InputError, match=words):
            evaluate([finished_volumes("theirs", tmp_path / "{stem}.npy")], pairs, FULL)
    (tmp_path / "p1.npy").write_bytes((tmp_path / "p2.npy").read_bytes()[:300])
    with pytest.raises(FormatError, match=r"p1\.npy is truncated or damaged"):
        evaluate([finished_volumes("theirs", tmp_path / "{stem}.npy")], pairs, FULL)


def test_files_that_do_not_fit(pairs: list[PairedVolume], others: Path) -> None:
    def message(pattern: str, kind: type[Exception] = InputError) -> str:
        with pytest.raises(kind) as found:
            evaluate([finished_volumes("theirs", others / pattern)], pairs, FULL)
        return str(found.value)

    assert "for both p1.h5 and p2.h5: expected a path for each, with {name}" in message("p1-theirs.npy")
    assert "p1-missing.npy" in message("{stem}-missing.npy", FileNotFoundError)
    write_volume(torch.zeros(3, 24, 27), others / "p1-small.npy", Grid((3, 24, 27), (1.0, 0.8, 0.8)), unit="HU")
    assert "theirs (" in (text := message("{stem}-small.npy")) and "3 x 24 x 27" in text
    write_volume(torch.full(GRID.shape, 0.02), others / "p1-mu.npy", GRID, unit="1/mm")
    message("{stem}-mu.npy", UnitError)
    bad = torch.zeros(GRID.shape)
    bad[1] = torch.nan
    np.save(others / "p1-nan.npy", bad.numpy())
    (others / "p1-nan.yaml").write_text((others / "p1-theirs.yaml").read_text(), encoding="utf-8")
    message("{stem}-nan.npy")
    with pytest.raises(InputError, match=r"p1-theirs\.yaml: .*it is no model file"):
        find_method(others / "p1-theirs.yaml")


@pytest.fixture
def scanned() -> tuple[PairedVolume, Scan]:
    """A small cone-beam scan with noise, its reconstruction, and the reconstruction of exact projections."""
    detector = sg.FlatDetector((8, 40), (1.5, 1.5))
    angles = torch.arange(60, dtype=torch.float64) * (2 * torch.pi / 60)
    geometry = sg.ConeBeam.circular(source_to_origin=200, source_to_detector=300, angles=angles, detector=detector)
    ball = sg.Ellipsoids(0.02, (9.0, 7.0, 30.0))
    exact = ball.project(geometry).float()
    noisy = exact + 0.02 * torch.randn(exact.shape, generator=torch.Generator().manual_seed(0))
    low, clean = (Volume(sg.fdk(p, geometry, GRID), GRID, "1/mm") for p in (noisy, exact))
    return PairedVolume("s1", "s1", (low,), clean, "1/mm"), Scan(noisy, geometry)


def test_models_from_projections(scanned: tuple[PairedVolume, Scan], tmp_path: Path) -> None:
    pair, scan = scanned
    full = protocol("full-range", data_range=0.02, unit="1/mm")
    dual = DualDomainBilateral([], bilateral_stack(1, sigma_spatial=0.8, sigma_range=0.5, input_scale=0.02))
    unrolled = Unrolled(sg.XRayTransform(scan.geometry, GRID), torch.nn.Identity(), 2)

    def hann(projections: torch.Tensor, geometry: sg.Geometry, grid: Grid) -> torch.Tensor:
        assert isinstance(geometry, sg.ConeBeam)
        return sg.fdk(projections, geometry, grid, window="hann")

    mine = from_scans("mine", hann, lambda *_: scan)
    methods = [from_scans("dual", dual, lambda *_: scan), from_scans("unrolled", unrolled, lambda *_: scan), mine]
    scores = evaluate(methods, [pair], full)
    assert pair.target is not None
    clean, projections = pair.target.read(0, 3), scan.load(slice(None))
    with torch.inference_mode():
        results = {
            "dual": dual.over(scan.geometry, GRID)(projections),
            "unrolled": unrolled(projections),
            "mine": hann(projections, scan.geometry, GRID),
        }
    for name, volume in results.items():
        rmse = float((volume - clean).square().mean((1, 2)).sqrt().mean())
        assert scores.by_patient(name, "rmse")["s1"] == pytest.approx(rmse, rel=1e-4), name
    assert scores.by_patient("dual", "rmse")["s1"] < scores.by_patient("input", "rmse")["s1"]
    write_scan(scan, tmp_path / "scan-s1.h5")
    save_model(dual, tmp_path / "dual.yaml")
    found = find_method(tmp_path / "dual.yaml", scans=str(tmp_path / "scan-{name}.h5"))
    again = evaluate([found], [pair], full)
    assert again.by_patient("dual", "rmse")["s1"] == pytest.approx(scores.by_patient("dual", "rmse")["s1"], rel=1e-4)
    with pytest.raises(InputError, match="the model starts from projections: give its scans"):
        find_method(tmp_path / "dual.yaml")
    hu = PairedVolume("s1", "s1", (Volume(clean * 0 + 40, GRID, "HU"),), Volume(clean * 0 + 30, GRID, "HU"), "HU")
    with pytest.raises(InputError, match="starts from projections, expected volumes in 1/mm, got HU"):
        evaluate([found], [hu], FULL)


def test_the_command(others: Path, scanned: tuple[PairedVolume, Scan]) -> None:
    def sinograd(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    noisy, clean = case(0)
    write_volume(noisy, others / "low.h5", GRID, unit="HU")
    write_volume(clean, others / "normal.h5", GRID, unit="HU")
    theirs = f"theirs={others}/p1-theirs.npy"
    call = ["evaluate", others / "low.h5", "--target", others / "normal.h5", "--unit", "HU", "--protocol", "full-range"]
    found = sinograd(*call, "-m", theirs, "-o", others / "results")
    assert found.exit_code == 0, found.output
    assert "theirs" in found.output and (others / "results" / "report.html").stat().st_size > 1000
    pair, scan = scanned
    assert pair.target is not None
    write_volume(pair.inputs[0], others / "low-mu.h5")
    write_volume(pair.target, others / "normal-mu.h5")
    write_scan(scan, others / "low-mu-scan.h5")
    save_model(DualDomainBilateral([], bilateral_stack(1, input_scale=0.02)), others / "dual.yaml")
    found = sinograd(
        "evaluate", others / "low-mu.h5", "--target", others / "normal-mu.h5", "--unit", "1/mm", "--protocol",
        "full-range", "--data-range", "0.02", "-m", others / "dual.yaml",
        "--scan", f"{others}/{{stem}}-scan.h5", "--json",
    )  # fmt: skip
    assert found.exit_code == 0 and '"dual"' in found.output, found.output
