"""`sinograd pairs`: measured scans in, low-dose pairs of slices and their file out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sinograd.cli.command import Option, command
from sinograd.cli.options import OUTPUT_GROUP, RECONSTRUCT, RESUME, SHARED
from sinograd.cli.simulate import OPTIONS as SIMULATE
from sinograd.workflows import pairs as job

OPTIONS = {
    **SHARED,
    **{name: RECONSTRUCT[name] for name in ("window", "cutoff", "voxel_mm", "shape", "center_mm", "slice_mm")},
    **{name: RECONSTRUCT[name] for name in ("water", "device")},
    **{name: SIMULATE[name] for name in ("photons", "electronic_noise")},
    "scans": Option(
        list[Path],
        "Measured scans of line integrals, each of a patient.",
        metavar="SCAN...",
        argument=True,
        required=True,
    ),
    "output": Option(
        Path, "New folder of the pairs.", ("-o", "--output"), metavar="FOLDER", required=True, panel=OUTPUT_GROUP
    ),
    "dose": Option(
        float,
        "Dose of the low-dose volumes, above 0 and below 1.",
        metavar="FRACTION",
        required=True,
        panel="Dose and noise",
    ),
    "seed": Option(int, "Seed of the first scan's noise; the next have N + 1 ...", metavar="N", panel="Dose and noise"),
    "format": Option(job.FORMATS, "Files of the volumes.", panel=OUTPUT_GROUP),
    "group": Option(str, "Body part of all scans: chest, abdomen, neuro.", metavar="NAME", panel=OUTPUT_GROUP),
    "resume": RESUME,
}


@command(OPTIONS, job=job.make_pairs)
def pairs(arguments: dict[str, Any], quiet: bool = False, json: bool = False) -> None:
    """Make low-dose pairs: each SCAN is simulated at a lower dose, and both are reconstructed in HU."""
    made = job.run_pairs(job.PairsRequest.of(arguments), None if quiet or json else "bar")
    if json:
        from sinograd.cli.records import print_record

        record = {"file": str(made.file), "pairs": list(made.names), "duration_s": made.seconds}
        print_record("pairs", record)
    elif not quiet:
        from sinograd.cli.describe import show

        kept = f" ({len(made.kept)} of an earlier run)" if made.kept else ""
        show([("pairs", f"{', '.join(made.names)}{kept}"), ("file", str(made.file))])
