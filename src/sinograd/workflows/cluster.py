"""Parts of a volume on Dask workers, which read and write the shared files themselves.

Only the job (a few megabytes at most) and small messages pass the scheduler. A worker that dies has its parts done by
others; a part is written whole or again, so its bits are those of one process.
"""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sinograd.config.yaml import load_yaml
from sinograd.data.provenance import software_version
from sinograd.errors import InputError, MissingPackageError, SinogradWarning, Stopped
from sinograd.interrupts import Interrupts
from sinograd.workflows.job import goes_on
from sinograd.workflows.slab_job import SlabJob, run_part
from sinograd.workflows.values import Where, cluster_words

if TYPE_CHECKING:
    from sinograd.recon.analytic.slabs import Part
    from sinograd.workflows.reconstruction import Request
    from sinograd.workflows.report import Report

T = TypeVar("T")
Executor = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[tuple[Any, Any]]]
Ended = tuple[int, Any, BaseException | None]

RETRIES, TIMEOUT = 3, 30.0
"""Deaths of workers that one part survives, and seconds in which a scheduler has to answer."""


def run_on_cluster(request: Request, report: Report, job: SlabJob, parts: Sequence[Part]) -> None:
    """All parts, on the workers of `cluster` or `client`; where one fails, the others are done before it is raised.

    Raises:
        InputError: a scheduler that does not answer; workers of another version, or that do not see the files.
        MissingPackageError: dask and distributed are not installed.
        Stopped: an interrupt; parts that are done are kept.
    """
    kept = goes_on(job.output.manifest.folder.name, "the slices that are done")
    with cluster_client(request.cluster, request.client) as client:
        check_workers(client, job.output.manifest.plan_file)
        advance = report.stage("reconstructing", len(parts), "parts")
        names = [f"{job.output.manifest.output.name}-{part.slab.first}-{part.slab.last}" for part in parts]
        failed = None
        for number, (_, _, error) in enumerate(map_on_cluster(client, partial(run_part, job), parts, kept, names), 1):
            failed = failed or error
            advance(number, len(parts))
    if failed is not None:
        raise failed


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
    cluster_words(cluster)
    if cluster.startswith("local:"):
        workers = int(cluster.removeprefix("local:"))
        made = distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0
        )
        return (stack.enter_context(made),)
    if cluster.endswith((".yaml", ".yml")):
        return (stack.enter_context(_queue(Path(cluster))),)
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


def use_threads_of_worker() -> None:
    """On a worker: compute with as many threads as it has."""
    import torch

    torch.set_num_threads(max(1, _distributed().get_worker().state.nthreads))


def map_on_cluster(
    client: Any, function: Callable[[T], Any], items: Sequence[T], kept: str, names: Sequence[str] | None = None
) -> Iterator[Ended]:
    """(number, result, error) of `function(item)` of every item, in the order in which workers end them.

    Warnings of workers are given here, too.

    kept: what an interrupt leaves, in words; names: of the items, for the dashboard.

    Raises:
        Stopped: an interrupt; what has not ended is given up.
    """
    # a task's result, which is made again where a worker dies with it: scattered data would be lost
    shared = client.submit(_given, function, pure=False, retries=RETRIES)
    options = {"key": names, "pure": False, "retries": RETRIES, "batch_size": 1, **one_part_each(client)}
    futures = client.map(_called, [shared] * len(items), list(items), **options)
    numbers = {future.key: number for number, future in enumerate(futures)}
    with Interrupts() as interrupts:
        for future in _ended(client, futures, interrupts, kept):
            if future.status != "finished":
                yield numbers[future.key], None, future.exception()
                continue
            found, told = future.result()
            for category, text in told:
                warnings.warn(text, category, stacklevel=2)
            yield numbers[future.key], found, None


@contextmanager
def executor_on(where: Where, files: Sequence[Path], kept: str) -> Iterator[Executor]:
    """Calls a function with every item on the workers of a cluster; (item, result) in the order in which they end.

    files: of the job, which all workers have to see; kept: what an interrupt leaves. The first error is raised.
    """
    with cluster_client(where.cluster, where.client) as client:
        check_workers(client, *files)

        def run(function: Callable[[T], Any], items: Sequence[T]) -> Iterator[tuple[T, Any]]:
            for number, found, error in map_on_cluster(client, function, items, kept):
                if error is not None:
                    raise error
                yield items[number], found

        yield run


def one_part_each(client: Any) -> dict[str, Any]:
    """Options of `client.map` and `client.submit` by which a worker does one thing at a time, with all its threads."""
    from sinograd.workflows import one_part

    return one_part.one_part_each(client)


def _given(function: Any) -> Any:
    return function


def _called(function: Callable[[T], Any], item: T) -> tuple[Any, list[tuple[type[Warning], str]]]:
    """The result, and the warnings."""
    use_threads_of_worker()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SinogradWarning)
        found = function(item)
    return found, [(w.category, str(w.message)) for w in caught if issubclass(w.category, SinogradWarning)]


def _ended(client: Any, futures: Sequence[Any], interrupts: Interrupts, kept: str) -> Iterator[Any]:
    """Futures as they end; Stopped, with the others given up, at an interrupt."""
    distributed, left = _distributed(), set(futures)
    while left:
        with contextlib.suppress(distributed.TimeoutError, TimeoutError):
            distributed.wait(left, timeout=0.5, return_when="FIRST_COMPLETED")
        if interrupts.requested:
            client.cancel(list(left))
            raise Stopped(kept=kept)
        ended = [future for future in left if future.done()]
        left.difference_update(ended)
        yield from ended


def check_workers(client: Any, *files: Path) -> None:
    """InputError, which names the worker, where one has another version or does not see a file or folder of the job."""
    client.wait_for_workers(1, timeout=TIMEOUT)
    for worker, (version, missing) in client.run(_state, [str(file) for file in files]).items():
        if version != software_version():
            raise InputError(f"`cluster`: the worker {worker} has sinograd {version}, here is {software_version()}")
        if missing:
            folder = Path(missing[0]).parent
            raise InputError(f"`cluster`: the worker {worker} does not see {folder}: workers need the same file system")


def _state(files: list[str]) -> tuple[str, list[str]]:
    import os

    import sinograd

    return sinograd.__version__, [file for file in files if not os.path.exists(file)]


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise MissingPackageError(
            "`cluster` and `client` need dask and distributed: pip install 'sinograd[cluster]'"
        ) from error
