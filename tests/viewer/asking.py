"""Requests to the local server as another program makes them."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlencode

import numpy as np

from sinograd.viewer import LocalServer


def ask(server: LocalServer, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> Any:
    """The answer, read whole: `status`, `headers` and `body`."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    return type("Answer", (), {"status": answer.status, "headers": answer.headers, "body": body})


def get(server: LocalServer, path: str, /, **values: object) -> Any:
    """The answer of /api/NAME."""
    return ask(server, f"/api/{path}?{urlencode({**values, 'token': server.token})}")


def array(server: LocalServer, name: str, **values: object) -> np.ndarray:
    """An array answer."""
    answer = get(server, name, **values)
    assert answer.status == 200, answer.body
    shape = [int(n) for n in answer.headers["X-Shape"].split(",")]
    return np.frombuffer(answer.body, "<f4").reshape(shape)


def record(server: LocalServer, name: str, **values: object) -> dict[str, Any]:
    """A JSON answer."""
    answer = get(server, name, **values)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)
