// The general operators of one instruction set (SINOGRAD_ISA), in general_backprojection.cpp and general_joseph.cpp.
#pragma once

#include "isa_table.h"

namespace sinograd {
namespace SINOGRAD_ISA {

template <class T>
void backproject_general(const T* projections, T* volume, Views views, DetectorShape detector, Grid grid, Interruption stop);
template <class T>
void backproject_general_adjoint(const T* volume, T* projections, Views views, DetectorShape detector, Grid grid, Interruption stop);
template <class T>
void joseph_general(const T* volume, T* projections, Views views, DetectorShape detector, Grid grid, Interruption stop);
template <class T>
void joseph_general_adjoint(const T* projections, T* volume, Views views, DetectorShape detector, Grid grid, Interruption stop);

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
