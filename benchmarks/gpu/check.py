"""Everything that needs a GPU, in less than nine minutes: `python benchmarks/gpu/check.py --out FOLDER`.

Builds sinograd without a network into FOLDER, runs the operators' contract on the GPU, measures ceilings and kernels,
and runs the kernels under compute-sanitizer where there is one. Needs torch with CUDA, cuda-core, pytest, numpy, scipy
and what builds sinograd. Writes environment.json, tests.json, benchmarks.json, sanitizer.json and check.log.
Exit status: 0 all well, 1 something failed, 2 no GPU.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
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
    "nanobind",
    "pydicom",
    "rich",
)
TESTS = (
    "test_xray_transform.py",
    "test_voxel_backprojection.py",
    "test_projection_on_gpu.py",
    "test_bilateral_cuda.py",
)
SANITIZERS = ("memcheck", "racecheck")


class Check:
    """One run: its folder, its log and how much time is left."""

    def __init__(self, out: Path, seconds: float) -> None:
        self.out, self.end = out, time.monotonic() + seconds
        self.site = out / "site"
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
        """The exit status of a command, whose output goes to the log; 124 where time was up."""
        limit = self.left(seconds)
        if limit <= 1:
            self.say("no time left for this")
            return 124
        environment = {**os.environ, "PYTHONPATH": str(self.site), "PYTHONUNBUFFERED": "1"}
        words = [*map(str, command)]
        with self.path.open("a") as log:
            print(f"$ {' '.join(words)}", file=log, flush=True)
            try:
                done = subprocess.run(words, cwd=ROOT, env=environment, stdout=log, stderr=log, timeout=limit)
            except subprocess.TimeoutExpired:
                return 124
        return done.returncode


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
    """Installs the checkout into the folder."""
    shutil.rmtree(check.site, ignore_errors=True)
    options = ("--no-build-isolation", "--no-deps", "--no-index", "--quiet", "--target", check.site)
    return check.run([sys.executable, "-m", "pip", "install", *options, "."], 150) == 0


def tests(check: Check) -> bool:
    """The contract on the GPU."""
    report, start = check.out / "junit.xml", time.monotonic()
    report.unlink(missing_ok=True)
    options = (
        "--device",
        "cuda",
        "-q",
        "-W",
        "default",
        "-o",
        "minversion=6.0",
        "--junitxml",
        report,
    )
    files = [ROOT / "tests" / "ops" / name for name in TESTS]
    status = check.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, *files], 230)
    summary = summary_of_tests(report, status, time.monotonic() - start)
    report.unlink(missing_ok=True)
    check.write("tests", summary)
    check.say(f"tests: {json.dumps({k: v for k, v in summary.items() if k != 'failed'})}")
    for name in summary["failed"][:20]:
        check.say(f"failed: {name}")
    return status == 0


def benchmarks(check: Check) -> bool:
    """Ceilings, kernels, agreement with the CPU, starting times; written as they come."""
    path = check.out / "benchmarks.json"
    path.unlink(missing_ok=True)
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
        command = [tool, "--tool", name, "--error-exitcode", "9", sys.executable, HERE / "every_kernel.py"]
        results[name] = {0: "clean", 9: "errors; see check.log", 124: "not finished in time"}.get(
            status := check.run(command, 60), f"did not work here: exit status {status}; see check.log"
        )
        check.say(f"sanitizer {name}: {results[name]}")
    check.write("sanitizer", results)
    return not any(text.startswith("errors") for text in results.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """The whole check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "gpu-check", help="folder for the results")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="time for everything")
    given = parser.parse_args(arguments)
    check = Check(given.out.resolve(), given.seconds)
    found = environment()
    check.write("environment", found)
    check.say(f"environment: {json.dumps(found)}")
    if not found["gpus"]:
        check.say(f"NO GPU, nothing was run: {found['none']}")
        return 2
    if not build(check):
        check.say("the build failed; see check.log")
        return 1
    steps = {step.__name__: step(check) for step in (tests, benchmarks, sanitizer)}
    shutil.rmtree(check.site, ignore_errors=True)
    bad = [name for name, well in steps.items() if not well]
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
