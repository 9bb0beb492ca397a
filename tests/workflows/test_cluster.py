"""Slabs on Dask workers: the bits of one process, whatever becomes of a worker. Needs dask and distributed."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.cli.evaluate import EvaluateRequest, evaluate_files
from sinograd.errors import InputError, ScanWarning
from sinograd.models import NetworkDenoiser, bilateral_stack, save_model
from sinograd.networks import CNN10
from sinograd.physics import Spectrum
from sinograd.workflows.batch import reconstruct_all
from sinograd.workflows.cluster import check_workers, map_on_cluster
from sinograd.workflows.manifest import Manifest
from sinograd.workflows.report import Silent

distributed: Any = pytest.importorskip("distributed")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.filterwarnings("default::ResourceWarning")]


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor]:
    """64 rows of 72 columns in 400 views, and the volume of all of it."""
    geometry = sg.ConeBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=sg.full_scan(400), detector=sg.FlatDetector((120, 72), 0.4)
    )
    values = np.random.default_rng(4).normal(0.5, 0.1, geometry.projection_shape).astype(np.float32)
    path = tmp_path_factory.mktemp("scan") / "scan.npy"
    sg.write_scan(sg.Scan(torch.from_numpy(values), geometry), path)
    return path, sg.fdk(torch.from_numpy(values), geometry)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "memory_limit": 0}
    with distributed.LocalCluster(processes=True, **options) as cluster, distributed.Client(cluster) as client:
        yield client


def test_workers_give_the_bits_of_one_process(tmp_path: Path, scan: tuple[Path, torch.Tensor], client: Any) -> None:
    volume = sg.reconstruct(scan[0], tmp_path / "v.npy", client=client, memory="5MB")
    assert len(volume.provenance["checksums"]) > 4
    assert torch.equal(volume.values, scan[1])


def test_the_name_of_a_cluster(tmp_path: Path, scan: tuple[Path, torch.Tensor], client: Any) -> None:
    volume = sg.reconstruct(scan[0], tmp_path / "v.h5", cluster=client.scheduler.address, memory="5MB")
    assert torch.equal(volume.values, scan[1])


def test_a_killed_worker_changes_nothing(tmp_path: Path, scan: tuple[Path, torch.Tensor], client: Any) -> None:
    output = tmp_path / "v.raw"
    pids = list(client.run(os.getpid).values())

    def kill() -> None:
        while len(Manifest(output).parts()) < 1:
            time.sleep(0.01)
        os.kill(pids[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    volume = sg.reconstruct(scan[0], output, client=client, memory="4.5MB")
    killer.join()
    assert torch.equal(volume.values, scan[1])


def test_a_worker_searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Any) -> None:
    """The centre and the turns are those that this process finds; it does not search itself."""
    geometry = sg.ConeBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=sg.full_scan(48), detector=sg.FlatDetector((24, 32), 0.9)
    )
    phantom = sg.phantoms.shepp_logan_3d(9.0)
    made = sg.Scan(phantom.project(sg.geometry.shift_detector(geometry, column=0.7)).float(), geometry)
    sg.write_scan(made, tmp_path / "scan.npy")
    options: dict[str, Any] = {"center": "auto", "tilt": "auto", "memory": "8MB"}
    here = sg.reconstruct(tmp_path / "scan.npy", tmp_path / "here.npy", **options)

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("sinograd.preparation.find_center", forbidden)
    monkeypatch.setattr("sinograd.recon.calibrate", forbidden)
    there = sg.reconstruct(tmp_path / "scan.npy", tmp_path / "there.npy", client=client, **options)
    assert torch.equal(here.values, there.values)
    assert abs(float(here.provenance["center"].split()[0]) - 0.7 / 0.9) < 0.1


def test_bad_clusters(tmp_path: Path, scan: tuple[Path, torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinograd.workflows.cluster.TIMEOUT", 1.0)
    output = tmp_path / "v.h5"
    for cluster, words in (
        ("local:none", "expected local:N with N workers"),
        ("somewhere", r"expected local:N, tcp://HOST:PORT or a \.yaml file"),
        ("tcp://127.0.0.1:9", "the scheduler tcp://127.0.0.1:9 does not answer"),
    ):
        with pytest.raises(InputError, match=words):
            sg.reconstruct(scan[0], output, cluster=cluster, memory="5MB", force=True)
    with pytest.raises(InputError, match=r"`client`: expected a distributed\.Client, got a int"):
        sg.reconstruct(scan[0], output, client=7, memory="5MB", force=True)


def test_workers_without_the_file_system(tmp_path: Path, client: Any) -> None:
    with pytest.raises(InputError, match=r"the worker tcp://\S+ does not see .*elsewhere: workers need the same file"):
        check_workers(client, tmp_path / "elsewhere" / "plan.json")


def test_workers_are_looked_at_first(
    tmp_path: Path, scan: tuple[Path, torch.Tensor], client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinograd.workflows.cluster.software_version", lambda: "99")
    with pytest.raises(InputError, match=r"`cluster`: the worker tcp://\S+ has sinograd \S+, here is 99"):
        sg.reconstruct(scan[0], tmp_path / "v.h5", client=client, memory="5MB")


def test_a_worker_does_a_scan(tmp_path: Path, scan: tuple[Path, torch.Tensor], client: Any) -> None:
    """Of three scans, one of them damaged: two volumes, and the table in the order of the jobs."""
    (tmp_path / "bad.h5").write_bytes(b"not a scan")
    jobs = tmp_path / "jobs.yaml"
    lines = [f"  - {{scan: {path}, output: v{i}.npy}}" for i, path in enumerate((scan[0], "bad.h5", scan[0]))]
    names = [line.replace("}", f", name: n{i}}}") for i, line in enumerate(lines)]
    jobs.write_text("defaults: {memory: 5MB}\njobs:\n" + "\n".join(names))
    outcomes = reconstruct_all(jobs, cluster=client.scheduler.address)
    assert [bool(outcome.error) for outcome in outcomes] == [False, True, False]
    rows = (tmp_path / "batch.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in rows[1:]] == [["n0", "done"], ["n1", "failed"], ["n2", "done"]]
    assert torch.equal(sg.read_volume(tmp_path / "v2.npy").values, scan[1])


def test_a_worker_does_a_volume_of_a_patient(tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scores of one process, in the order of the pairs; with samples and the edge of a disc."""
    monkeypatch.chdir(tmp_path)
    grid = sg.Grid((3, 32, 36), 1.0)
    torch.manual_seed(0)
    for name in ("p1", "p2", "p3"):
        clean = 100 * torch.nn.functional.interpolate(torch.randn(1, 1, 3, 5, 5), grid.shape, mode="trilinear")[0, 0]
        for part, values in (("target", clean), ("input", clean + 40 * torch.randn(grid.shape))):
            (tmp_path / part).mkdir(exist_ok=True)
            sg.write_volume(sg.Volume(values, grid, "HU"), tmp_path / part / f"{name}.h5")
    (tmp_path / "pairs.yaml").write_text("pairs: {layout: volumes, unit: HU, folder: .}\n")
    request = {"inputs": [Path("pairs.yaml")], "targets": [], "methods": ["median"], "protocol": "full-range"}
    found = []
    for name, cluster in (("here", None), ("there", client.scheduler.address)):
        more = {"discs": ("1,-2,5,p1",), "output": tmp_path / name, "cluster": cluster}
        found.append(evaluate_files(EvaluateRequest(**request, **more), Silent()))
    here, there = found
    scored = [[(row.method, row.volume, row.ssim, row.psnr, row.rmse) for row in scores.rows] for scores in found]
    assert scored[0] == scored[1] and len(scored[0]) == 6
    assert [edge.f50 for edge in here.edges] == pytest.approx([edge.f50 for edge in there.edges], nan_ok=True)
    assert [sample.volume for sample in here.samples] == [sample.volume for sample in there.samples]
    assert torch.equal(here.samples[1].images["median"], there.samples[1].images["median"])


ITERATIONS: dict[str, Any] = {"algorithm": "sirt", "iterations": 2, "shape": (40, 40, 40), "voxel_mm": 0.4}


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preparation is planned as if its blocks were small: the scan is smaller than one."""
    monkeypatch.setattr("sinograd.workflows.schedule.BLOCK", 1 << 14)


@pytest.mark.usefixtures("small_blocks")
def test_iterations_on_workers(tmp_path: Path, scan: tuple[Path, torch.Tensor], client: Any) -> None:
    """The volume of one process to rounding, in slabs whose projections are summed."""
    options = {**ITERATIONS, "views": "0:400:10", "memory": "1MB"}
    here = sg.reconstruct(scan[0], tmp_path / "here.h5", **options)
    there = sg.reconstruct(scan[0], tmp_path / "there.h5", client=client, **options)
    assert here.is_lazy and there.is_lazy
    assert float((there.values - here.values).abs().max()) < 1e-5 * float(here.values.abs().max())


@pytest.mark.usefixtures("small_blocks")
def test_iterations_survive_a_worker(tmp_path: Path, scan: tuple[Path, torch.Tensor], client: Any) -> None:
    options = {**ITERATIONS, "views": "0:400:10", "memory": "1MB"}
    whole = sg.reconstruct(scan[0], tmp_path / "whole.h5", client=client, **options)
    output, pids = tmp_path / "v.h5", list(client.run(os.getpid).values())

    def kill() -> None:
        while len(list(Manifest(output).folder.glob("iterations/*.raw"))) < 3:
            time.sleep(0.01)
        os.kill(pids[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    volume = sg.reconstruct(scan[0], output, client=client, **options)
    killer.join()
    assert torch.equal(volume.values, whole.values)


@pytest.fixture
def small_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some blocks of views of a small scan."""
    monkeypatch.setattr("sinograd.workflows.scan_blocks._BLOCK", 4000)


SPECTRUM = Spectrum([40.0, 80.0], [1.0, 1.0])
EFFECTS: dict[str, Any] = {
    "focal_spot_mm": 0.1,
    "detector_blur_mm": 0.3,
    "scatter": 0.05,
    "faulty_pixels": "0.01,0,0.1",
    "electronic_noise": 20.0,
}
PHANTOM: dict[str, Any] = {"views": 13, "detector": (24, 30), "photons": 50.0, "seed": 5}


@pytest.mark.usefixtures("small_views")
@pytest.mark.parametrize("kind", ["one energy", "spectrum", "effects", "lag"])
def test_workers_simulate_the_bits_of_here(tmp_path: Path, kind: str, client: Any) -> None:
    """With noise of several blocks; the record does not tell who made them, and nothing else is left."""
    more = {"spectrum": {"spectrum": SPECTRUM}, "effects": EFFECTS, "lag": {**EFFECTS, "lag": "0.02,0.5"}}
    options = {**PHANTOM, **more.get(kind, {})}
    source = "water" if kind == "spectrum" else "bone"
    here = sg.simulate(source, tmp_path / "here.h5", **options)
    there = sg.simulate(source, tmp_path / "there.h5", client=client, **options)
    assert torch.equal(there.load(), here.load()) and there.geometry.equals(here.geometry)
    assert here.metadata == there.metadata and here.metadata["readings_without_photons"] > 0
    assert "cluster" not in there.provenance["options"] and "where" not in there.provenance["options"]
    assert torch.equal(sg.read(tmp_path / "there.h5").load(), here.load())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here.h5", "there.h5"]


@pytest.mark.usefixtures("small_views")
def test_workers_lower_the_dose(tmp_path: Path, client: Any) -> None:
    """Of a scan in a file; one in memory is refused, and so is a run without output."""
    sg.simulate("bone", tmp_path / "scan.h5", **PHANTOM)
    options: dict[str, Any] = {"dose": 0.3, "seed": 1}
    here = sg.simulate(tmp_path / "scan.h5", tmp_path / "here.h5", **options)
    address = client.scheduler.address
    there = sg.simulate(tmp_path / "scan.h5", tmp_path / "there.h5", cluster=address, **options)
    assert torch.equal(there.load(), here.load()) and here.metadata == there.metadata
    with pytest.raises(InputError, match="`cluster` and `client` need a scan file"):
        sg.simulate(here, tmp_path / "no.h5", client=client, **options)
    with pytest.raises(InputError, match="`cluster` and `client` need an `output`"):
        sg.simulate("bone", client=client)
    with pytest.raises(InputError, match="`cluster` and `client`: one of them says who computes"):
        sg.simulate("bone", tmp_path / "no.h5", client=client, cluster="local:2")


def test_blocks_have_numbers_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first block's are the seed's; others are neither these nor each other's."""
    whole = sg.simulate("bone", **PHANTOM).load()
    monkeypatch.setattr("sinograd.workflows.scan_blocks._BLOCK", 24 * 30)
    parts, exact = sg.simulate("bone", **PHANTOM).load(), sg.simulate("bone", noiseless=True, **PHANTOM).load()
    assert torch.equal(parts[0], whole[0])
    noise = (parts - exact).flatten(1)
    assert float((torch.corrcoef(noise) - torch.eye(13)).abs().max()) < 0.25


@pytest.mark.parametrize("kind", ["filters", "network"])
def test_workers_denoise_slabs(tmp_path: Path, kind: str, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slabs with the slices that they depend on: the bits of here."""
    torch.manual_seed(0)
    volume = sg.Volume(0.02 + 0.002 * torch.randn(24, 32, 36), sg.Grid((24, 32, 36), 1.0), "1/mm")
    sg.write_volume(volume, tmp_path / "v.h5")
    if kind == "filters":
        monkeypatch.setattr("sinograd.workflows.filtering.SLAB_BYTES", 11 * 32 * 36 * 4)
        model: Any = bilateral_stack(2, sigma_range=0.004, sigma_spatial=0.5, window=3)
    else:
        monkeypatch.setattr("sinograd.models.slabs._NETWORK_SLAB_BYTES", 5 * 32 * 36 * 4)
        model = NetworkDenoiser(CNN10(), scale=0.02)
    saved = tmp_path / ("model.yaml" if kind == "filters" else "model.pt")
    save_model(model, saved, trained_on={"unit": "1/mm"})
    here = sg.denoise(tmp_path / "v.h5", saved)
    there = sg.denoise(tmp_path / "v.h5", saved, tmp_path / "there.h5", client=client)
    assert torch.equal(there.values, here.values) and not torch.equal(here.values, volume.values)
    assert sorted(path.name for path in tmp_path.iterdir()) == [saved.name, "there.h5", "v.h5"]


def _dies_at_first(folder: Path, item: int) -> int:
    mark = folder / str(item)
    if item < 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 10 * item


def test_all_workers_may_die(tmp_path: Path, client: Any) -> None:
    """One after the other: those that come in their place are given the job again."""
    found = map_on_cluster(client, partial(_dies_at_first, tmp_path), range(4), "nothing")
    assert sorted(found) == [(i, 10 * i, None) for i in range(4)]


_COUNTED, _AT_A_TIME = threading.Lock(), [0, 0]


def _counted(_: int) -> int:
    with _COUNTED:
        _AT_A_TIME[0] += 1
        _AT_A_TIME[1] = max(_AT_A_TIME)
    time.sleep(0.05)
    with _COUNTED:
        _AT_A_TIME[0] -= 1
    return torch.get_num_threads()


def test_a_worker_of_several_threads_does_a_part_at_a_time() -> None:
    options = {"n_workers": 1, "threads_per_worker": 3, "dashboard_address": None, "memory_limit": 0}
    with distributed.LocalCluster(processes=False, **options) as cluster, distributed.Client(cluster) as client:
        found = [threads for _, threads, _ in map_on_cluster(client, _counted, range(6), "nothing")]
    assert _AT_A_TIME == [0, 1] and found == [3] * 6


def _warns(item: int) -> int:
    warnings.warn(f"odd thing {item}", ScanWarning, stacklevel=1)
    return item


def test_warnings_of_workers_come_here(client: Any) -> None:
    with pytest.warns(ScanWarning, match="odd thing 7"):
        list(map_on_cluster(client, _warns, [7], "nothing"))
