"""Differentiable operators over the compiled kernels."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.ops.backprojection import (
        add_backprojection,
        backproject,
        backproject_adjoint,
    )
    from sinograd.ops.bilateral import (
        bilateral_filter,
        joint_bilateral_filter,
    )
    from sinograd.ops.footprint import (
        footprint,
        footprint_adjoint,
    )
    from sinograd.ops.function_operator import (
        FunctionOperator,
    )
    from sinograd.ops.geometry_operator import (
        GeometryOperator,
    )
    from sinograd.ops.joseph import (
        joseph,
        joseph_adjoint,
    )
    from sinograd.ops.linear_operator import (
        Adjoint,
        Composition,
        LinearOperator,
        Multiple,
        Sum,
    )
    from sinograd.ops.phases import (
        Phases,
        phases,
    )
    from sinograd.ops.single_slice_rebinning import (
        SingleSliceRebinning,
    )
    from sinograd.ops.slabs import (
        InSlabs,
    )
    from sinograd.ops.stack import (
        Stack,
        stack,
    )
    from sinograd.ops.voxel_backprojection import (
        Backprojection,
    )
    from sinograd.ops.window import (
        bilateral_window,
    )
    from sinograd.ops.xray_transform import (
        XRayTransform,
    )

__all__ = [
    "Adjoint",
    "Backprojection",
    "Composition",
    "FunctionOperator",
    "GeometryOperator",
    "InSlabs",
    "LinearOperator",
    "Multiple",
    "Phases",
    "SingleSliceRebinning",
    "Stack",
    "Sum",
    "XRayTransform",
    "add_backprojection",
    "backproject",
    "backproject_adjoint",
    "bilateral_filter",
    "bilateral_window",
    "footprint",
    "footprint_adjoint",
    "joint_bilateral_filter",
    "joseph",
    "joseph_adjoint",
    "phases",
    "stack",
]

attach(__name__)
