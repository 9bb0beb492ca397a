"""What resume, workers and job arrays agree on: a folder OUTPUT.partial beside the output.

    plan.json            what is computed (`work`, by its part in words) and how: unit, source, results of global steps
    parts/A-B.json       slices A to B - 1 are written: checksums of each unit of slices as stored, clipped voxels, time
    volume/              the output's files, under their names
    prepared.zarr        prepared projections, unless `scratch` says another folder
    run.lock, plan.lock  one run at a time, or runs of parts; one of these at a time makes the plan or publishes

Files appear when they are whole. A part is entered when the disk has it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sinograd.config.json import load_json
from sinograd.data.provenance import to_json
from sinograd.errors import InputError, SinogradError
from sinograd.files.exchange import rename_new
from sinograd.files.folders import flush_folder

VERSION = 2


@dataclass(frozen=True)
class Manifest:
    """The folder of an output that is not whole yet."""

    output: Path

    @property
    def folder(self) -> Path:
        """OUTPUT.partial."""
        return self.output.with_name(f"{self.output.name}.partial")

    @property
    def volume(self) -> Path:
        """Where the output is made."""
        return self.folder / "volume" / self.output.name

    @property
    def plan_file(self) -> Path:
        """Of the global steps."""
        return self.folder / "plan.json"

    @property
    def has_plan(self) -> bool:
        """Whether the global steps are done."""
        return self.plan_file.is_file()

    @contextmanager
    def running(self, shared: bool = False) -> Iterator[None]:
        """Inside, no other run is at this output; with `shared` other runs of parts may be.

        A run that an error ends before it has a plan leaves nothing; so does one that made the plan and is refused
        before any slice is written.

        Raises:
            InputError: another run is at it.
        """
        self.folder.mkdir(exist_ok=True)
        with _locked(self.folder / "run.lock", shared=shared, wait=False) as is_mine:
            if not is_mine:
                raise InputError(f"`output`: another run is writing {self.output}")
            known = self.has_plan
            try:
                yield
            except SinogradError as error:
                refused = isinstance(error, InputError) and not known and not self.parts()
                if not shared and (refused or not self.has_plan):
                    shutil.rmtree(self.folder, ignore_errors=True)
                raise

    @contextmanager
    def planning(self) -> Iterator[None]:
        """Inside, no other run makes the plan or publishes the output."""
        with _locked(self.folder / "plan.lock", shared=False, wait=True):
            yield

    def begin(self) -> None:
        """Forget what an earlier run left."""
        for path in self.folder.iterdir():
            if path.name not in ("run.lock", "plan.lock"):
                _remove(path)
        (self.folder / "parts").mkdir()
        (self.folder / "volume").mkdir()

    def write_plan(self, work: Mapping[str, Any], **more: Any) -> None:
        """What is computed, and how."""
        texts = {name: json.dumps(value, sort_keys=True, default=str) for name, value in work.items()}
        _write(self.plan_file, {"version": VERSION, "work": texts, **more})

    def plan(self, work: Mapping[str, Any], of_parts: bool = False) -> dict[str, Any]:
        """The plan; InputError, which names what differs, where it is of other work.

        of_parts: whether other runs may be at it, so that `force` does not start again.
        """
        try:
            found = load_json(self.plan_file.read_text(encoding="utf-8"))
            known = found["work"] if found["version"] == VERSION else {}
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"`resume`: {self.plan_file} cannot be read; start without `resume`") from None
        texts = {name: json.dumps(value, sort_keys=True, default=str) for name, value in work.items()}
        other = [_difference(name, known.get(name), text) for name, text in texts.items() if known.get(name) != text]
        if other:
            name, again = ("part", "remove it to start") if of_parts else ("resume", "`force=True` starts")
            raise InputError(
                f"`{name}`: {self.folder} was made from another scan, with other options or by another version "
                f"(different: {', '.join(other)}); {again} again"
            )
        return found

    def enter(self, first: int, end: int, **facts: Any) -> None:
        """Slices first to end - 1 are written."""
        _write(self.folder / "parts" / f"{first:06d}-{end:06d}.json", {"first": first, "end": end, **facts})

    def parts(self) -> list[dict[str, Any]]:
        """What is written, in the order of the slices."""
        found = []
        for path in (self.folder / "parts").glob("*-*.json"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                part = load_json(path.read_text(encoding="utf-8"))
                found.append({**part, "first": int(part["first"]), "end": int(part["end"])})
        return sorted(found, key=lambda part: part["first"])

    def missing(self, first: int, end: int) -> list[tuple[int, int]]:
        """Slices of first to end - 1 that are not written."""
        left, at = [], first
        for part in self.parts():
            if part["first"] > at and at < end:
                left.append((at, min(part["first"], end)))
            at = max(at, part["end"])
        return [*left, (at, end)] if at < end else left

    def publish(self, names: list[str], *, folder: bool) -> None:
        """Give the output its name, and remove everything else; what has the name is replaced."""
        from sinograd.files.commit import replace_folder

        made = self.folder / "volume"
        for name in names:
            if not (made / name).exists():  # an earlier try gave it its name
                continue
            if folder:
                replace_folder(made / name, self.output.with_name(name))
            elif os.path.lexists(self.output.with_name(name)):
                os.replace(made / name, self.output.with_name(name))
            else:
                rename_new(made / name, self.output.with_name(name))
        flush_folder(self.output.parent)
        shutil.rmtree(self.folder, ignore_errors=True)


def _difference(name: str, known: str | None, text: str) -> str:
    """What differs, by its names where there are some."""
    one, two = (load_json(part) if part is not None else None for part in (known, text))
    if not isinstance(one, dict) or not isinstance(two, dict):
        return name
    names = sorted(key for key in one.keys() | two.keys() if one.get(key) != two.get(key))
    return f"{name} {' and '.join(f'`{key}`' for key in names)}"


@contextmanager
def _locked(path: Path, *, shared: bool, wait: bool) -> Iterator[bool]:
    """Whether the lock is ours, which the end of the process gives back whatever ends it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        try:
            import fcntl

            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        except (ImportError, OSError):  # no such locks here
            pass
        yield True
    finally:
        os.close(descriptor)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """JSON that is whole when it appears."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with open(part, "w", encoding="utf-8") as file:
        file.write(to_json(content))
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    flush_folder(path.parent)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
