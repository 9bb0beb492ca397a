"""What `sg.calibrate` minimises: the one list of criteria. Importing it imports none of them."""

from __future__ import annotations

from typing import Any

from sinograd.registry import Registry

# Classes made of a `recon.calibration.level.Level`, with the methods of `recon.calibration.descend.Criterion`.
CRITERIA: Registry[Any] = Registry("criterion", "sinograd.criteria")
CRITERIA.add(
    "reprojection",
    "sinograd.recon.calibration.reprojection:Reprojection",
    "what of the projections no volume explains; any geometry",
)
CRITERIA.add("sparsity", "sinograd.recon.calibration.sharpness:GradientSparsity", "1-norm over 2-norm of the gradient")
CRITERIA.add("entropy", "sinograd.recon.calibration.sharpness:Entropy", "entropy of the reconstruction's values")
CRITERIA.add(
    "redundancy",
    "sinograd.recon.calibration.redundancy:Redundancy",
    "what opposite rays, or planes through two sources of a cone beam, contradict each other by; no reconstruction",
)
