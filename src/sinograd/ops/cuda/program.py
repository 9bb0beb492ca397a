"""CUDA sources compiled for a GPU by NVRTC (through cuda.core), once for each set of macros; kept on disk."""

from __future__ import annotations

import functools
import importlib
import warnings
from dataclasses import dataclass
from typing import Any

import torch

from sinograd.errors import MissingPackageError
from sinograd.ops.cuda.source import assemble

NEEDED = "tensors on a GPU need the package cuda-core: pip install 'sinograd[cuda]'"
WARM_UP = "run the same call once before the capture of a CUDA graph begins: {} cannot be done inside it"


@dataclass(frozen=True)
class Program:
    """A source of `kernels/cuda` with the macros that specialise it; equal ones share what is compiled.

    Attributes:
        file: its name in `kernels/cuda`.
        macros: name and text of each, sorted.
        contracted: whether a product and a sum may be rounded together. Kernels whose adjoint has to find the same
            coordinates must not leave that to the compiler.
    """

    file: str
    macros: tuple[tuple[str, str], ...]
    contracted: bool = True

    @classmethod
    def of(cls, file: str, *, contracted: bool = True, **macros: str | int) -> Program:
        """Numbers become text; the order of the macros does not matter."""
        texts = sorted((name, str(int(v) if isinstance(v, bool) else v)) for name, v in macros.items())
        return cls(file, tuple(texts), contracted)

    def compile(self, arch: str, cache: Any = None) -> Any:
        """Machine code for one architecture ("sm_90"), from the cache or new; needs no GPU.

        A `cuda.core.ObjectCode`. Unmarked functions of the shared headers are compiled for the GPU.
        """
        core = cuda_core()
        options = core.ProgramOptions(
            name=self.file,
            arch=arch,
            std="c++17",
            lineinfo=True,
            device_as_default_execution_space=True,
            define_macro=list(self.macros) or None,
            fma=self.contracted,
        )
        program = core.Program(assemble(self.file), "c++", options)
        return program.compile("cubin") if cache is None else program.compile("cubin", cache=cache)


@functools.cache
def load(program: Program, arch: str, device: int) -> Any:
    """The code of a program for a device of this architecture: once for each, as modules belong to a context.

    Raises:
        RuntimeError: a CUDA graph is being captured, NVRTC is missing or does not know the GPU, or the driver is too
            old for what it makes.
    """
    if capturing(torch.device("cuda", device)):
        raise RuntimeError(WARM_UP.format("compiling a kernel"))
    check_compiler(arch)
    return program.compile(arch, disk_cache())


def capturing(device: torch.device) -> bool:
    """Whether torch's current stream of this thread records a CUDA graph."""
    if device.type != "cuda" or not torch.cuda.is_initialized():
        return False
    with torch.cuda.device(device):
        return torch.cuda.is_current_stream_capturing()


@functools.cache
def check_compiler(arch: str) -> None:
    """NVRTC is there, it makes code for the architecture, and the driver can run that."""
    cuda_core()
    try:
        nvrtc = importlib.import_module("cuda.bindings.nvrtc")
        major, minor = nvrtc.nvrtcVersion()[1:]
        known = sorted(nvrtc.nvrtcGetSupportedArchs()[1])
    except Exception as error:  # whatever the bindings raise where the library is missing
        raise RuntimeError(
            f"tensors on a GPU need NVIDIA's run-time compiler NVRTC: pip install 'sinograd[cuda]' ({error})"
        ) from error
    number = int("".join(filter(str.isdigit, arch)))
    if number not in known:
        remedy = "use the CPU for it" if number < known[0] else "pip install --upgrade 'cuda-core[cu13]'"
        raise RuntimeError(
            f"this GPU is an {arch}, and NVRTC {major}.{minor} makes code for sm_{known[0]} to sm_{known[-1]}: {remedy}"
        )
    driver = driver_version()
    if driver is not None and driver < major:
        raise RuntimeError(
            f"the NVIDIA driver runs CUDA {driver}, and NVRTC makes code for CUDA {major}: update the driver, or "
            f"pip install 'cuda-core[cu{driver}]'"
        )


def driver_version() -> int | None:
    """Major version of CUDA that the driver runs; None where it does not say."""
    try:
        error, version = importlib.import_module("cuda.bindings.driver").cuDriverGetVersion()
    except Exception:  # no driver: launching will say so
        return None
    return version // 1000 if int(error) == 0 else None


@functools.cache
def disk_cache() -> Any:
    """cuda.core's cache in the user's folder; None, with a warning, where it cannot be written or there is none."""
    cuda_core()
    try:
        return importlib.import_module("cuda.core.utils").FileStreamProgramCache()
    except (AttributeError, ImportError):
        warnings.warn("compiled CUDA kernels are not kept: pip install --upgrade cuda-core", stacklevel=2)
        return None
    except OSError as error:
        warnings.warn(f"compiled CUDA kernels are not kept: {error}", stacklevel=2)
        return None


def cuda_core() -> Any:
    """The module `cuda.core`, an extra; an error says how to get it. Before 0.5 it was `cuda.core.experimental`."""
    try:
        core = importlib.import_module("cuda.core")
        return core if hasattr(core, "Program") else importlib.import_module("cuda.core.experimental")
    except ImportError as error:
        raise MissingPackageError(NEEDED) from error
