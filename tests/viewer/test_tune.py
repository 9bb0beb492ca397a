"""Slices of `sinograd tune`. Truth: `sg.reconstruct` with the configuration that it writes."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sinograd as sg
from sinograd.data import Scan
from sinograd.errors import InputError
from sinograd.geometry import ConeBeam, FanBeam, FlatDetector, Grid, full_scan
from sinograd.io import read_volume, write_scan
from sinograd.phantoms import Ellipsoids
from sinograd.viewer import LocalServer, serve_tuning
from sinograd.viewer.settings import Settings
from sinograd.viewer.tuning import Tuning, sharpness
from viewer.asking import array, ask, get, record

OFF = 1.5  # pixels that the centre is off


def phantom() -> Ellipsoids:
    return Ellipsoids([0.05, 0.03], [[4.0, 3.0, 4.0], [1.0, 1.0, 3.0]], [[0.0, 0.0, 0.0], [1.5, 0.5, 0.0]])


@pytest.fixture(scope="module")
def cone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    detector = FlatDetector((32, 48), 0.4)
    places = {"source_to_origin": 60, "source_to_detector": 90, "angles": full_scan(60)}
    true = ConeBeam.circular(**places, detector=FlatDetector((32, 48), 0.4, (0.0, OFF * 0.4)))
    said = ConeBeam.circular(**places, detector=detector)
    path = tmp_path_factory.mktemp("scan") / "scan.h5"
    write_scan(Scan(phantom().project(true), said, grid=Grid((24, 30, 34), 0.3)), path)
    return path


@pytest.fixture(scope="module")
def fan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    geometry = FanBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=full_scan(80), detector=FlatDetector(64, 0.3)
    )
    path = tmp_path_factory.mktemp("fan") / "fan.h5"
    flat = sg.phantoms.ball(4.0, 0.05)
    write_scan(Scan(flat.project(geometry), geometry, grid=Grid((40, 44), 0.25)), path)
    return path


POSITIONS = [
    Settings(),
    Settings(center=OFF, window="hann", cutoff=0.8),
    Settings(tilt=1.5, roll=-0.5, row_offset=0.3, center=0.4),
    Settings(hardening=0.05, rings=True, voxel=0.4, truncation="ellipse"),
    Settings(region=(-1.0, 2.0, -0.5, 3.5), center=-0.25),
]


@pytest.mark.parametrize("settings", POSITIONS, ids=range(len(POSITIONS)))
def test_a_slice_is_that_of_the_command_with_its_configuration(
    cone: Path, settings: Settings, tmp_path: Path, sinograd: Any
) -> None:
    from sinograd.viewer.tuned_job import TunedJob

    scan = sg.read(cone)
    tuning, job = Tuning(scan), TunedJob(cone, scan, tmp_path / "tuned.h5")
    job.write_config(settings)
    done = sinograd(*job.command)
    assert done.exit_code == 0, done.output
    volume = read_volume(tmp_path / "tuned.h5")
    assert volume.grid.shape == tuning.grid(settings).shape
    np.testing.assert_allclose(volume.grid.center, tuning.grid(settings).center, atol=1e-7)
    for index in (0, volume.shape[0] // 2 + 3, volume.shape[0] - 1):
        found = tuning.slice(settings, index).values
        scale = float(volume.values.abs().max())
        # a tilted detector is resampled within the rows that are read; rings are found in them
        tolerance = 2e-2 if settings.rings or settings.tilt else 1e-5
        assert np.abs(found - volume.values[index].numpy()).max() < tolerance * scale


@pytest.fixture
def sinograd() -> Any:
    from typer.testing import CliRunner

    from sinograd.cli.app import app

    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_fan_beam_has_one_slice(fan: Path) -> None:
    tuning = Tuning(sg.read(fan))
    found = tuning.slice(Settings(center=0.5), 0)
    expected = sg.reconstruct(fan, center=0.5)
    np.testing.assert_allclose(found.values, expected.values.numpy(), atol=1e-6)
    with pytest.raises(InputError, match="cannot be turned"):
        tuning.slice(Settings(tilt=1.0), 0)
    with pytest.raises(InputError, match="index: expected 0 to 0"):
        tuning.slice(Settings(), 1)


def test_the_right_centre_is_the_sharpest(cone: Path) -> None:
    tuning = Tuning(sg.read(cone))
    scores = {c: sharpness(tuning.slice(Settings(center=c), 12).values) for c in (-1.5, 0.0, OFF, 3.0)}
    assert min(scores, key=lambda c: scores[c]) == OFF


@pytest.mark.parametrize("settings", [Settings(center=OFF), Settings(tilt=1.5, center=OFF), Settings(voxel=0.2)])
def test_a_picture_of_fewer_pixels_is_that_slice(cone: Path, settings: Settings) -> None:
    """Of binned rows and columns, and of fewer views."""
    tuning = Tuning(sg.read(cone))
    whole, small = tuning.slice(settings, 12), tuning.slice(settings, 12, 16)
    factor = round(small.slice.spacing[-1] / whole.slice.spacing[-1])
    assert factor == whole.values.shape[1] // 16 > 1 and small.slice.center == whole.slice.center
    rows, columns = (n - n % factor for n in whole.values.shape)
    means = whole.values[:rows, :columns].reshape(rows // factor, factor, -1, factor).mean((1, 3))
    found = small.values[: len(means), : means.shape[1]]
    assert np.corrcoef(found.ravel(), means.ravel())[0, 1] > 0.97
    assert found.max() == pytest.approx(means.max(), rel=0.15)


def test_a_move_prepares_again_only_what_it_changes(cone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sinograd.preparation as preparation

    count, prepare = [], preparation.prepare
    monkeypatch.setattr(preparation, "prepare", lambda *a, **k: count.append(1) or prepare(*a, **k))
    tuning = Tuning(sg.read(cone))
    for settings in (
        Settings(),
        Settings(center=1.0),
        Settings(window="hann"),
        Settings(tilt=0.2),
        Settings(voxel=0.4),
    ):
        tuning.slice(settings, 8)
    assert len(count) == 1
    tuning.slice(Settings(hardening=0.1), 8)
    tuning.slice(Settings(center=0.5), 8)
    assert len(count) == 2


def test_a_newer_move_cancels_the_work(cone: Path) -> None:
    class Newer(Exception):
        pass

    def check() -> None:
        raise Newer

    with pytest.raises(Newer):
        Tuning(sg.read(cone)).slice(Settings(), 8, check=check)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nothing", "JSON object"),
        ('{"centre": 1}', "JSON object"),
        ('{"center": "left"}', "center"),
        ('{"center": NaN}', "center"),
        ('{"cutoff": 2}', "cutoff"),
        ('{"window": "door"}', "window"),
        ('{"rings": 1}', "rings"),
        ('{"voxel": 0}', "voxel"),
        ('{"region": [1, 2]}', "region"),
        ('{"tilt": 90}', "tilt"),
    ],
)
def test_wrong_settings(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Settings.of(text)


@pytest.fixture
def server(cone: Path, tmp_path: Path) -> Iterator[LocalServer]:
    with serve_tuning(cone, tmp_path / "volume.h5") as found:
        yield found


def test_answers(server: LocalServer, cone: Path) -> None:
    facts = record(server, "scan")
    assert facts["slices"] == 24 and facts["can_turn"] and facts["shape"] == [30, 34]
    settings = json.dumps({"center": OFF})
    found = array(server, "slice", settings=settings, index=10)
    np.testing.assert_array_equal(found, Tuning(sg.read(cone)).slice(Settings(center=OFF), 10).values)
    strip = get(server, "neighbours", settings=settings, index=12, name="center", step=1.0)
    values, scores = ([float(v) for v in strip.headers[f"X-{n}"].split(",")] for n in ("Positions", "Scores"))
    assert values == [OFF - 2, OFF - 1, OFF, OFF + 1, OFF + 2] and scores.index(min(scores)) == 2
    assert get(server, "slice", settings="{}", index=99).status == 400
    assert get(server, "slice", settings='{"cutoff": 7}', index=1).status == 400


def post(server: LocalServer, name: str, settings: dict[str, Any], token: bool = True) -> Any:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"X-Sinograd-Token": server.token} if token else {}
    connection.request("POST", f"/api/{name}", json.dumps(settings), headers)
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read() or b"null") if token else None
    connection.close()
    return found


def test_the_job_writes_the_bits_of_the_command(server: LocalServer, cone: Path, tmp_path: Path, sinograd: Any) -> None:
    settings = {"center": OFF, "tilt": 0.3, "window": "hann", "voxel": 0.35}
    assert post(server, "start", settings, token=False)[0] == 403
    status, said = post(server, "start", settings)
    assert status == 200 and (tmp_path / "volume.tune.yaml").is_file() and (tmp_path / "volume.geometry.yaml").is_file()
    end = time.monotonic() + 600
    while record(server, "status")["state"] == "running" and time.monotonic() < end:
        time.sleep(0.2)
    assert record(server, "status")["state"] == "done", record(server, "status")
    assert "--config" in said["command"]
    done = sinograd("reconstruct", cone, "--config", tmp_path / "volume.tune.yaml", "-o", tmp_path / "again.h5")
    assert done.exit_code == 0, done.output
    first, again = read_volume(tmp_path / "volume.h5"), read_volume(tmp_path / "again.h5")
    assert first.grid.equals(again.grid) and np.array_equal(first.values.numpy(), again.values.numpy())
    # the file is there now, and is not replaced
    done = sinograd("reconstruct", cone, "--config", tmp_path / "volume.tune.yaml", "-o", tmp_path / "volume.h5")
    assert done.exit_code != 0 and "exists" in done.output


def test_a_job_that_fails(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinograd.viewer.tuned_job.sys.executable", "/bin/false")
    assert post(server, "start", {})[0] == 200
    end = time.monotonic() + 60
    while (state := record(server, "status")["state"]) == "running" and time.monotonic() < end:
        time.sleep(0.05)
    assert state == "failed"


def test_no_get_starts_anything(server: LocalServer) -> None:
    for name in ("start", "config", "cancel"):
        assert ask(server, f"/api/{name}", {"X-Sinograd-Token": server.token}).status == 405


def test_bad_input(tmp_path: Path, cone: Path) -> None:
    (tmp_path / "text.h5").write_text("no scan")
    with pytest.raises(InputError, match=r"text\.h5"):
        serve_tuning(tmp_path / "text.h5")
    (tmp_path / "volume.h5").write_text("here")
    with pytest.raises(FileExistsError):
        serve_tuning(cone, tmp_path / "volume.h5")


def test_in_a_browser(window: Any, server: LocalServer, tmp_path: Path) -> None:
    window.open(server.url)
    before = float(window.data("axis-z", "sharpness"))
    window.set("center", OFF)
    window.ready()
    assert window.data("axis-z", "quality") == "full" and float(window.data("axis-z", "sharpness")) < before
    assert float(window["center-number"].get_attribute("value")) == OFF
    window.until(lambda: window.data("strip", "values") == "-0.5,0.5,1.5,2.5,3.5")
    scores = [float(v) for v in window.data("strip", "scores").split(",")]
    assert scores.index(min(scores)) == 2
    window["neighbour-0"].click()
    window.ready()
    assert float(window["center-number"].get_attribute("value")) == OFF - 2
    window["reset"].click()
    window.ready()
    window.set("slice-z", 5)
    window.ready()
    assert "6 of 24" in window.text("place-z")
    window["write-config"].click()
    window.until(lambda: "written" in window.text("job"))
    assert (tmp_path / "volume.tune.yaml").is_file()
    assert window.errors() == [] and window.strangers() == []


@pytest.fixture
def slow_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sharp slices take a second."""
    real = Tuning.slice

    def slow(self: Any, settings: Settings, index: int, side: Any = None, check: Any = lambda: None) -> Any:
        if side is not None:
            return real(self, settings, index, side, check)
        for _ in range(50):
            time.sleep(0.02)
            check()
        made = real(self, settings, index, side, check)
        return dataclasses.replace(made, seconds={"reconstruct": 1.0})

    monkeypatch.setattr(Tuning, "slice", slow)


def test_a_newer_move_ends_a_sharp_slice(server: LocalServer, slow_slices: None) -> None:
    with ThreadPoolExecutor(1) as pool:
        sharp = pool.submit(get, server, "slice", index=5, quality="full", channel="full", number=7)
        time.sleep(0.3)
        assert (
            get(server, "slice", index=5, quality="coarse", channel="coarse", number=8, over="full,strip").status == 200
        )
        assert sharp.result().status == 204
    assert get(server, "slice", index=5, quality="full", channel="full", number=9).status == 200


def test_before_a_slow_slice_one_of_half_the_pixels_is_shown(
    window: Any, server: LocalServer, slow_slices: None
) -> None:
    window.open(server.url)
    window.driver.execute_script(
        "window.seen = []; const c = arguments[0]; new MutationObserver(() => window.seen.push(c.dataset.quality))"
        ".observe(c, { attributes: true, attributeFilter: ['data-quality'] });",
        window["axis-z"],
    )
    window.set("center", 0.5)
    window.ready()
    assert window.driver.execute_script("return window.seen") == ["coarse", "medium", "full"]
    for value in (1.0, 1.5, OFF):  # the last of some moves is the one that is sharp
        window.set("center", value)
    window.ready()
    assert window.data("axis-z", "quality") == "full" and window.errors() == []


def test_tilt_of_degrees() -> None:
    geometry = ConeBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=full_scan(8), detector=FlatDetector((4, 5), 1.0)
    )
    assert Settings(tilt=2.0).geometry(geometry).recipe.tilt == pytest.approx(math.radians(2.0))
