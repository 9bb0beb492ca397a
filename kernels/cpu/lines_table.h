// The versions of the line primitives that this build holds; instruction_set.cpp chooses among them.
#pragma once

#include "lines.h"

namespace sinograd {

#define SINOGRAD_DECLARE_LINES(isa)               \
  namespace isa {                                 \
  extern const LineKernels<float> kFloatLines;    \
  extern const LineKernels<double> kDoubleLines;  \
  }

SINOGRAD_DECLARE_LINES(portable)
#if defined(__x86_64__)
SINOGRAD_DECLARE_LINES(avx2)
SINOGRAD_DECLARE_LINES(avx512)
#endif

#undef SINOGRAD_DECLARE_LINES

}  // namespace sinograd
