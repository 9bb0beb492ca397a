"""Answers of the local server, and what it reads from requests."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from sinograd.errors import InputError, InputIndexError, OutOfMemory, SinogradError

_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".txt": "text/plain"}
Endpoint = Callable[[Request], Response]


def array_answer(values: np.ndarray, **facts: Any) -> Response:
    """Numbers as little-endian float32, the last axis fastest, with their shape in headers: X-Shape "512,640"."""
    body = np.ascontiguousarray(values, dtype="<f4").tobytes()
    headers = {"X-Shape": ",".join(map(str, values.shape)), "X-Dtype": "float32", "X-Byte-Order": "little"}
    headers |= {f"X-{name.replace('_', '-').title()}": str(value) for name, value in facts.items()}
    return Response(body, media_type="application/octet-stream", headers=headers)


def json_answer(value: Any, status: int = 200) -> Response:
    """A JSON text; numbers that are not finite become null."""
    return JSONResponse(_plain(value), status)


def answered(endpoint: Endpoint) -> Endpoint:
    """The endpoint, whose errors become answers: {"error": "..."} with 400, 404 (no such slice) or 503 (memory)."""

    @functools.wraps(endpoint)
    def answer(request: Request) -> Response:
        try:
            return endpoint(request)
        except InputIndexError as error:
            return json_answer({"error": str(error)}, 404)
        except OutOfMemory as error:
            return json_answer({"error": str(error)}, 503)
        except (SinogradError, OSError) as error:
            return json_answer({"error": str(error) or type(error).__name__}, 400)

    return answer


def page(name: str) -> Endpoint:
    """The page of this name."""

    def answer(request: Request) -> Response:
        return Response(_file(name), media_type="text/html")

    return answer


def static(request: Request) -> Response:
    """A file of the front end by its name; nothing else can be asked for."""
    name = request.path_params["name"]
    if name not in files():
        return PlainTextResponse("not found\n", 404)
    return Response(_file(name), media_type=_TYPES.get("." + name.rpartition(".")[2], "application/octet-stream"))


@functools.cache
def files() -> frozenset[str]:
    """Names of the files of the front end, with `vendor/` before those of others."""
    folder = resources.files("sinograd.view").joinpath("static")
    own = [file.name for file in folder.iterdir() if file.is_file()]
    return frozenset([*own, *(f"vendor/{file.name}" for file in folder.joinpath("vendor").iterdir())])


def _file(name: str) -> bytes:
    return resources.files("sinograd.view").joinpath("static", *name.split("/")).read_bytes()


def whole_number(request: Request, name: str, default: int | None = None) -> int:
    """A whole number of the query; InputError, which names it, where it is missing or none."""
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    try:
        return int(text or "")
    except ValueError:
        raise InputError(f"{name}: expected a whole number, got {text!r:.40}") from None


def numbers(request: Request, name: str, count: int) -> tuple[float, ...]:
    """Finite numbers of the query with commas between them; InputError, which names it, for others."""
    text = request.query_params.get(name, "")
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count or not all(map(math.isfinite, values)):
        raise InputError(f"{name}: expected {count} numbers with commas between them, got {text!r:.60}")
    return values


def word(request: Request, name: str, allowed: tuple[str, ...]) -> str:
    """One of some words of the query; the first where it is missing."""
    value = request.query_params.get(name, allowed[0])
    if value not in allowed:
        raise InputError(f"{name}: expected one of {', '.join(allowed)}, got {value!r:.40}")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
