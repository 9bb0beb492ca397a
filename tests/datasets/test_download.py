"""Downloads from a server of our own: checked, kept, and fetched once."""

from __future__ import annotations

import hashlib
import http.server
import logging
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sinograd.datasets import fetch, fetch_ldct_benchmark
from sinograd.datasets.download import LDCT_BENCHMARK

pytest.importorskip("pooch", reason="needs pooch, extra io")

_CONTENT = b"weights"
_DIGEST = hashlib.sha256(_CONTENT).hexdigest()


class _Handler(http.server.SimpleHTTPRequestHandler):
    requests = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "net.pt").write_bytes(_CONTENT)
    _Handler.requests = 0
    handler = partial(_Handler, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{served.server_address[1]}"
        served.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("pooch").setLevel(logging.ERROR)


def test_a_file_is_fetched_once(server: str, tmp_path: Path) -> None:
    first = fetch(f"{server}/net.pt", _DIGEST, tmp_path / "kept")
    again = fetch(f"{server}/net.pt", f"sha256:{_DIGEST.upper()}", tmp_path / "kept")
    assert first == again == tmp_path / "kept" / "net.pt"
    assert first.read_bytes() == _CONTENT and _Handler.requests == 1
    assert fetch(f"{server}/net.pt", _DIGEST, tmp_path / "kept", name="mine.pt").name == "mine.pt"


def test_another_content_is_not_kept(server: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="hash"):
        fetch(f"{server}/net.pt", "0" * 64, tmp_path / "kept")
    assert not list((tmp_path / "kept").glob("*"))


def test_a_missing_file(server: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="404"):
        fetch(f"{server}/none.pt", _DIGEST, tmp_path / "kept")


@pytest.mark.parametrize(("digest", "name"), [("abc", None), ("", None), ("g" * 64, None), (_DIGEST, "../net.pt")])
def test_bad_arguments(digest: str, name: str | None, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"sha256 must be 64 hexadecimal digits|name must be the name of a file"):
        fetch("http://127.0.0.1:1/net.pt", digest, tmp_path, name=name)


def test_published_weights_have_checksums() -> None:
    assert set(LDCT_BENCHMARK) == {"cnn10", "dugan", "qae", "redcnn", "wganvgg"}
    assert all(len(digest) == 64 and int(digest, 16) for digest in LDCT_BENCHMARK.values())
    with pytest.raises(ValueError, match="method must be one of cnn10, dugan, qae, redcnn, wganvgg, got 'resnet'"):
        fetch_ldct_benchmark("resnet")
