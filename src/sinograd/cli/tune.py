"""`sinograd tune`: a reconstruction with sliders, in a browser, from a server on this machine alone."""

from __future__ import annotations

from pathlib import Path

from sinograd.cli.command import Option, command
from sinograd.cli.options import OUTPUT_GROUP, SCAN, SHARED
from sinograd.cli.view import SERVER, announce, serve_until_interrupted

OPTIONS = {
    **SHARED,
    **SERVER,
    "scan": SCAN,
    "output": Option(
        Path,
        "Volume that the page's button writes, beside its configuration.",
        ("-o", "--output"),
        metavar="FILE",
        panel=OUTPUT_GROUP,
    ),
}


@command(OPTIONS)
def tune(
    scan: Path,
    output: Path = Path("tuned.h5"),
    port: int = 0,
    browser: bool = True,
    json: bool = False,
    force: bool = False,
) -> None:
    """Find centre, tilt, filter and more with sliders: a slice follows every move; Ctrl-C ends the server.

    The page writes the configuration that `sinograd reconstruct --config` takes, or runs that command.
    """
    from sinograd.viewer import serve_tuning

    with serve_tuning(scan, output, port=port, force=force) as server:
        announce("tune", server, browser, json)
        serve_until_interrupted(server)
