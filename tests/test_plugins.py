"""What other packages add: a class or function and one `add` each, then Python, commands and configurations know it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn
from typer.testing import CliRunner

import sinograd as sg
from sinograd.choices import ALGORITHMS, LOSSES, NETWORKS, PHANTOMS, SCAN_FORMATS, VOLUME_FORMATS, WINDOWS
from sinograd.cli.app import app
from sinograd.config.yaml import dump_yaml, load_yaml
from sinograd.evaluation import read_pairs_file
from sinograd.io.scans.format import ScanFormat
from sinograd.io.volumes.format import VolumeFormat
from sinograd.losses import as_loss
from sinograd.models import NetworkDenoiser, load_model
from sinograd.networks import Network
from sinograd.registry import Registry
from sinograd.training import load_config, train

GEOMETRY = sg.ConeBeam.circular(
    source_to_origin=60, source_to_detector=90, angles=sg.full_scan(12), detector=sg.FlatDetector((8, 12), 1.0)
)
GRID = sg.Grid((4, 8, 8), 1.0)


class TextScan(ScanFormat):
    """A scan as YAML text after a word that tells it."""

    def matches(self, path: Path, head: bytes) -> bool:
        return head.startswith(b"text-scan\n")

    def read(self, path: Path, *, geometry: sg.Geometry | None = None) -> sg.Scan:
        content = load_yaml(path.read_text().removeprefix("text-scan\n"))
        geometry = geometry or type(GEOMETRY).from_dict(content["geometry"])
        return sg.Scan(torch.tensor(content["projections"]), geometry, grid=GRID, file=path)

    def write(self, scan: sg.Scan, path: Path, *, force: bool = False, progress: Any = None) -> None:
        content = {"geometry": scan.geometry.to_dict(), "projections": scan.load().tolist()}
        path.write_text(f"text-scan\n{dump_yaml(content)}")


class TextVolume(VolumeFormat):
    """A volume as YAML text after a word that tells it."""

    def matches(self, path: Path, head: bytes) -> bool:
        return head.startswith(b"text-volume\n")

    def read(self, path: Path) -> sg.Volume:
        content = load_yaml(path.read_text().removeprefix("text-volume\n"))
        grid = sg.Grid.from_dict(content["grid"])
        return sg.Volume(torch.tensor(content["values"]), grid, content["unit"], file=path)

    def write(self, volume: sg.Volume, path: Path) -> None:
        content = {"grid": volume.grid.to_dict(), "unit": volume.unit, "values": volume.values.tolist()}
        path.write_text(f"text-volume\n{dump_yaml(content)}")


class Blur(Network):
    """One convolution."""

    def __init__(self, width: int = 3, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 1, width, padding=width // 2, bias=False)
        nn.init.constant_(self.layer.weight, 1 / width**2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def fourth_power(predicted: Tensor, target: Tensor, *, scale: float) -> Tensor:
    """Mean fourth power of the difference."""
    return ((predicted - target) / scale).pow(4).mean()


def halved(frequency: Tensor) -> Tensor:
    """Half the ramp, at every frequency."""
    return torch.full_like(frequency, 0.5)


def dumbbell(seed: int) -> sg.Ellipsoids:
    """Two balls, 1 mm from end to end."""
    turn = 0.1 * seed
    end = torch.tensor([0.35 * math.cos(turn), 0.35 * math.sin(turn), 0.0])
    return sg.phantoms.balls(0.15, 0.05, torch.stack([end, -end]))


def cautious_sirt(operator: Any, projections: Tensor, *, iterations: int = 3, **control: Any) -> sg.recon.Result:
    """SIRT in smaller steps."""
    return sg.recon.sirt(operator, projections, iterations=iterations, relaxation=0.5, **control)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """All of them, while a test runs."""
    entries: list[tuple[Registry[Any], str]] = []

    def add(registry: Registry[Any], name: str, thing: Any, **about: Any) -> None:
        registry.add(name, thing, f"the {name} of this test", **about)
        entries.append((registry, name))

    add(SCAN_FORMATS, "text", TextScan, suffixes=(".tscan",), writes=True)
    add(VOLUME_FORMATS, "text", TextVolume, suffixes=(".tvol",), writes=True)
    add(NETWORKS, "blur", Blur, learning_rate=1e-3)
    add(LOSSES, "fourth-power", fourth_power)
    add(WINDOWS, "halved", halved)
    add(PHANTOMS, "dumbbell", dumbbell, usual_mm=6.0, scanner="tigre-default", views=12, detector=(8, 12))
    add(ALGORITHMS, "cautious", cautious_sirt, iterative=True)
    yield
    for registry, name in entries:
        registry.remove(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """scan.tscan, low.tvol and normal.tvol in the formats of this test."""
    ball = sg.phantoms.ball(2.5, 0.05)
    sg.write_scan(sg.Scan(ball.project(GEOMETRY), GEOMETRY), tmp_path / "scan.tscan")
    normal = ball.voxelize(GRID)
    sg.write_volume(sg.Volume(normal, GRID, "1/mm"), tmp_path / "normal.tvol")
    sg.write_volume(sg.Volume(normal + 0.003 * torch.randn(GRID.shape), GRID, "1/mm"), tmp_path / "low.tvol")
    return tmp_path


def sinograd(*arguments: object) -> str:
    """What a command prints; it must succeed."""
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])  # no broken words
    assert result.exit_code == 0, result.output
    return result.stdout


def configuration(path: Path, **content: Any) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_format_of_scans(folder: Path) -> None:
    """Read, written, converted, reconstructed, and trained on by its name in a configuration."""
    assert sg.read(folder / "scan.tscan").geometry.equals(GEOMETRY)
    assert "cone beam" in sinograd("info", folder / "scan.tscan")
    sinograd("convert", folder / "scan.tscan", folder / "scan.h5")
    sinograd("convert", folder / "scan.h5", folder / "again.tscan", "--to", "text")
    assert (folder / "again.tscan").read_bytes() == (folder / "scan.tscan").read_bytes()
    sinograd("reconstruct", folder / "scan.tscan", "-o", folder / "out.h5")
    expected = sg.fdk(sg.read(folder / "scan.h5").load(), GEOMETRY, GRID)
    torch.testing.assert_close(sg.read_volume(folder / "out.h5").values, expected, rtol=0, atol=0)
    config = configuration(
        folder / "train.yaml",
        task={"name": "dual-domain", "row_margin": 1},
        model={"name": "dual-domain-bilateral", "projection_filters": 0, "image_filters": 1, "window": 3},
        data={"training": [{"input": "scan.tscan", "target": "normal.tvol"}]},
        stop={"max_steps": 1},
    )
    assert train(config, output=folder / "run").steps == 1


def test_a_format_of_volumes(folder: Path) -> None:
    """Read with its unit, written by commands, and trained on by its name in a configuration."""
    assert sg.read_volume(folder / "low.tvol").unit == "1/mm"
    sinograd("convert", folder / "low.tvol", folder / "low.h5")
    sinograd("convert", folder / "low.h5", folder / "again.tvol")
    assert (folder / "again.tvol").read_bytes() == (folder / "low.tvol").read_bytes()
    sinograd("reconstruct", folder / "scan.tscan", "-o", folder / "out.tvol", "-q")
    sinograd("denoise", folder / "out.tvol", "-m", "bone-xrm-one-filter", "-o", folder / "denoised.tvol", "-q")
    assert sg.read_volume(folder / "denoised.tvol").grid.equals(GRID)
    data = {"training": [{"input": "low.tvol", "target": "normal.tvol"}]}
    model = {"name": "bilateral", "filters": 1, "window": 3}
    config = configuration(folder / "train.yaml", data=data, model=model, stop={"max_steps": 1})
    sinograd("train", config, "-o", folder / "run", "-q")
    assert load_model(folder / "run")


def test_a_network_and_a_loss(folder: Path) -> None:
    """Options of the constructor are keys of the configuration; the model file builds the network again."""
    difference = torch.full((4,), 0.2)
    torch.testing.assert_close(as_loss("fourth-power")(difference, 0 * difference, scale=0.1), torch.tensor(16.0))
    config = configuration(
        folder / "train.yaml",
        data={"training": [{"input": "low.tvol", "target": "normal.tvol"}]},
        model={"name": "blur", "width": 5, "offset": 0.0, "scale": 0.05},
        task={"name": "supervised", "loss": "fourth-power"},
        stop={"max_steps": 2},
    )
    assert load_config(config).model.name == "blur"
    assert "blur" in sinograd("train", config, "-o", folder / "run")
    model = load_model(folder / "run")
    assert isinstance(model, NetworkDenoiser) and isinstance(model.network, Blur)
    assert model.network.options == {"width": 5} and model.network.layer.kernel_size == (5, 5)
    sinograd("denoise", folder / "low.tvol", "-m", folder / "run", "-o", folder / "out.h5", "-q")
    with torch.no_grad():
        expected = model(sg.read_volume(folder / "low.tvol").values)
    torch.testing.assert_close(sg.read_volume(folder / "out.h5").values, expected, rtol=0, atol=0)
    assert "blur" in sinograd("info", folder / "run")


def test_a_window(folder: Path) -> None:
    """By name in Python, as an option and in a configuration."""
    projections = sg.read(folder / "scan.tscan").load()
    expected = sg.fdk(projections, GEOMETRY, GRID, window="halved")
    half = 0.5 * sg.fdk(projections, GEOMETRY, GRID)  # but for the aliasing of windowed taps
    torch.testing.assert_close(expected, half, rtol=0, atol=1e-3 * half.max().item())
    sinograd("reconstruct", folder / "scan.tscan", "-o", folder / "option.h5", "--window", "halved", "-q")
    config = configuration(folder / "options.yaml", window="halved")
    sinograd("reconstruct", folder / "scan.tscan", "-o", folder / "config.h5", "--config", config, "-q")
    for name in ("option.h5", "config.h5"):
        torch.testing.assert_close(sg.read_volume(folder / name).values, expected, rtol=0, atol=0)
    assert "halved" in sinograd("reconstruct", "--help")


def test_a_phantom(folder: Path) -> None:
    """Simulated by name in Python and as a command, and in the pairs of a configuration."""
    scan = sg.simulate("dumbbell", noiseless=True, seed=2, size_mm=200.0)
    expected = dumbbell(2).scaled(200.0).project(scan.geometry)
    torch.testing.assert_close(scan.load(), expected.float(), rtol=1e-5, atol=1e-6)
    assert scan.shape == (12, 8, 12) and scan.load().max() > 1
    options = ("--noiseless", "--seed", 2, "--size-mm", 200.0)
    sinograd("simulate", "dumbbell", "-o", folder / "dumbbell.h5", *options)
    torch.testing.assert_close(sg.read(folder / "dumbbell.h5").load(), scan.load(), rtol=0, atol=0)
    assert "dumbbell" in sinograd("simulate", "--help")
    pairs = {"layout": "phantoms", "phantom": "dumbbell", "count": 1, "shape": [1, 24, 24], "target": "voxels"}
    scanner = {"beam": "fan", "views": 12}
    (pair,) = read_pairs_file(configuration(folder / "pairs.yaml", pairs={**pairs, "scan": scanner}))
    assert pair.target is not None and pair.name.startswith("dumbbell")
    assert pair.target.read(0, 1).max().item() == pytest.approx(0.05, rel=0.01)


def test_an_algorithm(folder: Path) -> None:
    """The same volume in Python, with options, and by a configuration."""
    scan = sg.read(folder / "scan.tscan")
    operator = sg.XRayTransform(GEOMETRY, GRID)
    expected = sg.recon.sirt(operator, scan.load(), iterations=2, relaxation=0.5).image
    volume = sg.reconstruct(scan, algorithm="cautious", iterations=2)
    torch.testing.assert_close(volume.values, expected, rtol=0, atol=0)
    run = ("reconstruct", folder / "scan.tscan", "-q", "-o")
    sinograd(*run, folder / "option.h5", "--algorithm", "cautious", "--iterations", 2)
    config = configuration(folder / "options.yaml", algorithm="cautious", iterations=2)
    sinograd(*run, folder / "config.h5", "--config", config)
    for name in ("option.h5", "config.h5"):
        torch.testing.assert_close(sg.read_volume(folder / name).values, expected, rtol=0, atol=0)
    assert "cautious" in sinograd("reconstruct", "--help")


PLUGIN = """
import torch
from sinograd.io.volumes.format import VolumeFormat
from sinograd.networks import Network

class Nothing(Network):
    def forward(self, x):
        return x

class Never(VolumeFormat):
    suffixes, writes, folder, package = (".never",), False, False, None
    def matches(self, path, head):
        return False
"""
ENTRY_POINTS = """
[sinograd.networks]
nothing = good_plugin:Nothing
broken = bad_plugin:Network

[sinograd.formats]
never = good_plugin:Never
bad-format = bad_plugin:Format
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder with an installed distribution `other-package`: one module that works, and one that does not."""
    site = tmp_path / "site"
    (site / "other_package-1.0.dist-info").mkdir(parents=True)
    (site / "other_package-1.0.dist-info" / "METADATA").write_text("Name: other-package\nVersion: 1.0\n")
    (site / "other_package-1.0.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    (site / "good_plugin.py").write_text(PLUGIN)
    (site / "bad_plugin.py").write_text("import a_package_that_is_not_there\n")
    return site


def run(packages: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python, in a process of its own that sees the distribution."""
    path = os.pathsep.join([str(packages), str(Path(sg.__file__).parents[1])])
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )


def test_entry_points_of_other_packages(packages: Path) -> None:
    """Their things are choices; one that cannot be imported is a warning with its name, and nothing else changes."""
    code = """
import json, warnings
from sinograd.choices import NETWORKS, VOLUME_FORMATS
from sinograd.errors import InputError, PluginWarning
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    names = NETWORKS.names()
    loaded = NETWORKS.load("nothing").__name__
    suffixes = [entry.about["suffixes"] for entry in VOLUME_FORMATS.entries() if entry.name == "never"]
    left = [entry.name for entry in NETWORKS.entries()]
    try:
        NETWORKS.load("broken")
    except InputError as error:
        message = str(error)
told = [str(w.message) for w in caught if issubclass(w.category, PluginWarning)]
print(json.dumps([names, loaded, suffixes, left, message, told, len(caught)]))
"""
    names, loaded, suffixes, left, message, told, count = json.loads(run(packages, "-c", code).stdout)
    assert {"red-cnn", "nothing", "broken"} <= set(names)
    assert loaded == "Nothing" and suffixes == [[".never"]]
    assert "nothing" in left and "broken" not in left
    assert "network must be one of cnn-10" in message and "'broken'" in message
    assert len(told) == count and {"broken", "bad-format"} <= {text.split("'")[1] for text in told}
    assert all("other-package" in text and "a_package_that_is_not_there" in text for text in told)


def test_commands_work_beside_a_broken_plugin(folder: Path, packages: Path) -> None:
    sg.write_scan(sg.read(folder / "scan.tscan"), folder / "scan.h5")
    for arguments in (["--help"], ["reconstruct", "--help"], ["info", str(folder / "scan.h5")]):
        result = run(packages, "-m", "sinograd.cli", *arguments)
        assert "Traceback" not in result.stderr and result.stdout
    assert "cone beam" in result.stdout


def test_an_entry_that_cannot_be_imported_is_one_error():
    from sinograd.errors import InputError
    from sinograd.registry import Registry

    registry: Registry[object] = Registry("network")
    registry.add("lost", "no.such.module:Network")
    registry.add("unnamed", "sinograd.networks:NoSuchNetwork")
    for name in registry:
        with pytest.raises(InputError, match=rf"^'{name}' cannot be imported from '{registry.entry(name).target}': "):
            registry.load(name)
