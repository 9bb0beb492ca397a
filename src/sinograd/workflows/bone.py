"""`measure_bone`: the measures and maps of a calibrated bone, in a folder."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.errors import InputError, InputTypeError, NotAFolderError, UnitError
from sinograd.workflows.job import job
from sinograd.workflows.report import Report, recorded_warnings
from sinograd.workflows.values import number, numbers, path_or_none, switch

if TYPE_CHECKING:
    from sinograd.data import Volume
    from sinograd.morphometry.analysis import BoneAnalysis, BoneMap
    from sinograd.morphometry.pictures import MapPicture

TABLE, RECORD, PAGE = "bone.csv", "bone.json", "report.html"
MAPS = ("thickness", "separation", "bmd", "bvtv", "tmd", "sd")
_LOCAL = MAPS[2:]


def measure_bone(
    volume: Volume | str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    threshold: float,
    diameter: float | None = None,
    mask: Volume | str | os.PathLike[str] | None = None,
    unit: str | None = None,
    density: Sequence[float] | str | None = None,
    softness: float = 10.0,
    largest_mm: float = 4.0,
    force: bool = False,
    report: Report | str | bool | None = None,
) -> BoneAnalysis:
    """Measure bone: BMD, BV/TV, TMD, Tb.Th, Tb.Sp, BS/BV, Conn.D, anisotropy, and maps of them.

    Args:
        volume: densities in mg/cm3, or with `density` attenuation or HU; file, folder of slices or `Volume`.
        output: a folder for bone.csv, bone.json, report.html and the maps as .h5; None: none.
        threshold: what is at least this is bone, mg/cm3.
        diameter: of the spheres of the local maps, mm; None: no local maps.
        mask: the region, 1 inside, on the grid of the volume: a file or a `Volume`; None: all.
        unit: of a volume whose file does not say it: "1/mm", "HU" or "mg/cm3".
        density: (slope, intercept) of mg/cm3 = slope * value + intercept, which calibrates the volume.
        softness: of the threshold of the maps, mg/cm3.
        largest_mm: structures thicker than this count as this thick.
        force: replace files that exist.
        report: shows progress; see `reconstruct`.

    Returns:
        The measures: `analysis["BV/TV"]`.

    Raises:
        UnitError: a volume that is not in mg/cm3, and no `density`.
        InputError, FileError: wrong values or files, before anything is written.
        Stopped: an interrupt; nothing is written, and old results stay.
    """
    arguments = dict(locals())
    return run_bone(BoneRequest.of(arguments), report).analysis


@dataclass(frozen=True, kw_only=True)
class BoneRequest:
    """Checked arguments of `measure_bone`."""

    volume: Volume | Path
    output: Path | None
    threshold: float
    diameter: float | None
    mask: Volume | Path | None
    unit: str | None
    density: tuple[float, float] | None
    softness: float
    largest_mm: float
    force: bool

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> BoneRequest:
        """The request of the arguments of `measure_bone`; InputError or InputTypeError, which name them."""
        values = {name: arguments[name] for name in cls.__dataclass_fields__}
        values["volume"] = _volume_or_path(values["volume"], "volume")
        if values["mask"] is not None:
            values["mask"] = _volume_or_path(values["mask"], "mask")
        for name in ("threshold", "softness", "largest_mm", "diameter"):
            found = number(values[name], name)
            if found is None and name != "diameter":
                raise InputTypeError(f"`{name}`: expected a number, got None")
            if found is not None and not math.isfinite(found):
                raise InputError(f"`{name}`: expected a finite number, got {found}")
            if name != "threshold" and found is not None and found <= 0:
                raise InputError(f"`{name}`: expected a positive number, got {found:g}")
            values[name] = found
        line = numbers(values["density"], float, "density")
        if line is not None and (len(line) != 2 or not all(map(math.isfinite, line)) or line[0] == 0):
            raise InputError(f"`density`: expected slope (not 0) and intercept, got {values['density']!r}")
        values |= {"density": line, "output": path_or_none(values["output"], "output")}
        switch(values["force"], "force")
        return cls(**values)

    @property
    def name(self) -> str:
        """The volume in messages."""
        return str(self.volume) if isinstance(self.volume, Path) else self.volume.name


@dataclass(frozen=True)
class MeasuredBone:
    """The result of a request: the analysis, remarks for its readers, the files that were written, seconds."""

    analysis: BoneAnalysis
    remarks: tuple[str, ...]
    files: tuple[Path, ...]
    seconds: float


def run_bone(request: BoneRequest, report: Report | str | bool | None) -> MeasuredBone:
    """Read, check, measure; each map is written when it is made; all files take their names at the end."""
    texts: list[str] = []
    with job(report, "no results were written") as position, recorded_warnings(texts, position):
        return _run(request, position, texts)


def _run(request: BoneRequest, report: Report, texts: list[str]) -> MeasuredBone:
    from sinograd.data import make_provenance
    from sinograd.morphometry.analysis import analyse
    from sinograd.morphometry.report import notes

    start = time.perf_counter()
    _check_output(request)
    report.stage("reading", 0)
    volume = _calibrated(_opened(request.volume, request.unit), request.density)
    mask = None if request.mask is None else _opened(request.mask, "1", stated=False)
    _check_output(request)  # against all files that these two consist of
    options = {f.name: getattr(request, f.name) for f in dataclasses.fields(request)}
    options |= {"volume": request.name, "mask": None if mask is None else mask.name}
    record = make_provenance("sinograd bone", options, input={"provenance": volume.provenance}, warnings=texts)
    volume = volume.as_slices().load()
    mask = None if mask is None else mask.as_slices().load()
    with _results(request) as folder:
        output = _Output(request, folder, volume, mask, record)
        analysis = analyse(
            volume,
            request.threshold,
            diameter=request.diameter,
            mask=mask,
            softness=request.softness,
            largest_mm=request.largest_mm,
            receive=output.receive,
            progress=report.stage("measuring", 0, "steps"),
        )
        remarks = tuple(notes(analysis, output.region))
        output.finish(analysis, remarks)
    files = tuple(request.output / name for name in output.names) if request.output is not None else ()
    return MeasuredBone(analysis, remarks, files, time.perf_counter() - start)


def _results(request: BoneRequest) -> AbstractContextManager[Path | None]:
    """A temporary folder whose files become those of the output at the end, in the place of an older run's."""
    from sinograd.io.storage.atomic import replacing_results

    if request.output is None:
        return nullcontext()
    names, others = _names(request), () if request.diameter else tuple(f"{name}.h5" for name in _LOCAL)
    return replacing_results(request.output, names, force=request.force, stale=others if request.force else ())


class _Output:
    """The files of a request that has a folder, made in another one, and the pictures of its page."""

    def __init__(
        self,
        request: BoneRequest,
        folder: Path | None,
        volume: Volume,
        mask: Volume | None,
        record: dict[str, Any],
    ) -> None:
        self.request, self.folder, self.grid, self.record = request, folder, volume.grid, record
        self.region, self.middle = math.prod(volume.shape), [n // 2 for n in volume.shape]
        if mask is not None:
            places = (mask.values > 0).nonzero()
            self.region = len(places)
            self.middle = places.double().mean(0).nan_to_num().round().int().tolist()
        self.names: list[str] = []
        self.pictures: list[MapPicture] = []
        if folder is not None:
            self._keep("Density", "mg/cm3", volume.values)

    def receive(self, made: BoneMap) -> None:
        """Write a map, and keep the planes of its picture."""
        if self.folder is None:
            return
        from sinograd.data import Volume
        from sinograd.io import write_volume

        name = f"{made.name}.h5"
        # Volumes have no unit of length: their record says mm.
        unit = None if made.unit == "mm" else made.unit
        record = {**self.record, "quantity": made.title, "quantity_unit": made.unit, "empty": made.empty}
        write_volume(Volume(made.values, self.grid, unit, record), self.folder / name)
        self.names.append(name)
        self._keep(made.title, made.unit, made.values)

    def finish(self, analysis: BoneAnalysis, remarks: Sequence[str]) -> None:
        """Tables and page."""
        if self.folder is None:
            return
        from sinograd.morphometry.report import as_csv, as_json, as_page

        title = f"{Path(self.request.name).name}: bone"
        texts = {
            TABLE: as_csv(analysis),
            RECORD: as_json(analysis, self.record),
            PAGE: as_page(analysis, title, remarks, self.pictures),
        }
        for name, text in texts.items():
            (self.folder / name).write_text(text, encoding="utf-8")
            self.names.append(name)

    def _keep(self, title: str, unit: str, values: Any) -> None:
        from sinograd.morphometry.pictures import MapPicture

        z, y, x = self.grid.spacing
        self.pictures.append(MapPicture.of(title, unit, values, self.middle, (z, y, x)))


def _volume_or_path(value: Any, name: str) -> Volume | Path:
    from sinograd.data import Volume

    if not isinstance(value, Volume | str | os.PathLike):
        raise InputTypeError(f"`{name}`: expected a file, a folder or a Volume, got a {type(value).__name__}")
    return value if isinstance(value, Volume) else Path(value)


def _opened(source: Volume | Path, unit: str | None, *, stated: bool = True) -> Volume:
    """stated: whether `unit` is to be said of a volume in a file without one."""
    from sinograd.data import Volume
    from sinograd.io import open_volume

    if isinstance(source, Volume):
        return source.stated(unit) if stated else source
    return open_volume(source, unit=unit) if stated else open_volume(source)


def _calibrated(volume: Volume, density: tuple[float, float] | None) -> Volume:
    if density is not None:
        if volume.unit == "mg/cm3":
            raise InputError(f"`density`: {volume.name} is in mg/cm3 already")
        return volume.to("mg/cm3", density=density)
    if volume.unit in ("HU", "1/mm"):
        raise UnitError(
            f"`density`: missing; {volume.name} is in {volume.unit}, and bone is measured in mg/cm3 = slope * value + "
            "intercept"
        )
    return volume.require("mg/cm3", "bone morphometry")


def _check_output(request: BoneRequest) -> None:
    """That the folder can be written, before any work."""
    from sinograd.io.storage.atomic import check_destination
    from sinograd.workflows.outputs import check_inputs_stay

    folder = request.output
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise NotAFolderError(f"cannot write {folder}: it is a file, a folder is expected")
    if not folder.exists():
        check_destination(folder)
    names = _names(request)
    inputs = [path if isinstance(path, Path) else path and path.file for path in (request.volume, request.mask)]
    check_inputs_stay(inputs, {name: folder / name for name in names}, "is an input, or holds one")
    for name in names if folder.is_dir() else ():
        check_destination(folder / name, force=request.force)


def _names(request: BoneRequest) -> list[str]:
    """The files of the folder."""
    return [TABLE, RECORD, PAGE, *(f"{name}.h5" for name in MAPS if request.diameter or name not in _LOCAL)]
