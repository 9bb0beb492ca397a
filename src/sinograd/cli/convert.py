"""`sinograd convert`: a scan or a volume in, the same one in another format out."""

from __future__ import annotations

from typing import Any

from sinograd.choices import SCAN_FORMATS
from sinograd.cli.command import Choices, Option, command
from sinograd.cli.options import SHARED
from sinograd.workflows import conversion

OPTIONS = {
    **SHARED,
    "source": Option(str, "Scan or volume, file or folder.", metavar="IN", argument=True),
    "output": Option(
        str,
        "Scan: .h5, .npy (with a .yaml), or a name without suffix for a folder of TIFF images. Volume: .h5, .tif, "
        ".npy, .raw, .mha, .nii.gz, .zarr, a name without suffix for a folder of TIFF slices, or .png for a picture.",
        metavar="OUT",
        argument=True,
    ),
    "to": Option(Choices(SCAN_FORMATS, fact="writes"), "Format of a scan, where its name does not say it."),
    "geometry": Option(str, "Geometry of a scan: .yaml file or scanner's name.", metavar="FILE"),
    "pixel_mm": Option(
        float,
        "Pixel size at the sample: of a scan (parallel beams), or of a volume in 1/pixel, which becomes 1/mm.",
        metavar="MM",
    ),
    "unit": Option(str, "Unit of a volume whose file does not say it: 1/mm, HU, mg/cm3 or 1.", metavar="UNIT"),
}


@command(OPTIONS, job=conversion.convert)
def convert(arguments: dict[str, Any], quiet: bool = False) -> None:
    """Convert a scan between formats (counts stay counts, with their calibration), or a volume."""
    request = conversion.ConversionRequest.of(arguments)
    result = conversion.run_conversion(request, None if quiet else "bar")
    if not quiet:
        from sinograd.cli.describe import conversion_lines, show

        show(conversion_lines(request, result))
