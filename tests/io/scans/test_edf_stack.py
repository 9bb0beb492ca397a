"""EDF stacks. Truth: headers written by hand after the ESRF's description, and a phantom that comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import sinograd as sg
from scanner_files import EDF_TYPES, write_edf, write_edf_stack
from sinograd.errors import FormatError
from sinograd.testing.scan_format_contract import sample_scan


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", list(EDF_TYPES))
def test_every_type_and_byte_order(tmp_path: Path, kind: str, order: str) -> None:
    """Three images of 2 x 5: Dim_1 runs faster."""
    images = np.arange(30).reshape(3, 2, 5).astype(kind)
    geometry = sg.ParallelBeam([0.0, 1.0, 2.0], sg.FlatDetector((2, 5), 1.0))
    scan = sg.read(
        write_edf_stack(tmp_path / "a", sg.Scan(images, geometry), order=order, size=512 if kind == "u1" else 1024)
    )
    assert np.array_equal(np.asarray(scan.projections[:]), images) and scan.projections.dtype == np.dtype(kind)
    assert np.array_equal(np.asarray(scan.projections[[2, 0]]), images[[2, 0]])
    assert scan.kind == ("line integrals" if kind.startswith("f") else "counts")


def test_references_of_a_beamline(tmp_path: Path) -> None:
    """refHST files say at which view they were taken; dark.edf and darkend are dark images."""
    folder = write_edf_stack(tmp_path / "a", sample_scan())
    for name, level in {"refHST0000": 50, "refHST0006": 90, "dark": 3, "darkend0006": 5}.items():
        write_edf(folder / f"{name}.edf", np.full((4, 5), level, np.uint16))
    scan = sg.read(folder)
    assert scan.shape == (6, 4, 5) and scan.calibration is not None
    assert scan.calibration.reference_views is not None and scan.calibration.reference_views.tolist() == [0, 6]
    assert np.asarray(scan.calibration.reference[:])[:, 0, 0].tolist() == [50, 90]  # type: ignore[index]
    assert np.asarray(scan.calibration.dark[:])[:, 0, 0].tolist() == [3, 5]  # type: ignore[index]


def test_a_phantom_comes_back(tmp_path: Path) -> None:
    """Counts of a beam that brightens from reference to reference."""
    geometry = sg.ParallelBeam(np.linspace(0, np.pi, 90, endpoint=False), sg.FlatDetector((6, 48), 0.25))
    lines = sg.Ellipsoids(0.2, [[4.0, 3.0, 9.0]]).project(geometry).numpy()
    beam = 20000 * (1 + 0.5 * np.arange(90) / 90)
    folder = write_edf_stack(tmp_path / "a", sg.Scan((beam[:, None, None] * np.exp(-lines)).astype("f4"), geometry))
    for view in (0, 90):
        write_edf(folder / f"refHST{view:04d}.edf", np.full((6, 48), 20000 * (1 + 0.5 * view / 90), np.float32))
    volume = sg.reconstruct(sg.read(folder, kind="counts"))
    middle = volume.values[3, 22:26, 22:26]
    assert torch.allclose(middle, torch.full_like(middle, 0.2), rtol=0.02)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"DataType": "Quaternion"}, "DataType must be one of .* got 'Quaternion'"),
        ({"ByteOrder": "Sideways"}, "ByteOrder must be LowByteFirst or HighByteFirst, got 'Sideways'"),
        ({"Dim_1": "-5"}, "Dim_1 must be a count of elements, got '-5'"),
        ({"Dim_2": "400"}, "is truncated: 400 x 5 UnsignedShort are 4000 bytes, it holds 40"),
        ({"Compression": "GzipCompression"}, "compressed EDF images are not read"),
    ],
)
def test_bad_headers(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    folder = write_edf_stack(tmp_path / "a", sample_scan())
    write_edf(folder / "sample0002.edf", np.zeros((4, 5), np.uint16), **changes)
    with pytest.raises(FormatError, match=f"sample0002.edf.*{message}"):
        sg.read(folder)


def test_other_files(tmp_path: Path) -> None:
    folder = write_edf_stack(tmp_path / "a", sample_scan())
    good = (folder / "sample0001.edf").read_bytes()
    for content, message in (
        (b"TIFF" + good, "is no EDF file"),
        (b"{" * 600, "no end"),
        (good * 2, "one image a file"),
    ):
        (folder / "sample0001.edf").write_bytes(content)
        with pytest.raises(FormatError, match=f"sample0001.edf.*{message}"):
            sg.read(folder)
    (folder / "sample0001.edf").write_bytes(good)
    (folder / "geometry.yaml").unlink()
    with pytest.raises(ValueError, match="geometry"):
        sg.read(folder)


def test_limits_of_readings(tmp_path: Path) -> None:
    """As a header states them, however its keys are written."""
    folder = write_edf_stack(tmp_path / "a", sample_scan(), **{"Saturation_Value": "4000", "BitDepth": "12"})
    assert {"bit_depth": 12, "saturation": 4000}.items() <= sg.read(folder).metadata.items()
    folder = write_edf_stack(tmp_path / "b", sample_scan(), **{"SaturationValue": "none", "bit_depth": "-1"})
    assert not {"bit_depth", "saturation"} & sg.read(folder).metadata.keys()
