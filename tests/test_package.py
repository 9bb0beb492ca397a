"""The package as a whole: what importing it costs and does, and that the installed one is this checkout's."""

from __future__ import annotations

import hashlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import sinograd

STALE = "the installed sinograd is not the one in this checkout: run `make test` (it reinstalls)"

# Importing sinograd must stay cheap, so these wait until something needs them.
LAZY = {
    *("matplotlib", "lightning", "typer", "rich"),
    *("h5py", "pydicom", "tifffile", "olefile", "SimpleITK", "zarr"),
}


def python(code: str) -> str:
    """What `code` prints in a fresh interpreter that sees the same packages."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def listing_hash(root: Path, files: list[str]) -> str:
    """SHA-256 of the listing that `sha256sum` prints for `files`; CMake computes the same."""
    hashes = (hashlib.sha256((root / file).read_bytes()).hexdigest() for file in files)
    listing = "".join(f"{digest}  {file}\n" for digest, file in zip(hashes, files, strict=True))
    return hashlib.sha256(listing.encode()).hexdigest()


def relative_files(root: Path, *patterns: str) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for pattern in patterns for path in root.rglob(pattern))


def differing(first: Path, second: Path, *patterns: str) -> list[str]:
    """The files that only one of two folders has, or that both have with different contents."""
    files = {*relative_files(first, *patterns), *relative_files(second, *patterns)}

    def same(file: str) -> bool:
        one, other = first / file, second / file
        return one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()

    return sorted(file for file in files if not same(file))


def test_import_loads_no_reader_plotter_or_trainer():
    loaded = python("import sys, torch; before = set(sys.modules); import sinograd; print(*set(sys.modules) - before)")
    assert not {name.split(".")[0] for name in loaded.split()} & LAZY


def test_import_takes_less_than_a_second_of_processor_time_beyond_torch():
    code = "import time, torch; start = time.process_time(); import sinograd; print(time.process_time() - start)"
    assert min(float(python(code)) for _ in range(3)) < 1.0


def test_import_leaves_random_state_threads_and_denormals_alone():
    state = "(torch.initial_seed(), torch.get_num_threads(), torch.tensor(1e-40).mul(1.0).item() > 0)"
    code = f"import torch; torch.manual_seed(7); before = {state}; import sinograd; print(before == {state})"
    assert python(code) == "True"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
@pytest.mark.parametrize("order", ["torch, sinograd._native", "sinograd._native, torch"])
def test_native_module_shares_one_openmp_runtime_with_torch(order: str):
    """Two pools of threads would ignore torch.set_num_threads and hang in forked DataLoader workers."""
    maps = python(f"import {order}; print(open('/proc/self/maps').read())")
    libraries = {Path(line.split()[-1]).name for line in maps.splitlines()}
    assert len([name for name in libraries if name.startswith(("libgomp", "libomp", "libiomp"))]) == 1


def test_native_module_is_built_from_these_kernels(project_root: Path):
    from sinograd import _native

    kernels = relative_files(project_root / "kernels", "*.h", "*.cpp", "*.cu")
    expected = listing_hash(project_root, [f"kernels/{file}" for file in kernels])
    assert _native.source_hash() == expected, STALE


@pytest.fixture
def installed(project_root: Path) -> Path:
    """The folder of the installed package."""
    folder = Path(sinograd.__file__).parent
    if folder == project_root / "src" / "sinograd":
        pytest.skip("sinograd is imported from the source tree: nothing is installed")
    return folder


def test_version_is_that_of_the_installed_distribution(installed: Path):
    assert sinograd.__version__ == importlib.metadata.version("sinograd")


def test_installed_python_files_are_these(installed: Path, project_root: Path):
    assert differing(installed, project_root / "src" / "sinograd", "*.py", "*.pyi", "py.typed") == [], STALE


def test_installed_scanners_and_kernels_are_these(installed: Path, project_root: Path):
    scanners = installed / "geometry" / "scanners"
    assert differing(scanners, project_root / "geometries", "*.yaml") == [], STALE
    for folder in ("include", "cuda"):
        copied, original = installed / "kernels" / folder, project_root / "kernels" / folder
        assert differing(copied, original, "*.h", "*.cu") == [], STALE
