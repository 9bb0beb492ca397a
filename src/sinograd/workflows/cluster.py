"""Parts of a volume on Dask workers, which read and write the shared files themselves.

Only the job (a few megabytes at most) and small messages pass the scheduler. A worker that dies has its parts done by
others; a part is written whole or again, so its bits are those of one process.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.config.yaml import load_yaml
from sinograd.data.provenance import software_version
from sinograd.errors import InputError, MissingPackageError, Stopped
from sinograd.interrupts import Interrupts
from sinograd.workflows.slab_job import SlabJob, run_part

if TYPE_CHECKING:
    from sinograd.recon.analytic.slabs import Part
    from sinograd.workflows.reconstruction import Request
    from sinograd.workflows.report import Report

RETRIES, TIMEOUT = 3, 30.0
"""Deaths of workers that one part survives, and seconds in which a scheduler has to answer."""


def run_on_cluster(request: Request, report: Report, job: SlabJob, parts: Sequence[Part]) -> None:
    """All parts, on the workers of `cluster` or `client`.

    Raises:
        InputError: a scheduler that does not answer; workers of another version, or that do not see the files.
        MissingPackageError: dask and distributed are not installed.
        Stopped: an interrupt; parts that are done are kept.
    """
    kept = f"`resume=True` goes on from there ({job.manifest.folder.name} holds the slices that are done)"
    with cluster_client(request.cluster, request.client) as client:
        _check_workers(client, job.manifest.folder)
        advance = report.stage("reconstructing", len(parts), "parts")
        shared = client.scatter(job, broadcast=True)
        numbers = [f"{job.manifest.output.name}-{part.slab.first}-{part.slab.last}" for part in parts]
        futures = client.map(
            _on_worker, [shared] * len(parts), parts, key=numbers, pure=False, retries=RETRIES, batch_size=1
        )
        with Interrupts() as interrupts:
            _wait(client, futures, advance, interrupts, kept)


@contextmanager
def cluster_client(cluster: str | None, client: Any) -> Iterator[Any]:
    """A client of the workers: that of the caller, or one of `cluster` that is closed at the end."""
    distributed = _distributed()
    if client is not None:
        if not isinstance(client, distributed.Client):
            raise InputError(f"`client`: expected a distributed.Client, got a {type(client).__name__}")
        yield client
        return
    assert cluster is not None
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(distributed.Client(*_address(cluster, stack, distributed), timeout=TIMEOUT))


def _address(cluster: str, stack: contextlib.ExitStack, distributed: Any) -> tuple[Any, ...]:
    """What a client connects to."""
    kind, _, rest = cluster.partition(":")
    if kind == "local":
        if not rest.isdigit() or not int(rest):
            raise InputError(f"`cluster`: expected local:N with N workers, got {cluster!r}")
        made = distributed.LocalCluster(
            n_workers=int(rest), threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0
        )
        return (stack.enter_context(made),)
    if cluster.endswith((".yaml", ".yml")):
        return (stack.enter_context(_queue(Path(cluster))),)
    if "://" not in cluster:
        raise InputError(f"`cluster`: expected local:N, tcp://HOST:PORT or a .yaml file, got {cluster!r}")
    try:
        distributed.Client(cluster, timeout=TIMEOUT).close()
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(f"`cluster`: the scheduler {cluster} does not answer: {error}") from error
    return (cluster,)


def _queue(path: Path) -> Any:
    """A cluster of dask-jobqueue: `queue: slurm`, `jobs: N` and the arguments of its class."""
    entries = load_yaml(path)
    if not isinstance(entries, dict) or not isinstance(entries.get("jobs"), int):
        raise InputError(f"{path} must be a mapping with queue, jobs and the arguments of dask-jobqueue's class")
    classes = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster", "sge": "SGECluster"}
    options = {str(name): value for name, value in entries.items() if name not in ("queue", "jobs")}
    queue = entries.get("queue", "slurm")
    if queue not in classes:
        raise InputError(f"{path}: queue must be one of {', '.join(classes)}, got {queue!r}")
    try:
        dask_jobqueue = importlib.import_module("dask_jobqueue")
    except ImportError as error:
        raise MissingPackageError("clusters of a queue need dask-jobqueue: pip install 'sinograd[cluster]'") from error
    made = getattr(dask_jobqueue, classes[queue])(**options)
    made.scale(jobs=entries["jobs"])
    return made


def _on_worker(job: SlabJob, part: Part) -> tuple[int, int]:
    """One part; threads are those that the worker has."""
    import torch

    torch.set_num_threads(max(1, _distributed().get_worker().state.nthreads))
    return run_part(job, part)


def _wait(client: Any, futures: list[Any], advance: Any, interrupts: Interrupts, kept: str) -> None:
    """Until all parts are done; other parts go on where one fails, and the first error is raised then."""
    distributed = _distributed()
    total, failed, left = len(futures), None, set(futures)
    while left:
        with contextlib.suppress(distributed.TimeoutError, TimeoutError):
            distributed.wait(left, timeout=0.5, return_when="FIRST_COMPLETED")
        if interrupts.requested:
            client.cancel(list(left))
            raise Stopped(kept=kept)
        for future in [future for future in left if future.done()]:
            left.remove(future)
            if future.status != "finished":
                failed = failed or future.exception()
        advance(total - len(left), total)
    if failed is not None:
        raise failed


def _check_workers(client: Any, folder: Path) -> None:
    """InputError, which names the worker, where one has another version or does not see the output's folder."""
    client.wait_for_workers(1, timeout=TIMEOUT)
    for worker, (version, seen) in client.run(_state, str(folder)).items():
        if version != software_version():
            raise InputError(f"`cluster`: the worker {worker} has sinograd {version}, here is {software_version()}")
        if not seen:
            raise InputError(f"`cluster`: the worker {worker} does not see {folder}: workers need the same file system")


def _state(folder: str) -> tuple[str, bool]:
    import os

    import sinograd

    return sinograd.__version__, os.path.isfile(os.path.join(folder, "plan.json"))


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise MissingPackageError(
            "`cluster` and `client` need dask and distributed: pip install 'sinograd[cluster]'"
        ) from error
