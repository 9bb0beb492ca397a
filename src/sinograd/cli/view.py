"""`sinograd view`: volumes or a scan in a browser, from a server on this machine alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sinograd.cli.command import Option, command
from sinograd.cli.options import SHARED

if TYPE_CHECKING:
    from sinograd.viewer import LocalServer

SERVER = {
    "port": Option(int, "Port of 127.0.0.1. Default: any that is free.", metavar="N"),
    "browser": Option(bool, "Open the page in a browser.", ("--browser/--no-browser",)),
    "json": SHARED["json"],
}
OPTIONS = {
    **SHARED,
    **SERVER,
    "paths": Option(
        list[Path], "Volumes, or one scan; files or folders.", metavar="PATH...", argument=True, required=True
    ),
}


@command(OPTIONS)
def view(paths: list[Path], port: int = 0, browser: bool = True, json: bool = False) -> None:
    """Look at volumes or a scan in a browser: planes, measures, comparisons; Ctrl-C ends the server.

    The page is served to this machine alone, at the address that is printed; nothing is loaded from elsewhere.
    """
    from sinograd.viewer import serve_paths

    with serve_paths(paths, port) as server:
        announce("view", server, browser, json)
        serve_until_interrupted(server)


def announce(command: str, server: LocalServer, browser: bool, json: bool) -> None:
    """Print the address, one line or an object, and open it."""
    if json:
        from sinograd.cli.records import print_record

        print_record(command, {"url": server.url, "port": server.port, "token": server.token})
    else:
        typer.echo(server.url)
    import sys

    sys.stdout.flush()
    if browser:
        import webbrowser

        webbrowser.open(server.url)


def serve_until_interrupted(server: LocalServer) -> None:
    """Wait for Ctrl-C or SIGTERM, which end a server as it should end."""
    try:
        while server.join(0.5):
            pass
    except KeyboardInterrupt:
        pass
