// Derivatives of <y, A x> to the numbers of the views, for the operators A of operators.h.
//
// <y, A x> is linear in x and in y, so the same function serves an operator and its adjoint. Interpolation is linear
// between elements: its derivative is a difference of neighbours, and jumps where a position crosses an element, as the
// kernels place it there. A view costs as many numbers of memory as it has, whatever the rays.
#pragma once

#include "operators.h"

namespace sinograd {

// result[view][...] += the derivatives of <image, A volume>; planar: one slice, of which what moves along z is 0.
template <class T>
using VectorGradient = void (*)(const T* volume, const T* projections, double* result, Views views,
                                DetectorShape detector, Grid grid, bool planar, Interruption stop);

template <class T>
struct VectorGradients {
  VectorGradient<T> joseph;       // to the vectors, [view][4 or 5][3]
  VectorGradient<T> backproject;  // to the coefficients of voxel_projection.h, [view][16]; curved: in any position
};

// Those of the instruction set in use.
template <class T>
const VectorGradients<T>& vector_gradients();

}  // namespace sinograd
