"""Where paired volumes come from, as plain dataclasses: the `pairs` and `patches` of a training or evaluation file.

    pairs:
      layout: mayo2016              # folders of the Low Dose CT Grand Challenge 2016
      folder: Training_Image_Data
      thickness_mm: 3               # of the slices; needed where there are several
      kernel: null                  # part of the folders' names such as B30; needed where there are several
      patients: [L067, L096]        # left out: all
      padding: air                  # what was not measured becomes -1000 HU; keep: stays; here and in all DICOM slices

      layout: ldct-and-projection   # TCIA's LDCT-and-Projection-data, as ldct-benchmark downloads it
      folder: /data                 # in which LDCT-and-Projection-data lies, or that folder itself
      split: train                  # patients of ldct-benchmark's train, val or test; null: all that are there
      groups: [chest, abdomen]      # left out: all; patients: as above
      info: null                    # another info.yml of ldct-benchmark than its published one

      layout: volumes               # files that `sinograd.read_volume` reads, or folders of DICOM slices
      unit: HU                      # of the values: HU, 1/mm, mg/cm3 or "1" (DICOM: HU)
      files:
      - {input: low.h5, target: normal.h5, name: "", patient: "", group: ""}
      - {input: [noise-1.h5, noise-2.h5]}     # realisations of the noise
      folder: null                  # instead of files: FOLDER/input/NAME and FOLDER/target/NAME, by their names

      layout: phantoms              # simulated when they are asked for: exact projections, photon noise, FDK
      phantom: abdomen              # or bone, tibia, shepp-logan ...
      count: 8
      first_seed: 0
      shape: [8, 128, 128]
      voxel_mm: null                # null: the phantom fills the grid
      scan: {beam: cone, views: 360, photons: 1.0e4}
      realisations: 1
      target: reconstruction        # of exact (or target_photons) projections; voxels: the object itself; none
      unit: 1/mm                    # or HU (of water_per_mm)
      cache_mb: 1024

      layout: own-volume            # a normal-dose volume, and what a lower dose would have made of it
      files: [normal.h5]
      unit: HU
      scan: {beam: fan, views: 720, photons: 1.0e5}
      ...                           # realisations, target (volume, reconstruction or none), seed, cache_mb
    patches: {size: 64, per_batch: 16, step: 1, per_place: 1, augment: true, weights: patient, pad: null,
              cache_mb: 1024}

Paths are relative to the file's folder: `with_absolute_paths`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from sinograd.choices import PHANTOMS, WINDOWS
from sinograd.config.schema import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, Check, OneOf
from sinograd.datasets.pairs import PairedVolume, Unit
from sinograd.datasets.patches import Patches

_SHAPE = Check("three whole numbers of at least 1 (z, y, x)", lambda value: all(n >= 1 for n in value))
_NOT_EMPTY = Check("a list that is not empty", lambda value: not isinstance(value, tuple) or len(value) > 0)

Count = Annotated[int, AT_LEAST_ONE]
Positive = Annotated[float, POSITIVE]
Group = Literal["chest", "abdomen", "neuro"]
Padding = Literal["air", "keep"]
T = TypeVar("T")


@dataclass(frozen=True)
class ScanSpec:
    """The scan that a simulation makes.

    Attributes:
        beam: cone (FDK) or fan (each slice by itself, FBP).
        views: over one turn; null: 360, or those of the scanner.
        photons: per detector element and view, unattenuated, of the low dose.
        target_photons: of the target's scan; null: no noise.
        electronic_noise: standard deviation in photons.
        scanner: name or file of a geometry; null: one whose detector covers the grid, with elements of a voxel's size
            at the axis.
        window: of the ramp filter.
    """

    beam: Literal["cone", "fan"] = "cone"
    views: Count | None = None
    photons: Positive = 1e4
    target_photons: Positive | None = None
    electronic_noise: Annotated[float, NOT_NEGATIVE] = 0.0
    scanner: str | None = None
    window: Annotated[str, OneOf(WINDOWS)] = "ram-lak"


@dataclass(frozen=True)
class Mayo2016:
    """Full and quarter dose of the Low Dose CT Grand Challenge; see `datasets.mayo2016`.

    Attributes:
        layout: mayo2016.
        folder: of the data.
        thickness_mm: of the slices; needed if there are several.
        kernel: part of the folders' names such as B30; needed if there are several.
        patients: L067 ...; empty: all.
        padding: "air" makes what the scanner did not measure (PixelPaddingValue, or -2000 HU and below) -1000 HU,
            "keep" leaves it.
    """

    layout: Literal["mayo2016"]
    folder: Path
    thickness_mm: Count | None = None
    kernel: str | None = None
    patients: tuple[str, ...] = ()
    padding: Padding = "air"


@dataclass(frozen=True)
class LdctAndProjection:
    """LDCT-and-Projection-data with the patient splits of ldct-benchmark; see `datasets.ldct_and_projection`.

    Attributes:
        layout: ldct-and-projection.
        folder: in which LDCT-and-Projection-data lies, or that folder itself.
        split: patients of ldct-benchmark's train, val or test; null: all that are there.
        groups: body parts; empty: all.
        patients: their names; empty: all.
        info: another info.yml of ldct-benchmark than its published one.
        padding: as for mayo2016.
    """

    layout: Literal["ldct-and-projection"]
    folder: Path
    split: Literal["train", "val", "test"] | None = None
    groups: tuple[Group, ...] = ()
    patients: tuple[str, ...] = ()
    info: Path | None = None
    padding: Padding = "air"


@dataclass(frozen=True)
class PairFiles:
    """Files of one pair; several inputs are realisations of the noise.

    Attributes:
        input: a volume file or a folder of DICOM slices; several are realisations of the noise.
        target: the same of the normal dose.
        name, patient: by default the input's name, after its folders' where several files have it.
        group: the body part.
    """

    input: Path | Annotated[tuple[Path, ...], _NOT_EMPTY]
    target: Path | None = None
    name: str = ""
    patient: str = ""
    group: str = ""


@dataclass(frozen=True)
class Volumes:
    """Volume files or DICOM folders, named one by one or paired by name in FOLDER/input and FOLDER/target.

    Attributes:
        layout: volumes.
        unit: of the values; of DICOM slices HU.
        files: pairs, one by one.
        folder: instead of files: FOLDER/input/NAME and FOLDER/target/NAME.
        padding: as for mayo2016.
    """

    layout: Literal["volumes"]
    unit: Unit
    files: tuple[PairFiles, ...] = ()
    folder: Path | None = None
    padding: Padding = "air"


@dataclass(frozen=True)
class Phantoms:
    """Simulated phantoms: exact projections, photon noise, FDK or FBP; see `datasets.phantom_pairs`.

    Attributes:
        layout: phantoms.
        phantom: its name.
        count: how many, with the seeds first_seed, first_seed + 1 ...
        first_seed: of the phantoms.
        shape: voxels (z, y, x).
        voxel_mm: null: the phantom fills the grid.
        scan: the simulated scan.
        realisations: draws of the noise.
        target: the reconstruction of exact (or target_photons) projections, the object's voxels, or none.
        unit: of the values.
        water_per_mm: attenuation of water, for HU.
        cache_mb: memory for simulated volumes.
    """

    layout: Literal["phantoms"] = "phantoms"
    phantom: Annotated[str, OneOf(PHANTOMS)] = "abdomen"
    count: Count = 8
    first_seed: Annotated[int, NOT_NEGATIVE] = 0
    shape: Annotated[tuple[int, int, int], _SHAPE] = (8, 128, 128)
    voxel_mm: Positive | None = None
    scan: ScanSpec = field(default_factory=ScanSpec)
    realisations: Count = 1
    target: Literal["reconstruction", "voxels", "none"] = "reconstruction"
    unit: Literal["1/mm", "HU"] = "1/mm"
    water_per_mm: Positive = 0.0193
    cache_mb: Annotated[int, NOT_NEGATIVE] = 1024


@dataclass(frozen=True)
class OwnVolume:
    """Low dose simulated from normal-dose volumes; see `datasets.own_volume`.

    Attributes:
        layout: own-volume.
        files: volumes.
        unit: of their values.
        scan: the simulated scan.
        realisations: draws of the noise.
        target: the volume itself, its reconstruction without noise, or none.
        water_per_mm: attenuation of water, for HU.
        seed: of the noise.
        group: the body part.
        padding: as for mayo2016.
        cache_mb: memory for simulated volumes.
    """

    layout: Literal["own-volume"]
    files: Annotated[tuple[Path, ...], _NOT_EMPTY]
    unit: Literal["1/mm", "HU"]
    scan: ScanSpec = field(default_factory=lambda: ScanSpec(beam="fan", photons=1e5))
    realisations: Count = 1
    target: Literal["volume", "reconstruction", "none"] = "volume"
    water_per_mm: Positive = 0.0193
    seed: Annotated[int, NOT_NEGATIVE] = 0
    group: str = ""
    padding: Padding = "air"
    cache_mb: Annotated[int, NOT_NEGATIVE] = 1024


PairsSpec = Mayo2016 | LdctAndProjection | Volumes | Phantoms | OwnVolume


@dataclass(frozen=True)
class PatchesSpec:
    """Random patches; see `datasets.Patches`.

    Attributes:
        size: one number, height and width, or three for volumes.
        per_batch: patches of a step.
        step: patches start at multiples of so many voxels, one number or one for each axis of `size`.
        per_place: of each place in a batch, the patches of so many different realisations.
        augment: turn and flip them at random.
        weights: draw each patient or each slice equally often.
        pad: value around slices that are smaller than a patch; also what stands for "not measured".
        cache_mb: memory for slices.
    """

    size: Count | tuple[Count, Count] | tuple[Count, Count, Count] = 64
    per_batch: Count = 16
    step: Count | tuple[Count, Count] | tuple[Count, Count, Count] = 1
    per_place: Count = 1
    augment: bool = True
    weights: Literal["patient", "slice"] = "patient"
    pad: float | None = None
    cache_mb: Annotated[int, NOT_NEGATIVE] = 1024

    def build(self, pairs: Sequence[PairedVolume]) -> Patches:
        """The patches of these pairs."""
        return Patches(
            pairs,
            self.size,
            per_batch=self.per_batch,
            step=self.step,
            per_place=self.per_place,
            pad=self.pad,
            weights=self.weights,
            augment=self.augment,
            cache_bytes=self.cache_mb << 20,
        )


def with_absolute_paths(spec: T, folder: Path) -> T:
    """The same dataclass with every relative path in it taken from `folder`."""
    return _absolute(spec, folder)


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, ScanSpec):
        is_file = value.scanner is not None and value.scanner.endswith((".yaml", ".yml"))
        return dataclasses.replace(value, scanner=str(folder / str(value.scanner))) if is_file else value
    if isinstance(value, tuple):
        return tuple(_absolute(held, folder) for held in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and not callable(value):
        changed = {f.name: _absolute(getattr(value, f.name), folder) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **changed)
    return value
