"""Zeiss / Xradia scans: .txrm (a tomography) and .xrm (one image), OLE2 compound files. Read only.

The streams are those that real files hold and that other public readers use; there is no specification.
Choices that the files leave open, the same for every file:

angles      `ImageInfo/Angles`, degrees, are those of the sample stage, counter-clockwise seen from +z. The
            source stays; in coordinates of the sample it turns the other way, so gantry angle = -Angles.
            `reverse=True`: the stage turned clockwise.
images      rows and columns as stored: the row index increases with +v (+z), the column index with +u.
shifts      `Alignment/X-Shifts`, `Y-Shifts`, pixels of the images: each projection is to be moved by
            (+y, +x), towards larger row and column indices (`Calibration.shifts`). Nothing is moved here.
centre      `ReconSettings/CenterShift`, pixels: the rotation axis is seen that far towards larger columns from
            the middle of the (shifted) images, so the detector's offset is -CenterShift x pixel.
            `center_shift=` replaces the number.
pixel       `ImageInfo/PixelSize`, um, is at the sample: detector pixel = PixelSize x SDD / SOD for cone beams.
distances   `StoRADistance` = SOD and `DtoRADistance` = SDD - SOD, mm, of either sign.
beam        `XrayGeometry` 1 cone, 2 parallel. A missing or zero one counts as cone where there are distances
            (with a ScanWarning). Distances of 0 or both of 1 mm are placeholders.
exposure    ExpTimes over ReferenceData/ExpTime; times the same of the ion chamber's currents where both are
            there, since exposure times are then chosen by the current.

Numbers of images: an aborted scan has fewer images than NoOfImages; those that are whole are taken, and a
ScanWarning says how many. Arrays may be longer than the images, texts end at their first NUL, and counts are
raw (kind "counts") unless the file says that they are corrected.
"""

from sinograd.io.scans.txrm.scan import Txrm

__all__ = ["Txrm"]
