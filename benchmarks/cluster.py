"""What a Dask cluster adds to the processor time of one job, and that the bits are those of one process.

    python benchmarks/cluster.py --size 512 --views 720 --workers 1,2,4 --folder cluster -o cluster.json

Workers of one thread each are started before; how long that takes is told apart. Processor time is that of the client
and of all workers during the job. The scheduler is in the client's process. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path
from typing import Any

import distributed
import machine
from large import made_scan, same_values

import sinograd as sg


def main() -> None:
    """One job here and on clusters of several sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--views", type=int, default=720)
    parser.add_argument("--memory", default="1GB", help="of each worker, and of the process here")
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--folder", type=Path, default=Path("cluster"))
    parser.add_argument("-o", "--output", type=Path, help="a JSON file")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    scan = made_scan(arguments.folder / f"{arguments.size}-{arguments.views}.npy", arguments.size, arguments.views)
    job: dict[str, Any] = {"memory": arguments.memory, "dtype": "float32", "force": True}
    first = arguments.folder / "here.h5"
    here = timed(lambda: sg.reconstruct(scan, first, **job))
    rows = [on_workers(int(number), scan, first, job, here) for number in arguments.workers.split(",")]
    facts = {"size": arguments.size, "views": arguments.views, "memory": arguments.memory, "here": here, "rows": rows}
    machine.keep({**machine.describe(), **facts}, arguments.output)
    shutil.rmtree(arguments.folder)


def timed(call: Any, others: Any = lambda: 0.0) -> dict[str, float]:
    """Seconds, and processor seconds of this process and of `others`."""
    started, own, theirs = time.perf_counter(), time.process_time(), others()
    call()
    processor = time.process_time() - own + others() - theirs
    return {"seconds": time.perf_counter() - started, "processor_seconds": processor}


def on_workers(number: int, scan: Path, first: Path, job: dict[str, Any], here: dict[str, float]) -> dict[str, Any]:
    """The job on so many workers."""
    output = first.with_name(f"workers-{number}.h5")
    started = time.perf_counter()
    local = distributed.LocalCluster(
        n_workers=number, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0
    )
    with local, distributed.Client(local) as client:
        client.wait_for_workers(number)
        client.run(_ready)
        start_up = time.perf_counter() - started

        def of_workers() -> float:
            return sum(client.run(time.process_time).values())

        row: dict[str, Any] = {"workers": number, "start_up_seconds": start_up}
        row |= timed(lambda: sg.reconstruct(scan, output, client=client, **job), of_workers)
    row["times_here"] = row["processor_seconds"] / here["processor_seconds"]
    row["same"] = same_values(first, output)
    return row


def _ready() -> str:
    """Imports what a worker needs: part of its start."""
    import sinograd.workflows.slab_job

    return sinograd.workflows.slab_job.__name__


if __name__ == "__main__":
    main()
