"""Checks what a wheel of sinograd is, without running it: `python packaging/check.py dist/*.whl`.

The tags, its size, the libraries that its compiled module needs and the oldest glibc that it asks for, what it must and
must not hold. Prints size, libraries and glibc; exits with 1 and every finding where something is not as it should be.
"""

from __future__ import annotations

import io
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

LARGEST = 5_000_000  # bytes
# libgomp is torch's; all others are part of every Linux with glibc.
LIBRARIES = {"libgomp.so.1", "libstdc++.so.6", "libm.so.6", "libgcc_s.so.1", "libpthread.so.0", "libc.so.6"}
LIBRARIES |= {"ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
TAG = re.compile(
    r"sinograd-[^-]+-(cp311-cp311|cp312-abi3)-(?P<platform>(manylinux|linux)[^-]*_(?P<machine>x86_64|aarch64))\.whl"
)
HOLDS = ("sinograd/__init__.py", "sinograd/py.typed", "sinograd/kernels/include/grid.h", "sinograd/kernels/cuda/scan.h")
HOLDS += ("sinograd/geometry/scanners/walnut.yaml", "sinograd/view/static/view.html")
LICENCES = ("LICENSE", "nanobind.txt", "robin-map.txt")


def findings(path: Path) -> Iterator[str]:
    """What is wrong with a wheel."""
    tag = TAG.fullmatch(path.name)
    if tag is None:
        yield f"tags: expected cp311-cp311 or cp312-abi3 for Linux on x86-64 or 64-bit Arm, got {path.name}"
        return
    if path.stat().st_size > LARGEST:
        yield f"size: expected at most {LARGEST / 1e6:g} MB, got {path.stat().st_size / 1e6:.1f} MB"
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        yield from (f"content: {name} is missing" for name in HOLDS if name not in names)
        for licence in LICENCES:
            if not any(
                name.endswith(f".dist-info/licenses/{licence}") or name.endswith(f"/{licence}") for name in names
            ):
                yield f"licences: {licence} is missing"
        strange = [name for name in names if not name.startswith(("sinograd/", "sinograd-")) or "__pycache__" in name]
        yield from (f"content: {name} does not belong here" for name in strange)
        modules = [name for name in names if ".so" in name]
        suffix = "abi3.so" if "abi3" in path.name else f"cpython-311-{tag['machine']}-linux-gnu.so"
        if modules != [f"sinograd/_native.{suffix}"]:
            yield f"content: expected one library, sinograd/_native.{suffix}, got {', '.join(modules) or 'none'}"
            return
        yield from _of_module(ELFFile(io.BytesIO(wheel.read(modules[0]))), tag["platform"])


def _of_module(module: ELFFile, platform: str) -> Iterator[str]:
    """What is wrong with the compiled module."""
    dynamic = _dynamic(module)
    needed = {*needed_libraries(module)}
    if "libgomp.so.1" not in needed:
        yield "NEEDED: libgomp.so.1 is missing: another OpenMP runtime than torch's would be loaded"
    yield from (f"NEEDED: {name} is not on every Linux" for name in sorted(needed - LIBRARIES))
    if any(dynamic.iter_tags("DT_RPATH")) or any(dynamic.iter_tags("DT_RUNPATH")):
        yield "RPATH: the module looks for libraries in a folder of the machine that built it"
    stated = re.search(r"manylinux_(\d+)_(\d+)", platform)
    newest = newest_versions(module)["GLIBC"]
    if stated and newest > (int(stated[1]), int(stated[2])):
        yield f"glibc: the tag says {stated[1]}.{stated[2]}, the module needs {newest[0]}.{newest[1]}"


def _dynamic(module: ELFFile) -> DynamicSection:
    section = module.get_section_by_name(".dynamic")
    assert isinstance(section, DynamicSection)
    return section


def needed_libraries(module: ELFFile) -> list[str]:
    """Its NEEDED list, in the order that the loader takes."""
    return [tag.needed for tag in _dynamic(module).iter_tags("DT_NEEDED")]


def newest_versions(module: ELFFile) -> dict[str, tuple[int, ...]]:
    """The newest versions that its symbols ask for: of glibc as GLIBC, of libstdc++ as GLIBCXX, and so on."""
    versions = module.get_section_by_name(".gnu.version_r")
    assert isinstance(versions, GNUVerNeedSection)
    newest: dict[str, tuple[int, ...]] = {}
    for name in (entry.name for _, entries in versions.iter_versions() for entry in entries):
        found = re.fullmatch(r"([A-Z]+)_(\d+(\.\d+)*)", name)
        if found:
            version = tuple(map(int, found[2].split(".")))
            newest[found[1]] = max(newest.get(found[1], ()), version)
    return newest


def figures(path: Path) -> Iterator[str]:
    """The figures of a wheel's compiled modules, for people."""
    with zipfile.ZipFile(path) as wheel:
        for name in wheel.namelist():
            if ".so" in name:
                module = ELFFile(io.BytesIO(wheel.read(name)))
                yield f"{name} needs {', '.join(needed_libraries(module))}"
                newest = {name: ".".join(map(str, found)) for name, found in newest_versions(module).items()}
                yield f"versions of {', '.join(f'{name} {version}' for name, version in newest.items())}"


def main(paths: list[str]) -> int:
    """Print figures and findings of every wheel; the exit code."""
    if not paths:
        print("usage: check.py WHEEL ...", file=sys.stderr)
        return 2
    failed = False
    for path in map(Path, paths):
        wrong = list(findings(path))
        failed |= bool(wrong)
        print(
            f"{path.name}: {path.stat().st_size / 1e6:.2f} MB: {'not as it should be' if wrong else 'as it should be'}"
        )
        print(*(f"  {text}\n" for text in [*figures(path), *wrong]), sep="", end="")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
