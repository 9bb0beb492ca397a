"""The recipe of a scan that is given view by view."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import checks
from sinograd.geometry.checks import Values
from sinograd.geometry.detectors import CurvedDetector, Detector
from sinograd.geometry.motion import move, read_motion
from sinograd.geometry.view_vectors import read_curvature, read_vectors, stack_vectors

if TYPE_CHECKING:
    from sinograd.geometry.base import Geometry


@dataclass(frozen=True, kw_only=True, eq=False)
class Vectors:
    """Any set of views; every argument is checked when it is made, and tensors may require gradients.

    Args:
        detector: without offset.
        sources: source positions of fan and cone beams in mm, [views, 3], in 2-D [views, 2].
        directions: of parallel beams instead, of any length.
        centers: positions of the detector's middle in mm, every offset included; shaped as sources.
        u, v: steps from one column and from one row to the next in mm, shaped as sources; no v in 2-D.
        curvature_centers: of curved detectors, see `ConeBeam.from_vectors`.
        motion: of the object, see `Circular`.

    Raises:
        TypeError, ValueError: naming the argument.
    """

    detector: Detector
    centers: Values
    u: Values
    v: Values | None = None
    sources: Values | None = None
    directions: Values | None = None
    curvature_centers: Values | None = None
    motion: Values | None = None

    scan: ClassVar[str] = "vectors"

    def __post_init__(self) -> None:
        if (self.sources is None) == (self.directions is None):
            raise InputError("Vectors needs sources or directions, and not both")
        name = "directions" if self.parallel else "sources"
        first, center, u, v = read_vectors(self.detector, getattr(self, name), name, self.centers, self.u, self.v)
        if self.parallel:
            if isinstance(self.detector, CurvedDetector):
                raise InputError(f"directions: parallel rays need a FlatDetector, got {self.detector!r}")
            length = first.norm(dim=-1, keepdim=True)
            if (length == 0).any():
                raise InputError(f"directions[{int((length == 0).nonzero()[0, 0])}] is zero")
            first = first / length
        values: dict[str, object] = {name: first, "centers": center, "u": u, "v": v}
        values["curvature_centers"] = read_curvature(self.detector, self.curvature_centers, len(center))
        values["motion"] = read_motion(self.motion, len(center), self.detector.ndim + 1)
        for key, value in values.items():
            object.__setattr__(self, key, value)

    @property
    def parallel(self) -> bool:
        """Whether the rays are parallel."""
        return self.sources is None

    def geometry(self) -> Geometry:
        """The parallel, fan or cone beam of this recipe; motion is worked into its vectors."""
        from sinograd.geometry.cone import ConeBeam
        from sinograd.geometry.fan import FanBeam
        from sinograd.geometry.parallel import ParallelBeam

        beam = ParallelBeam if self.parallel else FanBeam if self.detector.ndim == 1 else ConeBeam
        still = beam._of(replace(self, motion=None))
        return still if self.motion is None else still.at(self.vectors())

    def arguments(self, names: Iterable[str]) -> dict[str, Any]:
        """Those arguments without gradients."""
        return {name: checks.plain(getattr(self, name)) for name in names}

    def vectors(self) -> Tensor:
        """Per-view vectors as `Geometry.vectors`, float64 [views, 4 or 5, 3]; they follow what requires gradients."""
        first = self.directions if self.parallel else self.sources
        vectors = stack_vectors(self.detector, first, self.centers, self.u, self.v, self.curvature_centers)  # type: ignore[arg-type]
        return vectors if self.motion is None else move(vectors, self.motion, not self.parallel)  # type: ignore[arg-type]
