"""Who gets an answer from the local server."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sinograd.data import Volume
from sinograd.geometry import Grid
from sinograd.io import write_volume
from sinograd.viewer import LocalServer, serve_volumes
from sinograd.viewer.guard import MOST_BYTES
from viewer.asking import ask


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    folder = tmp_path_factory.mktemp("volume")
    (folder / "secret.txt").write_text("secret")
    write_volume(Volume(torch.rand(3, 4, 5), Grid((3, 4, 5), 1.0), "1/mm"), folder / "v.h5")
    with serve_volumes([folder / "v.h5"]) as found:
        yield found


def test_the_address_has_the_token(server: LocalServer) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{30,}", server.url)


def test_answers_are_sent_without_delay(server: LocalServer) -> None:
    """Else small ones wait for an acknowledgement that the browser delays, 40 ms."""
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert client.recv(1) == b"H"
        flags = []
        for number in range(3, client.fileno() + 100):
            try:
                accepted = socket.socket(fileno=os.dup(number))
            except OSError:  # not open, or no socket
                continue
            with accepted:
                try:
                    peer = accepted.getpeername()
                except OSError:
                    continue
                if peer == client.getsockname():
                    flags.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    assert flags == [1]


@pytest.mark.parametrize("path", ["/", "/static/view.js", "/api/volumes", "/api/slice?axis=z&index=0", "/nothing"])
def test_nothing_is_answered_without_the_token(server: LocalServer, path: str) -> None:
    assert ask(server, path).status == 403
    assert ask(server, path + ("&" if "?" in path else "?") + "token=wrong").status == 403
    for headers in ({"X-Sinograd-Token": "wrong"}, {"Cookie": f"sinograd_{server.port}=wrong"}):
        assert ask(server, path, headers).status == 403


def test_the_token_in_address_header_and_cookie(server: LocalServer) -> None:
    answer = ask(server, f"/?token={server.token}")
    assert answer.status == 200 and b"sinograd view" in answer.body
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert ask(server, "/api/volumes", {"Cookie": cookie.split(";")[0]}).status == 200
    assert ask(server, "/api/volumes", {"X-Sinograd-Token": server.token}).status == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "http" not in policy and "unsafe-eval" not in policy


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:1"},
        {"Origin": "http://evil.example"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_hosts_and_pages_are_refused(server: LocalServer, headers: dict[str, str]) -> None:
    filled = {name: value.format(port=server.port) for name, value in headers.items()}
    answer = ask(server, "/api/volumes", {"X-Sinograd-Token": server.token, **filled})
    assert answer.status == 403 and "Access-Control-Allow-Origin" not in answer.headers


def test_own_page_may_ask(server: LocalServer) -> None:
    for name in ("127.0.0.1", "localhost"):
        host = f"{name}:{server.port}"
        headers = {"X-Sinograd-Token": server.token, "Host": host, "Origin": f"http://{host}"}
        assert ask(server, "/api/volumes", {**headers, "Sec-Fetch-Site": "same-origin"}).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/%2e%2e/guard.py",
        "/static//etc/passwd",
        "/static/vendor/../../guard.py",
        "/static/..%5cguard.py",
        "/static/secret.txt",
        "/secret.txt",
        "/api/slice?volume=../secret.txt&axis=z&index=0",
        "/api/nifti?volume=/etc/passwd",
    ],
)
def test_no_other_file_can_be_read(server: LocalServer, path: str) -> None:
    answer = ask(server, path, {"X-Sinograd-Token": server.token})
    assert answer.status in (400, 404) and b"secret\n" not in answer.body and b"root:" not in answer.body
    assert b"ASGI" not in answer.body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_sent_to_a_page_of_volumes(server: LocalServer, method: str) -> None:
    for path in ("/", "/api/volumes", "/static/view.js"):
        assert ask(server, path, {"X-Sinograd-Token": server.token}, method).status == 405


def test_large_bodies_are_refused(server: LocalServer) -> None:
    headers = {"X-Sinograd-Token": server.token, "Content-Length": str(MOST_BYTES + 1)}
    assert ask(server, "/api/volumes", headers, "POST").status == 413


def test_only_this_machine_is_listened_to(server: LocalServer) -> None:
    name = socket.gethostbyname(socket.gethostname())
    if name.startswith("127."):
        pytest.skip("this machine has no other address")
    with pytest.raises(OSError):
        socket.create_connection((name, server.port), timeout=2)


def test_names_are_text(tmp_path: Path) -> None:
    """A file's name that is HTML stays text: the page gets it as JSON and writes it as text."""
    path = tmp_path / "<img src=x onerror=alert(1)>.h5"
    write_volume(Volume(torch.rand(3, 4, 5), Grid((3, 4, 5), 1.0), "1/mm"), path)
    with serve_volumes([path]) as server:
        page = ask(server, f"/?token={server.token}").body
        assert b"onerror" not in page
        answer = ask(server, "/api/volumes", {"X-Sinograd-Token": server.token})
        assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_front_end_makes_no_html_of_text(project_root: Path) -> None:
    folder = project_root / "src" / "sinograd" / "view" / "static"
    for file in folder.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", file.read_text()), file
    for file in [*folder.glob("*.html"), *folder.glob("*.js"), *folder.glob("*.css")]:
        assert not re.search(r"https?://", file.read_text()), file
