// Bilinear interpolation of as many samples as a vector has lanes, with its two derivatives.
#pragma once

#include <algorithm>
#include <cstdint>

#include "interpolation.h"

namespace sinograd {
namespace SINOGRAD_ISA {

struct Differentiated {
  Lanes::Float value, across, along;
};

// 1 where a whole number is 0.
inline Lanes::Float is_zero(Lanes::Int n) {
  return Lanes::positive(Lanes::subtract(Lanes::all(1.0f), Lanes::number(Lanes::magnitude(n))));
}

// `interpolate` of interpolation.h, with its derivatives across and along lines.
inline Differentiated differentiate(const float* window, int64_t stride, int64_t first, int64_t last, int64_t count,
                                    Lanes::Int along, Lanes::Int across) {
  const Lanes::Int below = Lanes::element(along), above = Lanes::add(below, Lanes::all(uint32_t(1)));
  const Lanes::Float up = fraction(along);
  const auto read = [&](int64_t line, Lanes::Float& slope) {
    const float* elements = window + line * stride;
    const Lanes::Float low = Lanes::load(elements), high = Lanes::load(elements + Lanes::width);
    const Lanes::Float value = Lanes::look_up(low, below, high);
    slope = Lanes::subtract(Lanes::look_up(low, above, high), value);
    return Lanes::multiply_add(up, slope, value);
  };
  if (last == first + 1) {
    Lanes::Float slope_left, slope_right;
    const Lanes::Float left = read(first, slope_left), right = read(last, slope_right), share = fraction(across);
    const Lanes::Float step = Lanes::subtract(right, left);
    return {Lanes::multiply_add(share, step, left), step,
            Lanes::multiply_add(share, Lanes::subtract(slope_right, slope_left), slope_left)};
  }
  Differentiated sum{Lanes::all(0.0f), Lanes::all(0.0f), Lanes::all(0.0f)};
  const int64_t end = std::min(last, count - 1);
  for (int64_t line = std::max<int64_t>(first, 0); line <= end; ++line) {
    Lanes::Float slope;
    const Lanes::Float here = read(line, slope);
    const Lanes::Int away = Lanes::subtract(across, Lanes::all(uint32_t(line - first) << kBits));
    const Lanes::Float weight = hat(away);
    // the line below a sample has the derivative -1, the line above it 1
    const Lanes::Int index = Lanes::subtract(Lanes::element(across), Lanes::all(uint32_t(line - first)));
    const Lanes::Float turn = Lanes::subtract(is_zero(Lanes::add(index, Lanes::all(uint32_t(1)))), is_zero(index));
    sum.value = Lanes::multiply_add(weight, here, sum.value);
    sum.across = Lanes::multiply_add(turn, here, sum.across);
    sum.along = Lanes::multiply_add(weight, slope, sum.along);
  }
  return sum;
}

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
