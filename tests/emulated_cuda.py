"""CUDA kernels compiled by g++ and run on the CPU, so that their arithmetic is tested without a GPU.

`Emulator(folder)` can be put in the place of `sinograd.ops.cuda.launch`: it takes the same arguments, checks that their
sizes are those that the kernel declares, and runs the very text that NVRTC would get.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from sinograd.ops.cuda.kernel_launch import Argument, pack
from sinograd.ops.cuda.program import Program
from sinograd.ops.cuda.source import assemble

SHIM = Path(__file__).with_name("emulated_cuda.h")
KERNEL = re.compile(r'extern "C" +void\s+(\w+)\(')


class Emulator:
    """Compiles programs into a folder, each once."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which(os.environ.get("CXX", "g++"))
        if compiler is None:
            pytest.skip("needs g++ to compile the CUDA sources for the CPU")
        self.compiler = compiler
        self.folder = folder
        self.libraries: dict[Program, ctypes.CDLL] = {}
        self.backwards = False  # whether threads and blocks run from the last to the first
        self.launched: list[tuple[Program, str, int, tuple[int, ...]]] = []

    def launch(self, program: Program, name: str, blocks: int, threads: tuple[int, ...], *arguments: Argument) -> None:
        """As `sinograd.ops.cuda.launch`."""
        self.launched.append((program, name, blocks, threads))
        values = [self._bytes(value) for value in pack(arguments, torch.device("cpu"))]
        library = self.libraries.get(program)
        if library is None:
            library = self.libraries[program] = self._compile(program)
        declared = (ctypes.c_int * 64)()
        count = getattr(library, f"sizes_{name}")(declared)
        assert [len(value) for value in values] == list(declared)[:count], f"{name}: sizes of the arguments"
        buffers = [ctypes.create_string_buffer(value, len(value)) for value in values]
        pointers = (ctypes.c_void_p * count)(*(ctypes.addressof(buffer) for buffer in buffers))
        library.run_backwards(self.backwards)
        getattr(library, f"launch_{name}")(blocks, threads[0], threads[1], pointers)

    @staticmethod
    def _bytes(value: int | np.generic) -> bytes:
        return value.to_bytes(8, "little") if isinstance(value, int) else value.tobytes()

    def _compile(self, program: Program) -> ctypes.CDLL:
        source = self.folder / f"{len(self.libraries)}.cpp"
        library = source.with_suffix(".so")
        source.write_text(f'#include "{SHIM}"\n{assemble(program.file)}\n')
        macros = [f"-D{name}={value}" for name, value in program.macros]
        expanded = subprocess.run(
            [self.compiler, "-std=c++17", "-E", "-P", *macros, str(source)], check=True, capture_output=True, text=True
        ).stdout
        exports = "\n".join(f"EMULATED_KERNEL({name})" for name in KERNEL.findall(expanded))
        source.write_text(f"{source.read_text()}\n{exports}\n")
        command = [self.compiler, "-std=c++17", "-O1", "-w", "-shared", "-fPIC", *macros, str(source)]
        subprocess.run([*command, "-o", str(library)], check=True)
        return ctypes.CDLL(str(library))
