// Bilinear interpolation of as many samples as a vector has lanes, all within a window of a few lines.
#pragma once

#include <algorithm>
#include <cstdint>

#include "fixed_point.h"

namespace sinograd {
namespace SINOGRAD_ISA {

constexpr int kBits = FixedPoint<float>::bits;
constexpr int64_t kOne = fixed_one<float>();

// Lines that one window may have, and how many elements its samples may spread over along them.
constexpr int64_t kMostLines = 12, kWidest = 2 * Lanes::width - 2;

inline Lanes::Float hat(Lanes::Int away) {
  const Lanes::Float distance = Lanes::number(Lanes::magnitude(away));
  return Lanes::positive(Lanes::multiply_add(distance, Lanes::all(-1.0f / float(kOne)), Lanes::all(1.0f)));
}

inline Lanes::Float fraction(Lanes::Int position) {
  const Lanes::Int fixed = Lanes::both(position, Lanes::all(uint32_t(kOne - 1)));
  return Lanes::multiply(Lanes::number(fixed), Lanes::all(1.0f / float(kOne)));
}

// At `below` and `above`, `up` of the way between them, in a window of two vectors.
inline Lanes::Float read_window(const float* elements, Lanes::Int below, Lanes::Int above, Lanes::Float up) {
  const Lanes::Float low = Lanes::load(elements), high = Lanes::load(elements + Lanes::width);
  const Lanes::Float value = Lanes::look_up(low, below, high);
  return Lanes::multiply_add(up, Lanes::subtract(Lanes::look_up(low, above, high), value), value);
}

// Samples at `along` (from element 0 of `window`) and `across` (from line `first`); lines are `stride` elements apart,
// those before 0 and from `count` on are zero, and line -1 and `count` exist. Samples lie between lines `first` and
// `last`.
inline Lanes::Float interpolate(const float* window, int64_t stride, int64_t first, int64_t last, int64_t count,
                                Lanes::Int along, Lanes::Int across) {
  const Lanes::Int below = Lanes::element(along), above = Lanes::add(below, Lanes::all(uint32_t(1)));
  const Lanes::Float up = fraction(along);
  const auto read = [&](int64_t line) { return read_window(window + line * stride, below, above, up); };
  if (last == first + 1) {
    const Lanes::Float left = read(first), right = read(last);
    return Lanes::multiply_add(fraction(across), Lanes::subtract(right, left), left);
  }
  Lanes::Float sum = Lanes::all(0.0f);
  const int64_t end = std::min(last, count - 1);
  for (int64_t line = std::max<int64_t>(first, 0); line <= end; ++line) {
    const Lanes::Int origin = Lanes::all(uint32_t(line - first) << kBits);
    sum = Lanes::multiply_add(hat(Lanes::subtract(across, origin)), read(line), sum);
  }
  return sum;
}

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
