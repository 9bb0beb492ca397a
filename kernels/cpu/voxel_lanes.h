// The vector loops of the general backprojection in float32.
//
// Voxels of a line along an axis fall on a line of the detector, not quite along its rows or columns and not quite
// evenly. As many of them as a vector has lanes are looked up in windows of a few detector lines. With t counted from
// the middle of such a group, whose image is (j, k) and whose depth changes by a part e a voxel, a voxel lies at
//   k + t dk / (1 + t e).
// k is counted from the element nearest to it, so that float32 places are exact to some 3e-7 of an element. j alike.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "aligned_buffer.h"
#include "lines.h"
#include "near_middle.h"
#include "operators.h"
#include "tile.h"
#include "transpose.h"
#include "voxel_projection.h"
#include "within.h"

namespace sinograd {
namespace SINOGRAD_ISA {

// Images of a block of views as lines along the detector axis that climbs more steeply, with zeros around them: lines -1,
// `count` and `count` + 1.
class ViewLines {
 public:
  ViewLines(int64_t views, DetectorShape detector)
      : detector_(detector),
        view_stride_(std::max(elements(true), elements(false))),
        strides_(size_t(views)),
        pixels_(views * view_stride_) {}

  void load(int64_t view, const float* image, bool along_rows) {
    const int64_t step = strides_[size_t(view)] = line_stride(along_rows ? detector_.rows : detector_.columns);
    const int64_t count = along_rows ? detector_.columns : detector_.rows;
    const int64_t length = along_rows ? detector_.rows : detector_.columns;
    for (int64_t number = -1; number < count + 2; ++number) {
      float* start = line(view, number);
      const bool outside = number < 0 || number >= count;
      std::fill_n(start - kLinePad, outside ? step : kLinePad, 0.0f);
      if (outside) continue;
      std::fill_n(start + length, step - kLinePad - length, 0.0f);
      if (!along_rows) std::copy_n(image + number * length, length, start);
    }
    if (along_rows) transpose(image, detector_.columns, line(view, 0), step, detector_.rows, detector_.columns);
  }

  float* line(int64_t view, int64_t number) {
    return pixels_.data() + view * view_stride_ + (number + 1) * stride(view) + kLinePad;
  }
  int64_t stride(int64_t view) const { return strides_[size_t(view)]; }

 private:
  int64_t elements(bool along_rows) const {
    return along_rows ? (detector_.columns + 3) * line_stride(detector_.rows)
                      : (detector_.rows + 3) * line_stride(detector_.columns);
  }

  DetectorShape detector_;
  int64_t view_stride_;
  std::vector<int64_t> strides_;  // from line to line, of each view
  AlignedBuffer<float> pixels_;
};

// One view with j across its lines and k along them. `lanes` is the axis of the voxels (x 0, y 1, z 2) of which a vector
// takes several; numbers 0 and 1 of j, k and the depth w are those of the other axes, 2 those of this one.
struct LinedView {
  LinedView(const double* m, DetectorShape detector, int lanes = 2) : view{m} {
    const int order[4] = {lanes == 0 ? 1 : 0, lanes == 2 ? 1 : 2, lanes, 3};
    const double by_column = m[lanes] - m[8 + lanes] * 0.5 * double(detector.columns);
    const double by_row = m[4 + lanes] - m[8 + lanes] * 0.5 * double(detector.rows);
    along_rows = std::fabs(by_row) >= std::fabs(by_column);
    count = along_rows ? detector.columns : detector.rows;
    length = along_rows ? detector.rows : detector.columns;
    for (int i = 0; i < 4; ++i) {
      j[i] = m[(along_rows ? 0 : 4) + order[i]];
      k[i] = m[(along_rows ? 4 : 0) + order[i]];
      w[i] = m[8 + order[i]];
    }
  }

  FlatView view;
  bool along_rows;
  double j[4], k[4], w[4];
  int64_t count, length;
};

constexpr int64_t kLinedViews = 24;  // of a block

constexpr int64_t kGroups = kTileZ / Lanes::width;
constexpr int kTogether = 4;  // groups whose voxels are read in turns

// The groups of one line of voxels in one view.
struct Groups {
  enum Kind : int32_t { unseen, smooth, rough };  // 0, 1, 2
  int32_t kind[kGroups];
  int32_t line[kGroups], met[kGroups];               // the first line that voxels lie beside, and how many there are
  int32_t element[kGroups], nearest[kGroups];        // that of NearMiddle, and how far behind it the middle's nearest is
  float j[kGroups], k[kGroups];                      // of the middle, from that line and from its nearest element
  float dj[kGroups], dk[kGroups], farther[kGroups];  // by which j and k change at the middle a voxel, and e
  float weight[kGroups];
  int32_t lines;  // the most that a smooth group meets; 0 where some are missing behind the last one

  bool all_smooth(int64_t g) const {  // kTogether of them
    int32_t others = 0;
    for (int i = 0; i < kTogether; ++i) others |= kind[g + i] ^ smooth;
    return others == 0;
  }

  // Of `groups`; there are `count` lines with a line of zeros before and two behind them.
  void find_lines(int groups, int64_t count) {
    int32_t most = 0, first = 0, last = 0;
    for (int g = 0; g < groups; ++g) {
      const int32_t counted = kind[g] == smooth ? -1 : 0, here = line[g] & counted, together = met[g] & counted;
      most = together > most ? together : most;
      first = here < first ? here : first;
      last = here > last ? here : last;
    }
    lines = first >= -1 && last + most <= count + 2 ? most : 0;
  }
};

// A line of voxels of one view: j, k and w are (j0 + jz z) / depth, (k0 + kz z) / depth and w0 + wz z.
struct LineImage {
  double j0, jz, k0, kz, w0, wz;

  LineImage(const LinedView& view, double x, double y)
      : j0(view.j[0] * x + view.j[1] * y + view.j[3]),
        jz(view.j[2]),
        k0(view.k[0] * x + view.k[1] * y + view.k[3]),
        kz(view.k[2]),
        w0(view.w[0] * x + view.w[1] * y + view.w[3]),
        wz(view.w[2]) {}
};

constexpr double kFarthest = 1.0e6;  // places beyond it are worked out voxel by voxel
constexpr double kGentle = 0.03;     // (t e)^5 is 2e-8

// Whether all groups of the lines between some corners are smooth where they are seen, with a depth that changes
// little: places lie between those at the corners, and so do the numbers of which steps are quotients.
struct Plainness {
  double least_depth = HUGE_VAL, farthest = 0.0, by_j = 0.0, by_k = 0.0, by_w;

  explicit Plainness(const LinedView& view) : by_w(std::fabs(view.w[2])) {}

  void add_line(const LineImage& image, double first_z, double last_z) {
    for (const double z : {first_z, last_z}) {
      const double depth = image.w0 + image.wz * z, j = image.j0 + image.jz * z, k = image.k0 + image.kz * z;
      least_depth = std::fmin(least_depth, depth);
      farthest = std::fmax(farthest, std::fmax(std::fabs(j), std::fabs(k)));
      by_j = std::fmax(by_j, std::fabs(image.jz * depth - j * image.wz));
      by_k = std::fmax(by_k, std::fabs(image.kz * depth - k * image.wz));
    }
  }

  bool holds(double spacing) const {
    constexpr double half = 0.5 * double(Lanes::width), broadest = 0.4 * double(kMostMet) - 1.0;
    const double step = half * std::fabs(spacing), squared = least_depth * least_depth;
    return least_depth > 0.0 && farthest < 0.5 * kFarthest * least_depth && step * by_w < kGentle * least_depth &&
           step * by_j < broadest * squared && step * by_k < 0.75 * double(Lanes::width) * squared;
  }
};

// What a line needs to be located; groups are counted from voxel z0 on.
struct Located {
  double start, pitch, spacing;  // of the middle of the first group, from group to group, of voxels
  int count;                     // of groups

  Located(const Axis& axis, int64_t z0, int64_t groups)
      : start(axis.position(z0) + 0.5 * double(Lanes::width - 1) * axis.spacing),
        pitch(double(Lanes::width) * axis.spacing),
        spacing(axis.spacing),
        count(int(groups)) {}

  int rounded() const { return (count + 15) / 16 * 16; }  // so that loops have no remainders of vectors
};

// The groups of a plain line, those with voxels at (x, y) on the other axes. Short loops over local arrays, which
// compilers vectorise: places in float64, what follows of them in float32.
template <Weighting weighting>
void locate_plain(const LinedView& lined, double x, double y, const Located& at, Groups& out) {
  constexpr float width = float(Lanes::width), stretch = float(0.5 * double(Lanes::width - 1) / (1.0 - kGentle));
  const LineImage line(lined, x, y);
  const FlatView view = lined.view;
  // of float32 places on the detector
  const float count = float(lined.count), length = float(lined.length), margin = 1.0e-4f + 4.0e-7f * (count + length);
  // by how much places change a voxel, times the depth squared
  const double by_j = (line.jz * line.w0 - line.j0 * line.wz) * at.spacing;
  const double by_k = (line.kz * line.w0 - line.k0 * line.wz) * at.spacing, by_w = line.wz * at.spacing;
  float inverses[kGroups], at_j[kGroups], at_k[kGroups], rest_j[kGroups], rest_k[kGroups];
  const int n = at.rounded(), end = at.count - 1;  // those after the last one are like it
  for (int g = 0; g < n; ++g) {
    const double z = std::fma(double(std::min(g, end)), at.pitch, at.start);
    const double inverse = reciprocal(std::fma(line.wz, z, line.w0));
    const double j = std::fma(line.jz, z, line.j0) * inverse, k = std::fma(line.kz, z, line.k0) * inverse;
    inverses[g] = float(inverse);
    out.dj[g] = float(by_j * (inverse * inverse));
    out.dk[g] = float(by_k * (inverse * inverse));
    at_j[g] = float(j);
    at_k[g] = float(k);
    rest_j[g] = float(j - double(at_j[g]));
    rest_k[g] = float(k - double(at_k[g]));
    if constexpr (weighting == Weighting::fan) out.weight[g] = float(view.weight<weighting>(x, y, inverse));
  }
  const float reference = float(view.m[11]);
  for (int g = 0; g < n; ++g) {
    const float inverse = inverses[g];
    out.farther[g] = float(by_w) * inverse;
    if constexpr (weighting == Weighting::none) out.weight[g] = 1.0f;
    if constexpr (weighting == Weighting::ratio) out.weight[g] = reference * inverse;
    if constexpr (weighting == Weighting::fdk) out.weight[g] = (reference * inverse) * (reference * inverse);
  }
  for (int g = 0; g < n; ++g) {
    const float reach = stretch * std::fabs(out.dj[g]) + margin, low = at_j[g] - reach, high = at_j[g] + reach;
    const float first = std::floor(low), last = std::floor(high);
    out.kind[g] = (high > -1.0f) & (low < count);
    out.line[g] = int32_t(first);
    out.met[g] = int32_t(last - first) + 2;
    out.j[g] = (at_j[g] - first) + rest_j[g];
  }
  for (int g = 0; g < n; ++g) {
    const float reach = stretch * std::fabs(out.dk[g]) + margin, low = at_k[g] - reach, high = at_k[g] + reach;
    // where whole vectors hold all elements, these are read
    const float even = width * std::floor(low * (1.0f / width)) + width, nearest = std::floor(at_k[g] + 0.5f);
    const float element = high < even + (width - 1.0f) ? even : nearest;
    out.kind[g] &= (high > -1.0f) & (low < length);
    out.element[g] = int32_t(element);
    out.nearest[g] = int32_t(nearest - element);
    out.k[g] = (at_k[g] - nearest) + rest_k[g];
  }
  out.find_lines(at.count, lined.count);
}

// The groups of any line.
template <Weighting weighting>
void locate(const LinedView& lined, double x, double y, const Located& at, Groups& out) {
  constexpr double width = double(Lanes::width), half = 0.5 * (width - 1.0), margin = 1.0e-4;
  constexpr double widest = width - 1.5, broadest = 0.5 * double(kMostMet) - 1.0;
  const auto [j0, jz, k0, kz, w0, wz] = LineImage(lined, x, y);
  const FlatView view = lined.view;
  const double count = double(lined.count), length = double(lined.length), spacing = at.spacing;
  double at_j[kGroups], at_k[kGroups], reach_j[kGroups], reach_k[kGroups], sane[kGroups];
  const int n = at.rounded();
  for (int g = 0; g < n; ++g) {
    const double z = at.start + double(g) * at.pitch, depth = w0 + wz * z, inverse = reciprocal(depth);
    at_j[g] = (j0 + jz * z) * inverse;
    at_k[g] = (k0 + kz * z) * inverse;
    const double step = spacing * inverse, by_j = (jz - at_j[g] * wz) * step, by_k = (kz - at_k[g] * wz) * step;
    const double bend = half * std::fabs(wz * step), stretch = half / (1.0 - bend);
    reach_j[g] = stretch * std::fabs(by_j) + margin;
    reach_k[g] = stretch * std::fabs(by_k) + margin;
    const double gentle = bend < 0.25 ? 1.0 : 0.0;
    sane[g] = depth > 0.0 ? gentle : 0.0;
    out.dj[g] = float(by_j);
    out.dk[g] = float(by_k);
    out.farther[g] = float(wz * step);
    out.weight[g] = float(view.weight<weighting>(x, y, inverse));
  }
  for (int g = 0; g < n; ++g) {
    const double low_j = at_j[g] - reach_j[g], high_j = at_j[g] + reach_j[g];
    const double low_k = at_k[g] - reach_k[g], high_k = at_k[g] + reach_k[g];
    const double near_j = high_j < kFarthest && low_j > -kFarthest ? sane[g] : 0.0;
    const double near = high_k < kFarthest && low_k > -kFarthest ? near_j : 0.0;
    const double seen_j = high_j > -1.0 && low_j < count ? 1.0 : 0.0;
    const double seen = high_k > -1.0 && low_k < length ? seen_j : 0.0;
    const double narrow = reach_k[g] < widest && reach_j[g] < broadest ? 1.0 : 0.0;
    const double first = std::floor(within(low_j, -kFarthest, kFarthest));
    const double last = std::floor(within(high_j, -kFarthest, kFarthest));
    const double element = std::floor(within(at_k[g], -kFarthest, kFarthest) + 0.5);
    out.kind[g] = int32_t(near > 0.0 ? seen * (2.0 - narrow) : double(Groups::rough));
    out.line[g] = int32_t(first);
    out.met[g] = int32_t(last - first) + 2;
    out.element[g] = int32_t(element);
    out.nearest[g] = 0;
    out.j[g] = float(at_j[g] - first);
    out.k[g] = float(at_k[g] - element);
  }
  out.find_lines(at.count, lined.count);
}

// Where the voxels of a group fall, `along` lines from the nearest element and `across` from its line, and by how much
// each is nearer than the middle. `gentle`: the depth changes by less than kGentle.
struct GroupPlaces {
  Lanes::Float nearer, along, across;

  template <bool gentle>
  static GroupPlaces of(const Groups& groups, int64_t g) {
    const Lanes::Float one = Lanes::all(1.0f);
    const Lanes::Float t = Lanes::subtract(Lanes::number(Lanes::numbers()), Lanes::all(0.5f * float(Lanes::width - 1)));
    const Lanes::Float bend = Lanes::multiply(t, Lanes::all(groups.farther[g]));
    Lanes::Float nearer, less;  // less = 1 - nearer
    if constexpr (gentle) {
      Lanes::Float sum = Lanes::subtract(one, bend);
      for (int i = 0; i < 2; ++i) sum = Lanes::subtract_product(one, bend, sum);
      less = Lanes::multiply(bend, sum);
      nearer = Lanes::subtract(one, less);
    } else {
      nearer = Lanes::reciprocal(Lanes::add(one, bend));
      less = Lanes::multiply(bend, nearer);
    }
    const Lanes::Float apart = Lanes::subtract_product(t, t, less);  // t / (1 + t e)
    return {nearer, Lanes::multiply_add(apart, Lanes::all(groups.dk[g]), Lanes::all(groups.k[g])),
            Lanes::multiply_add(apart, Lanes::all(groups.dj[g]), Lanes::all(groups.j[g]))};
  }
};

// Adds one view to the voxels of `some` neighbouring groups; `lines`: how many are read, 0: as many as a group meets.
template <Weighting weighting, bool gentle, int lines, int some>
inline __attribute__((always_inline)) void read_groups(const Groups& groups, int64_t g, const LinedView& lined,
                                                       const float* line0, int64_t stride, float* voxels) {
  Lanes::Float along[some], across[some], weights[some];
  for (int i = 0; i < some; ++i) {
    const GroupPlaces at = GroupPlaces::of<gentle>(groups, g + i);
    along[i] = at.along;
    across[i] = at.across;
    weights[i] = Lanes::all(groups.weight[g + i]);
    if constexpr (weighting == Weighting::fdk)
      weights[i] = Lanes::multiply(weights[i], Lanes::multiply(at.nearer, at.nearer));
    if constexpr (weighting == Weighting::ratio) weights[i] = Lanes::multiply(weights[i], at.nearer);
  }
  for (int i = 0; i < some; ++i) {
    const NearMiddle places(along[i], groups.nearest[g + i]);
    const float* middle = line0 + groups.element[g + i];
    const int64_t first = groups.line[g + i];
    Lanes::Float value;
    if constexpr (lines > 0)
      value = places.read_lines<lines>(middle + first * stride, stride, across[i]);
    else
      value = places.read_lines(middle, stride, first, first + groups.met[g + i], lined.count, across[i]);
    float* at = voxels + i * Lanes::width;
    Lanes::store(at, Lanes::multiply_add(value, weights[i], Lanes::load(at)));
  }
}

// The same, voxel by voxel, for groups of any kind.
template <Weighting weighting>
void read_one_by_one(const LinedView& lined, double x, double y, const Axis& axis, int64_t z0, const float* line0,
                     int64_t stride, int64_t count, float* voxels) {
  const double *j = lined.j, *k = lined.k, *w = lined.w;
  for (int64_t i = 0; i < count; ++i) {
    const double z = axis.position(z0 + i), inverse = reciprocal(w[0] * x + w[1] * y + w[2] * z + w[3]);
    const double at_j = (j[0] * x + j[1] * y + j[2] * z + j[3]) * inverse;
    const double at_k = (k[0] * x + k[1] * y + k[2] * z + k[3]) * inverse;
    if (!(at_j > -1.0 && at_j < double(lined.count) && at_k > -1.0 && at_k < double(lined.length))) continue;
    const double first_j = std::floor(at_j), first_k = std::floor(at_k);
    const float right = float(at_j - first_j), upper = float(at_k - first_k);
    const float *left = line0 + int64_t(first_j) * stride + int64_t(first_k), *next = left + stride;
    const float a = left[0] + upper * (left[1] - left[0]), b = next[0] + upper * (next[1] - next[0]);
    voxels[i] += float(lined.view.weight<weighting>(x, y, inverse)) * (a + right * (b - a));
  }
}

// Adds one view, whose line 0 is at `line0`, to `count` voxels of a line from z0 on; `plain`: see Plainness.
template <Weighting weighting, bool plain>
void read_line(const LinedView& lined, const float* line0, int64_t stride, double x, double y, const Axis& axis,
               int64_t z0, int64_t count, Groups& located, float* voxels) {
  const int64_t groups = (count + Lanes::width - 1) / Lanes::width;
  const Located at(axis, z0, groups);
  plain ? locate_plain<weighting>(lined, x, y, at, located) : locate<weighting>(lined, x, y, at, located);
  const auto read = [&](auto lines) {
    int64_t g = 0;
    const auto add = [&](auto some) {
      read_groups<weighting, plain, lines(), some()>(located, g, lined, line0, stride, voxels + g * Lanes::width);
      g += some();
    };
    while (g < groups) {
      if (g + kTogether <= groups && located.all_smooth(g))
        add(std::integral_constant<int, kTogether>());
      else if (located.kind[g] == Groups::smooth)
        add(std::integral_constant<int, 1>());
      else {
        const int64_t z = g * Lanes::width;
        if (located.kind[g] == Groups::rough)
          read_one_by_one<weighting>(lined, x, y, axis, z0 + z, line0, stride, std::min(Lanes::width, count - z), voxels + z);
        ++g;
      }
    }
  };
  switch (located.lines) {  // one number for all groups of a line is quicker than the least for each
    case 2: return read(std::integral_constant<int, 2>());
    case 3: return read(std::integral_constant<int, 3>());
    case 4: return read(std::integral_constant<int, 4>());
    default: return read(std::integral_constant<int, 0>());
  }
}

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
