"""`reconstruct`: from a scan to a volume, the whole job as one function; `sinograd reconstruct` runs it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.choices import ALGORITHMS, WINDOWS
from sinograd.errors import InputError, InputTypeError
from sinograd.workflows.hounsfield import UNITS
from sinograd.workflows.memory_budget import memory_bytes
from sinograd.workflows.report import Report
from sinograd.workflows.values import (
    CenterColumn,
    center_choice,
    choice,
    cluster_words,
    number,
    numbers,
    part_of_all,
    path_or_none,
    recorded,
    ring_choice,
    span,
    switch,
    tilt_choice,
    view_numbers,
    view_slice,
)

if TYPE_CHECKING:
    from sinograd.data import Scan, Volume
    from sinograd.geometry import Geometry
    from sinograd.io.scans.beam_images import Paths
    from sinograd.physics import Spectrum
    from sinograd.preparation import Preparation
    from sinograd.workflows.object_corrections import ObjectCorrections

TRUNCATION = ("none", "ellipse")
DTYPES = ("float32", "uint16", "uint8")


def reconstruct(
    scan: Scan | str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    geometry: Geometry | str | os.PathLike[str] | None = None,
    flat: Paths | None = None,
    dark: Paths | None = None,
    pixel_mm: float | None = None,
    views: slice | str | None = None,
    leave_out: Sequence[int] | str | None = None,
    rows: tuple[int, int] | str | None = None,
    columns: tuple[int, int] | str | None = None,
    binning: int | tuple[int, int] | str = 1,
    unattenuated: float | None = None,
    repair: bool = True,
    dead: float = 0.3,
    hot: float = 2.0,
    saturation: float | None = None,
    lag: Sequence[float] | str = (),
    scatter: float = 0.0,
    phase: Sequence[float] | str = (),
    smallest: float = 1e-5,
    air: tuple[int, int] | str | None = None,
    beam_hardening: Sequence[float] | str = (),
    rings: bool | str = False,
    ring_width: float = 4.0,
    ring_limit: float | None = 1.0,
    shifts: str = "interpolate",
    edges: str = "nearest",
    center: str | float = "file",
    tilt: str | float = "file",
    spectrum: Spectrum | str | os.PathLike[str] | None = None,
    filter: str | None = None,
    response: str = "integrating",
    materials: Sequence[str] | str = "water",
    energy: float = 70.0,
    metal: str = "none",
    metal_threshold: float | None = None,
    algorithm: str = "auto",
    iterations: int | None = None,
    tv_strength: float | None = None,
    non_negative: bool = True,
    window: str = "ram-lak",
    cutoff: float = 1.0,
    truncation: str = "none",
    voxel_mm: float | None = None,
    shape: Sequence[int] | str | None = None,
    center_mm: Sequence[float] | str | None = None,
    mask: bool = False,
    unit: str = "1/mm",
    water: float | None = None,
    slice_mm: float | None = None,
    device: str = "cpu",
    preview: str | os.PathLike[str] | None = None,
    page: str | os.PathLike[str] | None = None,
    page_3d: bool = False,
    center_picture: str | os.PathLike[str] | None = None,
    memory: int | str | None = None,
    scratch: str | os.PathLike[str] | None = None,
    dtype: str | None = None,
    range: Sequence[float] | str | None = None,
    cluster: str | None = None,
    client: Any = None,
    part: tuple[int, int] | str | None = None,
    resume: bool = False,
    force: bool = False,
    report: Report | str | bool | None = None,
) -> Volume:
    """Reconstruct a scan: FDK for cone beams, filtered backprojection for fan and parallel beams, or iterations.

    Raw counts become line integrals first: references, dark images, shifts and the rest of the preparation follow from
    the scan and the options. The arguments are the options of `sinograd reconstruct`, with the same defaults; values
    are Python's own or the texts that the command takes: `shape=(64, 256, 256)` or "64,256,256".

    Args:
        scan: a scan file or folder, or a `Scan`, which stays as it is.
        output: the volume's file (.h5, .tif, .npy, .raw, .mha, .nii.gz, .zarr, or a folder of slices); None: none.
        geometry: instead of the scan's: a Geometry, a YAML file or the name of a scanner.
        flat, dark: files or folders with flat fields and images without beam, instead of the scan's; see `read`.
        views: the views to use: slice(0, 100, 2) or "0:100:2".
        leave_out: numbers of views that are not used, such as odd ones that a warning names: [12, 40, 41] or
            "12,40-41". They count from 0, among those that `views` chooses; angles and geometry follow.
        rows, columns: (first, end) of the detector to use.
        binning, unattenuated, repair, dead, hot, saturation, lag, scatter, phase: see `Preparation`.
        smallest, air, beam_hardening: see `Preparation`.
        rings, ring_width, ring_limit, shifts, edges: see `Preparation`.
        center: centre of rotation: "file": as the scan says; "auto": found from the projections; detector pixels by
            which the detector stands further along its columns than the scan says; or "column:296": the column that
            the axis falls on, counted from 0 on the full, unbinned detector, before `columns`.
        tilt: turns of the detector of cone and parallel beams with rows: "file": as the scan says; "auto": in-plane
            rotation (roll) and tilt found from the projections, with `center="auto"` together with the axis, and
            taken where they differ from the scan's by more than two standard errors (see `calibrate`); or degrees by
            which the detector is turned further in its plane than the scan says.
        spectrum, filter, response: of the beam, as of `simulate`: "80kV" (a tungsten tube), a .csv file with keV and
            photons, or a `sinograd.physics.Spectrum`; layers as "1 mm Al, 0.1 mm Cu"; of the detector. Line integrals
            become those of the energy `energy` (keV), for an object of `materials`: one, or two with the denser one
            last, "water,bone". See `correct_beam_hardening`, `correct_two_materials`.
        metal: replace rays through metal: "none", "linear" or "normalized"; the metal is put back into the volume.
            See `replace_metal`.
        metal_threshold: attenuation in 1/mm above which a voxel is metal; None: four times that of soft tissue.
        algorithm: "auto": FDK or filtered backprojection; or a name of `sinograd.choices.ALGORITHMS`.
        iterations: of an iterative algorithm; None: its own default.
        tv_strength: of algorithms with total variation, such as fista-tv: 2 is smoother than their default, 1.
        non_negative: no attenuation below zero, in algorithms that can have it so.
        window, cutoff: of the ramp filter; see `fdk`.
        truncation: how rows continue beyond the detector: "none" or "ellipse".
        pixel_mm: distance of the detector columns at the sample, mm, of parallel beams; None: what the scan says.
        voxel_mm: voxel size in mm; None: detector pixel over magnification, or what the scan suggests.
        shape: voxels (z, y, x) or (y, x); None: as many as cover the field of view.
        center_mm: middle of the volume (x, y, z) or (x, y).
        mask: set voxels outside the field of view to zero.
        unit: "1/mm" or "HU"; in HU an output without suffix is a folder of DICOM slices.
        water: attenuation of water in 1/mm, for HU; None: what the scan states.
        slice_mm: slices of this thickness, each the mean of several of the grid.
        device: "cpu", "cuda" or "cuda:1".
        preview, page, center_picture: further files to write: a PNG of the middle slices, an .html page, a PNG of the
            search for the centre.
        page_3d: the page draws the volume in 3-D, too, and is 2.3 MB larger.
        memory: bytes that may be used beside what the process holds already, or text such as "4GB"; None: 60 % of what
            is free. A volume that does not fit is computed in slabs, which are written as they are done; so is every
            volume of FDK or filtered backprojection with an output where this or one of the next options is set.
            Iterative algorithms that need more keep volumes and projections in scratch files.
        scratch: folder for prepared projections where they fit neither into memory nor are cheap to prepare again, and
            for what iterative algorithms work on; None: beside the output. They are removed at the end.
        dtype: "float32", or "uint16" or "uint8" of scaled values; None: float32, or uint16 with `range`.
        range: (low, high) that the whole numbers of `dtype` stand for, in the output's unit; values beyond are clipped
            and counted. None: from one coarse reconstruction.
        cluster: computes slabs on Dask workers: "local:4", "tcp://scheduler:8786" or a YAML file of dask-jobqueue.
        client: a `distributed.Client` instead.
        part: (k, n) or "k/n", k from 1 to n: computes one part of n, for job arrays; the run that completes the last
            one gives the output its name.
        resume: continue an interrupted run with the same output; needs a scan file.
        force: replace files that exist.
        report: shows progress: True or "bar", or a `workflows.Report`; None: nothing.

    Returns:
        Attenuation in 1/mm (1/pixel of a scan whose pixel size is not known), float32 [z, y, x] or [y, x]; in memory,
        or of a volume that was written in slabs lazy, in its file.
        Its provenance has scan, options, preparation, centre and warnings; a volume file with it is a configuration
        that repeats the reconstruction.

    Raises:
        InputError, FileError: wrong values, before any work; a scan that cannot be read or prepared.
        OutOfMemory: too little memory.
        Stopped: an interrupt; says how far the work came and what was kept.

    Warns:
        SinogradWarning: all warnings of reading, preparation and reconstruction.
    """
    arguments = dict(locals())
    from sinograd.workflows.pipeline import run_reconstruction

    return run_reconstruction(Request.of(arguments), report).volume


@dataclass(frozen=True, kw_only=True)
class Request:
    """Checked arguments of `reconstruct`; lengths in mm. None leaves the choice to the scan.

    options: what the volume's record keeps of the arguments, so that it can be repeated.
    """

    scan: Scan | Path
    output: Path | None
    geometry: Geometry | str | os.PathLike[str] | None
    flat: tuple[Path, ...]
    dark: tuple[Path, ...]
    pixel_mm: float | None
    views: slice | None
    leave_out: tuple[int, ...] | None
    preparation: Preparation
    center: str | float | CenterColumn
    tilt: str | float
    corrections: ObjectCorrections
    algorithm: str
    iterations: int | None
    tv_strength: float | None
    non_negative: bool
    window: str
    cutoff: float
    truncation: str
    voxel_mm: float | None
    shape: tuple[int, ...] | None
    center_mm: tuple[float, ...] | None
    mask: bool
    unit: str
    water: float | None
    slice_mm: float | None
    device: str
    preview: Path | None
    page: Path | None
    page_3d: bool
    center_picture: Path | None
    memory: int | None
    scratch: Path | None
    dtype: str | None
    range: tuple[float, ...] | None
    cluster: str | None
    client: Any
    part: tuple[int, int] | None
    resume: bool
    force: bool
    options: Mapping[str, Any]

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Request:
        """The request of the arguments of `reconstruct`; InputError or InputTypeError, which name them."""
        from sinograd.data import Scan
        from sinograd.geometry import Geometry
        from sinograd.io.scans.beam_images import beam_paths

        scan = arguments["scan"]
        if not isinstance(scan, Scan | str | os.PathLike):
            raise InputTypeError(f"`scan`: expected a file, a folder or a Scan, got a {type(scan).__name__}")
        checked = {
            "scan": scan if isinstance(scan, Scan) else Path(scan),
            "flat": beam_paths(arguments["flat"], "flat"),
            "dark": beam_paths(arguments["dark"], "dark"),
            "views": view_slice(arguments["views"]),
            "leave_out": view_numbers(arguments["leave_out"]),
            "preparation": _preparation(arguments),
            "center": center_choice(arguments["center"]),
            "tilt": tilt_choice(arguments["tilt"]),
            "corrections": _corrections(arguments),
            "algorithm": choice(arguments["algorithm"], ("auto", *ALGORITHMS.names()), "algorithm"),
            "window": choice(arguments["window"], WINDOWS.names(), "window"),
            "truncation": choice(arguments["truncation"], TRUNCATION, "truncation"),
            "unit": choice(arguments["unit"], UNITS, "unit"),
            "shape": numbers(arguments["shape"], int, "shape"),
            "center_mm": numbers(arguments["center_mm"], float, "center_mm"),
            "memory": memory_bytes(arguments["memory"]),
            "range": numbers(arguments["range"], float, "range"),
            "part": part_of_all(arguments["part"]),
            "cluster": cluster_words(arguments["cluster"]),
            "client": arguments.get("client"),
            "options": _recorded(arguments),
        }
        for name in ("output", "preview", "page", "center_picture", "scratch"):
            checked[name] = path_or_none(arguments[name], name)
        checked["iterations"] = number(arguments["iterations"], "iterations", whole=True)
        for name in ("cutoff", "water", "slice_mm", "voxel_mm", "tv_strength", "pixel_mm"):
            checked[name] = number(arguments[name], name)
        for name in ("non_negative", "mask", "page_3d", "resume", "force"):
            checked[name] = switch(arguments[name], name)
        names = cls.__dataclass_fields__
        request = cls(**{name: checked[name] if name in checked else arguments[name] for name in names})
        geometry = arguments["geometry"]
        if not isinstance(geometry, Geometry | str | os.PathLike | None):
            raise InputTypeError(
                "`geometry`: expected a Geometry, a YAML file or the name of a scanner, "
                f"got a {type(geometry).__name__}"
            )
        request._check()
        return request

    @property
    def file(self) -> Path | None:
        """The scan's file; None for one that was made in memory."""
        return self.scan if isinstance(self.scan, Path) else self.scan.file

    @property
    def title(self) -> str:
        """The scan's name for pictures."""
        return "scan" if self.file is None else self.file.name

    @property
    def iterative(self) -> bool:
        """Whether the algorithm is an iterative one."""
        return self.algorithm != "auto" and bool(ALGORITHMS.entry(self.algorithm).about.get("iterative"))

    def _check(self) -> None:
        from sinograd.workflows.iterative import check_options
        from sinograd.workflows.output_range import check_range

        check_options(self)
        if self.dtype is not None:
            choice(self.dtype, DTYPES, "dtype")
        check_range(self.range, self.dtype)
        given = [f"`{name}`" for name in ("cluster", "client", "part") if getattr(self, name) is not None]
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)}: one of them says who computes")
        if self.part is not None and not isinstance(self.scan, Path):
            raise InputError("`part` needs a scan file: every run of a part reads it")
        if self.cutoff is None or not 0 <= self.cutoff <= 1:
            raise InputError(f"`cutoff` must be from 0 to 1, got {self.cutoff}")
        if self.center_picture is not None and self.center != "auto":
            raise InputError("`center_picture` shows the search of `center='auto'`, which is not set")
        if self.page_3d and self.page is None:
            raise InputError("`page_3d` is for a page: give `page`")
        if self.resume and (self.output is None or not isinstance(self.scan, Path)):
            raise InputError("`resume` needs a scan file and an `output`: the interrupted run is kept beside it")


def _recorded(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """`recorded`, where a Spectrum object leaves words that cannot be taken for a tube."""
    from sinograd.physics import Spectrum

    options, spectrum = recorded(arguments), arguments["spectrum"]
    if isinstance(spectrum, Spectrum):
        options["spectrum"] = f"{len(spectrum.energies)} bins, {spectrum.mean_energy:.4g} keV in the mean"
    return options


def _corrections(arguments: Mapping[str, Any]) -> ObjectCorrections:
    from sinograd.workflows.object_corrections import ObjectCorrections

    if arguments["spectrum"] is not None and numbers(arguments["beam_hardening"], float, "beam_hardening"):
        raise InputError("`spectrum` and `beam_hardening`: one of them corrects beam hardening")
    return ObjectCorrections.of(arguments)


def _preparation(arguments: Mapping[str, Any]) -> Preparation:
    from dataclasses import fields

    from sinograd.preparation import Preparation

    given = {field.name: arguments[field.name] for field in fields(Preparation)}
    for name in ("rows", "columns", "air"):
        given[name] = span(given[name], name)
    binning = numbers(given["binning"], int, "binning") or (1,)
    if len(binning) > 2:
        raise InputError(f"`binning`: expected N or ROWS,COLUMNS, got {given['binning']!r}")
    given["binning"] = binning[0] if len(binning) == 1 else binning
    for name in ("unattenuated", "dead", "hot", "saturation", "scatter", "smallest", "ring_width", "ring_limit"):
        given[name] = number(given[name], name)
        if given[name] is None and name in ("dead", "hot", "scatter", "smallest", "ring_width"):
            raise InputError(f"`{name}`: expected a number, got None")
    given["repair"] = switch(given["repair"], "repair")
    given["rings"] = ring_choice(given["rings"])
    for name in ("beam_hardening", "lag", "phase"):
        given[name] = numbers(given[name], float, name) or ()
    return Preparation(**given)
