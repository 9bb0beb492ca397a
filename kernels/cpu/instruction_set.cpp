#include "instruction_set.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "lines_table.h"

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

struct Table {
  const LineKernels<float>* floats;
  const LineKernels<double>* doubles;
};

Table table() {
#if defined(__x86_64__)
  const std::string name = instruction_set();
  if (name == "avx512") return {&avx512::kFloatLines, &avx512::kDoubleLines};
  if (name == "avx2") return {&avx2::kFloatLines, &avx2::kDoubleLines};
#endif
  return {&portable::kFloatLines, &portable::kDoubleLines};
}

}  // namespace

template <>
const LineKernels<float>& line_kernels<float>() {
  return *table().floats;
}

template <>
const LineKernels<double>& line_kernels<double>() {
  return *table().doubles;
}

}  // namespace sinograd
