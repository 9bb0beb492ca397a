"""Writers of one path at the same time, modes of outputs, data that is written over the file it came from."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.config.text_files import write_text
from sinograd.data import Scan, Volume
from sinograd.geometry import Grid
from sinograd.io.storage.atomic import replacing, replacing_files, replacing_folder

NAMES = ("a.npy", "a.yaml")
WORKER = """
import sys
from pathlib import Path
from sinograd.io.storage.atomic import replacing, replacing_files, replacing_folder
folder, who = Path(sys.argv[1]), sys.argv[2]
for _ in range(25):
    with replacing(folder / "file", force=True) as made:
        made.write_text(who * 5000)
    with replacing_files(folder, ["a.npy", "a.yaml"], force=True) as made:
        for name in ("a.npy", "a.yaml"):
            (made / name).write_text(who * 5000)
    with replacing_folder(folder / "stack", ours=lambda _: True, force=True) as made:
        for name in "123":
            (made / name).write_text(who)
"""


def writes(folder: Path, who: str) -> None:
    """What WORKER does, once."""
    with replacing(folder / "file", force=True) as made:
        made.write_text(who * 5000)
    with replacing_files(folder, NAMES, force=True) as made:
        for name in NAMES:
            (made / name).write_text(who * 5000)
    with replacing_folder(folder / "stack", ours=lambda _: True, force=True) as made:
        for name in "123":
            (made / name).write_text(who)


def check_whole(folder: Path) -> None:
    assert (folder / "file").read_text() in ("a" * 5000, "b" * 5000)
    assert (folder / "a.npy").read_text() == (folder / "a.yaml").read_text()
    assert (folder / "a.npy").read_text() in ("a" * 5000, "b" * 5000)
    assert len({(folder / "stack" / name).read_text() for name in "123"}) == 1
    assert {path.name for path in folder.iterdir()} == {"file", "stack", *NAMES}


def test_two_threads(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def work(who: str) -> None:
        try:
            for _ in range(15):
                writes(tmp_path, who)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(who,)) for who in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    check_whole(tmp_path)


def test_two_processes(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path), who], env=environment, stderr=subprocess.PIPE)
        for who in "ab"
    ]
    for worker in workers:
        assert worker.communicate()[1] == b"" and worker.returncode == 0
    check_whole(tmp_path)


def test_two_threads_without_force(tmp_path: Path) -> None:
    barrier, ended = threading.Barrier(2), []

    def work(who: str) -> None:
        try:
            with replacing(tmp_path / "file") as made:
                made.write_text(who)
                barrier.wait()
            ended.append(who)
        except FileExistsError:
            ended.append("refused")

    threads = [threading.Thread(target=work, args=(who,)) for who in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended)[1] == "refused" and (tmp_path / "file").read_text() == min(ended)


@pytest.fixture(params=[0o077, 0o002], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """The umask of the process while a test runs."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_modes_are_those_of_the_umask(tmp_path: Path, umask: int, cone_scan: Scan) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    values = Volume(torch.rand(3, 4, 5), Grid((3, 4, 5), 0.5), "1/mm")
    for _ in range(2):  # new, and in the place of another one
        for name in ("v.h5", "v.npy", "v.tif", "v.zarr", "v.mha"):
            sg.write_volume(values, tmp_path / name, force=True)
        for name in ("s.h5", "s.npy", "stack"):
            sg.write_scan(cone_scan, tmp_path / name, force=True)
        write_text("text", tmp_path / "text", force=True)
        for path in tmp_path.rglob("*"):
            assert mode(path) == (0o777 if path.is_dir() else 0o666) & ~umask, path


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["v.h5", "v.npy", "v.tif", "v.zarr", "slices", "v.mha"])
def test_a_volume_over_the_file_it_came_from(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Volume(torch.rand(3, 4, 5), Grid((3, 4, 5), 0.5), "1/mm")
    path = tmp_path / name
    sg.write_volume(old, path)
    read = sg.read_volume(path)
    changed = Volume(read.values * 2, Grid((3, 4, 5), 0.25), "1/mm")
    with monkeypatch.context() as patch:
        _interrupt_flushing(patch)
        with pytest.raises(KeyboardInterrupt):
            sg.write_volume(changed, path, force=True)
    again = sg.read_volume(path)
    assert torch.equal(again.values, old.values) and again.grid.spacing == pytest.approx((0.5,) * 3)
    sg.write_volume(changed, path, force=True)
    again = sg.read_volume(path)
    assert torch.equal(again.values, 2 * old.values) and again.grid.spacing == pytest.approx((0.25,) * 3)
    assert {entry.name.split(".")[0] for entry in tmp_path.iterdir()} == {name.split(".")[0]}


@pytest.mark.parametrize("name", ["s.h5", "s.npy", "stack"])
def test_a_scan_over_the_file_it_came_from(
    tmp_path: Path, name: str, cone_scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    sg.write_scan(cone_scan, path)
    read = sg.read(path)
    with pytest.raises(sg.errors.InputError, match="being read"):  # its values still lie there
        sg.write_scan(read, path, force=True)
    changed = Scan(2 * read.load(), read.geometry, {"sample": "changed"}, read.grid)
    with monkeypatch.context() as patch:
        _interrupt_flushing(patch)
        with pytest.raises(KeyboardInterrupt):
            sg.write_scan(changed, path, force=True)
    assert torch.equal(sg.read(path).load(), torch.as_tensor(np.asarray(cone_scan.projections)))
    sg.write_scan(changed, path, force=True)
    again = sg.read(path)
    assert torch.equal(again.load(), 2 * cone_scan.projections) and again.metadata["sample"] == "changed"
    assert {entry.name.split(".")[0] for entry in tmp_path.iterdir()} == {name.split(".")[0]}


def _interrupt_flushing(patch: pytest.MonkeyPatch) -> None:
    """An interrupt when the new data is on its way to the disk."""
    patch.setattr(os, "fsync", _die)
