"""`sinograd reconstruct`: a scan file in, a volume file out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from sinograd.cli.command import command
from sinograd.cli.errors import as_options
from sinograd.cli.options import RECONSTRUCT
from sinograd.workflows import reconstruction


@command(RECONSTRUCT, job=reconstruction.reconstruct)
def reconstruct(
    arguments: dict[str, Any],
    config: Path | None = None,
    dry_run: bool = False,
    quiet: bool = False,
    json: bool = False,
) -> None:
    """Reconstruct a scan: FDK for cone beams, filtered backprojection for fan and parallel beams, or iterations.

    Raw counts become line integrals first: references, dark images, shifts and the rest of the preparation follow
    from the file and the options.
    """
    from sinograd.cli.describe import json_text, reconstruction_lines, show
    from sinograd.cli.dry_run import planned
    from sinograd.workflows.pipeline import run_reconstruction

    request = reconstruction.Request.of(arguments)
    if dry_run:
        warnings, lines = planned(request)
    else:
        result = run_reconstruction(request, None if quiet or json else "bar")
        warnings, lines = result.warnings, reconstruction_lines(request, result)
    if json:
        typer.echo(json_text({**dict(lines), "warnings": [as_options(text) for text in warnings]}))
    elif not quiet or dry_run:
        show(lines)
