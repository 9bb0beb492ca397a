"""`sinograd batch`: many scans, one table of results."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sinograd.cli.command import Option, command
from sinograd.cli.errors import say
from sinograd.cli.options import QUIET, cluster_option

if TYPE_CHECKING:
    from sinograd.workflows.batch import Outcome

FAILED = 1

OPTIONS = {
    "jobs": Option(
        Path,
        "YAML file with `jobs`, a list of scans with their outputs, and `defaults`, options of all of them.",
        metavar="JOBS",
        argument=True,
        required=True,
    ),
    "cluster": cluster_option("that do a scan each"),
    "quiet": QUIET,
}


@command(OPTIONS)
def batch(jobs: Path, cluster: str | None = None, quiet: bool = False) -> None:
    """Reconstruct many scans, and write the table batch.csv beside the jobs file.

    Options are those of `sinograd reconstruct`. A job that fails does not keep the others from being done; the exit
    code is then 1.
    """
    from sinograd.workflows.batch import TABLE, reconstruct_all

    def told(outcome: Outcome, number: int, count: int) -> None:
        if outcome.error:
            say(f"failed: {outcome.job.name}: {_as_keys(outcome.error)}")
        elif not quiet:
            typer.echo(f"{number}/{count} {outcome.job.name}: {outcome.job.output.name}, {outcome.seconds:.1f} s")

    outcomes = reconstruct_all(jobs, told, cluster=cluster)
    failed = sum(bool(outcome.error) for outcome in outcomes)
    if not quiet:
        typer.echo(f"{len(outcomes) - failed} of {len(outcomes)} done; table: {jobs.parent / TABLE}")
    if failed:
        raise typer.Exit(FAILED)


def _as_keys(text: str) -> str:
    """A message of the library in the words of the jobs file: `force=True` is `force: true`."""
    return re.sub(r"`(\w+)=(\w+)`", lambda match: f"`{match[1]}: {match[2].lower()}`", text)
