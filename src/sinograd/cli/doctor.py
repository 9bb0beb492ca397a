"""`sinograd doctor`: is this installation complete, and does it compute the right numbers?"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sinograd.cli.command import command
from sinograd.cli.options import JSON

if TYPE_CHECKING:
    from sinograd.recon import OperatorCheck

CORE = (
    "torch",
    "numpy",
    "scipy",
    "h5py",
    "PyYAML",
    "typer",
    "rich",
    "matplotlib",
    "tifffile",
    "pydicom",
)

TWO_RUNTIMES = (
    "two runtimes, so that torch.set_num_threads does not reach sinograd and forked workers may hang;"
    " install a newer torch from PyPI, whose library is libgomp.so.1"
)
ON_GPU = "operators work where their tensors are"


@dataclass(frozen=True)
class Finding:
    """One line of the report; `failed` findings make the command exit with 1."""

    name: str
    text: str
    failed: bool = False
    value: float | None = None
    limit: float | None = None


@command({"json": JSON})
def doctor(json: bool = False) -> None:
    """Check the installation: versions, native module, extras, GPU, and a short test of the numbers."""
    failed = False
    if json:
        from sinograd.cli.records import print_record

        checks = list(findings())
        failed = any(check.failed for check in checks)
        print_record("doctor", {"passed": not failed, **_record(checks)})
        if failed:
            raise typer.Exit(1)
        return
    for finding in findings():
        mark = typer.style("FAIL", fg="red") if finding.failed else "ok  "
        typer.echo(f"{mark}  {finding.name:<16} {finding.text}")
        failed |= finding.failed
    if failed:
        raise typer.Exit(1)


def _record(checks: list[Finding]) -> dict[str, Any]:
    """Versions, processors and the tests of the numbers."""
    import torch

    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in CORE},
        "threads": torch.get_num_threads(),
        "processors": os.cpu_count(),
        "cuda": torch.cuda.is_available(),
        "checks": [
            {"name": check.name, "passed": not check.failed, "value": check.value, "limit": check.limit}
            for check in checks
        ],
    }


def findings() -> Iterator[Finding]:
    """The report, line by line."""
    yield _software()
    yield from _packages()
    native = _native()
    yield native
    yield _threads()
    yield from _extras()
    cuda = _cuda()
    yield cuda
    if not native.failed:
        yield _tested("adjoint", lambda: _adjoint_error("cpu"), "difference {:.1e}, at most 1e-06", 1e-6)
        if cuda.text.endswith(ON_GPU):
            yield _tested("adjoint on a GPU", lambda: _adjoint_error("cuda"), "difference {:.1e}, at most 1e-06", 1e-6)
        yield _operators()
        yield _tested("FDK of a ball", _ball_error, "amplitude off by {:.2%}, at most 2%", 0.02)
        yield _openmp()


def _software() -> Finding:
    from sinograd.data import software_version

    folder = Path(__file__).parents[1]
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("sinograd", f"{software_version()} in {folder}; {python}")


def _packages() -> Iterator[Finding]:
    versions, missing = [], []
    for name in CORE:
        version = _version(name)
        (missing if version is None else versions).append(name if version is None else f"{name} {version}")
    yield Finding("packages", ", ".join(versions))
    if missing:
        yield Finding("packages", f"missing: {', '.join(missing)}; pip install {' '.join(missing)}", failed=True)


def _native() -> Finding:
    from sinograd.ops.native import native

    try:
        module = native()
    except ImportError as error:
        return Finding("native module", str(error).removeprefix("sinograd's compiled module "), failed=True)
    using, able = module.instruction_set(), module.instruction_sets()
    forced = f", forced by SINOGRAD_SIMD={os.environ['SINOGRAD_SIMD']}" if "SINOGRAD_SIMD" in os.environ else ""
    text = f"{using}{forced} (this machine runs {', '.join(able)}), sources {module.source_hash()[:12]}"
    return Finding("native module", text)


def _threads() -> Finding:
    import torch

    waiting = "sleep" if os.environ.get("OMP_WAIT_POLICY", "").lower() == "passive" else "spin"
    return Finding("threads", f"{torch.get_num_threads()} of {os.cpu_count()} processors; those that wait {waiting}")


def _openmp() -> Finding:
    """Whether torch and the native module share one runtime, now that both have worked in parallel."""
    from sinograd.ops.native import openmp_runtimes

    found = openmp_runtimes()
    if len(found) > 1:
        return Finding("OpenMP", f"{TWO_RUNTIMES}: {', '.join(found)}", failed=True)
    return Finding("OpenMP", f"one runtime: {found[0]}" if found else "this system does not tell what is loaded")


def _extras() -> Iterator[Finding]:
    """What each optional extra lacks, from the requirements that sinograd was installed with."""
    try:
        requirements = importlib.metadata.requires("sinograd") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("extras", "unknown: sinograd runs from its sources, pip has not installed it")
        return
    extras: dict[str, list[str]] = defaultdict(list)
    for requirement in requirements:
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", requirement)
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        if extra and name:
            extras[extra[1]].append(name[0])
    for extra, names in extras.items():
        missing = [name for name in names if _version(name) is None]
        how = f"not installed: {', '.join(missing)} (pip install 'sinograd[{extra}]')"
        yield Finding(f"extra {extra}", how if missing else ", ".join(names))


def _cuda() -> Finding:
    """What operators on a GPU lack; the CPU is enough for everything, so that nothing fails for it."""
    import torch

    from sinograd.ops.cuda.program import check_compiler
    from sinograd.ops.devices import why_no_gpu

    reason = why_no_gpu()
    if reason is not None:
        return Finding("CUDA", f"none, everything runs on the CPU; torch sees no GPU: {reason}")
    major, minor = torch.cuda.get_device_capability()
    name = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    try:
        check_compiler(f"sm_{major}{minor}")
    except (ImportError, RuntimeError) as error:
        return Finding("CUDA", f"{name}; {error}")
    return Finding("CUDA", f"{name}; {ON_GPU}")


def _operators() -> Finding:
    """Whether a small cone-beam operator is matched, scaled and centred."""
    try:
        found = _checked()
    except Exception as error:
        return Finding("operators", f"{type(error).__name__}: {error}", failed=True)
    return Finding("operators", str(found), failed=not found.ok)


def _checked() -> OperatorCheck:
    import sinograd as sg
    from sinograd import recon

    detector = sg.FlatDetector((32, 40), 1.0)
    geometry = sg.ConeBeam.circular(
        source_to_origin=80, source_to_detector=120, angles=sg.full_scan(12), detector=detector
    )
    return recon.check(sg.XRayTransform(geometry, sg.Grid((16, 18, 20), 1.0)))


def _tested(name: str, test: Callable[[], float], text: str, limit: float) -> Finding:
    try:
        value = test()
    except Exception as error:
        return Finding(name, f"{type(error).__name__}: {error}", failed=True)
    return Finding(name, text.format(value), failed=not value <= limit, value=value, limit=limit)


def _adjoint_error(device: str) -> float:
    """|<A x, y> - <x, A^T y>| over the norm of the products, for a small cone beam in float32."""
    import torch

    import sinograd as sg

    generator = torch.Generator().manual_seed(0)
    grid = sg.Grid((12, 16, 20), 1.0)
    detector = sg.FlatDetector((18, 24), 1.5)
    geometry = sg.ConeBeam.circular(
        source_to_origin=80, source_to_detector=120, angles=sg.full_scan(10), detector=detector
    )
    transform = sg.XRayTransform(geometry, grid)
    x = torch.randn(grid.shape, generator=generator).to(device)
    y = torch.randn(geometry.projection_shape, generator=generator).to(device)
    forward = (transform(x).double() * y.double()).flatten()
    back = (x.double() * transform.T(y).double()).sum()
    return ((forward.sum() - back).abs() / forward.norm()).item()


def _ball_error() -> float:
    """Relative error of the mean inside a ball that was projected exactly and reconstructed."""
    import torch

    import sinograd as sg
    from sinograd.phantoms import Ellipsoids

    attenuation, radius = 0.02, 10.0
    grid = sg.Grid((25, 32, 32), 1.0)
    detector = sg.FlatDetector((48, 56), 1.0)
    geometry = sg.ConeBeam.circular(
        source_to_origin=120, source_to_detector=180, angles=sg.full_scan(90), detector=detector
    )
    volume = sg.fdk(Ellipsoids(attenuation, radius).project(geometry), geometry, grid)
    z, y, x = torch.meshgrid(*grid.axes(), indexing="ij")
    inside = (x**2 + y**2 < 6**2) & (z.abs() < 3)
    return abs(volume[inside].mean().item() / attenuation - 1)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
