"""mbirjax on a helix: `python mbirjax_helix.py CASE.npz OUT.npz`, run by `helical_peer.py` in the peers' environment.

Axes. In mbirjax the source of view angle a stands at (sin a, cos a) of its (x, y), columns of the detector run along
(cos a, -sin a): with y turned over this is sinograd's gantry angle. Its volume [row, column, slice] therefore becomes
[z, -y, x], and z shifts are the heights of the source.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.metadata import version

import mbirjax
import numpy as np


def main(case: str, out: str) -> None:
    """FDK (its direct reconstruction of helices; the second of two calls is timed) and its iterative reconstruction.

    Of the latter one call is timed: its compilation is a small part of it. Without `iterations` there is none.
    """
    data = np.load(case)
    z, y, x = (int(n) for n in data["shape"])
    spacing = [float(s) for s in data["spacing"]]
    model = mbirjax.ConeBeamModel(
        data["projections"].shape,
        data["angles"].astype(np.float32),
        source_detector_dist=float(data["source_to_detector"]),
        source_iso_dist=float(data["source_to_origin"]),
        helical_z_shifts=data["heights"].astype(np.float32),
        use_curved_detector=True,
    )
    model.set_params(
        delta_det_row=float(data["pixel"][0]),
        delta_det_channel=float(data["pixel"][1]),
        delta_voxel=spacing[2],
        voxel_slice_aspect=spacing[0] / spacing[2],
        recon_shape=(y, x, z),
        verbose=0,
    )
    sinogram, iterations = data["projections"], int(data["iterations"])
    jobs: dict[str, Callable[[], object]] = {"fdk": lambda: model.fdk_recon(sinogram)}
    if iterations:
        jobs["recon"] = lambda: model.recon(sinogram, max_iterations=iterations)[0]
    found: dict[str, object] = {"version": version("mbirjax")}
    for name, job in jobs.items():
        if name == "fdk":
            job()
        wall, processor = time.perf_counter(), time.process_time()
        volume = np.asarray(job())
        found[f"{name}_seconds"] = time.perf_counter() - wall
        found[f"{name}_processor_seconds"] = time.process_time() - processor
        found[name] = volume.transpose(2, 0, 1)[:, ::-1]
    np.savez(out, **found)


main(*sys.argv[1:])
