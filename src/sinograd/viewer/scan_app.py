"""What the page of a scan asks for: projections, sinograms, references, dead pixels, the picture of its orbit."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sinograd.errors import InputError, InputIndexError
from sinograd.viewer.answers import answered, array_answer, json_answer, page, static, whole_number, word
from sinograd.viewer.requests_in_order import Latest, Superseded

if TYPE_CHECKING:
    from sinograd.data import Scan

IMAGES = ("projection", "sinogram", "reference", "dark", "dead")
_SINOGRAM_BYTES = 64 << 20  # of the views that are read at a time
_DEAD_SHARE = 0.3  # of the neighbours' response; what `prepare` takes by default


class ScanApp:
    """The answers for one scan."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self._latest = Latest()

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [Route("/", page("scan.html")), Route("/static/{name:path}", static)]
        routes += [Route(f"/api/{name}", answered(getattr(self, name))) for name in ("scan_facts", "image", "orbit")]
        return Starlette(routes=routes)

    def scan_facts(self, request: Request) -> Response:
        """Which images there are, and how many of each."""
        scan = self.scan
        views, *pixels = scan.shape
        calibration = scan.calibration
        counts = {"projection": views if len(pixels) == 2 else 0, "sinogram": pixels[0] if len(pixels) == 2 else 1}
        counts["reference"] = 0 if calibration is None else calibration.references
        counts["dark"] = 0 if calibration is None else calibration.darks
        counts["dead"] = 1 if counts["reference"] else 0
        angles = scan.geometry.angles
        return json_answer(
            {
                "name": scan.name.rpartition("/")[2],
                "about": f"{views} views of {' x '.join(map(str, pixels))} pixels, {scan.kind}",
                "counts": counts,
                "angles": None if angles is None else np.rad2deg(angles.numpy()),
                "metadata": {str(k): str(v)[:200] for k, v in list(scan.metadata.items())[:40]},
            }
        )

    def image(self, request: Request) -> Response:
        """The image `index` of a `kind`, float32 [row, column]; sinograms [view, column]."""
        kind, index = word(request, "kind", IMAGES), whole_number(request, "index", 0)
        channel, number = request.query_params.get("channel"), whole_number(request, "number", 0)
        try:
            with self._latest.turn(channel, number):
                return array_answer(self._image(kind, index))
        except Superseded:
            return Response(status_code=204)

    def orbit(self, request: Request) -> Response:
        """Where the source stood (seen from +z), which directions of rays are missing, and what that is in words."""
        from sinograd.recon import coverage

        geometry = self.scan.geometry
        source = geometry.vectors[:, 0].numpy()
        place = source[:, :2] if geometry.divergent else -source[:, :2]
        found: dict[str, Any] = {"source": place, "divergent": geometry.divergent, "radius": geometry.field_of_view / 2}
        found["height"] = source[:, 2] if geometry.divergent and geometry.ndim == 3 else None
        try:
            measured = coverage(geometry)
        except ValueError as error:
            return json_answer({**found, "text": f"coverage: {error}", "missing": None})
        arcs = {"gaps": measured.gaps_deg, "directions": measured.directions_deg, "views": measured.views_deg}
        more = {"missing": measured.missing, "complete_radius": measured.complete_radius, **arcs}
        return json_answer({**found, **more, "needed": measured.missing_views_deg, "text": str(measured)})

    def _image(self, kind: str, index: int) -> np.ndarray:
        views, *pixels = self.scan.shape
        if kind == "projection":
            if len(pixels) == 1:
                raise InputError("kind: a 2-D scan has a sinogram and no projections")
            _check(index, views)
            return self.scan.load(slice(index, index + 1))[0].numpy()
        if kind == "sinogram":
            _check(index, pixels[0] if len(pixels) == 2 else 1)
            return self._sinogram(index)
        calibration, name = self.scan.calibration, "dark" if kind == "dark" else "reference"
        if calibration is None or getattr(calibration, name) is None:
            raise InputError(f"kind: the scan has no {name} images")
        if kind == "dead":
            return self._dead
        images = self._images(name)
        _check(index, len(images))
        return images[index]

    def _sinogram(self, row: int) -> np.ndarray:
        from sinograd.data.blocks import view_blocks
        from sinograd.data.projections import read_rows

        if len(self.scan.shape) == 2:
            return self.scan.load().numpy()
        parts = []
        for first, end in view_blocks(self.scan.shape, 4, _SINOGRAM_BYTES):
            rows = read_rows(self.scan.projections, slice(first, end), slice(row, row + 1))
            parts.append(np.array(rows, dtype=np.float32).reshape(end - first, -1))
        return np.concatenate(parts)

    def _images(self, name: str) -> np.ndarray:
        """References or dark images [n, rows, columns], float32."""
        assert self.scan.calibration is not None
        images = self.scan.calibration.load(name).float().numpy()
        return images if images.ndim == 3 else images[:, None]

    @cached_property
    def _dead(self) -> np.ndarray:
        """1 where the mean response of the references is at most 30 % of the median about it, else 0."""
        from scipy.ndimage import median_filter

        assert self.scan.calibration is not None
        mean = self._images("reference").mean(axis=0, dtype=np.float64)
        if self.scan.calibration.dark is not None:
            mean = mean - self._images("dark").mean(axis=0, dtype=np.float64)
        return (mean <= _DEAD_SHARE * median_filter(mean, 5)).astype(np.float32)


def _check(index: int, count: int) -> None:
    if not 0 <= index < count:
        raise InputIndexError(f"index: expected 0 to {count - 1}, got {index}")
