"""Many scans with one call: each is reconstructed as `reconstruct` does it, and a table says what became of them.

    jobs.yaml        defaults: {option: value}, jobs: [{scan:, output:, name:, options: {option: value}}, ...]

Paths are relative to the file. Options are those of `reconstruct` but `part`, with underscores or dashes. A job that
fails does not keep the others from being done.
"""

from __future__ import annotations

import csv
import inspect
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sinograd.config.near_keys import did_you_mean
from sinograd.config.paths import checked_path
from sinograd.config.regular_files import check_file, check_regular
from sinograd.config.shown import some
from sinograd.config.yaml import load_yaml
from sinograd.errors import ConfigError, ExistingFileError, Stopped
from sinograd.files.inputs import own_state
from sinograd.io.storage.atomic import replacing
from sinograd.workflows.outputs import check_inputs_stay, volume_outputs
from sinograd.workflows.reconstruction import reconstruct
from sinograd.workflows.values import Where, cluster_words

TABLE = "batch.csv"
COLUMNS = ("name", "status", "scan", "output", "seconds", "algorithm", "voxels", "unit", "warnings", "error")

_WRITTEN = ("preview", "page", "center_picture")
_WORDS = "is the jobs file or the scan of a job, or holds it"
_PATHS = ("preview", "page", "center_picture", "scratch", "cluster", "geometry", "flat", "dark")


@dataclass(frozen=True)
class Job:
    """One line of a jobs file.

    Attributes:
        name: for the table and messages.
        scan, output: absolute paths.
        options: of `reconstruct`.
    """

    name: str
    scan: Path
    output: Path
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        job: which one.
        error: why it failed; empty where it did not.
        seconds: that it took.
        facts: of the volume, by the column of the table.
    """

    job: Job
    error: str = ""
    seconds: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def row(self) -> dict[str, Any]:
        """Of the table."""
        job = {"name": self.job.name, "scan": self.job.scan, "output": self.job.output}
        status = "failed" if self.error else "done"
        return {**job, "status": status, "seconds": f"{self.seconds:.2f}", **self.facts, "error": self.error}


def reconstruct_all(
    path: str | Path,
    told: Callable[[Outcome, int, int], None] | None = None,
    report: Any = None,
    cluster: str | None = None,
    client: Any = None,
) -> list[Outcome]:
    """Reconstruct all scans of a jobs file, one after another; `batch.csv` beside it is the table of results.

    Args:
        path: the YAML file.
        told: called after each job with its outcome, its number from 1 and how many there are.
        report: of each job here; see `reconstruct`.
        cluster, client: Dask workers that do a job each at a time; see `reconstruct`.

    Raises:
        ConfigError: a file with unknown keys or wrong values, before any work.
        InputError: a cluster that does not answer, has another version or does not see the jobs file.
        Stopped: an interrupt; the table has the jobs that were done.
    """
    path = checked_path(path)
    jobs = read_jobs(path)
    with own_state():
        _check_table(path.parent / TABLE)
    outcomes: dict[int, Outcome] = {}
    where = Where(cluster_words(cluster), client)
    for number, outcome in _on_workers(jobs, path, where) if where else _here(jobs, report):
        outcomes[number] = outcome
        write_table([outcomes[done] for done in sorted(outcomes)], path.parent / TABLE)
        if told is not None:
            told(outcome, len(outcomes), len(jobs))
    return [outcomes[number] for number in range(len(jobs))]


def read_jobs(path: Path) -> list[Job]:
    """The jobs of a file; ConfigError, which names file and job, for one that cannot be used."""
    check_file(path, f"no jobs file at {path}")
    entries = load_yaml(path)
    if not isinstance(entries, dict) or not isinstance(entries.get("jobs"), list) or not entries["jobs"]:
        raise ConfigError(
            f"{path}: expected the key jobs with at least one scan, as {{jobs: [{{scan: a.h5, output: a.tif}}]}}, "
            "and perhaps defaults"
        )
    _only(entries, ("defaults", "jobs"), str(path))
    defaults = _options(entries.get("defaults") or {}, f"{path}: defaults", path.parent)
    jobs = [_job(entry, f"{path}: jobs[{i}]", path.parent, defaults) for i, entry in enumerate(entries["jobs"])]
    names = [job.name for job in jobs]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ConfigError(f"{path}: two jobs have the name {some(twice)}")
    _check_inputs_stay(path, jobs)
    return jobs


def _check_inputs_stay(path: Path, jobs: list[Job]) -> None:
    """InputError where a job, or the table, would replace the jobs file, the scan of any job or another output."""
    read, table = [path, *(job.scan for job in jobs)], path.parent / TABLE
    check_inputs_stay(read, {"the table of the batch": table}, _WORDS)
    writers = {table.resolve(): "the table of the batch"}
    for job in jobs:
        named = {name: Path(str(job.options[name])) for name in _WRITTEN if job.options.get(name) is not None}
        outputs = {name: file for name, file in volume_outputs(job.output, **named).items() if file is not None}
        check_inputs_stay(read, {f"{job.name}: {name}": file for name, file in outputs.items()}, _WORDS)
        for name, file in outputs.items():
            other = writers.setdefault(file.resolve(), f"{job.name}: {name}")
            if other != f"{job.name}: {name}":
                raise ConfigError(f"{path}: {job.name}: {name} and {other} would be one file, {file}")


def _check_table(table: Path) -> None:
    """ExistingFileError where the name of the table belongs to something else."""
    if not os.path.lexists(table):
        return
    check_regular(table)
    with open(table, "rb") as file:
        if table.is_file() and file.readline(200).decode("utf-8", "replace").strip() == ",".join(COLUMNS):
            return
    raise ExistingFileError(f"{table} exists and is no table of a batch: move it away")


def write_table(outcomes: list[Outcome], path: Path) -> None:
    """The table, in place of an older one."""
    with own_state(), replacing(path, force=True) as temporary, open(temporary, "w", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for outcome in outcomes:
            table.writerow([outcome.row.get(name, "") for name in COLUMNS])


def _here(jobs: list[Job], report: Any) -> Iterator[tuple[int, Outcome]]:
    for number, job in enumerate(jobs):
        yield number, _outcome(job, report)


def _on_workers(jobs: list[Job], path: Path, where: Where) -> Iterator[tuple[int, Outcome]]:
    """Outcomes with the numbers of their jobs, as they come."""
    from sinograd.workflows.cluster import check_workers, cluster_client, map_on_cluster

    twice = [job.name for job in jobs if job.options.get("cluster") is not None]
    if twice:
        raise ConfigError(f"{path}: `cluster` is for one whole scan or for all of them, not for {some(twice)} too")
    with cluster_client(where.cluster, where.client) as client:
        check_workers(client, path.resolve())
        for number, found, error in map_on_cluster(client, _outcome, jobs, f"{TABLE} has the jobs that are done"):
            yield number, found if error is None else Outcome(jobs[number], f"its worker ended: {error}")


def _outcome(job: Job, report: Any = None) -> Outcome:
    start = time.perf_counter()
    try:
        volume = reconstruct(job.scan, job.output, report=report, **job.options)
    except (Stopped, KeyboardInterrupt):
        raise
    except Exception as error:  # whatever is wrong with one scan, the others are done
        text = " ".join(str(error).split()) or type(error).__name__
        return Outcome(job, text, time.perf_counter() - start)
    record = volume.provenance
    facts = {
        "algorithm": record.get("algorithm", ""),
        "voxels": " x ".join(map(str, volume.shape)),
        "unit": volume.unit or "",
        "warnings": len(record.get("warnings", ())),
    }
    return Outcome(job, "", time.perf_counter() - start, facts)


def _job(entry: Any, where: str, folder: Path, defaults: Mapping[str, Any]) -> Job:
    if not isinstance(entry, dict):
        raise ConfigError(f"{where} must be a mapping with scan and output, got {entry!r:.60}")
    _only(entry, ("scan", "output", "name", "options"), where)
    for name in ("scan", "output"):
        if not isinstance(entry.get(name), str):
            raise ConfigError(f"{where}: {name} must be a path, got {entry.get(name)!r:.60}")
    options = {**defaults, **_options(entry.get("options") or {}, f"{where}: options", folder)}
    name = entry.get("name", Path(entry["scan"]).name)
    return Job(str(name), folder / entry["scan"], folder / entry["output"], options)


def _options(entries: Any, where: str, folder: Path) -> dict[str, Any]:
    """Options of `reconstruct`, with paths from the folder of the jobs file."""
    if not isinstance(entries, dict):
        raise ConfigError(f"{where} must be a mapping of options to values, got {entries!r:.60}")
    options = {str(name).replace("-", "_"): value for name, value in entries.items()}
    others = ("scan", "output", "report", "client", "part")
    known = [name for name in inspect.signature(reconstruct).parameters if name not in others]
    _only(options, known, where)
    return {name: _from(folder, value) if name in _PATHS else value for name, value in options.items()}


def _from(folder: Path, value: Any) -> Any:
    """A path, or several with commas between, as seen from the folder; names of scanners and clusters stay."""
    if isinstance(value, list):
        return [_from(folder, item) for item in value]
    if not isinstance(value, str) or "://" in value or value.startswith("local:"):
        return value
    parts = [str(folder / part) if Path(part).suffix or (folder / part).exists() else part for part in value.split(",")]
    return ",".join(parts)


def _only(entries: Mapping[str, Any], known: Any, where: str) -> None:
    unknown = [str(name) for name in entries if name not in known]
    if unknown:
        hint = did_you_mean(unknown, known)
        raise ConfigError(f"{where}: unknown key {some(unknown)}; known: {', '.join(known)}{hint}")
