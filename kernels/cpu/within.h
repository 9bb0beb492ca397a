// Limits of places, for loops that compilers vectorise.
#pragma once

namespace sinograd {

// `place` between low and high; NaN becomes `low`.
inline double within(double place, double low, double high) {
  const double at = place > low ? place : low;
  return at < high ? at : high;
}

}  // namespace sinograd
