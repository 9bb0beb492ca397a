"""One interrupt of one job, and what must hold afterwards."""

from __future__ import annotations

import re
import shutil
import signal
import warnings
from pathlib import Path
from typing import Any

from interrupts.inject import run_child
from interrupts.jobs import Job, make_inputs

_PROGRESS = re.compile(r"warning: |[\w ]+: \d+/\d+ \w+, \d+ %, ")  # what may be told before the end

SIGNALS = {"INT": signal.SIGINT, "TERM": signal.SIGTERM, "KILL": signal.SIGKILL}


class Bench:
    """Inputs, and for each job its old and its new outputs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.inputs = folder, folder / "inputs"
        self.inputs.mkdir(parents=True)
        make_inputs(self.inputs)

    def prepare(self, job: Job) -> int:
        """Make the old and the new outputs; returns the number of operations of the job over old outputs."""
        work = self._work(None)
        for arguments, kept in ((job.old, "old"), (job.new, "new")):
            code, count, told = run_child(arguments, work)
            assert code == 0, (job.name, arguments, told)
            shutil.rmtree(self.folder / kept, ignore_errors=True)
            shutil.copytree(work, self.folder / kept, symlinks=True)
        self.contents = {kept: self._contents(job, self.folder / kept) for kept in ("old", "new")}
        return count

    def interrupt(self, job: Job, point: int, name: str) -> str:
        """Interrupt a job over its old outputs; raises AssertionError where something is lost, mixed or left."""
        number, work = SIGNALS[name], self._work("old")
        code, _, told = run_child(job.new, work, point, number)
        expected = -number if name == "KILL" else 128 + number
        assert code in (expected, 0), f"exit code {code}: {told}"
        assert "Traceback" not in told, told
        if code:
            lines = [line for line in told.strip().splitlines() if not _PROGRESS.match(line)]
            assert name == "KILL" or len(lines) == 1, told
        found = self._contents(job, work)
        for output, content in found.items():
            old, new = self.contents["old"][output], self.contents["new"][output]
            assert content in (old, new), f"{output} is neither the old nor the new one: {content}, {old}, {new}"
        if code == 0:
            assert found == self.contents["new"]
        if job.together:
            assert found in (self.contents["old"], self.contents["new"]), f"some of each: {found}"
        again, _, words = run_child(job.new, work)
        assert again == 0, words
        assert self._contents(job, work) == self.contents["new"]
        left = {path.name for path in work.rglob("*")} - {path.name for path in (self.folder / "new").rglob("*")}
        left = {name for name in left if not name.startswith("events.out")}
        assert not left, f"left behind: {left}"
        return "new" if found == self.contents["new"] else "old" if found == self.contents["old"] else "some of each"

    def _work(self, kept: str | None) -> Path:
        work = self.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(self.inputs if kept is None else self.folder / kept, work, symlinks=True)
        return work

    def _contents(self, job: Job, work: Path) -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {name: read(work / name) for name, read in job.outputs.items()}
