"""`make_pairs`: scans and their low-dose copies as slices, with the file of pairs that training and evaluation take."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.choices import WINDOWS
from sinograd.errors import ExistingFileError, FileError, InputError, InputTypeError, MissingFileError
from sinograd.files.commit import settle
from sinograd.files.inputs import own_state
from sinograd.workflows.job import job
from sinograd.workflows.report import Position, Report
from sinograd.workflows.values import choice, number, numbers, path_or_none, switch

if TYPE_CHECKING:
    from sinograd.data import Scan

FORMATS = ("dicom", "nii.gz", "h5")
PAIRS, RECORD = "pairs.yaml", "made.yaml"  # the file of pairs, and what they were made with

# Passed to `simulate`, and to `reconstruct`.
_DOSE = ("dose", "photons", "electronic_noise")
_VOLUME = ("window", "cutoff", "voxel_mm", "shape", "center_mm", "slice_mm", "water", "device")


def make_pairs(
    scans: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    dose: float,
    photons: float | None = None,
    electronic_noise: float | None = None,
    seed: int = 0,
    window: str = "ram-lak",
    cutoff: float = 1.0,
    voxel_mm: float | None = None,
    shape: Sequence[int] | str | None = None,
    center_mm: Sequence[float] | str | None = None,
    slice_mm: float | None = None,
    water: float | None = None,
    format: str = "dicom",
    group: str = "",
    device: str = "cpu",
    resume: bool = False,
    report: Report | str | bool | None = None,
) -> Path:
    """Make low-dose pairs of measured scans: each is simulated at a lower dose, and both are reconstructed in HU.

    The folder gets NAME-normal and NAME-low of every scan, `pairs.yaml` for `sinograd evaluate` and `sinograd train`,
    and `made.yaml` with the options. Each pair is entered when it is whole.

    Args:
        scans: scans of line integrals, each a patient of its own; the names of their files or folders are kept.
        output: a folder, new or empty.
        dose: fraction of each scan's dose, in (0, 1).
        photons, electronic_noise: see `simulate`; None: what the scan states.
        seed: of the noise of the first scan; the next ones have seed + 1, seed + 2 ...
        window, cutoff, voxel_mm, shape, center_mm, slice_mm, water, device: see `reconstruct`.
        format: "dicom" for folders of slices, "nii.gz" or "h5".
        group: the body part, of all scans.
        resume: go on with a folder that was made with the same scans and options; whole pairs stay.
        report: shows progress; see `reconstruct`.

    Returns:
        The file of pairs.

    Raises:
        InputError, FileError: wrong values, scans that are missing or share a name, a folder that is not empty.
        Stopped: an interrupt; pairs that are whole stay, and `resume` goes on.
    """
    arguments = dict(locals())
    return run_pairs(PairsRequest.of(arguments), report).file


@dataclass(frozen=True, kw_only=True)
class PairsRequest:
    """Checked arguments of `make_pairs`."""

    scans: tuple[Path, ...]
    output: Path
    options: Mapping[str, Any]
    seed: int
    format: str
    group: str
    resume: bool

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> PairsRequest:
        """The request of the arguments of `make_pairs`; InputError or InputTypeError, which name them."""
        output = path_or_none(arguments["output"], "output")
        if output is None:
            raise InputError("`output`: expected a folder, got None")
        options = {name: arguments[name] for name in (*_DOSE, *_VOLUME)}
        for name in (*_DOSE, "cutoff", "voxel_mm", "slice_mm", "water"):
            options[name] = number(options[name], name)
        options["shape"] = numbers(options["shape"], int, "shape")
        options["center_mm"] = numbers(options["center_mm"], float, "center_mm")
        options["window"] = choice(options["window"], WINDOWS.names(), "window")
        dose = options["dose"]
        if dose is None or not 0 < dose < 1:
            raise InputError(f"`dose` must be above 0 and below 1, got {dose}")
        seed = number(arguments["seed"], "seed", whole=True)
        if seed is None or seed < 0:
            raise InputError(f"`seed`: expected a whole number from 0 on, got {seed}")
        if not isinstance(arguments["group"], str):
            raise InputTypeError(f"`group`: expected text, got {arguments['group']!r}")
        return cls(
            scans=_paths(arguments["scans"]),
            output=output,
            options=options,
            seed=seed,
            format=choice(arguments["format"], FORMATS, "format"),
            group=arguments["group"],
            resume=switch(arguments["resume"], "resume"),
        )

    def record(self) -> dict[str, Any]:
        """What the pairs are made with, as `made.yaml` holds it."""
        from sinograd.data import software_version

        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in self.options.items()}
        del plain["device"]
        scans = [str(path.resolve()) for path in self.scans]
        made = {"scans": scans, "seed": self.seed, "format": self.format, "group": self.group, "options": plain}
        return {"software": f"sinograd {software_version()}", **made}


@dataclass(frozen=True)
class MadePairs:
    """The result of a request: the file of pairs, names of the pairs, those that an older run had made, seconds."""

    file: Path
    names: tuple[str, ...]
    kept: tuple[str, ...]
    seconds: float


def run_pairs(request: PairsRequest, report: Report | str | bool | None) -> MadePairs:
    """Check everything, then make pair after pair, each of which is entered in the file when it is whole."""
    start = time.perf_counter()
    names = _names(request.scans)
    with job(report, f"whole pairs stay in {request.output}, and `resume` goes on") as position:
        with own_state():
            kept = _opened(request)
        done = set(kept)
        for seed, (name, path) in enumerate(zip(names, request.scans, strict=True), request.seed):
            if name not in done:
                _make(request, name, path, seed, position)
                done.add(name)
                _enter(request, [one for one in names if one in done])
    return MadePairs(request.output / PAIRS, names, kept, time.perf_counter() - start)


def _make(request: PairsRequest, name: str, path: Path, seed: int, report: Position) -> None:
    """Both volumes of a scan."""
    from sinograd.io import read
    from sinograd.workflows.reconstruction import reconstruct
    from sinograd.workflows.simulation import simulate

    report.stage(f"reading {name}", 0)
    scan: Scan = read(path)
    volume: dict[str, Any] = {option: request.options[option] for option in _VOLUME} | {"unit": "HU"}
    # the normal dose first: its grid and its water are checked before photons are drawn
    for kind in ("normal", "low"):
        file = request.output / _file(request, name, kind)
        of_dose = {option: request.options[option] for option in _DOSE}
        dosed = simulate(scan, seed=seed, report=_Of(report, name), **of_dose) if kind == "low" else scan
        reconstruct(dosed, file, force=request.resume, report=_Of(report, f"{name}, {kind} dose"), **volume)


class _Of:
    """A report that says of which scan a stage is."""

    def __init__(self, report: Report, what: str) -> None:
        self._report, self._what = report, what

    def stage(self, name: str, total: int, unit: str = "views") -> Any:
        """Starts it there."""
        return self._report.stage(f"{self._what}: {name}", total, unit)

    def warning(self, text: str) -> None:
        """Passed on."""
        self._report.warning(text)


def _file(request: PairsRequest, name: str, kind: str) -> str:
    return f"{name}-{kind}" if request.format == "dicom" else f"{name}-{kind}.{request.format}"


def _opened(request: PairsRequest) -> tuple[str, ...]:
    """The folder, made ready; names of the pairs that it holds already."""
    from sinograd.config.yaml import load_yaml

    folder, record = request.output, request.record()
    if folder.exists() and not folder.is_dir():
        raise FileError(f"cannot write pairs to {folder}: it is a file, a folder is expected")
    if not folder.parent.is_dir():
        raise MissingFileError(f"cannot write {folder}: the folder {folder.parent} does not exist")
    if folder.exists():
        settle(folder, clean=True)  # what a killed run left of a file
    if not (folder / RECORD).is_file():
        if folder.exists() and any(folder.iterdir()):
            raise ExistingFileError(f"{folder} is not empty: choose a new folder for the pairs")
        folder.mkdir(exist_ok=True)
        _write(folder / RECORD, record)
        return ()
    if not request.resume:
        raise ExistingFileError(f"{folder} holds pairs: choose a new folder, or go on with them (`resume`)")
    before = load_yaml(folder / RECORD)
    if not isinstance(before, dict):
        raise FileError(f"{folder / RECORD} is damaged: it holds no options")
    differing = [name for name in record if name != "software" and record[name] != before.get(name)]
    if differing:
        raise InputError(f"`resume`: {folder} was made with other {' and '.join(differing)} ({folder / RECORD})")
    return _entered(folder / PAIRS)


def _entered(file: Path) -> tuple[str, ...]:
    from sinograd.config.yaml import load_yaml

    if not file.is_file():
        return ()
    try:
        return tuple(entry["name"] for entry in load_yaml(file)["pairs"]["files"])
    except (KeyError, TypeError):
        raise FileError(f"{file} is damaged: it lists no pairs") from None


def _enter(request: PairsRequest, names: Sequence[str]) -> None:
    """The file with these pairs."""
    files = [
        {
            "input": _file(request, name, "low"),
            "target": _file(request, name, "normal"),
            "name": name,
            "patient": name,
            "group": request.group,
        }
        for name in names
    ]
    _write(request.output / PAIRS, {"pairs": {"layout": "volumes", "unit": "HU", "files": files}})


def _write(file: Path, record: Mapping[str, Any]) -> None:
    from sinograd.config.yaml import dump_yaml
    from sinograd.io.storage.atomic import replacing

    with replacing(file, force=True) as temporary:
        temporary.write_text(dump_yaml(record), encoding="utf-8")


def _paths(scans: Any) -> tuple[Path, ...]:
    listed = [scans] if isinstance(scans, str | os.PathLike) else scans
    if not isinstance(listed, Sequence) or not all(isinstance(path, str | os.PathLike) for path in listed):
        raise InputTypeError(f"`scans`: expected files or folders, got {scans!r}")
    paths = tuple(Path(path) for path in listed)
    if not paths:
        raise InputError("`scans`: expected at least one scan, got none")
    for path in paths:
        if not path.exists():
            raise MissingFileError(f"no scan at {path}")
    return paths


def _names(scans: Sequence[Path]) -> tuple[str, ...]:
    """Of the pairs: the names of the scans, which must differ."""
    names = tuple(path.resolve().name if path.is_dir() else path.name.split(".")[0] for path in scans)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"`scans`: {', '.join(twice)} is the name of several scans; pairs are named after them")
    return names
