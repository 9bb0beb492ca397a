// Which version of the kernels runs: the best the machine has, or the one SINOGRAD_SIMD names.
#pragma once

#include <string>
#include <vector>

namespace sinograd {

// What this machine can run, the best last.
std::vector<std::string> instruction_sets();

// The one in use. Throws std::invalid_argument where SINOGRAD_SIMD names one that this machine lacks.
std::string instruction_set();

}  // namespace sinograd
