"""What the page of volumes asks for: planes of any level, histogram, values, measures, the 3-D copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from sinograd.errors import InputError, InputIndexError
from sinograd.viewer import measures
from sinograd.viewer.answers import answered, array_answer, json_answer, numbers, page, static, whole_number, word
from sinograd.viewer.nifti import nifti_bytes, nifti_length
from sinograd.viewer.pyramid import AXES, Part
from sinograd.viewer.requests_in_order import Latest, Superseded
from sinograd.viewer.shown import ShownVolume

MOST_3D = 384  # voxels along an axis of what a browser draws in 3-D


class VolumeApp:
    """The answers for some volumes."""

    def __init__(self, volumes: Sequence[ShownVolume]) -> None:
        self.shown = list(volumes)
        self._latest = Latest()

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [Route("/", page("view.html")), Route("/static/{name:path}", static)]
        for name in ("volumes", "slice", "histogram", "value", "profile", "region", "projection", "oblique", "nifti"):
            routes.append(Route(f"/api/{name}", answered(getattr(self, name))))
        return Starlette(routes=routes)

    def volumes(self, request: Request) -> Response:
        """Facts of all volumes."""
        return json_answer({"volumes": [shown.facts for shown in self.shown]})

    def slice(self, request: Request) -> Response:
        """The slice `index` of a `level` across an `axis` as float32; with `minus=K` less that of volume K.

        With `part` (first row, end, first column, end) that part of it. X-Quick is the finest level in memory.
        """
        axis, index = word(request, "axis", AXES), whole_number(request, "index")
        level, part = whole_number(request, "level", 0), _part(request)

        def plane(shown: ShownVolume) -> tuple[np.ndarray, dict[str, Any]]:
            values = shown.pyramid.plane(level, axis, index, part)
            quick = shown.pyramid.quick
            return values, {"level": level} if quick is None else {"level": level, "quick": quick}

        return self._plane(request, plane)

    def projection(self, request: Request) -> Response:
        """The largest values or the mean along an axis, of a copy of at most 384 voxels a side; `minus` as `slice`."""
        axis, kind = word(request, "axis", AXES), word(request, "kind", ("max", "mean"))

        def plane(shown: ShownVolume) -> tuple[np.ndarray, dict[str, Any]]:
            values, level = measures.projection(shown.pyramid, axis, kind)
            return values, {"level": level}

        return self._plane(request, plane)

    def oblique(self, request: Request) -> Response:
        """A plane through `middle` (x,y,z), turned by `turn` and tilted by `tilt` degrees."""
        x, y, z = numbers(request, "middle", 3)
        turn, tilt = numbers(request, "angles", 2)

        def plane(shown: ShownVolume) -> tuple[np.ndarray, dict[str, Any]]:
            values, step, level = measures.oblique(shown.pyramid, (x, y, z), turn, tilt)
            return values, {"level": level, "step": step}

        return self._plane(request, plane)

    def histogram(self, request: Request) -> Response:
        """Counts of a volume's values."""
        shown = self._volume(request)
        return json_answer({**shown.histogram(), **shown.window, "complete": shown.complete})

    def value(self, request: Request) -> Response:
        """The value of the voxel `at` (z,y,x)."""
        shown = self._volume(request)
        z, y, x = (int(number) for number in numbers(request, "at", 3))
        return json_answer({"value": shown.pyramid.value((z, y, x)), "unit": shown.source.unit})

    def profile(self, request: Request) -> Response:
        """Values along a line `line` (row,column,row,column) of a slice."""
        axis, index = word(request, "axis", AXES), whole_number(request, "index")
        a, b, c, d = numbers(request, "line", 4)
        return json_answer(measures.profile(self._volume(request).pyramid, axis, index, (a, b), (c, d)))

    def region(self, request: Request) -> Response:
        """Statistics of a box `box` (first row, end, first column, end) of a slice."""
        axis, index = word(request, "axis", AXES), whole_number(request, "index")
        a, b, c, d = (int(number) for number in numbers(request, "box", 4))
        return json_answer(measures.region(self._volume(request).pyramid, axis, index, (a, b, c, d)))

    def nifti(self, request: Request) -> Response:
        """The finest level of at most 384 voxels a side, as a NIfTI file."""
        shown = self._volume(request)
        level = shown.pyramid.level(shown.pyramid.finest_within(MOST_3D))
        low, high = shown.window["low"], shown.window["high"]
        if low is None:
            raise InputError(f"{shown.name}: none of its values is finite")
        headers = {"Content-Length": str(nifti_length(level))}
        return StreamingResponse(nifti_bytes(level, low, high), media_type="application/octet-stream", headers=headers)

    def _volume(self, request: Request, name: str = "volume") -> ShownVolume:
        number = whole_number(request, name, 0)
        if not 0 <= number < len(self.shown):
            raise InputIndexError(f"{name}: expected 0 to {len(self.shown) - 1}, got {number}")
        return self.shown[number]

    def _plane(self, request: Request, plane: Callable[[ShownVolume], tuple[np.ndarray, dict[str, Any]]]) -> Response:
        """A plane of `volume`, less that of `minus`; nothing where a newer request of its channel came."""
        channel, number = request.query_params.get("channel"), whole_number(request, "number", 0)
        shown = self._volume(request)
        other = self._volume(request, "minus") if "minus" in request.query_params else None
        try:
            with self._latest.turn(channel, number):
                values, facts = plane(shown)
                if other is not None:
                    self._latest.check(channel, number)
                    taken, _ = plane(other)
                    if taken.shape != values.shape:
                        raise InputError(
                            f"the difference needs volumes of one shape, got {values.shape} and {taken.shape}"
                        )
                    values = values - taken
        except Superseded:
            return Response(status_code=204)
        return array_answer(values, **facts)


def _part(request: Request) -> Part | None:
    if "part" not in request.query_params:
        return None
    a, b, c, d = (int(number) for number in numbers(request, "part", 4))
    return a, b, c, d
