// What this build holds once per instruction set; instruction_set.cpp chooses among them.
#pragma once

#include "bilateral.h"
#include "box_lines.h"
#include "column_rows.h"
#include "lines.h"
#include "operators.h"
#include "row_filter.h"
#include "total_variation.h"
#include "transposition.h"
#include "vector_gradients.h"

namespace sinograd {

#define SINOGRAD_DECLARE(isa)                             \
  namespace isa {                                         \
  extern const LineKernels<float> kFloatLines;            \
  extern const LineKernels<double> kDoubleLines;          \
  extern const BoxKernels<float> kFloatBoxes;             \
  extern const BoxKernels<double> kDoubleBoxes;           \
  extern const ColumnKernels<float> kFloatColumns;        \
  extern const ColumnKernels<double> kDoubleColumns;      \
  extern const OperatorPairs<float> kFloatPlanar;         \
  extern const OperatorPairs<double> kDoublePlanar;       \
  extern const OperatorPairs<float> kFloatGeneral;        \
  extern const OperatorPairs<double> kDoubleGeneral;      \
  extern const BilateralKernels<float> kFloatBilateral;   \
  extern const BilateralKernels<double> kDoubleBilateral; \
  extern const VectorGradients<float> kFloatVectorGradients;   \
  extern const VectorGradients<double> kDoubleVectorGradients; \
  extern const RowFilters<float> kFloatRowFilters;             \
  extern const RowFilters<double> kDoubleRowFilters;           \
  extern const VariationKernels<float> kFloatVariation;        \
  extern const VariationKernels<double> kDoubleVariation;      \
  extern const Transposition<float> kFloatTransposition;       \
  extern const Transposition<double> kDoubleTransposition;     \
  }

SINOGRAD_DECLARE(portable)
#if defined(__x86_64__)
SINOGRAD_DECLARE(avx2)
SINOGRAD_DECLARE(avx512)
#endif

#undef SINOGRAD_DECLARE

}  // namespace sinograd
