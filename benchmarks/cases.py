"""The work that is measured, as plain numbers: read by sinograd's process and by every peer's."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Case:
    """One scan and what is done with it. Lengths in mm; the volume is a cube (`rows` = 0: a square slice).

    Attributes:
        name: what `run.py` calls it.
        work: "fdk", "fbp", "backprojection" (voxel-driven), "forward" or "adjoint" (Joseph), "bilateral" or
            "bilateral-backward" (its gradients), "sirt" or "cgls".
        beam: "cone", "fan" or "parallel".
        voxels, spacing: of the volume, along each axis.
        columns, rows, pixel: of the detector.
        arc: the angle that the views cover evenly, the end excluded, rad.
        tilt: turn of the detector about its rows, rad (see `sinograd.ConeBeam`).
        weighting: of a voxel-driven backprojection: "none" or "fdk".
        depth: voxels along z where they are not as many as along x and y.
        window: voxels across of a bilateral filter, along every axis.
        iterations: of "sirt" and "cgls".
    """

    name: str
    work: str
    beam: str
    voxels: int
    spacing: float
    columns: int
    rows: int
    pixel: float
    views: int
    arc: float = 2 * math.pi
    source_to_origin: float = 1000.0
    source_to_detector: float = 1500.0
    tilt: float = 0.0
    weighting: str = "none"
    depth: int | None = None
    window: int = 0
    iterations: int = 0

    @property
    def volume_shape(self) -> tuple[int, ...]:
        """(z,) y, x."""
        plane = (self.voxels, self.voxels)
        return (self.depth or self.voxels, *plane) if self.rows else plane

    @property
    def projection_shape(self) -> tuple[int, ...]:
        """views, (rows,) columns."""
        return (self.views, self.rows, self.columns) if self.rows else (self.views, self.columns)

    @property
    def angles(self) -> list[float]:
        """Gantry angle of each view, rad."""
        return [self.arc * i / self.views for i in range(self.views)]

    @property
    def reads_volume(self) -> bool:
        """Whether the work starts from the volume; else it starts from projections."""
        return self.work == "forward" or self.window > 0

    @property
    def updates(self) -> int:
        """Voxels x views for voxel-driven work, rays x planes of the volume for Joseph's (at most: rays can miss).

        For filters voxels x neighbours, those outside the volume not counted.
        """
        if self.window:
            return math.prod(_neighbours(n, self.window // 2) for n in self.volume_shape)
        if self.work in ("forward", "adjoint"):
            return math.prod(self.projection_shape) * self.voxels
        return math.prod(self.volume_shape) * self.views

    def at_size(self, size: int) -> Case:
        """The same scan with `size` voxels a side (odd stays odd), and pixels and views in proportion."""
        size = size // 2 * 2 + self.voxels % 2
        factor = size / self.voxels
        return replace(
            self,
            voxels=size,
            spacing=self.spacing / factor,
            columns=round(self.columns * factor),
            rows=round(self.rows * factor),
            pixel=self.pixel / factor,
            views=max(8, round(self.views * factor)),
            depth=self.depth and round(self.depth * factor),
        )

    def deep(self, depth: int, views: int) -> Case:
        """The same scan with another number of voxels along z, as many rows, and other views."""
        return replace(self, depth=depth, rows=depth, views=views)


def _neighbours(voxels: int, radius: int) -> int:
    """Pairs of a voxel and a neighbour (or itself) in a line of voxels."""
    return sum(min(i + radius, voxels - 1) - max(i - radius, 0) + 1 for i in range(voxels))


def _filter(name: str, work: str, depth: int | None) -> Case:
    """Slices of 512 x 512, as in the paper; one image without a depth."""
    return Case(name, work, "none", 512, 0.5, 512, rows=depth or 0, pixel=0.5, views=1, depth=depth, window=5)


def _cone(name: str, work: str, **changes: object) -> Case:
    case_a = Case(name, work, "cone", voxels=256, spacing=1.0, columns=256, rows=256, pixel=1.6, views=360)
    return replace(case_a, **changes)


CASES = {
    case.name: case
    for case in (
        _cone("fdk", "fdk"),
        _cone("backprojection", "backprojection", weighting="fdk"),
        _cone("forward", "forward"),
        _cone("adjoint", "adjoint"),
        _cone("general-backprojection", "backprojection", tilt=math.radians(2)),
        _cone("general-forward", "forward", tilt=math.radians(2)),
        Case("fan-fbp", "fbp", "fan", 512, 0.5, columns=512, rows=0, pixel=0.8, views=720),
        # an odd number of columns: scikit-image rotates about column n // 2, which then is the middle one
        Case("parallel-fbp", "fbp", "parallel", 511, 0.5, columns=511, rows=0, pixel=0.5, views=720, arc=math.pi),
        _filter("bilateral-forward", "bilateral", 21),
        _filter("bilateral-backward", "bilateral-backward", 21),
        _filter("bilateral-image", "bilateral", None),
    )
}
# Of the bilateral filters: voxels, and units of the phantom, whose values are 0 to 1, with the noise added to it.
SIGMA_SPATIAL, SIGMA_RANGE, NOISE = 0.8, 0.1, 0.05
LARGE = _cone("fdk-512", "fdk", voxels=512, spacing=0.5, columns=512, rows=512, pixel=0.8, views=720)

# What each peer can do on a CPU, and how that differs from what is asked for.
PEERS: dict[str, dict[str, str]] = {
    "rtk": {
        "fdk": "",
        "backprojection": "",
        "forward": "",
        "adjoint": "",
        "general-backprojection": "",
        "general-forward": "",
        "fan-fbp": "FDK of one slice from three equal detector rows",
    },
    "astra": {
        "fan-fbp": "backprojection along lines alone: no FBP of fan beams on the CPU",
        "parallel-fbp": "",
    },
    "skimage": {
        "parallel-fbp": "",
        "bilateral-image": "its spatial weights are misplaced by an element in version 0.26; pads with zeros",
    },
    "fourier": {"parallel-fbp": "non-uniform Fourier transforms by FINUFFT, rows interpolated by them"},
    "sitk": {
        "bilateral-forward": "range weights from a table that ends at 4 sigma; repeats the border",
        "bilateral-image": "range weights from a table that ends at 4 sigma; repeats the border",
    },
}
# Where a peer does only a part of the work, so that its result means something else.
PARTIAL = {("astra", "fan-fbp")}
