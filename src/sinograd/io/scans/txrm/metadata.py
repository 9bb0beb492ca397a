"""What an XRM file tells about its scan, in short names and plain values with their units."""

from __future__ import annotations

import math
import ntpath
from typing import Any

import numpy as np

from sinograd.io.scans.txrm.streams import Streams

_TEXTS = {
    "sample": "SampleInfo/SampleID",
    "operator": "SampleInfo/Analyst",
    "facility": "SampleInfo/Facility",
    "camera": "ImageInfo/CameraName",
    "objective": "ImageInfo/ObjectiveName",
}
_POSITIVE = {  # placeholders are 0 or negative
    "voltage_kV": "ImageInfo/Voltage",
    "current_uA": "ImageInfo/Current",
    "pixel_size_um": "ImageInfo/PixelSize",
    "optical_magnification": "ImageInfo/OpticalMagnification",
    "reference_exposure_s": "ReferenceData/ExpTime",
}
_ANGLES = {"cone_angle_deg": "ImageInfo/ConeAngle", "fan_angle_deg": "ImageInfo/FanAngle"}
_MODES = {0: "tomography", 2: "single image"}
_DATE = 40  # bytes of each entry


def read_metadata(streams: Streams, views: int) -> dict[str, Any]:
    """Entries that the file has; placeholders and empty texts are left out."""
    found: dict[str, Any] = {"vendor": "Zeiss / Xradia"}
    found |= {name: streams.text(stream) for name, stream in _TEXTS.items()}
    dates = [streams.text("ImageInfo/Date", view, _DATE) for view in (0, views - 1)]
    found["date"] = " to ".join(dict.fromkeys(date for date in dates if date))
    mode = streams.integer("ImageInfo/AcquisitionMode")
    found["acquisition"] = _MODES.get(mode, f"mode {mode}") if mode is not None else ""
    found |= _images(streams, views)
    found |= {name: _positive(streams.number(stream)) for name, stream in _POSITIVE.items()}
    found |= {name: _positive(streams.number(stream)) for name, stream in _ANGLES.items()}
    # eV at synchrotrons; the array can hold more values than there are images, zeros among them.
    found["energy"] = _positive(_median(streams, "ImageInfo/Energy", views))
    found["exposure_s"] = _positive(_median(streams, "ImageInfo/ExpTimes", views))
    found["xray_magnification"] = _positive(_median(streams, "ImageInfo/XrayMagnification", views))
    found["binning"] = _binning(streams)
    # A path of the Windows computer that took the scan.
    found["reference_file"] = ntpath.basename(streams.text("ImageInfo/ReferenceFile"))
    return {name: value for name, value in found.items() if value not in ("", None)}


def _images(streams: Streams, views: int) -> dict[str, Any]:
    planned = streams.integer("ImageInfo/NoOfImages")
    averaged = streams.integer("ImageInfo/NoOfImagesAveraged")
    return {
        "images": f"{views} of {planned}" if planned is not None and planned > views else None,
        "images_averaged": averaged if averaged is not None and averaged > 1 else None,
    }


def _binning(streams: Streams) -> str | None:
    """Rows x columns of camera pixels in one of the image; the misspelt stream is the file's."""
    rows, columns = (streams.integer(f"ImageInfo/{name}") for name in ("VerticalalBin", "HorizontalBin"))
    if rows is None:
        rows = streams.integer("ImageInfo/VerticalBin")
    if rows is None or columns is None or rows < 1 or columns < 1:
        return None
    return f"{rows} x {columns}"


def _median(streams: Streams, name: str, views: int) -> float | None:
    values = streams.numbers(name)[:views]
    values = values[np.isfinite(values) & (values > 0)]
    return float(np.median(values)) if len(values) else None


def _positive(value: float | None) -> float | None:
    """Rounded to what float32 knows."""
    return None if value is None or not (0 < value < math.inf) else float(f"{value:.7g}")
