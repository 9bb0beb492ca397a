"""Iterative reconstruction over any operator with `A(x)` and `A.T(y)`: one algorithm a file."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.errors import ConvergenceWarning, UnmatchedPairWarning
    from sinograd.recon.iterative.cgls import cgls
    from sinograd.recon.iterative.chambolle_pock import chambolle_pock
    from sinograd.recon.iterative.checks.operator_check import OperatorCheck, check
    from sinograd.recon.iterative.fidelity import Fidelity, LeastSquares, PoissonLikelihood, photon_weights
    from sinograd.recon.iterative.fista_tv import fista_tv
    from sinograd.recon.iterative.gradient_descent import gradient_descent
    from sinograd.recon.iterative.lsqr import lsqr
    from sinograd.recon.iterative.norms import operator_norm
    from sinograd.recon.iterative.operators import Operator
    from sinograd.recon.iterative.os_sart import os_sart, sart
    from sinograd.recon.iterative.plug_and_play import pnp_admm, pnp_proximal_gradient
    from sinograd.recon.iterative.regularized_least_squares import regularized_least_squares
    from sinograd.recon.iterative.result import Iteration, Result
    from sinograd.recon.iterative.row_column_weights import column_weights, row_weights
    from sinograd.recon.iterative.sirt import sirt
    from sinograd.recon.iterative.state import State
    from sinograd.recon.iterative.stopping import Stop
    from sinograd.recon.iterative.total_variation_proximal import tv_denoise

__all__ = [
    "ConvergenceWarning",
    "Fidelity",
    "Iteration",
    "LeastSquares",
    "Operator",
    "OperatorCheck",
    "PoissonLikelihood",
    "Result",
    "State",
    "Stop",
    "UnmatchedPairWarning",
    "cgls",
    "chambolle_pock",
    "check",
    "column_weights",
    "fista_tv",
    "gradient_descent",
    "lsqr",
    "operator_norm",
    "os_sart",
    "photon_weights",
    "pnp_admm",
    "pnp_proximal_gradient",
    "regularized_least_squares",
    "row_weights",
    "sart",
    "sirt",
    "tv_denoise",
]

attach(__name__)
