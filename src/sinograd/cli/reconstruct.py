"""`sinograd reconstruct`: a scan file in, a volume file out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.cli.command import command
from sinograd.cli.options import RECONSTRUCT
from sinograd.workflows import reconstruction

if TYPE_CHECKING:
    from sinograd.workflows.pipeline import Reconstruction


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
    from sinograd.cli.describe import reconstruction_lines, show
    from sinograd.cli.dry_run import planned
    from sinograd.cli.records import print_record
    from sinograd.workflows.pipeline import run_reconstruction

    request = reconstruction.Request.of(arguments)
    if dry_run:
        lines, record = planned(request)
        if json:
            print_record("reconstruct", record)
        else:
            show(lines)
        return
    result = run_reconstruction(request, None if quiet or json else "bar")
    if json:
        print_record("reconstruct", _record(request, result))
    elif not quiet:
        show(reconstruction_lines(request, result))


def _record(request: reconstruction.Request, result: Reconstruction) -> dict[str, Any]:
    from sinograd.cli import records

    return {
        "scan": records.scan_record(result.scan),
        "geometry": records.geometry_record(result.scan.geometry, result.scan.length_unit),
        "coverage": records.coverage_record(result.scan.geometry, result.scan.length_unit),
        "center": records.center_record(result.center, result.scan.length_unit),
        "turns": records.turns_record(result.turns, result.scan.length_unit),
        "algorithm": result.algorithm.lower(),
        "volume": records.volume_record(result.volume, request.output, values=not result.missing),
        "missing_slices": result.missing,
        "files": records.files_record(
            preview=request.preview, page=request.page, center_picture=request.center_picture
        ),
        "duration_s": sum(result.seconds.values()),
        "stages_s": dict(result.seconds),
    }
