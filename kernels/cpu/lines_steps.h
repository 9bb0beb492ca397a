// What the vector versions of the float32 line primitives share: which steps they take, and how many candidates a
// scatter looks at.
#pragma once

#include <cstdint>
#include <type_traits>

#include "fixed_point.h"

namespace sinograd {

constexpr int kBits = FixedPoint<float>::bits;
constexpr int64_t kOne = fixed_one<float>();

// Whether the vector versions handle this step; the portable code takes the others.
constexpr bool can_gather(int64_t step) { return step < 2 * kOne; }
constexpr bool can_scatter(int64_t step) { return step >= kOne * 6 / 10 && step < 2 * kOne; }

// Calls f with the number of samples that can lie less than one element from an element, as a constant.
template <class F>
inline __attribute__((always_inline)) void with_candidates(int64_t step, F&& f) {
  // an open interval of 2 / step, 0.002 of generosity
  const double within = 2.0 * double(kOne) / double(step) + 0.002;
  if (within < 2.0)
    f(std::integral_constant<int, 2>());
  else if (within < 3.0)
    f(std::integral_constant<int, 3>());
  else
    f(std::integral_constant<int, 4>());
}

}  // namespace sinograd
