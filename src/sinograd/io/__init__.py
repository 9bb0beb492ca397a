"""Reading and writing scans and volumes; no arithmetic.

One class a format, listed in `sinograd.choices`. Format libraries are imported when a file is read or written.
"""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.io.read import known_formats, read
    from sinograd.io.volumes.dicom.series import DicomSeries, read_series
    from sinograd.io.volumes.dicom.writer import write_series
    from sinograd.io.volumes.read_write import (
        check_volume_path,
        is_volume,
        open_volume,
        read_volume,
        write_volume,
        written_volume_paths,
    )
    from sinograd.io.write import scan_format, write_scan, written_paths

__all__ = [
    "DicomSeries",
    "check_volume_path",
    "is_volume",
    "known_formats",
    "open_volume",
    "read",
    "read_series",
    "read_volume",
    "scan_format",
    "write_scan",
    "write_series",
    "write_volume",
    "written_paths",
    "written_volume_paths",
]

attach(__name__)
