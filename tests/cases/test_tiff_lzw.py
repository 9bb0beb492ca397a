"""Compressed TIFF, as ImageJ, GIMP, libtiff's tools and several scanners write it; encoders written from TIFF 6.0."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import sinograd as sg


def lzw(data: bytes) -> bytes:
    """Codes of nine bits only: the table is cleared before it grows."""
    bits, count, packed = 0, 0, bytearray()
    codes: list[int] = []
    for k in range(0, len(data), 200):
        codes += [256, *data[k : k + 200]]
    for code in [*codes, 257]:
        bits, count = (bits << 9) | code, count + 9
        while count >= 8:
            packed.append((bits >> (count - 8)) & 255)
            count -= 8
            bits &= (1 << count) - 1
    return bytes(packed) + (bytes([(bits << (8 - count)) & 255]) if count else b"")


def packbits(data: bytes) -> bytes:
    return b"".join(bytes([len(data[k : k + 128]) - 1]) + data[k : k + 128] for k in range(0, len(data), 128))


def write(path: Path, image: np.ndarray, compression: int, encode: Callable[[bytes], bytes]) -> None:
    raw, (rows, columns) = encode(image.astype("<u2").tobytes()), image.shape
    tags = [(256, 4, 1, columns), (257, 4, 1, rows), (258, 3, 1, 16), (259, 3, 1, compression), (262, 3, 1, 1)]
    tags += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, rows), (279, 4, 1, len(raw))]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    header = b"II*\0" + struct.pack("<I", 8 + len(raw))
    path.write_bytes(header + raw + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0")


@pytest.mark.parametrize(
    ("compression", "encode"), [(5, lzw), (32773, packbits), (1, bytes)], ids=["lzw", "packbits", "none"]
)
def test_compressed_scans(tmp_path: Path, compression: int, encode: Callable[[bytes], bytes]) -> None:
    """Every number comes back, and the slice is that of the numbers themselves."""
    if compression != 1:
        pytest.importorskip("imagecodecs", reason="the extra io is not installed")
    geometry = sg.ParallelBeam(sg.full_scan(30), sg.FlatDetector((12, 64), 0.1))
    counts = np.rint(30000 * np.exp(-sg.Ellipsoids(0.2, 1.0).project(geometry).numpy())).astype(np.uint16)
    for index, image in enumerate(counts):
        write(tmp_path / f"p_{index:03d}.tif", image, compression, encode)
    geometry.save(tmp_path / "geometry.yaml")
    np.testing.assert_array_equal(sg.read(tmp_path).projections[:], counts)
    volume = sg.reconstruct(tmp_path, unattenuated=30000)
    assert float(volume.values[6, 28:36, 28:36].mean()) == pytest.approx(0.2, abs=0.005)
