"""What the page of sliders asks for: slices, neighbouring values side by side, the configuration, the job."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sinograd.choices import WINDOWS
from sinograd.data.units import number_text
from sinograd.errors import InputError
from sinograd.viewer.answers import answered, array_answer, json_answer, page, static, whole_number, word
from sinograd.viewer.requests_in_order import Latest, Superseded
from sinograd.viewer.settings import TRUNCATION, Settings
from sinograd.viewer.tuned_job import TunedJob
from sinograd.viewer.tuning import COARSE, STRIP, Picture, Tuning, sharpness
from sinograd.workflows.turning import can_turn

_SIDES = {"full": None, "medium": STRIP, "coarse": COARSE}
_STEPS = (-2, -1, 0, 1, 2)
NEIGHBOURS = ("center", "tilt", "roll", "row_offset", "cutoff", "hardening")


class TuneApp:
    """The answers for one scan."""

    def __init__(self, tuning: Tuning, job: TunedJob) -> None:
        self.tuning, self.job = tuning, job
        self._latest = Latest()

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [Route("/", page("tune.html")), Route("/static/{name:path}", static)]
        for name in ("scan", "slice", "neighbours", "status"):
            routes.append(Route(f"/api/{name}", answered(getattr(self, name))))
        for name in ("config", "start", "cancel"):
            routes.append(Route(f"/api/{name}", _posted(getattr(self, name)), methods=["POST"]))
        return Starlette(routes=routes)

    def scan(self, request: Request) -> Response:
        """Facts: the grid, and what the sliders reach."""
        scan, grid = self.tuning.scan, self.tuning.grid(Settings())
        detector = scan.geometry.detector
        reach = 0.05 * detector.columns
        return json_answer(
            {
                "name": scan.name.rpartition("/")[2],
                "about": f"{len(scan.geometry)} views of {' x '.join(map(str, detector.shape))} pixels",
                "slices": grid.shape[0] if grid.ndim == 3 else 1,
                "shape": grid.shape[-2:],
                "voxel": grid.spacing[-1],
                "length_unit": scan.length_unit,
                "unit_text": number_text("", scan.volume_unit).strip(),
                "windows": WINDOWS.names(),
                "truncations": TRUNCATION,
                "defaults": dataclasses.asdict(Settings()),
                "can_turn": can_turn(scan.geometry),
                "is_3d": grid.ndim == 3,
                "center_reach": max(2.0, round(reach)),
                "row_reach": 0.05 * detector.rows * detector.row_spacing if grid.ndim == 3 else 0.0,
                "output": str(self.job.output),
            }
        )

    def slice(self, request: Request) -> Response:
        """A slice of `settings`, `quality=full`, `medium` or `coarse`; nothing where a newer request of a channel came.

        `over` names channels whose work in progress this request ends.
        """
        settings, index = Settings.of(request.query_params.get("settings", "{}")), whole_number(request, "index", 0)
        side = _SIDES[word(request, "quality", tuple(_SIDES))]
        channel, number = request.query_params.get("channel"), whole_number(request, "number", 0)
        for other in filter(None, request.query_params.get("over", "").split(",")):
            self._latest.note(other, number)
        try:
            with self._latest.turn(channel, number):
                made = self.tuning.slice(settings, index, side, lambda: self._latest.check(channel, number))
        except Superseded:
            return Response(status_code=204)
        return array_answer(made.values, **_facts(made))

    def neighbours(self, request: Request) -> Response:
        """Coarse slices [5, y, x] at values about that of the slider `name`, `step` apart, with their sharpness."""
        settings, index = Settings.of(request.query_params.get("settings", "{}")), whole_number(request, "index", 0)
        name = word(request, "name", NEIGHBOURS)
        channel, number = request.query_params.get("channel"), whole_number(request, "number", 0)
        try:
            step = float(request.query_params.get("step", "1"))
        except ValueError:
            raise InputError(f"step: expected a number, got {request.query_params['step']!r:.40}") from None
        middle = getattr(settings, name)
        values = [middle + k * step for k in _STEPS]
        if name == "cutoff":
            values = [min(1.0, max(0.0, value)) for value in values]
        try:
            with self._latest.turn(channel, number):
                check = lambda: self._latest.check(channel, number)  # noqa: E731
                others = [Settings.of(json.dumps({**dataclasses.asdict(settings), name: v})) for v in values]
                made = [self.tuning.slice(other, index, STRIP, check).values for other in others]
        except Superseded:
            return Response(status_code=204)
        shape = np.min([picture.shape for picture in made], axis=0)
        made = [picture[: shape[0], : shape[1]] for picture in made]
        scores = ",".join(f"{sharpness(picture):.6g}" for picture in made)
        return array_answer(np.stack(made), positions=",".join(f"{v:.9g}" for v in values), scores=scores)

    def config(self, settings: Settings) -> dict[str, Any]:
        """Write the configuration."""
        return self.job.write_config(settings)

    def start(self, settings: Settings) -> dict[str, Any]:
        """Start the command."""
        return self.job.start(settings)

    def cancel(self, settings: Settings) -> dict[str, Any]:
        """Interrupt the command."""
        self.job.cancel()
        return self.job.status()

    def status(self, request: Request) -> Response:
        """How far the command is."""
        return json_answer(self.job.status())


def _facts(made: Picture) -> dict[str, Any]:
    """Where the slice lies, and how long it took."""
    y, x = (float(axis[0]) for axis in made.slice.axes()[-2:])
    z = made.slice.center[2] if made.slice.ndim == 3 else 0.0
    return {
        "spacing": ",".join(f"{s:.9g}" for s in made.slice.spacing[-2:]),
        "first": f"{y:.9g},{x:.9g}",
        "height": f"{z:.9g}",
        "slices": made.grid.shape[0] if made.grid.ndim == 3 else 1,
        "seconds": f"{sum(made.seconds.values()):.4f}",
        "sharpness": f"{sharpness(made.values):.6g}",
    }


def _posted(does: Any) -> Any:
    async def answer(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        body = (await request.body()).decode("utf-8", "replace")
        return await run_in_threadpool(answered(lambda _: json_answer(does(Settings.of(body or "{}")))), request)

    return answer
