// The vector loops of one slice's backprojection in float32, for flat detectors and parallel beams.
//
// As many pixels of a row as a vector has lanes are one group. With t counted from its middle, whose image is column c
// and whose depth changes by a part e a pixel, a pixel lies at
//   c + t dc / (1 + t e) = (c + t dc) - t^2 dc e / (1 + t e),
// a fixed-point number less a small correction: exact to some 1e-8 of a column. The groups of a run are found in loops
// over plain arrays, which compilers vectorise; then every group looks its two columns up in a window of two vectors.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "fixed_point.h"
#include "grid.h"
#include "lanes.h"
#include "lines_steps.h"
#include "voxel_projection.h"
#include "within.h"

namespace sinograd {
namespace SINOGRAD_ISA {

// Some groups of one row in one view.
template <Weighting weighting, int64_t pixels, int64_t spreads>
class PixelGroups {
 public:
  // Finds those of pixels [first, first + count). Returns whether windows take all that meet the detector.
  bool locate(const FlatView& view, const Axis& x, double y, int64_t columns, int64_t first, int64_t count) {
    constexpr double margin = 1.0e-4, widest = double(width) - 1.5, narrowest = half - 0.001;
    const double* m = view.m;
    const double c0 = m[1] * y + m[3], w0 = m[9] * y + m[11], cx = m[0], wx = m[8], last = double(columns);
    const double start = x.position(first) + half * x.spacing, pitch = double(width) * x.spacing, spacing = x.spacing;
    even_ = m[8] == 0.0 && m[9] == 0.0;
    count_ = (count + width - 1) / width;
    const int n = int(count_);
    double at[most], by[most], reach[most], wrong[most];
    for (int g = 0; g < n; ++g) {
      const double place = start + double(g) * pitch, depth = w0 + wx * place, inverse = reciprocal(depth);
      const double part = depth > 0.0 ? wx * spacing * inverse : 1.0;
      at[g] = (c0 + cx * place) * inverse;
      by[g] = (cx - at[g] * wx) * spacing * inverse;
      reach[g] = half / (1.0 - half * std::fabs(part)) * std::fabs(by[g]) + margin;
      wrong[g] = std::fabs(part) * double(width) < 0.5 ? 0.0 : 1.0;
      part_[g] = float(part);
      bend_[g] = float(by[g] * part * one);
      if constexpr (weighting != Weighting::fan) weight_[g] = float(view.weight<weighting>(place, y, inverse));
    }
    if constexpr (weighting == Weighting::fan) weigh(view, start, pitch, spacing, y);
    int32_t rough[most], wide[most];
    for (int g = 0; g < n; ++g) {
      const double low = at[g] - reach[g], high = at[g] + reach[g];
      double sane = high < farthest ? 1.0 - wrong[g] : 0.0;
      sane = low > -farthest ? sane : 0.0;
      double seen = high > -1.0 ? 1.0 : 0.0;
      seen = low < last ? seen : 0.0;
      const double broad = reach[g] < widest ? 0.0 : seen;
      rough[g] = int32_t(sane > 0.0 ? broad : 1.0);
      seen_[g] = int32_t(seen);
      wide[g] = int32_t(reach[g] < narrowest ? 0.0 : seen);
    }
    for (int g = 0; g < n; ++g) {
      const double from = std::floor(within(at[g] - reach[g], -farthest, farthest));
      // less 16 elements, which 32 bits hold with a sign
      const double rest = (at[g] - half * by[g] - from - 16.0) * one;
      first_[g] = int32_t(from);
      start_[g] = int32_t(std::nearbyint(within(rest, -16.0 * one, largest)));
      step_[g] = int32_t(std::nearbyint(within(by[g] * one, -largest, largest)));
    }
    int32_t any_rough = 0, any_wide = 0;
    for (int g = 0; g < n; ++g) any_rough |= rough[g];
    for (int g = 0; g < n; ++g) any_wide |= wide[g];
    narrow_ = any_wide == 0;
    return any_rough == 0;
  }

  // sums += the view, whose columns have kLinePad zeros on both sides. Sums of whole groups change.
  void add(const float* line, float* sums) const {
    if (narrow_)
      even_ ? add_groups<true, true>(line, sums) : add_groups<false, true>(line, sums);
    else
      even_ ? add_groups<true, false>(line, sums) : add_groups<false, false>(line, sums);
  }

  // The transpose: the sum of `spreads` lines, `stride` elements apart with kLinePad elements on both sides, receives values
  // of whole groups.
  void spread(const float* values, float* lines, int64_t stride) const {
    even_ ? spread_groups<true>(values, lines, stride) : spread_groups<false>(values, lines, stride);
  }

 private:
  using Float = Lanes::Float;
  using Int = Lanes::Int;
  static constexpr int64_t width = Lanes::width, most = pixels / width;
  static constexpr double half = 0.5 * double(width - 1), one = double(kOne), farthest = 1.0e6;
  static constexpr double largest = 15.9 * one;  // 16 elements are 31 bits

  // The inverse weight of a fan is a parabola.
  void weigh(const FlatView& view, double start, double pitch, double spacing, double y) {
    const double source = view.m[12], across = y - view.m[13], scale = 1.0 / (view.m[15] * view.m[15]);
    const int n = int(count_);
    for (int g = 0; g < n; ++g) {
      const double along = start + double(g) * pitch - source;
      weight_[g] = float((along * along + across * across) * scale);
      slope_[g] = float(2.0 * along * spacing * scale);
    }
    curve_ = float(spacing * spacing * scale);
  }

  // The places of a group from the window's first column, in fixed point, and its weights.
  template <bool even>
  inline __attribute__((always_inline)) void place(int64_t g, Int& places, Float& weight) const {
    const Int lane = Lanes::numbers(), from = Lanes::all(uint32_t(start_[g]) + (uint32_t(16) << kBits));
    const Float t = Lanes::subtract(Lanes::number(lane), Lanes::all(float(half)));
    places = Lanes::add(Lanes::multiply(lane, Lanes::all(uint32_t(step_[g]))), from);
    weight = Lanes::all(weight_[g]);
    if constexpr (!even) {
      const Float nearer = Lanes::reciprocal(Lanes::multiply_add(t, Lanes::all(part_[g]), Lanes::all(1.0f)));
      const Float bend = Lanes::multiply(Lanes::multiply(t, t), nearer);
      places = Lanes::subtract(places, Lanes::nearest(Lanes::multiply(bend, Lanes::all(bend_[g]))));
      if constexpr (weighting == Weighting::fdk) weight = Lanes::multiply(weight, Lanes::multiply(nearer, nearer));
      if constexpr (weighting == Weighting::ratio) weight = Lanes::multiply(weight, nearer);
    }
    if constexpr (weighting == Weighting::fan) {
      const Float change = Lanes::multiply_add(t, Lanes::all(curve_), Lanes::all(slope_[g]));
      weight = Lanes::reciprocal(Lanes::multiply_add(t, change, weight));
    }
  }

  static Float fraction(Int places) {
    const Int bits = Lanes::both(places, Lanes::all(uint32_t(kOne - 1)));
    return Lanes::multiply(Lanes::number(bits), Lanes::all(1.0f / float(kOne)));
  }

  // `narrow`: columns are elements of one vector, and the next ones of the vector an element further.
  template <bool even, bool narrow>
  void add_groups(const float* line, float* sums) const {
    for (int64_t g = 0; g < count_; ++g) {
      if (!seen_[g]) continue;
      Int places;
      Float weight;
      place<even>(g, places, weight);
      const float* window = line + first_[g];
      const Int column = Lanes::element(places);
      Float below, above;
      if constexpr (narrow) {
        below = Lanes::look_up(Lanes::load(window), column);
        above = Lanes::look_up(Lanes::load(window + 1), column);
      } else {
        const Float low = Lanes::load(window), high = Lanes::load(window + width);
        below = Lanes::look_up(low, column, high);
        above = Lanes::look_up(low, Lanes::add(column, Lanes::all(uint32_t(1))), high);
      }
      const Float value = Lanes::multiply_add(fraction(places), Lanes::subtract(above, below), below);
      float* sum = sums + g * width;
      Lanes::store(sum, Lanes::multiply_add(value, weight, Lanes::load(sum)));
    }
  }

  template <bool even>
  void spread_groups(const float* values, float* lines, int64_t stride) const {
    for (int64_t g = 0; g < count_; ++g) {
      if (!seen_[g]) continue;
      Int places;
      Float weight;
      place<even>(g, places, weight);
      uint32_t column[width];
      float lower[width], upper[width];
      const Float value = Lanes::multiply(Lanes::load(values + g * width), weight);
      const Float above = Lanes::multiply(value, fraction(places));
      Lanes::store(column, Lanes::element(places));
      Lanes::store(lower, Lanes::subtract(value, above));
      Lanes::store(upper, above);
      float* window = lines + first_[g];
#pragma GCC unroll 16
      for (int64_t i = 0; i < width; ++i) {
        float* pair = window + i % spreads * stride + column[i];
        pair[0] += lower[i];
        pair[1] += upper[i];
      }
    }
  }

  int64_t count_ = 0;
  bool even_ = false, narrow_ = false;  // a parallel beam; groups that meet no more columns than a vector has lanes
  int32_t seen_[most], first_[most];  // whether any pixel meets the detector; the first column of the window
  int32_t start_[most], step_[most];  // of lane 0 from column first + 16, in fixed point, and a lane
  float bend_[most], part_[most];     // dc e in fixed point, and e
  float weight_[most], slope_[most];  // in the middle; of fans its inverse and the change of that a pixel
  float curve_ = 0.0f;                // half its second change
};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
