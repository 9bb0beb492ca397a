"""A search of a job, such as that for the centre: on one of its workers where they run already, else here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from sinograd.workflows.values import Where

if TYPE_CHECKING:
    from sinograd.workflows.reconstruction import Request
    from sinograd.workflows.report import Report

T = TypeVar("T")


def search(request: Request, report: Report, find: Callable[[Report], T]) -> T:
    """What `find` finds: a worker reads the prepared projections, and only the result comes here.

    Workers that are started for this job alone (`local:N`, a file of a queue) are not waited for.

    find: called with a report; it goes to a worker as it is.

    Raises:
        InputError: a scheduler that does not answer; workers of another version, or that do not see the files.
        Stopped: an interrupt while a worker searches.
    """
    if not _runs(request):
        return find(report)
    from sinograd.workflows.cluster import executor_on
    from sinograd.workflows.manifest import Manifest

    assert request.output is not None
    folder = Manifest(request.output.absolute()).folder
    advance = report.stage("searching", 1, "searches")
    with executor_on(Where(request.cluster, request.client), [folder], "nothing was kept") as run:
        ((_, found),) = run(_silently, [find])
    advance(1, 1)
    return found


def _runs(request: Request) -> bool:
    """Whether workers wait for this job."""
    started = request.cluster is not None and "://" in request.cluster
    return request.client is not None or started


def _silently(find: Callable[[Report], T]) -> T:
    from sinograd.workflows.report import Silent

    return find(Silent())
