"""The options of `sinograd reconstruct`, by what they are about."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from sinograd.cli.config import load_config

T = TypeVar("T", int, float)

_PREPARATION = "Preparation of the projections"
_VOLUME = "Volume"
_OUTPUT = "Output"


class Algorithm(StrEnum):
    """How to reconstruct; auto: FDK or filtered backprojection, as the geometry asks."""

    auto = "auto"
    fdk = "fdk"
    fbp = "fbp"
    sirt = "sirt"
    sart = "sart"
    os_sart = "os-sart"
    cgls = "cgls"
    lsqr = "lsqr"
    fista_tv = "fista-tv"


class Window(StrEnum):
    """Windows of the ramp filter, from sharp to smooth."""

    ram_lak = "ram-lak"
    shepp_logan = "shepp-logan"
    cosine = "cosine"
    hamming = "hamming"
    hann = "hann"
    blackman = "blackman"


class Truncation(StrEnum):
    """What is beyond the detector."""

    none = "none"
    ellipse = "ellipse"


class Shifts(StrEnum):
    """What is done with the shifts of the views."""

    interpolate = "interpolate"
    geometry = "geometry"
    ignore = "ignore"


class Edges(StrEnum):
    """What shifts bring in from beyond the detector."""

    nearest = "nearest"
    zero = "zero"


ScanPath = Annotated[
    Path,
    typer.Argument(metavar="SCAN", help="Scan file or folder (`sinograd info` lists the formats).", show_default=False),
]
GeometryFile = Annotated[
    str | None,
    typer.Option(
        "--geometry",
        metavar="YAML",
        help="Geometry to take instead of the scan's: a .yaml file or the name of a scanner.",
        show_default=False,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        callback=load_config,
        is_eager=True,
        help="Options from a .yaml file, or those that made a volume; the command line has the last word.",
        show_default=False,
    ),
]
Views = Annotated[
    str | None,
    typer.Option(metavar="FIRST:END:STEP", help="Views to use, END excluded. Default: all.", show_default=False),
]

# Preparation
Rows = Annotated[
    str | None,
    typer.Option(metavar="FIRST:END", help="Detector rows to use. Default: all.", rich_help_panel=_PREPARATION),
]
Columns = Annotated[
    str | None,
    typer.Option(metavar="FIRST:END", help="Detector columns to use. Default: all.", rich_help_panel=_PREPARATION),
]
Binning = Annotated[
    str,
    typer.Option(metavar="N", help="Join N x N detector pixels, or ROWS,COLUMNS.", rich_help_panel=_PREPARATION),
]
Unattenuated = Annotated[
    float | None,
    typer.Option(metavar="COUNTS", help="Counts without object, where no reference is.", rich_help_panel=_PREPARATION),
]
Repair = Annotated[
    bool,
    typer.Option("--repair/--no-repair", help="Fill dead and hot pixels.", rich_help_panel=_PREPARATION),
]
Dead = Annotated[
    float,
    typer.Option(
        metavar="FRACTION",
        help="Pixels with at most this share of the response are dead.",
        rich_help_panel=_PREPARATION,
    ),
]
Hot = Annotated[
    float,
    typer.Option(
        metavar="FACTOR",
        help="Pixels with more than so many times their neighbours' are hot.",
        rich_help_panel=_PREPARATION,
    ),
]
Saturation = Annotated[
    float | None,
    typer.Option(
        metavar="COUNTS",
        help="Counts from which a reading is saturated. Default: the type's largest.",
        rich_help_panel=_PREPARATION,
    ),
]
Smallest = Annotated[
    float,
    typer.Option(
        metavar="FRACTION", help="Smallest transmitted fraction that is believed.", rich_help_panel=_PREPARATION
    ),
]
Air = Annotated[
    str | None,
    typer.Option(
        metavar="FIRST:END",
        help="Columns beside the object in every view, to take out the beam's drift.",
        rich_help_panel=_PREPARATION,
    ),
]
BeamHardening = Annotated[
    str | None,
    typer.Option(metavar="C1,C2,...", help="Line integrals p become C1 p + C2 p^2 + ...", rich_help_panel=_PREPARATION),
]
Rings = Annotated[bool, typer.Option("--rings", metavar="", help="Reduce rings.", rich_help_panel=_PREPARATION)]
RingWidth = Annotated[
    float, typer.Option(metavar="COLUMNS", help="Widest rings to reduce.", rich_help_panel=_PREPARATION)
]
RingLimit = Annotated[
    float | None,
    typer.Option(metavar="P", help="Largest error of a line integral taken for a ring.", rich_help_panel=_PREPARATION),
]
ShiftsOption = Annotated[
    Shifts,
    typer.Option(
        "--shifts",
        help="The views' shifts: move projections, move the detector in the geometry, or neither.",
        rich_help_panel=_PREPARATION,
    ),
]
EdgesOption = Annotated[
    Edges, typer.Option("--edges", help="What shifts bring in from outside.", rich_help_panel=_PREPARATION)
]
Center = Annotated[
    str,
    typer.Option(
        metavar="file|auto|PIXELS",
        help="Centre of rotation: as the scan says, found from the projections, or this many detector pixels "
        "further along the columns.",
        rich_help_panel=_PREPARATION,
    ),
]
CenterPicture = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write a PNG of the search for the centre here.", rich_help_panel=_OUTPUT),
]

# Volume
AlgorithmOption = Annotated[
    Algorithm,
    typer.Option("--algorithm", help="auto: FDK or filtered backprojection.", rich_help_panel=_VOLUME),
]
Iterations = Annotated[
    int | None,
    typer.Option(metavar="N", help="Of an iterative algorithm. Default: its own.", rich_help_panel=_VOLUME),
]
TvStrength = Annotated[
    float | None,
    typer.Option(metavar="FACTOR", help="fista-tv: 2 is twice as smooth as the default, 1.", rich_help_panel=_VOLUME),
]
NonNegative = Annotated[
    bool,
    typer.Option(
        "--non-negative/--any-sign",
        help="sirt, sart, os-sart, fista-tv: attenuation below zero is not allowed.",
        rich_help_panel=_VOLUME,
    ),
]
WindowOption = Annotated[
    Window, typer.Option("--window", help="Window of the ramp filter, from sharp to smooth.", rich_help_panel=_VOLUME)
]
Cutoff = Annotated[
    float,
    typer.Option(
        metavar="FRACTION",
        min=0.0,
        max=1.0,
        help="Cut-off of the filter, as a fraction of the Nyquist frequency.",
        rich_help_panel=_VOLUME,
    ),
]
TruncationOption = Annotated[
    Truncation,
    typer.Option(
        "--truncation",
        help="How rows go on beyond the detector; ellipse is for objects larger than the field of view.",
        rich_help_panel=_VOLUME,
    ),
]
VoxelMm = Annotated[
    float | None,
    typer.Option(
        metavar="MM",
        help="Voxel size. Default: detector pixel over magnification, or what the scan suggests.",
        rich_help_panel=_VOLUME,
    ),
]
Shape = Annotated[
    str | None,
    typer.Option(
        metavar="Z,Y,X",
        help="Number of voxels (Y,X in 2-D). Default: covers the field of view.",
        rich_help_panel=_VOLUME,
    ),
]
CenterMm = Annotated[
    str | None,
    typer.Option(
        metavar="X,Y,Z",
        help="Middle of the volume (X,Y in 2-D). Default: what the scan suggests or sees.",
        rich_help_panel=_VOLUME,
    ),
]
Mask = Annotated[
    bool,
    typer.Option("--mask", metavar="", help="Set voxels outside the field of view to zero.", rich_help_panel=_VOLUME),
]

Device = Annotated[
    str,
    typer.Option("--device", metavar="NAME", help="Where to compute: cpu, cuda, cuda:1 ...", rich_help_panel=_VOLUME),
]

# Output
Output = Annotated[
    Path,
    typer.Option(
        "-o", "--output", metavar="FILE", help="Volume to write.", show_default=False, rich_help_panel=_OUTPUT
    ),
]
Preview = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Also write a PNG of the middle slices.", show_default=False, rich_help_panel=_OUTPUT
    ),
]
Page = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Also write an .html page to look at the volume with.",
        show_default=False,
        rich_help_panel=_OUTPUT,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        metavar="",
        help="Tell what would be done, and the memory and time it takes.",
        rich_help_panel=_OUTPUT,
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", metavar="", help="Go on with an interrupted run.", rich_help_panel=_OUTPUT)
]
Force = Annotated[bool, typer.Option("--force", metavar="", help="Replace files that exist.", rich_help_panel=_OUTPUT)]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", metavar="", help="Print warnings and errors only.", rich_help_panel=_OUTPUT)
]
Json = Annotated[
    bool, typer.Option("--json", metavar="", help="Print the summary as one JSON object.", rich_help_panel=_OUTPUT)
]


def numbers(text: str | None, kind: type[T], option: str) -> tuple[T, ...] | None:
    """Numbers with commas between them."""
    if text is None:
        return None
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"expected numbers with commas between them, got {text!r}", param_hint=option
        ) from None


def span(text: str | None, option: str) -> tuple[int, int] | None:
    """FIRST:END, two whole numbers."""
    if text is None:
        return None
    try:
        first, end = (int(part) for part in text.split(":"))
    except ValueError:
        raise typer.BadParameter(f"expected FIRST:END, two whole numbers, got {text!r}", param_hint=option) from None
    return first, end


def view_slice(text: str | None) -> slice | None:
    """FIRST:END:STEP as Python has it; every part may be left out."""
    if text is None:
        return None
    try:
        parts = [int(part) if part.strip() else None for part in text.split(":")]
        if not 2 <= len(parts) <= 3 or (len(parts) == 3 and parts[2] == 0):
            raise ValueError
    except ValueError:
        raise typer.BadParameter(
            f"expected FIRST:END or FIRST:END:STEP, whole numbers, got {text!r}", param_hint="--views"
        ) from None
    return slice(*parts)


def center_choice(text: str) -> str | float:
    """ "file", "auto" or a number of pixels."""
    if text in ("file", "auto"):
        return text
    try:
        pixels = float(text)
    except ValueError:
        pixels = float("nan")
    if pixels != pixels or abs(pixels) == float("inf"):
        raise typer.BadParameter(f"expected file, auto or a number of pixels, got {text!r}", param_hint="--center")
    return pixels
