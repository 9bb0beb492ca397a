// What this build holds once per instruction set; instruction_set.cpp chooses among them.
#pragma once

#include "lines.h"
#include "operators.h"

namespace sinograd {

template <class T>
struct PlanarKernels {
  Operator<T> backproject, backproject_adjoint, joseph, joseph_adjoint;
};

#define SINOGRAD_DECLARE(isa)                       \
  namespace isa {                                   \
  extern const LineKernels<float> kFloatLines;      \
  extern const LineKernels<double> kDoubleLines;    \
  extern const PlanarKernels<float> kFloatPlanar;   \
  extern const PlanarKernels<double> kDoublePlanar; \
  }

SINOGRAD_DECLARE(portable)
#if defined(__x86_64__)
SINOGRAD_DECLARE(avx2)
SINOGRAD_DECLARE(avx512)
#endif

#undef SINOGRAD_DECLARE

}  // namespace sinograd
