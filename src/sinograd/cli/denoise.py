"""`sinograd denoise`: a volume or a scan and a trained model in, a volume out."""

from __future__ import annotations

from typing import Any

from sinograd.cli.command import Option, command
from sinograd.cli.options import OUTPUT_GROUP, SHARED, cluster_option, for_scans
from sinograd.workflows import denoising

OPTIONS = {
    **SHARED,
    "input": Option(
        str,
        "Volume file, folder of slices or of DICOM slices; for dual-domain models a scan file.",
        metavar="INPUT",
        argument=True,
    ),
    "model": Option(
        str,
        "A model that comes along, a model file or a run's folder.",
        ("--model", "-m"),
        metavar="NAME",
    ),
    "output": Option(
        str,
        "Volume to write: .h5, .tif, .npy ...; of DICOM slices a folder of such.",
        ("-o", "--output"),
        metavar="FILE|FOLDER",
        required=True,
        panel=OUTPUT_GROUP,
    ),
    **{name: for_scans(SHARED[name]) for name in ("voxel_mm", "shape", "center_mm")},
    "device": Option(str, "Where networks compute: cpu, cuda, cuda:1 ...", metavar="NAME"),
    "cluster": cluster_option("that filter slabs"),
}


@command(OPTIONS, job=denoising.denoise)
def denoise(arguments: dict[str, Any], quiet: bool = False, json: bool = False) -> None:
    """Denoise a volume with trained filters or a network, or reconstruct a scan with filters before and after."""
    request = denoising.DenoiseRequest.of(arguments)
    result = denoising.run_denoising(request, None if quiet or json else "bar")
    if json:
        from sinograd.cli.records import print_record

        print_record("denoise", _record(request, result))
    elif not quiet:
        from sinograd.cli.describe import denoising_lines, show

        show(denoising_lines(request, result))


def _record(request: denoising.DenoiseRequest, result: denoising.Denoised) -> dict[str, Any]:
    from sinograd.cli import records

    return {
        "input": request.name,
        "scan": None if result.scan is None else records.scan_record(result.scan),
        "model": str(request.model),
        "volume": records.volume_record(result.volume, request.output),
        "files": records.files_record(preview=request.preview),
        "duration_s": result.seconds,
    }
