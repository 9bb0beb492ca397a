"""Rows of text from the entries of a run."""

from __future__ import annotations

from collections.abc import Iterator

NAMES = {
    "ours": "sinograd",
    "rtk": "itk-rtk",
    "astra": "ASTRA",
    "skimage": "scikit-image",
    "sitk": "SimpleITK",
    "fourier": "sinograd's `fourier_fbp`",
}
TITLES = {
    "fdk": "FDK, case A, the whole call",
    "fdk-512": "FDK, 512³ from 720 views of 512²",
    "backprojection": "backprojection, case A",
    "forward": "Joseph forward, case A",
    "adjoint": "its adjoint, case A",
    "general-backprojection": "backprojection, detector tilted by 2°",
    "general-forward": "Joseph forward, detector tilted by 2°",
    "fan-fbp": "fan-beam FBP, 512², 720 views",
    "parallel-fbp": "parallel-beam FBP, 511², 720 views",
    "bilateral-forward": "bilateral filter, 21 slices of 512², 5³",
    "bilateral-backward": "its gradients to input and sigmas",
    "bilateral-image": "bilateral filter, one image of 512², 5²",
}
# Relative errors of case A's forward projection, of the kind "error of pixel means", noted before for others: measured
# elsewhere, with another number of points a pixel perhaps.
FORWARD_ERRORS = {"itk-rtk, Joseph": 0.0106, "LEAP, separable footprint": 0.0071}

TIMING_HEADER = ("work", "library", "seconds: median (min to max)", "G/s a core", "sinograd is faster by", "accuracy")
MEMORY_HEADER = ("work", "library", "input + output", "over idle", "ratio", "peak, all told")
LINES_HEADER = ("kernel", "ns to set up a job", "ns for 16 samples", "setting up, at 256 samples")


def timing_rows(entry: dict) -> Iterator[tuple[str, ...]]:
    """One row a library."""
    for name, part in entry["libraries"].items():
        rate = f"{part['rate_per_core'] / 1e9:.2f}" if "rate_per_core" in part else ""
        faster = times(part["ratio"]) if "ratio" in part else ""
        yield (entry["case"], NAMES[name], seconds(part), rate, faster, accuracy_text(part))


def memory_row(entry: dict) -> tuple[str, ...]:
    """The row of one library."""
    data = entry["input"] + entry["output"]
    sizes = [f"{size / 2**20:.0f} MiB" for size in (data, entry["over_idle"], entry["peak"])]
    return (entry["case"], NAMES[entry["library"]], *sizes[:2], f"{entry['ratio']:.2f}", sizes[2])


def lines_row(entry: dict) -> tuple[str, ...]:
    """The row of one kernel."""
    share = f"{entry['setup_share']:.0%}"
    return (entry["case"], f"{entry['setup'] * 1e9:.1f}", f"{16e9 * entry['sample']:.2f}", share)


def seconds(part: dict) -> str:
    """Median (minimum to maximum) of a summary."""
    return f"{part['median']:.3g} ({part['min']:.3g} to {part['max']:.3g})"


def times(ratio: dict) -> str:
    """Median (minimum to maximum) of the ratios of pairs."""
    return f"{ratio['median']:.3g}x ({ratio['min']:.3g} to {ratio['max']:.3g})"


def accuracy_text(part: dict) -> str:
    """Everything known about a result, in a few words."""
    words = [
        f"{key.replace('_', ' ')} {value:#.3g}"
        for key, value in part.get("accuracy", {}).items()
        if key != "mean_ratio"
    ]
    if "mean_ratio" in part.get("accuracy", {}):
        words.append(f"mean ratio {part['accuracy']['mean_ratio']:.5f}")
    if "difference" in part:
        words.append(f"differs from ours by {part['difference']:.1e}")
    if part.get("note"):
        words.append(part["note"])
    return ", ".join(words)
