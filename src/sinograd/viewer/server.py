"""A server on this machine alone, in a thread of its own."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sinograd.errors import FileError, InputError, MissingPackageError
from sinograd.viewer.guard import LOOPBACK, Guard

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_STARTING = 20.0  # seconds
_ENDING = 20.0


class LocalServer:
    """Serves an application to this machine until it is closed; a context manager.

    Args:
        app: answers requests that `Guard` lets through.
        port: of 127.0.0.1; 0: any that is free.
        closed: called when it is closed.

    Attributes:
        url: what a browser opens: http://127.0.0.1:PORT/?token=...

    Raises:
        InputError: a port that is none, or is in use.
    """

    def __init__(self, app: ASGIApp, port: int = 0, closed: Callable[[], None] = lambda: None) -> None:
        import uvicorn

        self._socket, self._closed = _bound(port), closed
        self.port: int = self._socket.getsockname()[1]
        self.token = secrets.token_urlsafe(24)
        self.url = f"http://{LOOPBACK}:{self.port}/?token={self.token}"
        guarded: Any = Guard(app, self.port, self.token)
        config = uvicorn.Config(
            guarded, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1, server_header=False
        )
        self._server = uvicorn.Server(config)
        # an interrupt while `Thread.join` waits may mark a running thread as ended, in Pythons before 3.13
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sinograd viewer", daemon=True)
        self._thread.start()
        self._wait()

    def __enter__(self) -> LocalServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def join(self, seconds: float) -> bool:
        """Wait; whether it still serves."""
        return not self._ended.wait(seconds)

    def close(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._closed()
        if self._ended.wait(_ENDING):
            self._socket.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._ended.set()

    def _wait(self) -> None:
        end = time.monotonic() + _STARTING
        while not self._server.started:
            if self._ended.is_set() or time.monotonic() > end:
                raise FileError(f"the server at port {self.port} could not be started")
            time.sleep(0.01)


def check_installed() -> None:
    """MissingPackageError, which names the extra, unless the packages of the server are installed."""
    import importlib.util

    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            f"the viewer needs {' and '.join(missing)}, not installed here (pip install 'sinograd[view]'); "
            "`sinograd info VOLUME --picture slices.png` needs nothing more"
        )


def _bound(port: int) -> socket.socket:
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise InputError(f"`port`: expected 0 to 65535, got {port!r}")
    # asyncio sends without delay, which small answers would have to wait 40 ms for, only what it knows to be TCP
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((LOOPBACK, port))
        held.listen(128)
    except OSError as error:
        held.close()
        raise InputError(
            f"`port`: {port} cannot be used ({error.strerror}); another one can, or none, which takes a free one"
        ) from None
    return held
