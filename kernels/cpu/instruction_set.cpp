#include "instruction_set.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "isa_table.h"

namespace sinograd {

std::vector<std::string> instruction_sets() {
  std::vector<std::string> sets = {"portable"};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back("avx2");
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl"))
    sets.push_back("avx512");
#endif
  return sets;
}

std::string instruction_set() {
  const std::vector<std::string> sets = instruction_sets();
  const char* forced = std::getenv("SINOGRAD_SIMD");
  if (forced == nullptr || *forced == '\0') return sets.back();
  if (std::find(sets.begin(), sets.end(), forced) != sets.end()) return forced;
  std::string known;
  for (const std::string& name : sets) known += (known.empty() ? "" : ", ") + name;
  throw std::invalid_argument(std::string("SINOGRAD_SIMD is '") + forced + "': this machine runs " + known);
}

namespace {

// The table of the instruction set in use.
#if defined(__x86_64__)
#define SINOGRAD_CHOOSE(table) (choose(portable::table, avx2::table, avx512::table))
template <class Table>
const Table& choose(const Table& portable, const Table& avx2, const Table& avx512) {
  const std::string name = instruction_set();
  return name == "avx512" ? avx512 : name == "avx2" ? avx2 : portable;
}
#else
#define SINOGRAD_CHOOSE(table) (portable::table)
#endif

}  // namespace

template <>
const LineKernels<float>& line_kernels<float>() {
  return SINOGRAD_CHOOSE(kFloatLines);
}

template <>
const LineKernels<double>& line_kernels<double>() {
  return SINOGRAD_CHOOSE(kDoubleLines);
}

template <>
const BoxKernels<float>& box_kernels<float>() {
  return SINOGRAD_CHOOSE(kFloatBoxes);
}

template <>
const BoxKernels<double>& box_kernels<double>() {
  return SINOGRAD_CHOOSE(kDoubleBoxes);
}

template <>
const ColumnKernels<float>& column_kernels<float>() {
  return SINOGRAD_CHOOSE(kFloatColumns);
}

template <>
const ColumnKernels<double>& column_kernels<double>() {
  return SINOGRAD_CHOOSE(kDoubleColumns);
}

template <>
const OperatorPairs<float>& general_operators<float>() {
  return SINOGRAD_CHOOSE(kFloatGeneral);
}

template <>
const OperatorPairs<double>& general_operators<double>() {
  return SINOGRAD_CHOOSE(kDoubleGeneral);
}

template <>
const OperatorPairs<float>& planar_operators<float>() {
  return SINOGRAD_CHOOSE(kFloatPlanar);
}

template <>
const OperatorPairs<double>& planar_operators<double>() {
  return SINOGRAD_CHOOSE(kDoublePlanar);
}

template <>
const BilateralKernels<float>& bilateral_kernels<float>() {
  return SINOGRAD_CHOOSE(kFloatBilateral);
}

template <>
const BilateralKernels<double>& bilateral_kernels<double>() {
  return SINOGRAD_CHOOSE(kDoubleBilateral);
}

template <>
const VectorGradients<float>& vector_gradients<float>() {
  return SINOGRAD_CHOOSE(kFloatVectorGradients);
}

template <>
const VectorGradients<double>& vector_gradients<double>() {
  return SINOGRAD_CHOOSE(kDoubleVectorGradients);
}

template <>
const RowFilters<float>& row_filters<float>() {
  return SINOGRAD_CHOOSE(kFloatRowFilters);
}

template <>
const RowFilters<double>& row_filters<double>() {
  return SINOGRAD_CHOOSE(kDoubleRowFilters);
}

template <>
const VariationKernels<float>& variation_kernels<float>() {
  return SINOGRAD_CHOOSE(kFloatVariation);
}

template <>
const VariationKernels<double>& variation_kernels<double>() {
  return SINOGRAD_CHOOSE(kDoubleVariation);
}

template <>
const Transposition<float>& transposition<float>() {
  return SINOGRAD_CHOOSE(kFloatTransposition);
}

template <>
const Transposition<double>& transposition<double>() {
  return SINOGRAD_CHOOSE(kDoubleTransposition);
}

template <class T>
const OperatorPairs<T>& axial_operators() {
  static const OperatorPairs<T> pairs = {backproject_axial<T>,    backproject_axial_adjoint<T>,
                                         joseph_axial<T>,         joseph_axial_adjoint<T>,
                                         footprint_axial<T>,      footprint_axial_adjoint<T>};
  return pairs;
}

template const OperatorPairs<float>& axial_operators<float>();
template const OperatorPairs<double>& axial_operators<double>();

}  // namespace sinograd
