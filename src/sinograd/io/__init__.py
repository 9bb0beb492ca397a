"""Scans in, volumes and pictures out: reads and writes, no arithmetic.

One module a format (`fips`, `hdf5`; the list is in `read`), each named after what it reads. Format libraries
are imported when a file is read or written.
"""

from sinograd.io.calibration import Calibration
from sinograd.io.center_picture import save_center_picture
from sinograd.io.dicom_series import DicomSeries, read_series
from sinograd.io.dicom_writer import write_series
from sinograd.io.open_volume import OpenVolume, open_volume
from sinograd.io.page import check_page_path, save_page
from sinograd.io.pictures import check_picture_path, save_preview
from sinograd.io.provenance import make_provenance, software_version
from sinograd.io.read import known_formats, read
from sinograd.io.scan import Scan, ScanWarning
from sinograd.io.scan_picture import save_scan_preview
from sinograd.io.volumes import check_volume_path, is_volume, read_volume, write_volume
from sinograd.io.write import scan_format, write_scan, written_paths

__all__ = [
    "Calibration",
    "DicomSeries",
    "OpenVolume",
    "Scan",
    "ScanWarning",
    "check_page_path",
    "check_picture_path",
    "check_volume_path",
    "is_volume",
    "known_formats",
    "make_provenance",
    "open_volume",
    "read",
    "read_series",
    "read_volume",
    "save_center_picture",
    "save_page",
    "save_preview",
    "save_scan_preview",
    "scan_format",
    "software_version",
    "write_scan",
    "write_series",
    "write_volume",
    "written_paths",
]
