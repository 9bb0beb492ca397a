// The rays of some lines of pixels on the planes of one major axis, as the vector loops read them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "lanes.h"
#include "pixel_lines.h"

namespace sinograd {
namespace SINOGRAD_ISA {

// Rays that are taken at a time.
#if defined(__AVX2__)
constexpr int64_t kWidth = Lanes::width;
#else
constexpr int64_t kWidth = kRays;
#endif

// Elements before the first and behind the last ray of a line that vectors may read; they are zero.
constexpr int64_t kTableFront = 16, kTablePad = 80;

// Where a ray is on plane 0, and its steps (see pixel_lines.h).
struct RayAnchor {
  int64_t j0, dj, k0, dk;
};

// The rays of a straight line meet a plane on a straight line, but not evenly where the detector is tilted. This far, in voxels
// within a vector's reach, the loops follow.
constexpr double kMostBend = 0.2;

// How far the middle one of the first `count` rays lies from halfway between the outer ones, in voxels of either axis.
template <class T>
double bend_of(const RayPaths<T>& rays, int64_t count, int64_t planes) {
  const int64_t middle = (count - 1) / 2, last = 2 * middle;
  double most = 0.0;
  for (const int64_t plane : {int64_t(0), planes - 1}) {
    const auto off = [&](const int64_t* start, const int64_t* step) {
      const auto at = [&](int64_t r) { return start[r] + plane * step[r]; };
      return std::fabs(double(at(0) + at(last) - 2 * at(middle)));
    };
    most = std::max({most, off(rays.k0, rays.dk), off(rays.j0, rays.dj)});
  }
  return 0.5 * most / double(fixed_one<T>());
}

template <class T>
class RayTable {
 public:
  // `width`: rays from one anchor to the next.
  RayTable(int64_t lines, int64_t longest, int64_t width)
      : width_(width),
        stride_((longest + kRays - 1) / kRays * kRays + kTablePad),
        anchor_stride_(longest / width + 3),
        lengths_(lines * stride_),
        words_(4 * lines * stride_),
        anchors_(lines * anchor_stride_),
        bends_(lines),
        counts_(lines),
        half_(lines * stride_) {}

  // Fills one line; false where no ray of it steps along the axis.
  bool fill(int64_t slot, const PixelLines& lines, int64_t line, int axis, const Grid& grid) {
    const int64_t count = counts_[slot] = lines.length;
    const int64_t planes = axis == 0 ? grid.x.count : grid.y.count;
    bool any = false, valid = true;
    double bend = 0.0;
    for (int64_t first = 0; first < count; first += kRays) {
      const RayPaths<T> paths(lines, line, first, axis, grid);
      valid = valid && paths.valid;
      bend = std::max(bend, bend_of(paths, std::min(kRays, count - first), planes));
      uint32_t* words = words_.data() + slot * stride_ + kTableFront + first;
      for (int64_t r = 0; r < kRays; ++r) {
        const double length = first + r < count ? paths.length[r] : 0.0;
        any = any || length > 0.0;
        lengths(slot)[first + r] = T(length);
        words[r] = uint32_t(paths.k0[r]);
        words[half_ + r] = uint32_t(paths.dk[r]);
        words[2 * half_ + r] = uint32_t(paths.j0[r]);
        words[3 * half_ + r] = uint32_t(paths.dj[r]);
      }
      // the last of the copies of the last ray closes the last segment
      for (int64_t r = 0; r < kRays; r += width_) set_anchor(slot, (first + r) / width_, paths, r);
      if (first + kRays >= count) set_anchor(slot, (first + kRays) / width_, paths, kRays - 1);
    }
    // within a segment, and once more over the up to 1.7 segments that a vector of voxels spans
    bends_[slot] = valid && count > 1 && lines.straight() && rises(slot, planes) ? 4.0 * bend : HUGE_VAL;
    return any;
  }

  T* lengths(int64_t slot) { return lengths_.data() + slot * stride_ + kTableFront; }
  const uint32_t* k0(int64_t slot) const { return words_.data() + slot * stride_ + kTableFront; }
  const uint32_t* dk(int64_t slot) const { return k0(slot) + half_; }
  const uint32_t* j0(int64_t slot) const { return k0(slot) + 2 * half_; }
  const uint32_t* dj(int64_t slot) const { return k0(slot) + 3 * half_; }
  // Rays 0, width, 2 width ... and the last one, more than once perhaps.
  const RayAnchor* anchors(int64_t slot) const { return anchors_.data() + slot * anchor_stride_; }
  int64_t rays(int64_t slot) const { return counts_[slot]; }
  int64_t segments(int64_t slot) const { return std::max<int64_t>(1, (counts_[slot] - 2 + width_) / width_); }
  int64_t segment_length(int64_t slot, int64_t g) const { return std::min(width_, counts_[slot] - 1 - g * width_); }
  int64_t stride() const { return stride_; }

  // Whether the heights of a line rise from ray to ray, evenly enough.
  bool is_even(int64_t slot) const { return bends_[slot] <= kMostBend; }
  double bend(int64_t slot) const { return bends_[slot]; }

  // The least and the largest step from ray to ray on planes [first, last], in voxels.
  void steps(int64_t slot, int64_t first, int64_t last, double& least, double& most) const {
    least = HUGE_VAL, most = 0.0;
    for (int64_t g = 0; g < segments(slot); ++g)
      for (const int64_t plane : {first, last}) {
        const double step = rise(slot, g, plane);
        least = std::min(least, step), most = std::max(most, step);
      }
  }

 private:
  void set_anchor(int64_t slot, int64_t anchor, const RayPaths<T>& paths, int64_t r) {
    anchors_[slot * anchor_stride_ + anchor] = {paths.j0[r], paths.dj[r], paths.k0[r], paths.dk[r]};
  }

  double rise(int64_t slot, int64_t g, int64_t plane) const {
    const RayAnchor *a = anchors(slot) + g, *b = a + 1;
    return double(b->k0 - a->k0 + plane * (b->dk - a->dk)) / (double(fixed_one<T>()) * double(segment_length(slot, g)));
  }

  // Whether steps rise on all planes: those between the outermost ones lie between theirs.
  bool rises(int64_t slot, int64_t planes) const {
    double least, most;
    steps(slot, 0, planes - 1, least, most);
    return least > 0.0;
  }

  int64_t width_, stride_, anchor_stride_;
  std::vector<T> lengths_;
  std::vector<uint32_t> words_;
  std::vector<RayAnchor> anchors_;
  std::vector<double> bends_;
  std::vector<int64_t> counts_;
  int64_t half_;
};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
