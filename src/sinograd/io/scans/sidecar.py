"""The YAML file beside arrays and images that have none of their own words: geometry, kind, calibration.

It is a geometry as `geometry.save` writes it, or a description of the scan with these keys:

    geometry         a geometry as above, the path of its file, or the name of a scanner
    kind             "line integrals", "transmission" or "counts"; by default "counts" for integers and where
                     there are references, else "line integrals"
    projections      file name or pattern ("scan_*.tif") of the projections; by default all but the following
    reference        file name or pattern of the flat fields, or one number: the counts of the open beam
    reference_views  view number at which each reference was taken; by default their mean is used
    dark             file name or pattern of the images without beam, or one number
    shifts           [[row, column], ...] detector pixels by which each view is to be moved
    exposure         exposure of each view over that of the references
    flip_rows        true: the first row of the images is the upper one (+v, +z); by default it is the lower one
    flip_columns     true: columns run against +u
    length_unit      "pixel" where lengths of geometry and grid are in pixels, whose size is not known; else they are mm
    grid             the grid to reconstruct on: shape, spacing, center
    metadata         what is known about the scan
    provenance       how it was made
    digests          of .npy files that were written with it (`sinograd.io.storage.digests`)

Numbers may have a decimal comma, alone or in lists of one a line ("- 0,25"). File names may have folders in them; where
such a file does not exist, as with paths of another machine, it is looked for beside the YAML file. Files outside its
folder are refused, unless they are allowed (`allow_outside`).
`help(sinograd.data.Calibration)` defines the entries of the calibration.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.config.decimal_commas import load_numbers
from sinograd.config.near_keys import did_you_mean
from sinograd.config.shown import shown, some
from sinograd.config.yaml import dump_yaml
from sinograd.data.calibration import Calibration
from sinograd.data.projections import Projections, shape_of
from sinograd.data.provenance import make_provenance, to_json
from sinograd.data.scan import Scan
from sinograd.errors import InputError, MissingFileError
from sinograd.geometry import Geometry, Grid, load_geometry
from sinograd.geometry.angle_file import with_angles_of_file
from sinograd.io.scans.file_order import ordered_files
from sinograd.io.scans.numbered_images import base_name
from sinograd.io.storage.digests import DIGESTS, check_described
from sinograd.io.storage.outside import OutsideError, check_inside, is_outside_allowed
from sinograd.io.storage.tiff import constant_image, natural_order

KEYS = (
    "geometry",
    "kind",
    "projections",
    "reference",
    "reference_views",
    "dark",
    "shifts",
    "exposure",
    "flip_rows",
    "flip_columns",
    "length_unit",
    "grid",
    "metadata",
    "provenance",
    "digests",
)
_OF_GEOMETRY = tuple(
    f"geometry.{key}" for key in ("beam", "scan", "angles_deg", "source_to_origin", "source_to_detector")
)
NAMES = ("scan.yaml", "scan.yml", "geometry.yaml", "geometry.yml")
_LONGEST_PATTERN = 1000

Images = Callable[[list[Path]], Projections]


@dataclass(frozen=True)
class Sidecar:
    """What the YAML file `path` says; `entries` are those of KEYS but geometry and grid, checked as they are used."""

    path: Path
    geometry: Geometry
    entries: Mapping[str, Any] = field(default_factory=dict)
    grid: Grid | None = None

    @property
    def degrees(self) -> np.ndarray | None:
        """The geometry's angles; None where it has none."""
        angles = self.geometry.angles
        return None if angles is None else np.degrees(angles.detach().double().cpu().numpy())

    def flag(self, key: str) -> bool:
        """A true or false entry, false by default."""
        value = self.entries.get(key, False)
        if not isinstance(value, bool):
            raise InputError(f"{self.path}: {key} must be true or false, got {shown(value)}")
        return value

    def files(self, key: str) -> list[Path] | float | None:
        """The files an entry names, those of a pattern in the order of their names (`file_order`); the number it
        gives; None where it is missing.
        """
        value = self.entries.get(key)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        entries = value if isinstance(value, list) else [value]
        names = [name for name in entries if isinstance(name, str) and name]
        if not names or len(names) < len(entries):
            raise InputError(
                f"{self.path}: {key} must be a file name, a pattern, a list of them or a number, got {shown(value)}"
            )
        return [found for name in names for found in self._named(key, name)]

    def _named(self, key: str, name: str) -> list[Path]:
        base = base_name(name)
        for folder, pattern in ((self.path.parent, name), (self.path.parent, base)):
            if not pattern or "\0" in pattern:
                continue
            direct = folder / pattern
            if direct.is_file():
                return [check_inside(direct, self.path, key)]
            if any(sign in pattern for sign in "*?[") and not Path(pattern).is_absolute():
                found = [path for path in _matching(folder, pattern) if path.is_file()]
                for path in found:
                    check_inside(path, self.path, key)
                if found:
                    return ordered_files(found, self.degrees) if key == "projections" else natural_order(found)
        raise MissingFileError(
            f"{self.path}: {key} {shown(name)} was not found, nor {shown(base)} in {self.path.parent}"
        )

    def scan(
        self,
        projections: Projections,
        *,
        file: Path,
        images: Images,
        reference: Projections | None = None,
        dark: Projections | None = None,
        kind: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Scan:
        """The scan of `projections`; `images` reads the files of the entries, which go before reference and dark."""
        beam = {"reference": reference, "dark": dark}
        for name in beam:
            named = self.files(name)
            if isinstance(named, int | float):
                beam[name] = constant_image(named, shape_of(projections)[1:])
            elif named is not None:
                beam[name] = images(named)
        more = {name: self._array(name) for name in ("reference_views", "shifts", "exposure")}
        more = {name: value for name, value in more.items() if value is not None}
        try:
            calibration = Calibration(**beam, **more)
            return Scan(
                projections,
                self.geometry,
                {**(metadata or {}), **self._mapping("metadata")},
                self.grid,
                kind or self._kind(projections, calibration),
                file,
                self._mapping("provenance"),
                None if calibration.is_empty else calibration,
                str(self.entries.get("length_unit", "mm")),
            )
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.path}: {error}") from error

    def _kind(self, projections: Projections, calibration: Calibration) -> str:
        integers = np.dtype(str(projections.dtype).removeprefix("torch.")).kind in "iu"
        usual = "counts" if integers or calibration.reference is not None else "line integrals"
        return str(self.entries.get("kind", usual))

    def _array(self, key: str) -> np.ndarray | None:
        value = self.entries.get(key)
        if value is None:
            return None
        try:
            return np.array(value, dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{self.path}: {key} must be numbers: {error}") from error

    def _mapping(self, key: str) -> dict[str, Any]:
        value = self.entries.get(key) or {}
        if not isinstance(value, dict):
            raise InputError(f"{self.path}: {key} must be a mapping, got {shown(value)}")
        return {str(name): entry for name, entry in value.items()}


def find_sidecar(path: Path) -> Path | None:
    """The YAML file of a scan: in a folder scan.yaml or geometry.yaml; beside a file the one of its name, or these."""
    folder = path if path.is_dir() else path.parent
    own = [] if path.is_dir() else [path.with_suffix(".yaml"), path.with_suffix(".yml")]
    return next((found for found in (*own, *(folder / name for name in NAMES)) if found.is_file()), None)


def sidecar_of(
    path: Path, geometry: Geometry | None = None, shape: Callable[[], tuple[int, int, int] | None] | None = None
) -> Sidecar:
    """What the YAML file of the scan `path` says, in `geometry` where one is given.

    shape: counts views, rows and columns, for the example in the error.
    Raises ValueError when there is neither, saying how to write one, or when it is damaged or contradictory.
    """
    found = find_sidecar(path)
    if found is not None:
        sidecar = read_sidecar(found, geometry)
        if not path.is_dir():
            check_described(sidecar.entries.get(DIGESTS), found, path)
        return sidecar
    beside = path / "geometry.yaml" if path.is_dir() else path.with_suffix(".yaml")
    if geometry is not None:
        return Sidecar(beside, geometry)
    views, rows, columns = (shape() if shape is not None else None) or ("VIEWS", "ROWS", "COLUMNS")
    step = f"{360 / views:.10g}" if isinstance(views, int) else "STEP"
    raise InputError(
        f"{path} does not say in which geometry it was measured: write it to {beside}, in mm and degrees, for "
        "example {beam: cone, scan: circular, source_to_origin: 60, source_to_detector: 120, angles_deg: "
        f"{{start: 0, step: {step}, views: {views}}}, detector: {{shape: [{rows}, {columns}], spacing: 0.05}}}}, "
        "or give `geometry`"
    )


def read_sidecar(path: Path, geometry: Geometry | None = None) -> Sidecar:
    """Read one of the two kinds of YAML file; ValueError names the file and the key."""
    data = load_numbers(path)
    if not isinstance(data, dict):
        raise InputError(f"{path} must be a mapping of keys to values, got {shown(data)}")
    if "spacing_mm" in data and "geometry" not in data:
        raise InputError(f"{path} describes a volume, not a scan (read it with sinograd.read_volume)")
    if "beam" in data:
        own: Geometry = geometry or geometry_of(path, data)
        return Sidecar(path, own)
    unknown = [str(key) for key in data if key not in KEYS]
    if unknown:
        raise InputError(
            f"{path}: unknown key {some(unknown)}; a scan has {', '.join(KEYS)}; a geometry has beam"
            f"{did_you_mean(unknown, (*KEYS, *_OF_GEOMETRY))}"
        )
    if geometry is not None:
        return Sidecar(path, geometry, {key: value for key, value in data.items() if key != "length_unit"})
    suggested = grid_of(path, data.get("grid"))
    return Sidecar(path, geometry_of(path, data.get("geometry")), data, suggested)


def geometry_of(path: Path, value: Any) -> Geometry:
    """The geometry that an entry of the YAML file `path` is or names; InputError naming the file."""
    return _built(path, partial(_geometry, path, value))


def grid_of(path: Path, value: Any) -> Grid | None:
    """The grid that an entry of the YAML file `path` is, None for None; InputError naming the file."""
    return None if value is None else _built(path, partial(Grid.from_dict, value))


def sidecar_text(scan: Scan, files: Mapping[str, str]) -> str:
    """The YAML text that describes a scan whose arrays are in `files`: projections, reference, dark."""
    record: dict[str, Any] = {"geometry": scan.geometry.to_dict(), "kind": scan.kind, **files}
    if scan.calibration is not None:
        for name in ("reference_views", "shifts", "exposure"):
            entries = getattr(scan.calibration, name)
            if entries is not None:
                record[name] = entries.tolist()
    if scan.length_unit != "mm":
        record["length_unit"] = scan.length_unit
    if scan.grid is not None:
        record["grid"] = scan.grid.to_dict()
    record["metadata"] = json.loads(to_json(scan.metadata))
    record["provenance"] = json.loads(to_json(dict(scan.provenance) or make_provenance("write_scan")))
    return dump_yaml(record)


def _geometry(path: Path, value: Any) -> Geometry:
    if isinstance(value, str):
        beside = path.parent / base_name(value)
        named = path.parent / value
        found = next((found for found in (named, beside) if found.is_file()), None)
        return load_geometry(value if found is None else check_inside(found, path, "geometry"))
    if not isinstance(value, dict):
        raise InputError(f"geometry must be a mapping, a file or the name of a scanner, got {shown(value)}")
    return Geometry.from_dict(with_angles_of_file(value, path))


def _built(path: Path, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except OutsideError:
        raise
    except (TypeError, ValueError, OverflowError, FileNotFoundError) as error:
        raise InputError(f"{path}: {error}") from error


def _matching(folder: Path, pattern: str) -> list[Path]:
    parts = pattern.replace("\\", "/").split("/")
    if parts.count("**") > 1 or len(pattern) > _LONGEST_PATTERN or (".." in parts and not is_outside_allowed()):
        return []
    try:
        return list(folder.glob("/".join(parts)))
    except (ValueError, NotImplementedError):
        return []
