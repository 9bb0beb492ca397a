"""What NVRTC makes of the CUDA kernels; needs no GPU: `python benchmarks/gpu/compilation.py --arch sm_90`.

For each program, as the operators ask for it: seconds to compile it, seconds to find it in the cache on disk (what
later starts take), and registers a thread and bytes spilled of every kernel. Each compilation runs in a process of its
own, whose import of cuda.core is not counted.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

PROGRAMS: dict[str, dict[str, Any]] = {
    "axial_backprojection.cu": {"WARPS": 8, "COLUMNS": 4, "LEVELS": 4},
    "axial_joseph.cu": {"WARPS": 8, "COLUMNS": 2, "LEVELS": 4},
    "general_backprojection.cu": {"CURVED": 0, "LEVELS": 4},
    "general_backprojection.cu, curved": {"CURVED": 1, "LEVELS": 4},
    "general_joseph.cu": {"CURVED": 0},
    "general_joseph.cu, curved": {"CURVED": 1},
    "planar.cu": {"IMAGES": 4},
    "total_variation.cu": {"AXES": 3, "COLUMNS": 32, "ROWS": 8},
}
BILATERAL = ("bilateral.cu", "bilateral.cu, gradients")  # windows of 5 x 5 x 5
ENTRY, USED, SPILLED = "Compiling entry", re.compile(r"Used (\d+) registers"), re.compile(r"(\d+) bytes spill stores")


def measured(file: str, real: str, arch: str) -> dict[str, Any]:
    """One program in this process."""
    from cuda.core.utils import FileStreamProgramCache

    from sinograd.ops.cuda.program import cuda_core
    from sinograd.ops.cuda.source import assemble

    program, core = program_of(file, real), cuda_core()
    with tempfile.TemporaryDirectory() as folder, FileStreamProgramCache(folder) as cache:
        start = time.perf_counter()
        program.compile(arch, cache)
        new = time.perf_counter() - start
        again = []
        for _ in range(5):
            start = time.perf_counter()
            program.compile(arch, cache)
            again.append(time.perf_counter() - start)
    log = io.StringIO()
    options = core.ProgramOptions(
        name=program.file,
        arch=arch,
        std="c++17",
        device_as_default_execution_space=True,
        define_macro=list(program.macros),
        fma=program.contracted,
        ptxas_options=["-v"],
    )
    core.Program(assemble(program.file), "c++", options).compile("cubin", logs=log)
    return {"compile_s": new, "cached_s": statistics.median(again), "kernels": kernels(log.getvalue())}


def program_of(file: str, real: str) -> Any:
    """The program that a launch takes."""
    from sinograd.ops.bilateral_cuda import grid_of
    from sinograd.ops.cuda.program import Program
    from sinograd.ops.window import Layout

    if file in PROGRAMS:
        return Program.of(file.partition(",")[0], contracted=False, REAL=real, **PROGRAMS[file])
    dtype = torch.float32 if real == "float" else torch.float64
    return grid_of(Layout((1, 64, 512, 512), (5, 5, 5)), dtype, joint=False, backward=file == BILATERAL[1]).program


def kernels(log: str) -> dict[str, dict[str, int]]:
    """Registers and spilled bytes of each kernel that ptxas tells of."""
    found: dict[str, dict[str, int]] = {}
    name = ""
    for line in log.splitlines():
        if ENTRY in line:
            name = line.split("'")[1]
            found[name] = {}
        if name and (spilled := SPILLED.search(line)):
            found[name]["spilled_bytes"] = int(spilled[1])
        if name and (used := USED.search(line)):
            found[name]["registers"] = int(used[1])
    return found


def main() -> None:
    """All programs, a table, and a JSON file if asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="sm_90")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--one", nargs=2, metavar=("FILE", "REAL"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(*given.one, given.arch)))
        return
    results = []
    for file in (*PROGRAMS, *BILATERAL):
        for real in ("float", "double"):
            command = [sys.executable, __file__, "--arch", given.arch, "--one", file, real]
            found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            results.append({"file": file, "real": real, **found})
            print(f"{file:34} {real:7} {found['compile_s']:6.2f} s, from the cache {1e3 * found['cached_s']:5.1f} ms")
            for name, used in found["kernels"].items():
                print(f"    {name:32} {used['registers']:4} registers, {used['spilled_bytes']:4} bytes spilled")
    if given.out is not None:
        given.out.write_text(json.dumps({"arch": given.arch, "programs": results}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
