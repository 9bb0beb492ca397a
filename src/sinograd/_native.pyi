from typing import Any

from torch import Tensor

def source_hash() -> str: ...
def instruction_sets() -> list[str]: ...
def instruction_set() -> str: ...

# Every operator adds its result into `output`. Both tensors are contiguous, on the CPU, of the same dtype
# (float32 or float64), and need no gradient. `views` as in sinograd.ops.lowering; shape, spacing and centre in the
# order z, y, x.
def backproject_axial(
    input: Tensor,
    output: Tensor,
    views: Tensor,
    detector: tuple[int, ...],
    shape: list[int],
    spacing: list[float],
    centre: list[float],
    curved: bool,
    divergent: bool,
    weighting: int,
) -> None: ...

backproject_axial_adjoint = backproject_axial
joseph_axial = backproject_axial
joseph_axial_adjoint = backproject_axial
backproject_general = backproject_axial
backproject_general_adjoint = backproject_axial
joseph_general = backproject_axial
joseph_general_adjoint = backproject_axial
backproject_planar = backproject_axial
backproject_planar_adjoint = backproject_axial
joseph_planar = backproject_axial
joseph_planar_adjoint = backproject_axial
footprint_axial = backproject_axial
footprint_axial_adjoint = backproject_axial
footprint_planar = backproject_axial
footprint_planar_adjoint = backproject_axial

# Adds to `result` (float64, as `views`) the derivatives of <projections, A volume> to the views.
def joseph_gradient(
    volume: Tensor,
    projections: Tensor,
    result: Tensor,
    views: Tensor,
    detector: tuple[int, ...],
    shape: list[int],
    spacing: list[float],
    centre: list[float],
    curved: bool,
    divergent: bool,
    weighting: int,
    planar: bool,
) -> None: ...

backprojection_gradient = joseph_gradient

# Contiguous tensors of one dtype on the CPU, without gradient. Shapes are batch, z, y, x; windows z, y, x (widths,
# odd); sigmas z, y, x, range. `guide` is x itself for the plain filter, which then has no grad_guide; an empty
# grad_normaliser stands for zeros.
def bilateral(
    x: Tensor,
    guide: Tensor,
    output: Tensor,
    normaliser: Tensor,
    shape: list[int],
    window: list[int],
    sigmas: list[float],
) -> None: ...
def bilateral_backward(
    grad_output: Tensor,
    grad_normaliser: Tensor,
    x: Tensor,
    guide: Tensor,
    output: Tensor,
    normaliser: Tensor,
    grad_x: Tensor,
    grad_guide: Tensor,
    shape: list[int],
    window: list[int],
    sigmas: list[float],
) -> list[float]: ...

# Rows weighted and convolved: see kernels/cpu/row_filter.h. `numbers`: samples before a row, its columns, the first one
# that is kept, how many are. Arrays of weights without elements are ones. `shape`: rows, held rows, real columns, first
# row of the output, rows of the output.
def filter_rows(
    rows: Tensor,
    output: Tensor,
    roots: Tensor,
    response: Tensor,
    numbers: tuple[int, int, int, int],
    of_pixels: Tensor,
    of_columns: Tensor,
    rows_of_view: int,
) -> None: ...
def filter_images(
    images: Tensor,
    output: Tensor,
    places: Tensor,
    factors: Tensor,
    shape: tuple[int, int, int, int, int],
    roots: Tensor,
    response: Tensor,
    numbers: tuple[int, int, int, int],
    of_pixels: Tensor,
    of_columns: Tensor,
) -> None: ...
def __getattr__(name: str) -> Any: ...
