"""Dask workers of several threads do one part at a time with all of them: a part has the memory of a worker."""

from __future__ import annotations

from typing import Any

from distributed import Worker, WorkerPlugin

NAME = "sinograd-part"


class OnePart(WorkerPlugin):
    """Gives each worker, those that come later too, one place for a part."""

    name = NAME

    async def setup(self, worker: Worker) -> None:  # type: ignore[override]
        """Called by Dask."""
        await worker.set_resources(**{NAME: 1})


def one_part_each(client: Any) -> dict[str, Any]:
    """What `client.map` and `client.submit` have to be given; nothing where workers have one thread each."""
    if max(client.nthreads().values(), default=1) == 1:
        return {}
    client.register_plugin(OnePart())
    return {"resources": {NAME: 1}}
