"""Installs a wheel where there is no compiler and nothing else, and uses it: `python packaging/empty.py dist/*.whl`.

A new virtual environment of the Python that runs this, and a PATH of that environment alone. torch is installed first.
From the wheel to the first volume must take less than a minute of a processor. Then the OpenMP runtimes are counted,
smoke tests run, and what all operators compute is compared with the build in the folder --source. With --system the
environment sees the packages of this Python, whose torch is used, and takes the newest versions of the others.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 60.0  # seconds from the wheel to a volume, of a processor: other programs may share the machine
COMPILERS = ("cc", "gcc", "c++", "g++", "clang", "clang++")
SMOKE = ("tests/ops/test_native.py", "tests/test_supported.py", "tests/recon/analytic/test_textbook.py")
KEPT = ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "SSL_CERT_FILE")


@dataclass(frozen=True)
class Seconds:
    """On the clock, and of the processor by programs that were started here."""

    clock: float
    processor: float

    @classmethod
    def now(cls) -> Seconds:
        """Since some moment."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return cls(time.perf_counter(), used.ru_utime + used.ru_stime)

    def __sub__(self, other: Seconds) -> Seconds:
        return Seconds(self.clock - other.clock, self.processor - other.processor)

    def __str__(self) -> str:
        return f"{self.clock:.1f} s ({self.processor:.1f} of a processor)"


class Environment:
    """An empty virtual environment in a folder, whose programs see no others."""

    def __init__(self, folder: Path, system: bool = False) -> None:
        command = [sys.executable, "-m", "venv", str(folder)]
        subprocess.run([*command, "--system-site-packages"] if system else command, check=True)
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.variables = {name: os.environ[name] for name in KEPT if name in os.environ}
        self.variables |= {"PATH": str(folder / "bin"), "HOME": str(folder), "OMP_WAIT_POLICY": "passive"}
        if not system:
            self.variables["PIP_CONSTRAINT"] = str(ROOT / "constraints.txt")
        there = [name for name in COMPILERS if shutil.which(name, path=self.variables["PATH"])]
        assert not there, f"the empty environment has compilers: {there}"

    def run(self, *command: object, **more: str) -> str:
        """What a program of the environment prints, in a folder of its own; ends this program where it fails."""
        program = self.folder / "bin" / str(command[0])
        line = [str(program), *map(str, command[1:])]
        done = subprocess.run(
            line, cwd=more.pop("cwd", self.folder), env=self.variables | more, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(f"empty.py: {' '.join(line)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def install(self, *what: object) -> Seconds:
        """What pip took, which may build nothing."""
        start = Seconds.now()
        self.run("python", "-m", "pip", "install", "--quiet", "--only-binary", ":all:", *what)
        return Seconds.now() - start


def main() -> None:
    """Install, reconstruct, test, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--source", type=Path, help="folder of a source build to compare with (pip install --target)")
    parser.add_argument("--system", action="store_true", help="use the torch of this Python")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sinograd-empty-") as folder:
        environment = Environment(Path(folder) / "venv", options.system)
        print(f"torch: {environment.install(required_torch())}, which do not count", flush=True)
        first_volume(environment, options.wheel.resolve())
        print(environment.run("python", ROOT / "packaging" / "runtimes.py"), end="", flush=True)
        smoke(environment)
        if options.source:
            compare(environment, options.source)


def required_torch() -> str:
    """What pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return next(line for line in project["dependencies"] if line.startswith("torch"))


def first_volume(environment: Environment, wheel: Path) -> None:
    """From the wheel to a reconstructed volume."""
    start = Seconds.now()
    print(f"installed in {environment.install(wheel)}")
    print(environment.run("sinograd", "demo", "--size", "small", "-o", environment.folder / "demo"), end="")
    taken = Seconds.now() - start
    print(f"from the wheel to the first volume: {taken}", flush=True)
    print(environment.run("sinograd", "doctor"), end="", flush=True)
    if taken.processor > LONGEST:
        sys.exit(f"empty.py: from the wheel to a volume took more than {LONGEST:g} s of a processor")


def smoke(environment: Environment) -> None:
    """Some tests of the checkout on the installed package."""
    environment.install("pytest>=8.3", "hypothesis>=6.115")
    print(environment.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *SMOKE, cwd=str(ROOT)), end="")


def compare(environment: Environment, source: Path) -> None:
    """The bits of the wheel's results are those of the source build, which the Python that runs this computes."""
    program = ROOT / "packaging" / "fingerprint.py"
    wheel = environment.run("python", program)
    variables = os.environ | {"OMP_WAIT_POLICY": "passive", "PYTHONPATH": str(source.resolve())}
    command = [sys.executable, str(program)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"empty.py: the source build in {source} does not run:\n{done.stderr}")
    print(wheel, end="")
    if wheel != done.stdout:
        sys.exit(f"empty.py: the source build has other results:\n{done.stdout}")
    print("results are those of the source build, bit for bit")


if __name__ == "__main__":
    main()
