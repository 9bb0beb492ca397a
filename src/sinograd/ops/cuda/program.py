"""CUDA sources compiled for a GPU by NVRTC (through cuda.core), once for each set of macros; kept on disk."""

from __future__ import annotations

import functools
import importlib
import warnings
from dataclasses import dataclass
from typing import Any

from sinograd.ops.cuda.source import assemble

NEEDED = "tensors on a GPU need the package cuda-core: pip install 'sinograd[cuda]'"


@dataclass(frozen=True)
class Program:
    """A source of `kernels/cuda` with the macros that specialise it; equal ones share what is compiled."""

    file: str
    macros: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, file: str, **macros: str | int) -> Program:
        """Numbers become text; the order of the macros does not matter."""
        return cls(file, tuple(sorted((name, str(int(v) if isinstance(v, bool) else v)) for name, v in macros.items())))

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
        )
        return core.Program(assemble(self.file), "c++", options).compile("cubin", cache=cache)


@functools.cache
def load(program: Program, arch: str, device: int) -> Any:
    """The code of a program for a device of this architecture: once for each, as modules belong to a context."""
    return program.compile(arch, disk_cache())


@functools.cache
def disk_cache() -> Any:
    """cuda.core's cache in the user's folder; None, with a warning, where it cannot be written."""
    cuda_core()
    utils = importlib.import_module("cuda.core.utils")
    try:
        return utils.FileStreamProgramCache()
    except OSError as error:
        warnings.warn(f"compiled CUDA kernels are not kept: {error}", stacklevel=2)
        return None


def cuda_core() -> Any:
    """The module `cuda.core`, an extra; an error says how to get it."""
    try:
        return importlib.import_module("cuda.core")
    except ImportError as error:
        raise ImportError(NEEDED) from error
