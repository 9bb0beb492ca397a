"""The page of `compare.py`."""

from __future__ import annotations

from typing import Any

# Why others have no figures on a machine without a GPU.
ABSENT = {
    "ASTRA 2.5": "cone beams need CUDA; slices are compared in the benchmarks",
    "diffct 2.5": "all kernels need CUDA",
    "TIGRE, PYRO-NN": "all kernels need CUDA",
    "LEAP, CIL": "no package that pip installs",
}
COLUMNS = (
    ("FDK, s", "fdk_seconds", "{:.3g}"),
    ("memory, MB", "fdk_megabytes", "{:.0f}"),
    ("RMSE", "rmse", "{:.5f}"),
    ("projection, s", "forward_seconds", "{:.3g}"),
    ("its error", "error_of_pixel_means", "{:.4f}"),
    ("transpose, s", "adjoint_seconds", "{:.3g}"),
    ("mismatch of the two", "adjointness", "{:.0e}"),
)
HEAD = """# Cone-beam toolkits compared

Written by `make compare` (`benchmarks/compare.py`), which anyone can repeat and extend: a toolkit is one file in
`benchmarks/libraries`. All toolkits do the same work on the same data, on the CPU: a Shepp-Logan phantom, its exact
projections, and case A of the benchmarks at several sizes (at 256³: 360 views of 256²).
"""
NOTES = """- Seconds are those of a second call on {threads} threads, without reading data, making objects or compiling.
  A toolkit has {seconds:g} s for a size.
- Memory: the most that the process held during FDK beyond what it held before, with input and output.
- RMSE: of FDK within 75 mm of the axis; the phantom's values are 0 to 1. The error of a projection is relative, against
  means over each pixel. Toolkits differ in what a projection is: interpolated lines, footprints, samples along rays.
- Mismatch: |⟨Ax, y⟩ - ⟨x, A'y⟩| / ⟨Ax, y⟩ of a projection A and its transpose A'.
- An empty cell: not offered.

Without figures here:
"""


def text(run: dict[str, Any]) -> str:
    """Markdown."""
    titles = ["toolkit", "size", *(title for title, _, _ in COLUMNS)]
    lines = ["| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles)]
    for row in run["rows"]:
        lines += _rows(row)
    versions = ", ".join(f"{key} {value}" for part in run["versions"].values() for key, value in part.items())
    busy = f", load average {run['load_average']:.1f}" if run["load_average"] > 0.5 else ""
    absent = "\n".join(f"- **{name}**: {why}." for name, why in ABSENT.items())
    machine = f"{run['processor']}, {run['cores']} cores{busy}; {versions}; commit {run['commit']}, {run['date'][:10]}."
    return "\n".join([HEAD, *lines, "", NOTES.format(**run), absent, "", machine]) + "\n"


def _rows(row: dict[str, Any]) -> list[str]:
    """What was measured, and why the rest was not."""
    start = [row["toolkit"], f"{row['size']}³"]
    cells = ["" if row.get(key) is None else form.format(row[key]) for _, key, form in COLUMNS]
    lines = ["| " + " | ".join(start + cells) + " |"] if any(cells) else []
    if "error" in row:
        lines.append("| " + " | ".join([*start, row["error"], *[""] * (len(COLUMNS) - 1)]) + " |")
    return lines
