"""What the server answers. Truth: NumPy slices of the volume that was written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from sinograd.data import Volume
from sinograd.errors import InputError
from sinograd.geometry import Grid
from sinograd.io import write_volume
from sinograd.io.volumes.halving import halved
from sinograd.viewer import LocalServer, serve_volumes
from viewer.asking import array, get, record

SHAPE = (30, 50, 70)
GRID = Grid(SHAPE, (0.3, 0.2, 0.1), (1.0, 2.0, 3.0))


@pytest.fixture(scope="module")
def values() -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", params=["h5", "zarr", "npy", "raw", "tif", "mha", "nii.gz", "slices"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, values: torch.Tensor) -> Iterator:
    if request.param in ("zarr", "mha", "nii.gz"):
        pytest.importorskip({"zarr": "zarr"}.get(request.param, "SimpleITK"))
    name = "slices" if request.param == "slices" else f"volume.{request.param}"
    path = tmp_path_factory.mktemp("volume") / name
    write_volume(Volume(values, GRID, "1/mm"), path)
    with serve_volumes([path]) as found:
        yield found


@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_a_slice_has_the_bits_of_the_volume(server: LocalServer, values: torch.Tensor, axis: str) -> None:
    number = "zyx".index(axis)
    for index in (0, 7, SHAPE[number] - 1):
        found = array(server, "slice", volume=0, axis=axis, index=index, level=0)
        np.testing.assert_array_equal(found, np.take(values.numpy(), index, number))


def test_facts_say_where_voxels_are(server: LocalServer) -> None:
    (facts,) = record(server, "volumes")["volumes"]
    assert facts["shape"] == list(SHAPE) and facts["unit"] in ("1/mm", None) and not facts["image"]
    level = facts["levels"][0]
    np.testing.assert_allclose(level["spacing"], GRID.spacing, rtol=1e-6)
    np.testing.assert_allclose(level["first"], [float(axis[0]) for axis in GRID.axes()], rtol=1e-5)


def test_value_window_and_histogram(server: LocalServer, values: torch.Tensor) -> None:
    assert record(server, "value", volume=0, at="3,4,5")["value"] == float(values[3, 4, 5])
    found = record(server, "histogram", volume=0)
    counts, edges = np.histogram(values.double().numpy(), 256)
    assert found["counts"] == counts.tolist() and found["complete"]
    np.testing.assert_allclose(found["edges"], edges)
    np.testing.assert_allclose(found["window"], np.percentile(values.numpy(), (0.5, 99.5)), rtol=1e-6)


@pytest.mark.parametrize("suffix", ["zarr", "h5"])
def test_levels_are_means(tmp_path: Path, suffix: str) -> None:
    """Of a file with copies those that it holds, of another one the same, computed."""
    if suffix == "zarr":
        pytest.importorskip("zarr")
    shape = (40, 300, 530)
    whole = torch.rand(shape)
    write_volume(Volume(whole, Grid(shape, (0.5, 0.2, 0.1)), "1/mm"), tmp_path / f"v.{suffix}")
    with serve_volumes([tmp_path / f"v.{suffix}"]) as server:
        facts = record(server, "volumes")["volumes"][0]["levels"]
        expected = [whole.numpy()]
        while len(expected) < len(facts):
            expected.append(halved(expected[-1]))
        assert len(facts) > 2 and [level["shape"] for level in facts] == [list(level.shape) for level in expected]
        grid = Grid(shape, (0.5, 0.2, 0.1))
        for number, level in enumerate(expected):
            np.testing.assert_allclose(facts[number]["spacing"], [s * 2**number for s in grid.spacing])
            first = [float(a[0]) + (2**number - 1) / 2 * s for a, s in zip(grid.axes(), grid.spacing, strict=True)]
            np.testing.assert_allclose(facts[number]["first"], first, atol=1e-9)
            for axis, name in enumerate("zyx"):
                index = level.shape[axis] - 1
                found = array(server, "slice", volume=0, axis=name, index=index, level=number)
                np.testing.assert_allclose(found, np.take(level, index, axis), rtol=3e-7)


def test_scaled_whole_numbers_and_an_image(tmp_path: Path) -> None:
    image = torch.arange(56.0).reshape(7, 8)
    write_volume(Volume(image, Grid((7, 8), 0.5), "HU"), tmp_path / "image.h5")
    counts = torch.randint(-500, 900, (5, 6, 7), dtype=torch.int16)
    write_volume(Volume(counts, Grid((5, 6, 7), 0.5), "HU"), tmp_path / "counts.h5")
    with serve_volumes([tmp_path / "image.h5", tmp_path / "counts.h5"]) as server:
        np.testing.assert_array_equal(array(server, "slice", volume=0, axis="z", index=0, level=0), image.numpy())
        assert record(server, "volumes")["volumes"][0]["image"]
        np.testing.assert_array_equal(
            array(server, "slice", volume=1, axis="x", index=2, level=0), counts[:, :, 2].float().numpy()
        )


def test_the_difference_of_two_volumes(tmp_path: Path) -> None:
    a, b = torch.rand(6, 7, 8), torch.rand(6, 7, 8)
    for name, volume in (("a", a), ("b", b), ("c", a[1:])):
        write_volume(Volume(volume, Grid(tuple(volume.shape), 1.0), "1/mm"), tmp_path / f"{name}.h5")
    with serve_volumes([tmp_path / f"{name}.h5" for name in "abc"]) as server:
        found = array(server, "slice", volume=0, minus=1, axis="y", index=3, level=0)
        np.testing.assert_array_equal(found, (a - b)[:, 3].numpy())
        answer = get(server, "slice", volume=0, minus=2, axis="y", index=3)
        assert answer.status == 400 and b"one shape" in answer.body


def test_wrong_requests(server: LocalServer) -> None:
    for values, status, words in (
        ({"axis": "w", "index": 0}, 400, "axis"),
        ({"axis": "z", "index": 30}, 404, "0 to 29"),
        ({"axis": "z", "index": -1}, 404, "0 to 29"),
        ({"axis": "z", "index": "two"}, 400, "whole number"),
        ({"axis": "z"}, 400, "index"),
        ({"axis": "z", "index": 0, "level": 9}, 404, "level"),
        ({"axis": "z", "index": 0, "volume": 1}, 404, "volume"),
    ):
        answer = get(server, "slice", **values)
        assert answer.status == status and words in answer.body.decode(), values


def test_bad_paths_and_ports(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no volume")
    with pytest.raises(InputError, match=r"text\.h5"):
        serve_volumes([tmp_path / "text.h5"])
    with pytest.raises(FileNotFoundError):
        serve_volumes([tmp_path / "missing.h5"])
    write_volume(Volume(torch.zeros(2, 3, 4), Grid((2, 3, 4), 1.0), "1"), tmp_path / "v.h5")
    with serve_volumes([tmp_path / "v.h5"]) as first, pytest.raises(InputError, match=f"`port`: {first.port} cannot"):
        serve_volumes([tmp_path / "v.h5"], first.port)
    with pytest.raises(InputError, match="0 to 65535"):
        serve_volumes([tmp_path / "v.h5"], 70000)


def test_newer_requests_take_the_place_of_older_ones() -> None:
    from sinograd.viewer.requests_in_order import Latest, Superseded

    latest = Latest()
    with latest.turn("a", 5):
        pass
    with pytest.raises(Superseded), latest.turn("a", 4):
        pass
    with latest.turn("b", 1), latest.turn(None, 0):
        latest.note("b", 2)
        with pytest.raises(Superseded):
            latest.check("b", 1)


def test_whole_numbers_are_kept_as_the_file_has_them(tmp_path: Path) -> None:
    """Half the memory of float32, and the values of NumPy."""
    pytest.importorskip("zarr")
    from sinograd.viewer.levels import open_shown
    from sinograd.viewer.pyramid import Pyramid

    values = torch.randint(-1000, 3000, (20, 30, 300), generator=torch.Generator().manual_seed(2)).to(torch.int16)
    write_volume(Volume(values, Grid((20, 30, 300), 1.0), "HU"), tmp_path / "volume.zarr")
    pyramid = Pyramid(open_shown(tmp_path / "volume.zarr"))
    plane = pyramid.plane(0, "y", 7)
    assert plane.dtype == np.float32
    np.testing.assert_array_equal(plane, values[:, 7].numpy())
    assert 0 < pyramid._cache.nbytes <= 2 * values.numel()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is the C library's of Linux")
def test_pools_of_freed_memory_are_few() -> None:
    """glibc takes both settings, in a process of its own."""
    code = (
        "import os\nfrom sinograd.viewer.memory import give_memory_back\n"
        "print(give_memory_back(), os.confstr('CS_GNU_LIBC_VERSION'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("True glibc")


def test_the_cache_is_bounded() -> None:
    from sinograd.viewer.cache import ArrayCache

    cache, made = ArrayCache(1000), []

    def make(number: int) -> np.ndarray:
        made.append(number)
        return np.full(50, number, np.float32)

    for number in (1, 2, 3, 4, 1, 5, 1, 2):
        assert cache.get(number, lambda n=number: make(n))[0] == number
        assert cache.nbytes <= 1000
    assert made == [1, 2, 3, 4, 5]
    assert cache.get("large", lambda: np.zeros(500, np.float32)).size == 500 and cache.nbytes <= 1000
    for number in range(6, 40):
        cache.get(number, lambda n=number: make(n))
        assert cache.nbytes <= 1000


def test_a_part_of_a_slice(server: LocalServer, values: torch.Tensor) -> None:
    found = array(server, "slice", volume=0, axis="y", index=9, level=0, part="3,20,11,60")
    np.testing.assert_array_equal(found, values.numpy()[3:20, 9, 11:60])
    for part, status in (("3,31,0,5", 404), ("3,3,0,5", 404), ("-1,3,0,5", 404), ("1,2,3", 400), ("a,b,c,d", 400)):
        answer = get(server, "slice", volume=0, axis="y", index=9, level=0, part=part)
        assert answer.status == status and b"part" in answer.body


def test_coarse_levels_are_kept_in_memory(tmp_path: Path) -> None:
    """As many as fit, and planes of them are those of the file."""
    pytest.importorskip("zarr")
    from sinograd.viewer.levels import open_shown
    from sinograd.viewer.pyramid import Pyramid

    values = torch.randint(-1000, 3000, (40, 300, 520), generator=torch.Generator().manual_seed(3)).to(torch.int16)
    write_volume(Volume(values, Grid((40, 300, 520), 1.0), "HU"), tmp_path / "volume.zarr")
    small, large = (Pyramid(open_shown(tmp_path / "volume.zarr"), kept_bytes=most) for most in (1 << 17, 1 << 30))
    assert small.quick is None and [small.keepable, large.keepable] == [3, 1]
    for pyramid, quick in ((small, 3), (large, 1)):
        pyramid.keep()
        assert pyramid.quick == quick
        for level in range(4):
            for axis, name in enumerate("zyx"):
                plane = pyramid.plane(level, name, 4)
                truth = open_shown(tmp_path / "volume.zarr").levels[level].loaded().values
                assert truth is not None and plane.dtype == np.float32
                np.testing.assert_array_equal(plane, np.take(truth, 4, axis))
    with serve_volumes([tmp_path / "volume.zarr"]) as server:
        get(server, "slice", volume=0, axis="y", index=0, level=1)
        assert get(server, "slice", volume=0, axis="y", index=0, level=1).headers["X-Quick"] == "1"


def test_a_damaged_coarse_level_hides_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    from sinograd.errors import FormatError
    from sinograd.viewer.levels import open_shown
    from sinograd.viewer.pyramid import Pyramid

    values = torch.rand(20, 300, 600)
    write_volume(Volume(values, Grid((20, 300, 600), 1.0), "1/mm"), tmp_path / "volume.zarr")
    chunk = tmp_path / "volume.zarr" / "1" / "c" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:100])
    pyramid = Pyramid(open_shown(tmp_path / "volume.zarr"))
    with pytest.raises(FormatError):
        pyramid.keep()
    pyramid.keep()
    assert pyramid.quick == 2
    np.testing.assert_array_equal(pyramid.plane(0, "x", 7), values[:, :, 7].numpy())
    assert pyramid.plane(1, "x", 290).shape == (10, 150)
    with serve_volumes([tmp_path / "volume.zarr"]) as server:
        answer = get(server, "slice", volume=0, axis="x", index=3, level=1)
        assert answer.status == 400 and b"damaged" in answer.body
        assert get(server, "slice", volume=0, axis="y", index=3, level=2).status == 200


def test_a_zarr_volume_is_looked_at_without_torch(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    values = torch.arange(24.0).reshape(2, 3, 4)
    write_volume(Volume(values, Grid((2, 3, 4), 0.5), "1/mm"), tmp_path / "volume.zarr")
    code = (
        "import sys\nfrom urllib.request import Request, urlopen\nfrom sinograd.viewer import serve_paths\n"
        "with serve_paths([sys.argv[1]]) as server:\n"
        "    for name in ('volumes', 'histogram?volume=0', 'slice?volume=0&axis=x&index=1', 'value?at=1,2,3'):\n"
        "        address = f'http://127.0.0.1:{server.port}/api/{name}'\n"
        "        assert urlopen(Request(address, headers={'X-Sinograd-Token': server.token})).status == 200\n"
        "assert 'torch' not in sys.modules and 'scipy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "volume.zarr")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["scaled", "uint16", "bool", "image", "unit"])
def test_zarr_is_shown_as_it_is_read(tmp_path: Path, kind: str) -> None:
    """The way without torch and `read_volume` agree: values, places, unit, and what is wrong."""
    zarr = pytest.importorskip("zarr")
    from sinograd.io import read_volume
    from sinograd.viewer.levels import open_shown

    shape = (7, 8) if kind == "image" else (5, 6, 7)
    whole = torch.randint(0, 2 if kind == "bool" else 900, shape, generator=torch.Generator().manual_seed(4))
    dtype = {"uint16": torch.uint16, "bool": torch.bool}.get(kind, torch.int16)
    path = tmp_path / "volume.zarr"
    write_volume(Volume(whole.to(dtype), Grid(shape, 0.25, (1.0, -2.0, 3.0)[: len(shape)]), "1"), path)
    own = zarr.open_group(str(path)).attrs
    if kind == "scaled":
        own["sinograd"] = {**own["sinograd"], "scale": [0.013, -1.7]}
    if kind == "unit":
        own["sinograd"] = {**own["sinograd"], "unit": "furlong"}
        with pytest.raises(InputError, match="the unit must be one of"):
            open_shown(path)
        return
    expected, found = read_volume(path).as_slices(), open_shown(path)
    (level,) = found.levels
    np.testing.assert_array_equal(level.loaded().values, expected.values.numpy())
    assert level.shape == expected.shape and found.unit == "1" and found.is_image == (kind == "image")
    np.testing.assert_allclose(level.first, [float(axis[0]) for axis in expected.grid.axes()], atol=1e-12)
    np.testing.assert_allclose(level.spacing, expected.spacing)
