"""The fuzzer of all readers: `make fuzz`, or `python tests/fuzz.py --count 20000 --seed 0`.

Mutation number n of a seed is the same in every run, so that a failure is repeated by `--first n --count 1`. A child
process reads the files with `sinograd info` and to the last number; a run goes on behind the mutation at which a child
ended. A failure is a crash, a traceback, an error of more than one line or with control characters, 10 s of processor
time, 1 GB more than the idle process, a file opened outside the folder, or numbers that lie in files outside of it.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SECONDS, BYTES = 10, 1 << 30
_LOOK = 5  # seconds between two looks at a child that says nothing
_HANG = 3 * SECONDS  # of processor time in which it says nothing: a hang in native code
_ASLEEP = 18  # looks in a row at which it sleeps: it waits for something that never comes
_NEVER = ("os.system", "subprocess.Popen", "os.exec", "socket.connect", "os.remove", "os.rename", "os.rmdir")
_LIMIT = 6 << 30  # bytes of address space above the idle process's, which saves the machine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="mutations")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", help="only this case")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        _child(arguments)
        return 0
    failures = []
    counts: collections.Counter[str] = collections.Counter()
    for result in results(arguments.first, arguments.count, arguments.seed, arguments.case):
        counts[result["end"]] += 1
        if result["end"] not in ("read", "refused"):
            failures.append(result)
            print(json.dumps(result, ensure_ascii=True), flush=True)
        elif sum(counts.values()) % 1000 == 0:
            print(f"{sum(counts.values()):,}: {dict(counts)}", flush=True)
    print(f"{sum(counts.values()):,} mutations of seed {arguments.seed}: {dict(counts)}")
    for result in failures:
        print(
            f"failed: --seed {arguments.seed} --first {result['number']} --count 1  ({result['case']}: {result['end']})"
        )
    return bool(failures)


def results(first: int, count: int, seed: int, case: str | None = None) -> Iterator[dict[str, Any]]:
    """What became of each mutation: number, case, how it was damaged, and its end: "read", "refused" or a failure."""
    end = first + count
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        while first < end:
            for result in _batch(first, end - first, seed, case, Path(folder)):
                yield result
                first = result["number"] + 1


def _batch(first: int, count: int, seed: int, case: str | None, folder: Path) -> Iterator[dict[str, Any]]:
    """The results of one child; the last is its death, if it dies."""
    command = [sys.executable, __file__, "--first", str(first), "--count", str(count), "--seed", str(seed)]
    command += ["--child", str(folder)] + (["--case", case] if case else [])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "PYTHONHASHSEED": "0"}
    places = [os.path.abspath(place) for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    environment["PYTHONPATH"] = os.pathsep.join(places)
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=folder) as child:
        assert child.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            started: dict[str, Any] = {"number": first, "case": "", "ways": ""}
            while True:
                hang = _hang(child.pid, selector)
                if hang:
                    child.kill()
                    yield {**started, "end": hang}
                    return
                line = child.stdout.readline()
                if not line:
                    break
                result = json.loads(line)
                if "end" in result:
                    yield result
                    started = {"number": result["number"] + 1, "case": "", "ways": ""}
                else:
                    started = result
        if child.wait() != 0:
            yield {**started, "end": f"the process ended with {child.returncode}"}


def _hang(pid: int, selector: selectors.BaseSelector) -> str:
    """Wait for a word of a child; why it will not come, or "". Others' load on the machine makes no hang."""
    start, asleep = None, 0
    while not selector.select(_LOOK):
        state, used = _state(pid)
        start = used if start is None else start
        asleep = asleep + 1 if state == "S" and used == start else 0
        if used - start > _HANG:
            return f"hang of more than {_HANG} s of processor time"
        if asleep >= _ASLEEP:
            return f"asleep for {_ASLEEP * _LOOK} s"
    return ""


def _state(pid: int) -> tuple[str, float]:
    """State of a process ("R", "S" ...) and the seconds of processor time that it has used; ended: "Z"."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "Z", 0.0
    return fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _child(arguments: argparse.Namespace) -> None:
    """Damage, read, say what came of it, line by line."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from fuzz_cases import CASES
    from fuzz_mutations import damage

    warnings.simplefilter("ignore")
    top = arguments.child
    names = [arguments.case] if arguments.case else list(CASES)
    _write_secrets(top)
    made: dict[str, tuple[Path, Path, bytes]] = {}

    def case_files(name: str) -> tuple[Path, Path, bytes]:
        if name not in made:
            kept = top / "kept" / f"{list(CASES).index(name)}"
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir(parents=True)
            path = CASES[name].make(kept)
            made[name] = kept, path.relative_to(kept), (kept / CASES[name].damaged).read_bytes()
        return made[name]

    for name in names:
        kept, path, _ = case_files(name)
        _read(CASES[name].kind, kept / path)
    others = [case_files(name)[2] for name in names]
    watch = _Watch(top)
    idle = _memory()
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + _LIMIT,) * 2)
    for number in range(arguments.first, arguments.first + arguments.count):
        rng = random.Random(f"{arguments.seed} {number}")
        name = names[number % len(names)]
        kept, path, _ = case_files(name)
        folder = top / "in"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(kept, folder)
        ways = damage(rng, folder / CASES[name].damaged, others)
        result = {"number": number, "case": name, "ways": ways}
        print(json.dumps(result), file=out, flush=True)
        _reset_peak()
        start = time.process_time()
        with watch:
            end = _read(CASES[name].kind, folder / path)
        if watch.outside and CASES[name].kind not in ("pairs", "training"):  # what users write may name any file
            end = f"opened {sorted(watch.outside)[0]}"
        elif time.process_time() - start > SECONDS:
            end = f"{time.process_time() - start:.1f} s"
        elif _memory("VmHWM") - idle > BYTES:
            end = f"{(_memory('VmHWM') - idle) / 1e9:.2f} GB"
        print(json.dumps({**result, "end": end}), file=out, flush=True)


class _TooLong(BaseException):
    pass


def _alarm(*_: Any) -> None:
    raise _TooLong


def _read(kind: str, path: Path) -> str:
    """ "read", "refused" (one line), or what went wrong."""
    signal.signal(signal.SIGPROF, _alarm)
    signal.setitimer(signal.ITIMER_PROF, SECONDS + 2)
    try:
        _read_all(kind, path)
        end = "read"
    except _TooLong:
        return f"{SECONDS} s and more"
    except Exception as error:
        end = _judged(error)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if kind in ("scan", "volume", "model"):
        shown = _info(path)
        if shown not in ("read", "refused"):
            return shown
    return end


def _judged(error: Exception) -> str:
    from sinograd.errors import SinogradError

    text = str(error)
    if not isinstance(error, SinogradError | OSError):
        import traceback

        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {text[:300]} in {place.filename}:{place.lineno}"
    if "\n" in text:
        return f"lines: {text[:300]!r}"
    return "refused" if text and len(text) < 4000 else f"{len(text)} characters"


def _read_all(kind: str, path: Path) -> None:
    """To the last number."""
    import numpy as np

    from fuzz_cases import SECRET

    def check(values: Any) -> None:
        if np.asarray(values).size and bool((np.asarray(values) == SECRET).any()):
            raise AssertionError("numbers of a file outside the folder")

    if kind == "scan":
        from sinograd.io import read

        scan = read(path)
        repr(scan)
        check(scan.load())
        for name in ("reference", "dark"):
            if scan.calibration is not None and getattr(scan.calibration, name) is not None:
                check(scan.calibration.load(name))
    elif kind == "volume":
        from sinograd.io import read_volume

        volume = read_volume(path)
        repr(volume)
        check(volume.values)
    elif kind == "model":
        from sinograd.models import load_model

        repr(load_model(path))
    elif kind == "geometry":
        from sinograd.geometry import load_geometry

        repr(load_geometry(path).to_dict())
    elif kind == "rtk":
        from sinograd.geometry import FlatDetector
        from sinograd.interop import read_rtk

        repr(read_rtk(path, FlatDetector((4, 5), 0.3)))
    elif kind == "pairs":
        from sinograd.evaluation import read_pairs_file

        for pair in read_pairs_file(path):
            for slices in (*pair.inputs, *([] if pair.target is None else [pair.target])):
                check(slices.read(0, 1))
    else:
        from sinograd.training.config import load_config

        repr(load_config(path))


def _info(path: Path) -> str:
    """What `sinograd info` ends with."""
    from typer.testing import CliRunner

    from sinograd.cli.app import app

    signal.setitimer(signal.ITIMER_PROF, SECONDS + 2)
    try:
        result = CliRunner().invoke(app, ["info", str(path)])
    except _TooLong:
        return f"info: {SECONDS} s and more"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return f"info: {_judged(result.exception)}" if isinstance(result.exception, Exception) else "info: too long"
    output = result.output
    if any(not sign.isprintable() for sign in output.replace("\n", "")):
        return f"info: control characters in {output[:300]!r}"
    if result.exit_code not in (0, 2) or "Traceback" in output:
        return f"info: exit code {result.exit_code}, {output[:300]!r}"
    if result.exit_code == 2 and sum(not line.startswith("warning: ") for line in output.splitlines()) != 1:
        return f"info: more than one line: {output[:300]!r}"
    return "read" if result.exit_code == 0 else "refused"


class _Watch:
    """Which files Python opens outside the folder and the libraries' own."""

    def __init__(self, top: Path) -> None:
        import site

        libraries = [sys.prefix, sys.base_prefix, *site.getsitepackages(), str(Path(__file__).resolve().parents[1])]
        libraries += [
            "/proc/meminfo",
            "/proc/self/status",
            "/usr",
            "/lib",
            "/dev/null",
            "/etc/localtime",
            "/etc/mime.types",
        ]
        self._allowed = tuple(os.path.realpath(name) for name in (*libraries, top / "in"))
        self._on = False
        self.outside: set[str] = set()
        sys.addaudithook(self._hook)

    def __enter__(self) -> None:
        self.outside.clear()
        self._on = True

    def __exit__(self, *_: object) -> None:
        self._on = False

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.path.realpath(os.path.join(os.getcwd(), os.fsdecode(arguments[0])))
            if not path.startswith(self._allowed) and not path.startswith("/proc/self/fd"):
                self.outside.add(path)
        elif event in (
            "os.system",
            "subprocess.Popen",
            "os.exec",
            "socket.connect",
            "os.remove",
            "os.rename",
            "os.rmdir",
        ):
            self.outside.add(f"{event} {str(arguments)[:200]}")


def _write_secrets(top: Path) -> None:
    """Files beside the folder that no reader may open."""
    import h5py
    import numpy as np
    import tifffile

    from fuzz_cases import SECRET, images_file

    values = np.full((5, 4, 5), SECRET, np.uint16)
    images_file(top / "secret.h5", SECRET)
    with h5py.File(top / "secret.h5", "a") as file:
        file["exchange/data"] = values
    np.save(top / "secret.npy", values)
    tifffile.imwrite(top / "secret.tif", values[0])
    values.tofile(top / "secret.raw")
    (top / "secret").mkdir(exist_ok=True)
    tifffile.imwrite(top / "secret" / "bone_0001.tif", values[0])
    (top / "secret.yaml").write_text("beam: parallel\n")
    if not (top / "pipe").exists():
        os.mkfifo(top / "pipe")


def _memory(key: str = "VmRSS") -> int:
    """Bytes of memory that this process has now, or (VmHWM) had at most since the peak was reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return 0


def _address_space() -> int:
    return _memory("VmSize")


def _reset_peak() -> None:
    with contextlib.suppress(OSError):  # not Linux
        Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    sys.exit(main())
