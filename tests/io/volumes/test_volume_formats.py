"""Volumes as MetaImage, NIfTI, TIFF slices and OME-Zarr. Truth: the volume, SimpleITK, zarr and tifffile."""

from __future__ import annotations

import errno
import importlib.util
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import yaml

from sinograd.data import make_provenance
from sinograd.geometry import Grid
from sinograd.io import check_volume_path, is_volume, read_volume, write_volume

sitk = pytest.importorskip("SimpleITK", reason="needs the extra io")
zarr = pytest.importorskip("zarr", reason="needs the extra io")

GRIDS = {
    "volume": Grid((3, 4, 5), (0.3, 0.2, 0.1), (1.0, -2.0, 3.5)),
    "one slice": Grid((1, 4, 5), 0.25, (0.1, 0.2, 0.3)),
    "image": Grid((4, 5), (0.2, 0.1), (1.0, -2.0)),
}
NAMES = ("out.mha", "out.nii", "out.nii.gz", "out.zarr", "out.ome.zarr", "slices")


def tree(path: Path) -> dict[str, bytes]:
    """All files under a path with their content."""
    return {str(found): found.read_bytes() for found in [path, *path.rglob("*")] if found.is_file()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_round_trip(tmp_path: Path, name: str, grid: Grid) -> None:
    volume = torch.randn(grid.shape)
    provenance = make_provenance("test", {"window": "hann", "scan": tmp_path / "Knöchel.h5"})
    write_volume(volume, tmp_path / name, grid, provenance=provenance)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert is_volume(tmp_path / name)
    saved = read_volume(tmp_path / name)
    again, same_grid, record = saved.values, saved.grid, saved.provenance
    assert again.dtype == torch.float32
    torch.testing.assert_close(again, volume, rtol=0, atol=0)
    assert same_grid.shape == grid.shape
    rounding = 1e-6 if ".nii" in name else 1e-12  # NIfTI holds float32
    np.testing.assert_allclose(same_grid.spacing, grid.spacing, rtol=rounding)
    np.testing.assert_allclose(same_grid.center, grid.center, rtol=rounding)
    assert record == ({} if ".nii" in name else provenance)


@pytest.mark.parametrize("name", ["out.mha", "out.zarr"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.int16, torch.uint8])
def test_types_stay(tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    volume = (100 * torch.rand(5, 4, 3)).to(dtype).permute(2, 1, 0)
    write_volume(volume, tmp_path / name, GRIDS["volume"])
    again = read_volume(tmp_path / name).values
    assert again.dtype == dtype
    torch.testing.assert_close(again, volume, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["out.mha", "out.nii.gz"])
@pytest.mark.parametrize("grid", [GRIDS["volume"], GRIDS["image"]], ids=["volume", "image"])
def test_simpleitk_finds_every_voxel_in_its_place(tmp_path: Path, name: str, grid: Grid) -> None:
    volume = torch.randn(grid.shape)
    write_volume(volume, tmp_path / name, grid)
    image = sitk.ReadImage(str(tmp_path / name))
    assert image.GetSize() == grid.shape[::-1]
    axes = [axis.tolist() for axis in reversed(grid.axes())]
    for index in np.ndindex(*image.GetSize()):
        index = tuple(int(i) for i in index)
        assert image.GetPixel(index) == volume[index[::-1]]
        expected = [axis[i] for axis, i in zip(axes, index, strict=True)]
        np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(index), expected, atol=1e-6)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", ["out.mha", "out.nii.gz"])
def test_files_of_simpleitk(tmp_path: Path, name: str, compressed: bool) -> None:
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.5, 0.25, 2.0))
    image.SetOrigin((-1.0, 3.0, 10.0))
    sitk.WriteImage(image, str(tmp_path / name), useCompression=compressed)
    saved = read_volume(tmp_path / name)
    volume, grid, provenance = saved.values, saved.grid, saved.provenance
    np.testing.assert_array_equal(volume.numpy(), array)
    assert grid.equals(Grid((3, 4, 5), (2.0, 0.25, 0.5), (0.0, 3.375, 12.0))) and provenance == {}
    image.SetDirection((0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1))
    sitk.WriteImage(image, str(tmp_path / name))
    with pytest.raises(ValueError, match=r"axes that are turned by 36.9 degrees against the world's"):
        read_volume(tmp_path / name)
    sitk.WriteImage(sitk.GetImageFromArray(array.astype(np.float32), isVector=True), str(tmp_path / name))
    with pytest.raises(ValueError, match="must be an image or a volume of one channel"):
        read_volume(tmp_path / name)


def test_a_real_metaimage(shared_data: Path) -> None:
    image = sitk.ReadImage(str(shared_data / "head" / "head.mha"))
    saved = read_volume(shared_data / "head" / "head.mha")
    volume, grid = saved.values, saved.grid
    np.testing.assert_array_equal(volume.numpy(), sitk.GetArrayFromImage(image))
    np.testing.assert_allclose(grid.spacing, image.GetSpacing()[::-1])
    assert [float(axis[0]) for axis in reversed(grid.axes())] == pytest.approx(image.GetOrigin())


def test_slices_are_images_with_pixels_a_cm(tmp_path: Path) -> None:
    volume = torch.randn(12, 4, 5)
    write_volume(volume, tmp_path / "slices", Grid((12, 4, 5), (0.3, 0.2, 0.1)))
    names = sorted(path.name for path in (tmp_path / "slices").iterdir())
    assert names[0] == "slice_00000.tif" and names[-1] == "volume.yaml" and len(names) == 13
    with tifffile.TiffFile(tmp_path / "slices" / "slice_00007.tif") as file:
        page: Any = file.pages[0]
        np.testing.assert_array_equal(page.asarray(), volume[7].numpy())
        tags = {name: page.tags[name].value for name in ("XResolution", "YResolution", "ResolutionUnit")}
    assert tags["ResolutionUnit"] == 3  # cm
    assert tags["XResolution"][0] / tags["XResolution"][1] == pytest.approx(100)
    assert tags["YResolution"][0] / tags["YResolution"][1] == pytest.approx(50)
    record = yaml.safe_load((tmp_path / "slices" / "volume.yaml").read_text(encoding="utf-8"))
    assert record["shape"] == [12, 4, 5] and record["spacing_mm"] == [0.3, 0.2, 0.1]


def test_slices_that_do_not_fit(tmp_path: Path) -> None:
    write_volume(torch.randn(12, 4, 5), tmp_path / "slices", Grid((12, 4, 5), 0.1))
    (tmp_path / "slices" / "slice_00003.tif").write_bytes(b"II*\0")
    with pytest.raises(ValueError, match=r"slice_00003\.tif"):
        read_volume(tmp_path / "slices")
    (tmp_path / "slices" / "slice_00003.tif").unlink()
    with pytest.raises(ValueError, match=r"holds 11 slices, volume\.yaml tells of 12"):
        read_volume(tmp_path / "slices")
    for text in ("shape: 5", "[", "shape: [1, 4, 5]\nspacing_mm: 1\ncenter_mm: x"):
        (tmp_path / "slices" / "volume.yaml").write_text(text)
        with pytest.raises(ValueError, match="slices"):
            read_volume(tmp_path / "slices")
    (tmp_path / "slices" / "volume.yaml").unlink()
    with pytest.raises(ValueError, match=r"is not a volume: it has no volume\.yaml"):
        read_volume(tmp_path / "slices")


def test_the_pyramid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a double loop, and the positions of the voxels of every level against those that they average."""
    monkeypatch.setattr("sinograd.io.volumes.ome_zarr.CHUNK", 3)
    grid = Grid((1, 7, 12), (0.3, 0.2, 0.1), (1.0, -2.0, 3.5))
    volume = torch.randn(grid.shape)
    write_volume(volume, tmp_path / "out.zarr", grid)
    group = zarr.open_group(str(tmp_path / "out.zarr"), mode="r")
    ome = dict(group.attrs)["ome"]
    assert ome["version"] == "0.5"
    multiscale = ome["multiscales"][0]
    assert multiscale["axes"] == [{"name": n, "type": "space", "unit": "millimeter"} for n in "zyx"]
    assert [group[d["path"]].shape for d in multiscale["datasets"]] == [(1, 7, 12), (1, 4, 6), (1, 2, 3)]
    assert group["0"].chunks == (1, 3, 3) and group["0"].metadata.dimension_names == ("z", "y", "x")
    held, places = volume.numpy(), [axis.numpy() for axis in grid.axes()]
    for level, dataset in enumerate(multiscale["datasets"]):
        scale, translation = (t[t["type"]] for t in dataset["coordinateTransformations"])
        stored = group[dataset["path"]][...]
        if level:
            means = np.empty_like(stored)
            for _, y, x in np.ndindex(*stored.shape):
                means[0, y, x] = held[0, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].astype(np.float64).mean()
            np.testing.assert_allclose(stored, means, atol=1e-6)
            # an axis of odd length ends with a voxel that averages one, and is placed as if there were two
            places = [p if len(p) == 1 else p[: len(p) // 2 * 2].reshape(-1, 2).mean(axis=1) for p in places]
        else:
            np.testing.assert_array_equal(stored, held)
        for axis in range(3):
            found = translation[axis] + scale[axis] * np.arange(len(places[axis]))
            np.testing.assert_allclose(found, places[axis], atol=1e-12)
        if level:
            places = [translation[a] + scale[a] * np.arange(stored.shape[a]) for a in range(3)]
        held = stored


def test_the_pyramid_of_integers_is_rounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinograd.io.volumes.ome_zarr.CHUNK", 2)
    write_volume(np.array([[200, 255, 0], [255, 251, 3]], np.uint8), tmp_path / "out.zarr", Grid((2, 3), 1.0))
    assert zarr.open_group(str(tmp_path / "out.zarr"), mode="r")["1"][...].tolist() == [[240, 2]]


@pytest.mark.parametrize("version", [2, 3])
def test_foreign_ome_zarr(tmp_path: Path, version: Any) -> None:
    """A channel axis, micrometres, a scale for all levels; OME-NGFF 0.4 in Zarr 2 and 0.5 in Zarr 3."""
    array = np.arange(24, dtype=np.uint16).reshape(1, 2, 3, 4)
    group = zarr.open_group(str(tmp_path / "out.zarr"), mode="w", zarr_format=version)
    group.create_array("full", data=array)
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    transforms: list[dict[str, Any]] = [
        {"type": "scale", "scale": [1, 2.0, 1.0, 0.5]},
        {"type": "translation", "translation": [0, 10.0, 20.0, 30.0]},
    ]
    multiscale = {
        "axes": axes,
        "datasets": [{"path": "full", "coordinateTransformations": transforms}],
        "coordinateTransformations": [{"type": "scale", "scale": [1, 10, 10, 10]}],
    }
    if version == 3:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    else:
        group.attrs["multiscales"] = [{**multiscale, "version": "0.4"}]
    saved = read_volume(tmp_path / "out.zarr")
    volume, grid = saved.values, saved.grid
    np.testing.assert_array_equal(volume.numpy(), array[0])
    assert grid.equals(Grid((2, 3, 4), (0.02, 0.01, 0.005), (0.3 + 1.5 * 0.005, 0.2 + 0.01, 0.1 + 0.5 * 0.02)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"millimeter"', '"furlong"', "the axes have the units"),
        ('"translation"', '"rotation"', "coordinate transformation 'rotation' is not supported"),
        ('"multiscales"', '"images"', "KeyError"),
        ('"path": "0"', '"path": "9"', "out.zarr"),
        ('"name": "x"', '"name": "u"', "expected the axes z, y, x or y, x"),
        ("{", "[", "out.zarr"),
    ],
)
def test_damaged_zarr_metadata(tmp_path: Path, old: str, new: str, message: str) -> None:
    write_volume(torch.randn(3, 4, 5), tmp_path / "out.zarr", GRIDS["volume"])
    text = json.dumps(json.loads((tmp_path / "out.zarr" / "zarr.json").read_text()))
    assert old in text
    (tmp_path / "out.zarr" / "zarr.json").write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_volume(tmp_path / "out.zarr")


def test_damaged_zarr_chunks(tmp_path: Path) -> None:
    write_volume(torch.randn(3, 4, 5), tmp_path / "out.zarr", GRIDS["volume"])
    chunk = tmp_path / "out.zarr" / "0" / "c" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:20])
    with pytest.raises(ValueError, match=r"out\.zarr is no OME-Zarr volume, or is damaged"):
        read_volume(tmp_path / "out.zarr")
    description = tmp_path / "out.zarr" / "0" / "zarr.json"
    text = description.read_text()
    for number, large in (("3", "300000000000"), ("5", "-5")):
        description.write_text(text.replace(f"    {number}", f"    {large}", 1))
        with pytest.raises(ValueError, match=r"out\.zarr"):
            read_volume(tmp_path / "out.zarr")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_replaced_unasked(tmp_path: Path, name: str) -> None:
    grid = GRIDS["volume"]
    write_volume(torch.zeros(grid.shape), tmp_path / name, grid)
    before = tree(tmp_path / name)
    for attempt in (write_volume, lambda _, path, grid: check_volume_path(path, grid)):
        with pytest.raises(FileExistsError, match="already exists: use `force=True`"):
            attempt(torch.ones(grid.shape), tmp_path / name, grid)
    assert tree(tmp_path / name) == before
    write_volume(torch.ones(grid.shape), tmp_path / name, grid, force=True)
    assert read_volume(tmp_path / name).values.sum() == 60
    if (tmp_path / name).is_dir():
        (tmp_path / name / "notes.txt").write_text("mine")
        with pytest.raises(FileExistsError, match="holds other files than those that would be written"):
            write_volume(torch.zeros(grid.shape), tmp_path / name, grid, force=True)
        assert read_volume(tmp_path / name).values.sum() == 60


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_stops_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException
) -> None:
    def stop(file: int) -> None:
        raise error

    monkeypatch.setattr("os.fsync", stop)
    with pytest.raises(type(error)):
        write_volume(torch.zeros(3, 4, 5), tmp_path / name, GRIDS["volume"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["out.mha", "out.nii", "out.nii.gz"])
def test_truncated_at_any_length(tmp_path: Path, name: str) -> None:
    grid = Grid((6, 7, 8), 0.1)
    write_volume(torch.randn(grid.shape), tmp_path / name, grid)
    content = (tmp_path / name).read_bytes()
    for length in [0, 1, 7, *range(8, len(content), max(1, len(content) // 30)), len(content) - 1]:
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(ValueError, match=name):
            read_volume(tmp_path / name)


@pytest.mark.parametrize("order", ["<", ">"])
def test_nifti_of_other_orders_and_slopes(tmp_path: Path, order: str) -> None:
    """348 bytes of header, field by field as the standard lists them; 16-bit voxels with slope 0.5, offset 3."""
    head = bytearray(352)
    for at, form, values in (
        (0, "i", [348]),
        (40, "8h", [3, 4, 3, 2, 1, 1, 1, 1]),
        (70, "2h", [4, 16]),
        (76, "8f", [1, 0.5, 0.25, 2, 0, 0, 0, 0]),
        (108, "3f", [352, 0.5, 3]),
        (252, "2h", [1, 1]),
        (280, "12f", [-0.5, 0, 0, 1, 0, -0.25, 0, 2, 0, 0, 2, 3]),
    ):
        struct.pack_into(order + form, head, at, *values)
    head[344:348] = b"n+1\0"
    voxels = np.arange(24).astype(f"{order}i2")
    quaternion = struct.pack(f"{order}6f", 0, 0, 1, 1, 2, 3)  # half a turn about z: ITK's x and y
    head[256:280] = quaternion
    (tmp_path / "out.nii").write_bytes(bytes(head) + voxels.tobytes())
    saved = read_volume(tmp_path / "out.nii")
    volume, grid = saved.values, saved.grid
    np.testing.assert_allclose(volume.numpy().ravel(), 0.5 * np.arange(24) + 3)
    assert volume.shape == (2, 3, 4) and grid.spacing == (2.0, 0.25, 0.5)
    (tmp_path / "out.nii").write_bytes(bytes(head) + voxels.tobytes()[:-1])
    with pytest.raises(ValueError, match="is truncated: it has 399 bytes, expected 400"):
        read_volume(tmp_path / "out.nii")
    struct.pack_into(f"{order}f", head, 108, float("nan"))
    (tmp_path / "out.nii").write_bytes(bytes(head) + voxels.tobytes())
    with pytest.raises(ValueError, match=r"out\.nii is a damaged image file: data from byte nan on, 16 bits"):
        read_volume(tmp_path / "out.nii")


@pytest.mark.parametrize(
    ("name", "package"), [("out.mha", "SimpleITK"), ("out.nii.gz", "SimpleITK"), ("out.zarr", "zarr")]
)
def test_the_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == package else find(name, *more))
    message = rf"this format needs {package}, which is not installed \(pip install 'sinograd\[io\]'\)"
    for attempt in (
        lambda: check_volume_path(tmp_path / name, GRIDS["volume"]),
        lambda: write_volume(torch.zeros(3, 4, 5), tmp_path / name, GRIDS["volume"]),
        lambda: read_volume(tmp_path / name),
    ):
        with pytest.raises(ValueError, match=message):
            attempt()
    assert not list(tmp_path.iterdir())


def test_what_is_a_volume(tmp_path: Path) -> None:
    grid = GRIDS["volume"]
    for name in ("out.h5", "out.npy", "out.tif"):
        write_volume(torch.zeros(3, 4, 5), tmp_path / name, grid)
        assert is_volume(tmp_path / name)
    np.save(tmp_path / "other.npy", np.zeros(3))
    tifffile.imwrite(tmp_path / "other.tif", np.zeros((3, 4), np.float32))
    (tmp_path / "empty.zarr").mkdir()
    (tmp_path / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    for name in ("other.npy", "other.tif", "empty.zarr", "broken.h5", "."):
        assert not is_volume(tmp_path / name), name


def test_names_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "out.mha").mkdir()
    with pytest.raises(ValueError, match="it is a folder, which its name does not tell"):
        read_volume(tmp_path / "out.mha")
    with pytest.raises(ValueError, match=r"must end in .*\.zarr, \.raw, or have no suffix \(a folder of TIFF slices\)"):
        write_volume(torch.zeros(3, 4, 5), tmp_path / "out.vtk", GRIDS["volume"])
