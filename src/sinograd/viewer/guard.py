"""Who may ask the local server: requests from this machine, from the server's own page, that know its token.

Another page in the same browser can send requests to 127.0.0.1, and a name that an attacker owns can be made to mean
127.0.0.1 (DNS rebinding). So the header Host must name this server, Origin its own page, and every request must have
the token: in the address of the page, in a cookie that the page's answer sets, or in the header X-Sinograd-Token.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = "127.0.0.1"
MOST_BYTES = 64 << 10  # of a request's body
HEADER = "x-sinograd-token"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; font-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ANSWER_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """ASGI middleware that answers 403 to everything else, and 413 to requests with a large body.

    Args:
        app: what answers.
        port: of the server.
        token: of the server.
    """

    def __init__(self, app: ASGIApp, port: int, token: str) -> None:
        self.app, self.token = app, token
        self.hosts = {f"{name}:{port}" for name in (LOOPBACK, "localhost")}
        self.cookie = f"sinograd_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        send = self._answering(scope, send)
        refusal = self._refusal(scope)
        if refusal is not None:
            await PlainTextResponse(refusal + "\n", 403)(scope, receive, send)
            return
        if int(Headers(scope=scope).get("content-length") or 0) > MOST_BYTES:
            await PlainTextResponse(f"at most {MOST_BYTES} bytes are read\n", 413)(scope, receive, send)
            return
        await self.app(scope, _limited(receive), send)

    def _refusal(self, scope: MutableMapping[str, Any]) -> str | None:
        headers = Headers(scope=scope)
        if headers.get("host") not in self.hosts:
            return "the header Host does not name this server"
        origin = headers.get("origin")
        if origin is not None and origin not in {f"http://{host}" for host in self.hosts}:
            return "the header Origin names another page"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "the request comes from another site"
        offered = [headers.get(HEADER), _query_token(scope), self._cookie_of(headers)]
        if not any(secrets.compare_digest(one.encode(), self.token.encode()) for one in offered if one):
            return "open the address with the token, as the command has printed it"
        return None

    def _cookie_of(self, headers: Headers) -> str | None:
        for part in (headers.get("cookie") or "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == self.cookie:
                return value
        return None

    def _answering(self, scope: MutableMapping[str, Any], send: Send) -> Send:
        knows = _query_token(scope) == self.token

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ANSWER_HEADERS.items():
                    headers[name] = value
                if knows and message["status"] == 200:
                    headers["Set-Cookie"] = f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"
            await send(message)

        return answer


def _query_token(scope: MutableMapping[str, Any]) -> str | None:
    return (parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token") or [None])[0]


def _limited(receive: Receive) -> Callable[[], Awaitable[Message]]:
    """A body without a stated length ends after `MOST_BYTES`."""
    read = 0

    async def limited() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        return {"type": "http.disconnect"} if read > MOST_BYTES else message

    return limited
