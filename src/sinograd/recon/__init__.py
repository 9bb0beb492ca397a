"""Reconstruction: plain functions over the operators."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.choices import WINDOWS
    from sinograd.errors import CoverageWarning
    from sinograd.recon.analytic.coverage import Coverage, coverage
    from sinograd.recon.analytic.fbp import (
        fbp,
    )
    from sinograd.recon.analytic.fdk import (
        fdk,
    )
    from sinograd.recon.analytic.filtered_backprojection import FilteredBackprojection
    from sinograd.recon.analytic.fourier_fbp import fourier_fbp
    from sinograd.recon.analytic.helical.helical_fbp import (
        helical_fbp,
    )
    from sinograd.recon.analytic.helical.katsevich import (
        katsevich,
    )
    from sinograd.recon.analytic.needed_rows import (
        needed_rows,
    )
    from sinograd.recon.analytic.ramp import (
        filter_rows,
        ramp_taps,
    )
    from sinograd.recon.calibration import Calibrated, calibrate, calibrate_from_balls, cramer_rao, find_balls
    from sinograd.recon.iterative import (
        ConvergenceWarning,
        Fidelity,
        Iteration,
        LeastSquares,
        Operator,
        OperatorCheck,
        PoissonLikelihood,
        Result,
        State,
        Stop,
        UnmatchedPairWarning,
        cgls,
        chambolle_pock,
        check,
        column_weights,
        fista_tv,
        gradient_descent,
        lsqr,
        operator_norm,
        os_sart,
        photon_weights,
        pnp_admm,
        pnp_proximal_gradient,
        regularized_least_squares,
        row_weights,
        sart,
        sirt,
        tv_denoise,
    )
    from sinograd.recon.motion import Motion, estimate_motion

__all__ = [
    "WINDOWS",
    "Calibrated",
    "ConvergenceWarning",
    "Coverage",
    "CoverageWarning",
    "Fidelity",
    "FilteredBackprojection",
    "Iteration",
    "LeastSquares",
    "Motion",
    "Operator",
    "OperatorCheck",
    "PoissonLikelihood",
    "Result",
    "State",
    "Stop",
    "UnmatchedPairWarning",
    "calibrate",
    "calibrate_from_balls",
    "cgls",
    "chambolle_pock",
    "check",
    "column_weights",
    "coverage",
    "cramer_rao",
    "estimate_motion",
    "fbp",
    "fdk",
    "filter_rows",
    "find_balls",
    "fista_tv",
    "fourier_fbp",
    "gradient_descent",
    "helical_fbp",
    "katsevich",
    "lsqr",
    "needed_rows",
    "operator_norm",
    "os_sart",
    "photon_weights",
    "pnp_admm",
    "pnp_proximal_gradient",
    "ramp_taps",
    "regularized_least_squares",
    "row_weights",
    "sart",
    "sirt",
    "tv_denoise",
]

attach(__name__)
