"""Everything that needs a GPU, in less than nine minutes: `python benchmarks/gpu/check.py --out FOLDER`.

Builds sinograd without a network, runs the operators' contract on the GPU, measures ceilings and kernels, and runs the
kernels under compute-sanitizer where there is one; what fails of this does not keep the rest from running. Needs torch
with CUDA, cuda-core, pytest, numpy, scipy and what builds sinograd; takes pytest-xdist where it is. Writes
environment.json, tests.json, benchmarks.json, sanitizer.json and check.log into FOLDER.
Exit status: 0 all well, 1 something failed, 2 no GPU.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SECONDS = 520.0
PACKAGES = (
    "torch",
    "cuda-core",
    "cuda-bindings",
    "numpy",
    "scipy",
    "pytest",
    "hypothesis",
    "pytest-xdist",
    "nanobind",
    "scikit-build-core",
    "cmake",
    "nvidia-cuda-nvrtc",
    "h5py",
    "pydicom",
    "rich",
)
TESTS = (
    "ops/test_projection_on_gpu.py",
    "ops/test_bilateral_cuda.py",
    "ops/test_xray_transform.py",
    "ops/test_voxel_backprojection.py",
    "ops/test_slabs.py",
    "recon/analytic/test_slabs.py",
    "recon/iterative/test_variation_cuda.py",
)
PROCESSES = 6  # that share the GPU in the tests
SANITIZERS = ("memcheck", "racecheck")


class Check:
    """One run: its folder, its log and how much time is left."""

    def __init__(self, out: Path, seconds: float) -> None:
        self.out, self.end = out, time.monotonic() + seconds
        self.scratch = Path(tempfile.mkdtemp(prefix="sinograd-gpu-check-"))
        self.site = self.scratch / "site"
        out.mkdir(parents=True, exist_ok=True)
        self.path = out / "check.log"
        self.path.write_text("")

    def say(self, text: str) -> None:
        """To the screen and the log."""
        print(text, flush=True)
        with self.path.open("a") as log:
            print(text, file=log)

    def write(self, name: str, value: object) -> None:
        """One of the JSON files."""
        (self.out / f"{name}.json").write_text(json.dumps(value, indent=1) + "\n")

    def left(self, at_most: float) -> float:
        """Seconds for a step."""
        return min(at_most, self.end - time.monotonic())

    def run(self, command: Sequence[str | Path], seconds: float) -> int:
        """The exit status of a command, whose output goes to the log; 124 where time was up.

        It is interrupted first, so that pytest reports what it has, and killed ten seconds later.
        """
        limit = self.left(seconds)
        if limit <= 1:
            self.say("no time left for this")
            return 124
        environment = {**os.environ, "PYTHONPATH": str(self.site), "PYTHONUNBUFFERED": "1"}
        words = [*map(str, command)]
        with self.path.open("a") as log:
            print(f"$ {' '.join(words)}", file=log, flush=True)
            child = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
            try:
                return child.wait(limit)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    child.wait(10.0)
                return 124
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def environment() -> dict:
    """Versions, and the GPUs that torch sees; `none` says why there are not any."""
    found: dict = {"python": sys.version.split()[0], "commit": _commit(), "packages": {}, "gpus": []}
    for name in PACKAGES:
        try:
            found["packages"][name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found["packages"][name] = None
    try:
        import torch
    except ImportError as error:
        return {**found, "none": f"torch cannot be imported: {error}"}
    if not torch.cuda.is_available():
        built = f"torch {torch.__version__} is built for CUDA {torch.version.cuda}"
        return {**found, "none": f"torch sees no GPU ({built if torch.version.cuda else 'it is built without CUDA'})"}
    for index in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(index)
        found["gpus"].append(
            {
                "name": gpu.name,
                "compute_capability": f"{gpu.major}.{gpu.minor}",
                "multiprocessors": gpu.multi_processor_count,
                "memory_gib": round(gpu.total_memory / 2**30, 1),
            }
        )
    found["cuda"] = torch.version.cuda
    return found


def summary_of_tests(report: Path, status: int, seconds: float) -> dict:
    """Counts, and the names of what failed, from pytest's JUnit file."""
    summary: dict = {"status": status, "seconds": round(seconds, 1), "failed": []}
    if not report.exists():
        return {**summary, "none": "pytest wrote no report; see check.log"}
    root = ElementTree.parse(report).getroot()
    suite = root if root.tag == "testsuite" else next(root.iter("testsuite"))
    counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    for case in suite.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            summary["failed"].append(f"{case.get('classname')}::{case.get('name')}")
    return {**summary, **counts, "failed": summary["failed"][:200]}


def build(check: Check) -> bool:
    """Installs the checkout into a folder, by pip or, if its back end is too old for that, by CMake; else without the
    native module, which no kernel of a GPU needs."""
    options = ("--no-build-isolation", "--no-deps", "--no-index", "--quiet", "--target", check.site)
    if check.run([sys.executable, "-m", "pip", "install", *options, "."], 120) == 0:
        return True
    check.say("pip does not build it here, see check.log; trying CMake")
    shutil.rmtree(check.site, ignore_errors=True)
    package = check.site / "sinograd"
    shutil.copytree(ROOT / "src" / "sinograd", package, ignore=shutil.ignore_patterns("_native*.so", "__pycache__"))
    shutil.copytree(ROOT / "kernels", package / "kernels")
    nanobind = subprocess.run([sys.executable, "-m", "nanobind", "--cmake_dir"], capture_output=True, text=True).stdout
    folder = check.scratch / "build"
    places = (f"-DPython_EXECUTABLE={sys.executable}", f"-Dnanobind_DIR={nanobind.strip()}")
    steps: tuple[tuple[str | Path, ...], ...] = (
        ("cmake", "-S", ROOT, "-B", folder, *places),
        ("cmake", "--build", folder, "--parallel", "8"),
        ("cmake", "--install", folder, "--prefix", check.site),
    )
    try:
        return all(check.run(step, 100) == 0 for step in steps)
    except OSError as error:
        check.say(f"CMake: {error}")
        return False


def tests(check: Check) -> bool:
    """The contract on the GPU, in some processes at once where pytest can."""
    report, start = check.scratch / "junit.xml", time.monotonic()
    options = ("--device", "cuda", "-v", "--tb=short", "-W", "default", "-o", "minversion=6.0", "--junitxml", report)
    files = [ROOT / "tests" / name for name in TESTS]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    several = ("-n", str(PROCESSES)) if importlib.util.find_spec("xdist") else ()
    status = check.run([*command, *several, *files], 230)
    if several and status not in (0, 1, 2, 124):
        check.say(f"pytest ended with {status} in {PROCESSES} processes, see check.log; once more in one")
        status = check.run([*command, *files], 200)
    summary = summary_of_tests(report, status, time.monotonic() - start)
    check.write("tests", summary)
    check.say(f"tests: {json.dumps({k: v for k, v in summary.items() if k != 'failed'})}")
    for name in summary["failed"][:20]:
        check.say(f"failed: {name}")
    return status == 0


def benchmarks(check: Check) -> bool:
    """Ceilings, kernels, agreement with the CPU, starting times; written as they come."""
    path = check.out / "benchmarks.json"
    status = check.run([sys.executable, HERE / "measure.py", "--out", path, "--seconds", str(check.left(160) - 5)], 160)
    if path.exists():
        for name, entry in json.loads(path.read_text()).items():
            check.say(f"{name}: {json.dumps(entry)}")
    return status == 0


def sanitizer(check: Check) -> bool:
    """Memory and races, over one small call of every kernel."""
    tool = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if tool is None:
        check.write("sanitizer", {"none": "compute-sanitizer is not installed"})
        check.say("sanitizer: compute-sanitizer is not installed")
        return True
    results: dict = {}
    for name in SANITIZERS:
        options = ("--report-api-errors", "no") if name == "memcheck" else ()  # torch asks for what may not be there
        words = (tool, "--tool", name, "--error-exitcode", "9", *options)
        status = check.run([*words, sys.executable, HERE / "every_kernel.py"], 110)
        known = {0: "clean", 9: "errors; see check.log", 124: "not finished in time"}
        results[name] = known.get(status, f"did not work here: exit status {status}; see check.log")
        check.say(f"sanitizer {name}: {results[name]}")
        check.write("sanitizer", results)
    return not any(text.startswith("errors") for text in results.values())


def attempt(check: Check, step: Callable[[Check], bool]) -> bool:
    """Whether a step went well; an error in it is told and leaves the others to run."""
    try:
        return step(check)
    except Exception as error:
        check.say(f"{step.__name__}: {type(error).__name__}: {error}")
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """The whole check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "gpu-check", help="folder for the results")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="time for everything")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so would pytest
    check = Check(given.out.resolve(), given.seconds)
    for name in ("tests", "benchmarks", "sanitizer"):
        (check.out / f"{name}.json").unlink(missing_ok=True)
    found = environment()
    check.write("environment", found)
    check.say(f"environment: {json.dumps(found)}")
    if not found["gpus"]:
        check.say(f"NO GPU, nothing was run: {found['none']}")
        shutil.rmtree(check.scratch, ignore_errors=True)
        return 2
    bad = [step.__name__ for step in (build, tests, benchmarks, sanitizer) if not attempt(check, step)]
    shutil.rmtree(check.scratch, ignore_errors=True)
    check.say(f"failed: {', '.join(bad)}" if bad else "all well")
    return 1 if bad else 0


def _commit() -> str | None:
    try:
        done = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None


if __name__ == "__main__":
    sys.exit(main())
