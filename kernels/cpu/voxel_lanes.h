// The vector loops of the general backprojection in float32.
//
// Voxels of a line along an axis fall on a line of the detector, not quite along its rows or columns and not quite
// evenly. As many of them as a vector has lanes are looked up in windows of a few detector lines. With t counted from
// the middle of such a group, whose image is (j, k) and whose depth changes by a part e a voxel, a voxel lies at
//   k + t dk / (1 + t e) = (k + t dk) - t^2 dk e / (1 + t e),
// a fixed-point number less a small correction: exact to some 1e-8 of an element. j alike.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "aligned_buffer.h"
#include "interpolation.h"
#include "lines.h"
#include "operators.h"
#include "tile.h"
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
    strides_[size_t(view)] = line_stride(along_rows ? detector_.rows : detector_.columns);
    std::fill_n(pixels_.data() + view * view_stride_, elements(along_rows), 0.0f);
    if (along_rows)
      transpose(image, detector_.columns, line(view, 0), stride(view), detector_.rows, detector_.columns);
    else
      for (int64_t row = 0; row < detector_.rows; ++row)
        std::copy_n(image + row * detector_.columns, detector_.columns, line(view, row));
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

// The groups of one line of voxels in one view.
struct Groups {
  enum Kind : int32_t { unseen, smooth, rough };  // 0, 1, 2
  int32_t kind[kGroups], j_first[kGroups], j_last[kGroups], k_first[kGroups];
  int32_t j[kGroups], dj[kGroups], k[kGroups], dk[kGroups];                         // fixed point, of lane 0
  float bend_j[kGroups], bend_k[kGroups], depth_step[kGroups], weight[kGroups];
  int32_t most_lines;  // that a smooth group meets
};

// Those of voxels z0, z0 + 1 ... at (x, y) on the other axes. Plain loops over local arrays, which compilers vectorise.
template <Weighting weighting>
void locate(const LinedView& lined, double x, double y, const Axis& axis, int64_t z0, int64_t groups, Groups& out) {
  constexpr double half = 0.5 * double(Lanes::width - 1), one = double(kOne), farthest = 1.0e6, margin = 1.0e-4;
  constexpr double widest = 0.5 * double(kWidest) - 0.5, broadest = 0.5 * double(kMostLines) - 1.0;
  constexpr double largest = 15.9 * one;  // 16 elements are 31 bits
  const double *j = lined.j, *k = lined.k, *w = lined.w;
  const double j0 = j[0] * x + j[1] * y + j[3], k0 = k[0] * x + k[1] * y + k[3], w0 = w[0] * x + w[1] * y + w[3];
  const double jz = j[2], kz = k[2], wz = w[2], spacing = axis.spacing;
  const double start = axis.position(z0) + half * spacing, pitch = double(Lanes::width) * spacing;
  const double count = double(lined.count), length = double(lined.length);
  const FlatView view = lined.view;
  double at_j[kGroups], at_k[kGroups], by_j[kGroups], by_k[kGroups], part[kGroups], reach_j[kGroups], reach_k[kGroups];
  const int n = int(groups);
  for (int g = 0; g < n; ++g) {
    const double z = start + double(g) * pitch, depth = w0 + wz * z, inverse = reciprocal(depth);
    at_j[g] = (j0 + jz * z) * inverse;
    at_k[g] = (k0 + kz * z) * inverse;
    by_j[g] = (jz - at_j[g] * wz) * spacing * inverse;
    by_k[g] = (kz - at_k[g] * wz) * spacing * inverse;
    part[g] = depth > 0.0 ? wz * spacing * inverse : 1.0;
    const double stretch = half / (1.0 - half * std::fabs(part[g]));
    reach_j[g] = stretch * std::fabs(by_j[g]) + margin;
    reach_k[g] = stretch * std::fabs(by_k[g]) + margin;
    out.weight[g] = float(view.weight<weighting>(x, y, inverse));
  }
  for (int g = 0; g < n; ++g) {
    const double low_j = at_j[g] - reach_j[g], high_j = at_j[g] + reach_j[g];
    const double low_k = at_k[g] - reach_k[g], high_k = at_k[g] + reach_k[g];
    double sane = std::fabs(part[g]) * double(Lanes::width) < 0.5 ? 1.0 : 0.0;
    sane = high_j < farthest && low_j > -farthest ? sane : 0.0;
    sane = high_k < farthest && low_k > -farthest ? sane : 0.0;
    double seen = high_j > -1.0 && low_j < count ? 1.0 : 0.0;
    seen = high_k > -1.0 && low_k < length ? seen : 0.0;
    const double narrow = reach_k[g] < widest && reach_j[g] < broadest ? 1.0 : 0.0;
    out.kind[g] = int32_t(sane > 0.0 ? seen * (2.0 - narrow) : double(Groups::rough));
    const double first_j = std::floor(within(low_j, -farthest, farthest));
    const double first_k = std::floor(within(low_k, -farthest, farthest));
    out.j_first[g] = int32_t(first_j);
    out.j_last[g] = int32_t(std::floor(within(high_j, -farthest, farthest)) + 1.0);
    out.k_first[g] = int32_t(first_k);
    // less 16 elements, which 32 bits hold with a sign
    const double j_rest = (at_j[g] - half * by_j[g] - first_j - 16.0) * one;
    const double k_rest = (at_k[g] - half * by_k[g] - first_k - 16.0) * one;
    out.j[g] = int32_t(std::nearbyint(within(j_rest, -16.0 * one, largest)));
    out.k[g] = int32_t(std::nearbyint(within(k_rest, -16.0 * one, largest)));
  }
  for (int g = 0; g < n; ++g) {
    out.dj[g] = int32_t(std::nearbyint(within(by_j[g] * one, -largest, largest)));
    out.dk[g] = int32_t(std::nearbyint(within(by_k[g] * one, -largest, largest)));
    out.bend_j[g] = float(by_j[g] * part[g] * one);
    out.bend_k[g] = float(by_k[g] * part[g] * one);
    out.depth_step[g] = float(part[g]);
  }
  int32_t most = 0;
  for (int g = 0; g < n; ++g) {
    const int32_t met = out.kind[g] == Groups::smooth ? out.j_last[g] - out.j_first[g] + 1 : 0;
    most = met > most ? met : most;
  }
  out.most_lines = most;
}

// Where the voxels of a group fall, in fixed point from element k_first along a line and from line j_first across, and
// by how much each is nearer than the middle.
struct GroupPlaces {
  Lanes::Float nearer;
  Lanes::Int along, across;

  GroupPlaces(const Groups& groups, int64_t g) {
    const Lanes::Int lane = Lanes::numbers(), turn = Lanes::all(uint32_t(16) << kBits);
    const Lanes::Float t = Lanes::subtract(Lanes::number(lane), Lanes::all(0.5f * float(Lanes::width - 1)));
    const Lanes::Float depth = Lanes::multiply_add(t, Lanes::all(groups.depth_step[g]), Lanes::all(1.0f));
    nearer = Lanes::reciprocal(depth);
    const Lanes::Float bend = Lanes::multiply(Lanes::multiply(t, t), nearer);
    const auto place = [&](int32_t start, int32_t step, float by) {
      const Lanes::Int even = Lanes::add(Lanes::multiply(lane, Lanes::all(uint32_t(step))), Lanes::all(uint32_t(start)));
      return Lanes::subtract(Lanes::add(even, turn), Lanes::nearest(Lanes::multiply(bend, Lanes::all(by))));
    };
    along = place(groups.k[g], groups.dk[g], groups.bend_k[g]);
    across = place(groups.j[g], groups.dj[g], groups.bend_j[g]);
  }
};

// Adds one view to one group of voxels, those of lane 0 to `count` - 1; `three`: no group of the line meets more than
// three lines, but some do.
template <Weighting weighting, bool three>
inline __attribute__((always_inline)) void read_group(const Groups& groups, int64_t g, const LinedView& lined,
                                                      const float* line0, int64_t stride, float* voxels) {
  const GroupPlaces at(groups, g);
  const float* window = line0 + groups.k_first[g];
  const int64_t first = groups.j_first[g];
  Lanes::Float value;
  if (three && first >= -1 && first < lined.count)
    value = interpolate_three(window + first * stride, stride, at.along, at.across);
  else
    value = interpolate(window, stride, first, groups.j_last[g], lined.count, at.along, at.across);
  Lanes::Float weight = Lanes::all(groups.weight[g]);
  if constexpr (weighting == Weighting::fdk) weight = Lanes::multiply(weight, Lanes::multiply(at.nearer, at.nearer));
  if constexpr (weighting == Weighting::ratio) weight = Lanes::multiply(weight, at.nearer);
  Lanes::store(voxels, Lanes::multiply_add(value, weight, Lanes::load(voxels)));
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

// Adds one view, whose line 0 is at `line0`, to `count` voxels of a line from z0 on.
template <Weighting weighting>
void read_line(const LinedView& lined, const float* line0, int64_t stride, double x, double y, const Axis& axis,
               int64_t z0, int64_t count, Groups& located, float* voxels) {
  const int64_t groups = (count + Lanes::width - 1) / Lanes::width;
  locate<weighting>(lined, x, y, axis, z0, groups, located);
  const auto read = [&](auto three) {
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t z = g * Lanes::width;
      if (located.kind[g] == Groups::smooth)
        read_group<weighting, three()>(located, g, lined, line0, stride, voxels + z);
      else if (located.kind[g] == Groups::rough)
        read_one_by_one<weighting>(lined, x, y, axis, z0 + z, line0, stride, std::min(Lanes::width, count - z), voxels + z);
    }
  };
  if (located.most_lines == 3)
    read(std::true_type());
  else
    read(std::false_type());
}

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
