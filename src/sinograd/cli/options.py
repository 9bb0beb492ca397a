"""Options that several commands share, and those of `sinograd reconstruct`; see `command.Option`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sinograd.choices import ALGORITHMS, DETECTOR_RESPONSES, METAL_METHODS, STRIPE_METHODS, WINDOWS
from sinograd.choices import DEFAULT_STRIPE_METHOD as DEFAULT_METHOD
from sinograd.cli.command import Choices, Option
from sinograd.cli.config import load_config
from sinograd.cli.help import OTHER
from sinograd.cli.help import OUTPUT as OUTPUT_GROUP

_SCAN = "Scan"
_PREPARATION = "Preparation of the projections"
_VOLUME = "Volume"
SLABS = "Large volumes"


def _with(fact: str) -> str:
    """Names of the algorithms of which a fact is true."""
    return ", ".join(entry.name for entry in ALGORITHMS.entries(plugins=False) if entry.about.get(fact))


SCAN = Option(Path, "Scan file or folder (`sinograd info` lists the formats).", metavar="SCAN", argument=True)
GEOMETRY = Option(
    str,
    "Geometry to use instead of the scan's: a .yaml file or the name of a scanner.",
    metavar="YAML|NAME",
    panel=_SCAN,
)
FLAT = Option(
    str,
    "Flat fields, file or folder, instead of the scan's; two paths: before and after the scan.",
    metavar="PATH[,PATH]",
    panel=_SCAN,
)
DARK = Option(str, "Images without beam, file or folder, instead of the scan's.", metavar="PATH", panel=_SCAN)
PIXEL_MM = Option(
    float,
    "Distance of the detector's columns at the sample, of parallel beams. Default: what the scan says.",
    metavar="MM",
    panel=_SCAN,
)
OUTPUT = Option(Path, "Volume to write.", ("-o", "--output"), metavar="FILE", required=True, panel=OUTPUT_GROUP)
PREVIEW = Option(Path, "Also write a PNG of the middle slices.", metavar="FILE", panel=OUTPUT_GROUP)
VOXEL_MM = Option(
    float, "Voxel size. Default: detector pixel over magnification, or what the scan suggests.", metavar="MM"
)
SHAPE = Option(str, "Number of voxels (Y,X in 2-D). Default: covers the field of view.", metavar="Z,Y,X")
CENTER_MM = Option(str, "Middle of the volume (X,Y in 2-D). Default: what the scan suggests or sees.", metavar="X,Y,Z")
DEVICE = Option(str, "Where to compute: cpu, cuda, cuda:1 ...", metavar="NAME")
FORCE = Option(bool, "Replace files that exist.", panel=OUTPUT_GROUP)
QUIET = Option(bool, "Print warnings and errors only.", ("--quiet", "-q"), panel=OUTPUT_GROUP)
RESUME = Option(bool, "Continue an interrupted run.", panel=OUTPUT_GROUP)
ALLOW_OUTSIDE = Option(
    bool,
    "Follow names in scans and volumes to files outside their folder; who made the data chose these names.",
    panel=OTHER,
)
JSON = Option(bool, "Print the summary as one JSON object.", panel=OUTPUT_GROUP)

SHARED = {
    "preview": PREVIEW,
    "voxel_mm": VOXEL_MM,
    "shape": SHAPE,
    "center_mm": CENTER_MM,
    "device": DEVICE,
    "geometry": GEOMETRY,
    "flat": FLAT,
    "dark": DARK,
    "pixel_mm": PIXEL_MM,
    "resume": RESUME,
    "force": FORCE,
    "quiet": QUIET,
    "allow_outside": ALLOW_OUTSIDE,
    "json": JSON,
}


def for_scans(option: Option) -> Option:
    """The same option, of a command that takes volumes too."""
    return replace(option, panel="Scans")


def cluster_option(work: str, panel: str | None = None) -> Option:
    """`--cluster`. work: what each of the workers does, "that ..."."""
    words = f"Dask workers {work}: so many here, those of a scheduler, or of dask-jobqueue."
    return Option(str, words, metavar="local:N|tcp://HOST:PORT|YAML", panel=panel)


def _prepare(kind: object, help: str, *flags: str, metavar: str | None = None) -> Option:
    return Option(kind, help, flags, metavar, _PREPARATION)


def _volume(kind: object, help: str, *flags: str, metavar: str | None = None, **more: float) -> Option:
    return Option(kind, help, flags, metavar, _VOLUME, more=more)


RECONSTRUCT = {
    **SHARED,
    "scan": SCAN,
    "output": OUTPUT,
    "config": Option(
        Path,
        "Options from a .yaml file, or those that made a volume; the command line has the last word.",
        ("--config",),
        metavar="FILE",
        panel=OTHER,
        more={"callback": load_config, "is_eager": True},
    ),
    "views": Option(str, "Views to use, END excluded. Default: all.", metavar="FIRST:END:STEP", panel=_SCAN),
    "leave_out": Option(
        str, "Views to leave out, as 12,40-44: numbers from 0, as warnings have them.", metavar="NUMBERS", panel=_SCAN
    ),
    "rows": _prepare(str, "Detector rows to use. Default: all.", metavar="FIRST:END"),
    "columns": _prepare(str, "Detector columns to use. Default: all.", metavar="FIRST:END"),
    "unattenuated": _prepare(float, "Counts without object, where the scan has no reference.", metavar="COUNTS"),
    "repair": _prepare(bool, "Fill dead and hot pixels.", "--repair/--no-repair"),
    "dead": _prepare(float, "Pixels with at most this share of the response are dead.", metavar="FRACTION"),
    "hot": _prepare(float, "Pixels with more than so many times their neighbours' are hot.", metavar="FACTOR"),
    "saturation": _prepare(
        float, "Counts from which a reading is saturated. Default: the type's largest.", metavar="COUNTS"
    ),
    "binning": _prepare(
        str,
        "Join N x N detector pixels, or ROWS,COLUMNS, which changes the shape of the pixels where they differ.",
        metavar="N",
    ),
    "lag": _prepare(str, "Lag of the detector: amplitudes and rates per view, taken out.", metavar="B1,A1,..."),
    "scatter": _prepare(float, "Share of the mean reading of a view that is scatter.", metavar="SHARE"),
    "phase": _prepare(
        str,
        "Paganin's filter: delta over beta, distance from object to detector and energy.",
        metavar="RATIO,MM,KEV",
    ),
    "smallest": _prepare(float, "Smallest transmitted fraction that is trusted.", metavar="FRACTION"),
    "air": _prepare(
        str, "Columns beside the object in every view, to correct the drift of the beam.", metavar="FIRST:END"
    ),
    "beam_hardening": _prepare(str, "Line integrals p become C1 p + C2 p^2 + ...", metavar="C1,C2,..."),
    "rings": _prepare(
        str,
        f"Reduce rings: {DEFAULT_METHOD} where no method is named, or one of {', '.join(STRIPE_METHODS.names())}. "
        "Default: none are reduced.",
        metavar="[METHOD]",
    ),
    "ring_width": _prepare(float, "Widest rings to reduce.", metavar="COLUMNS"),
    "ring_limit": _prepare(float, "Largest error of a line integral that counts as a ring.", metavar="P"),
    "shifts": _prepare(
        ("interpolate", "geometry", "ignore"),
        "The views' shifts: move projections, move the detector in the geometry, or neither.",
    ),
    "edges": _prepare(("nearest", "zero"), "What shifts bring in from outside."),
    "center": _prepare(
        str,
        "Centre of rotation: as the scan says, found from the projections, so many pixels that the detector stands "
        "further along its columns, or column:N, the column of the axis: from 0, on the full, unbinned detector; "
        "column:N is the same as (COLUMNS - 1) / 2 - N pixels.",
        metavar="file|auto|PIXELS|column:N",
    ),
    "tilt": _prepare(
        str,
        "Turns of the detector: as the scan says, found from the projections (in-plane rotation and tilt, and the axis "
        "with them where the centre is found, too), or so many degrees that it is turned further in its plane.",
        metavar="file|auto|DEGREES",
    ),
    "spectrum": _prepare(
        str,
        "Correct beam hardening of this beam: a tube, as 80kV, or keV and photons.",
        metavar="KV|CSV",
    ),
    "filter": _prepare(str, 'Between the tube and the object, as "1 mm Al, 0.1 mm Cu".', metavar="LAYERS"),
    "response": _prepare(DETECTOR_RESPONSES, "Of the detector, to a spectrum."),
    "materials": _prepare(
        str, "Of the object: one, or two with the denser one last, as water,bone.", metavar="NAME[,NAME]"
    ),
    "energy": _prepare(float, "Energy that corrected values are of.", metavar="KEV"),
    "metal": _prepare(
        ("none", *METAL_METHODS), "Replace rays through metal: along rows, or normalized by a prior image (NMAR)."
    ),
    "metal_threshold": _prepare(
        float, "Attenuation from which a voxel is metal. Default: four times soft tissue's.", metavar="PER_MM"
    ),
    "algorithm": _volume(Choices(ALGORITHMS, ("auto",)), "auto: FDK or filtered backprojection."),
    "iterations": _volume(int, "Iterations of an iterative algorithm. Default: its own.", metavar="N"),
    "tv_strength": _volume(float, f"{_with('tv_strength')}: 2 is smoother than the default, 1.", metavar="FACTOR"),
    "non_negative": _volume(bool, f"{_with('non_negative')}: no attenuation below zero.", "--non-negative/--any-sign"),
    "window": _volume(Choices(WINDOWS), "Window of the ramp filter.", "--window", "--kernel"),
    "cutoff": _volume(
        float,
        "Cut-off of the filter, as a fraction of the Nyquist frequency, 0 to 1.",
        metavar="FRACTION",
        min=0.0,
        max=1.0,
    ),
    "truncation": _volume(
        ("none", "ellipse"),
        "How rows continue beyond the detector; ellipse is for objects larger than the field of view.",
    ),
    "unit": _volume(("1/mm", "HU"), "Unit of the volume; in HU an output without suffix is a folder of DICOM slices."),
    "water": _volume(float, "Attenuation of water, for HU. Default: what the scan states.", metavar="PER_MM"),
    "slice_mm": _volume(float, "Thickness of slices, each the mean of several of the grid.", metavar="MM"),
    "voxel_mm": replace(VOXEL_MM, panel=_VOLUME),
    "shape": replace(SHAPE, panel=_VOLUME),
    "center_mm": replace(CENTER_MM, panel=_VOLUME),
    "mask": _volume(bool, "Set voxels outside the field of view to zero."),
    "device": replace(DEVICE, panel=_VOLUME),
    "page": Option(Path, "Also write an .html page to look at the volume with.", metavar="FILE", panel=OUTPUT_GROUP),
    "page_3d": Option(bool, "The page draws the volume in 3-D, too; it is 2.3 MB larger.", panel=OUTPUT_GROUP),
    "center_picture": Option(Path, "Write a PNG of the search for the centre.", metavar="FILE", panel=OUTPUT_GROUP),
    "memory": Option(
        str,
        "Memory to use; what does not fit is computed and written in slabs. Default: 60 % of what is free.",
        metavar="SIZE",
        panel=SLABS,
    ),
    "scratch": Option(Path, "Folder for prepared projections. Default: beside the output.", metavar="DIR", panel=SLABS),
    "cluster": cluster_option("that compute slabs", SLABS),
    "part": Option(str, "Compute one part of N, K from 1 to N, for job arrays.", metavar="K/N", panel=SLABS),
    "dtype": Option(("float32", "uint16", "uint8"), "Numbers of the volume. Default: float32.", panel=_VOLUME),
    "range": Option(
        str,
        "Values that become the smallest and the largest whole number. Default: from a coarse reconstruction.",
        metavar="LOW,HIGH",
        panel=_VOLUME,
    ),
    "dry_run": Option(bool, "Print what would be done, and the memory and time it takes.", panel=OUTPUT_GROUP),
}
