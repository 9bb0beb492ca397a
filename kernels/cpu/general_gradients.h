// The derivatives to the views of one instruction set (SINOGRAD_ISA), in joseph_gradient.cpp and
// backprojection_gradient.cpp.
#pragma once

#include "isa_table.h"

namespace sinograd {
namespace SINOGRAD_ISA {

template <class T>
void joseph_gradient(const T* volume, const T* projections, double* result, Views views, DetectorShape detector,
                     Grid grid, bool planar, Interruption stop);
template <class T>
void backprojection_gradient(const T* volume, const T* projections, double* result, Views views, DetectorShape detector,
                             Grid grid, bool planar, Interruption stop);

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
