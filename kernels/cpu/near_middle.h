// Bilinear interpolation of as many samples as a vector has lanes, all near one element of a few neighbouring lines.
#pragma once

#include <algorithm>
#include <cstdint>

#include "lanes.h"

namespace sinograd {
namespace SINOGRAD_ISA {

constexpr int64_t kMostMet = 12;  // lines that samples may lie between

// Samples at places `along` lines, counted from the element `nearest` after one, `middle`; after that from -width up to
// width - 1.
struct NearMiddle {
  Lanes::Int below, above;
  Lanes::Float up;

  NearMiddle(Lanes::Float along, int32_t nearest)
      : below(Lanes::add(Lanes::floor_element(along), Lanes::all(uint32_t(nearest)))),
        above(Lanes::add(below, Lanes::all(uint32_t(1)))),
        up(Lanes::above_floor(along)) {}

  // In one line.
  Lanes::Float read(const float* middle) const {
    // numbers are taken modulo 2 width, so that -1 is the last of the second vector
    const Lanes::Float right = Lanes::load(middle), left = Lanes::load(middle - Lanes::width);
    const Lanes::Float value = Lanes::look_up(right, below, left);
    return Lanes::multiply_add(up, Lanes::subtract(Lanes::look_up(right, above, left), value), value);
  }

  // `across` (0 to lines - 1) lines that are `stride` elements apart, from that of `middle` on.
  template <int lines>
  Lanes::Float read_lines(const float* middle, int64_t stride, Lanes::Float across) const {
    Lanes::Float last = read(middle), value = last;
    for (int i = 1; i < lines; ++i) {
      Lanes::Float share = i == 1 ? across : Lanes::subtract(across, Lanes::all(float(i - 1)));
      if (i > 1) share = Lanes::positive(share);
      if (i < lines - 1) share = Lanes::smaller(share, Lanes::all(1.0f));
      const Lanes::Float next = read(middle + i * stride);
      value = Lanes::multiply_add(share, Lanes::subtract(next, last), value);
      last = next;
    }
    return value;
  }

  // The same of lines `first` to `end` - 1, counted from that of `middle`; those before 0 and from `count` on are zero.
  Lanes::Float read_lines(const float* middle, int64_t stride, int64_t first, int64_t end, int64_t count,
                          Lanes::Float across) const {
    const Lanes::Float one = Lanes::all(1.0f);
    Lanes::Float sum = Lanes::all(0.0f);
    for (int64_t line = std::max<int64_t>(first, 0); line < std::min(end, count); ++line) {
      const Lanes::Float away = Lanes::subtract(across, Lanes::all(float(line - first)));
      const Lanes::Float hat = Lanes::positive(Lanes::smaller(Lanes::add(one, away), Lanes::subtract(one, away)));
      sum = Lanes::multiply_add(hat, read(middle + line * stride), sum);
    }
    return sum;
  }
};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
