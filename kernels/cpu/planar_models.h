// What rays read of a plane of one slice: Joseph's two pixels, and a footprint's shares (see planar_rays.h).
#pragma once

#include <algorithm>
#include <cmath>

#include "footprint.h"
#include "planar_rays.h"
#include "within.h"

namespace sinograd {
namespace SINOGRAD_ISA {

struct JosephPixels {
  static constexpr int doubles = 2;

  static void rays(const Fan& fan, const RayView&, double, const Grid&, double* numbers) {
    numbers[0] = fan.j0;
    numbers[1] = fan.dj;
  }

  static int64_t taps(const Views&, int64_t, const Grid&) { return 2; }

  template <class T>
  static bool shares(const RayRun<T>& run, int64_t i, int64_t pixels, PlaneShares<T>& shares) {
    const double plane = double(i), last = double(pixels);
    const double *start = run.numbers, *step = start + kRayRun;
    T *lower = shares.shares.data(), *upper = lower + kRayRun;
    int32_t* first = shares.first;
    const int count = int(run.count);
#pragma omp simd
    for (int k = 0; k < count; ++k) {
      const double j = within(start[k] + plane * step[k], -1.0, last), below = std::floor(j);
      first[k] = int32_t(below);
      lower[k] = T(1.0 - (j - below));
      upper[k] = T(j - below);
    }
    return meets(shares, count, pixels);
  }
};

struct FootprintPixels {
  static constexpr int doubles = 5;

  static void rays(const Fan& fan, const RayView& view, double u, const Grid& grid, double* numbers) {
    for (int side = 0; side < 2; ++side) {
      const PixelEdge edge = pixel_edge(view, u + double(side) - 0.5, grid, fan.along_x);
      numbers[2 * side] = edge.start;
      numbers[2 * side + 1] = edge.step;
    }
    numbers[4] = std::fabs(fan.dj);
  }

  // The widest trapezoid lies on a first or on a last plane.
  static int64_t taps(const Views& views, int64_t columns, const Grid& grid) {
    double widest = 0.0;
#pragma omp parallel for reduction(max : widest)
    for (int64_t v = 0; v < views.count; ++v)
      for (int64_t u = 0; u < columns; ++u) {
        const PixelFan pixel = make_pixel_fan(ray_view(views, v), double(u) - 0.5 * double(columns - 1), grid, true);
        const double last = double((pixel.fan.along_x ? grid.x.count : grid.y.count) - 1);
        for (const double plane : {0.0, last}) widest = std::max(widest, pixel.on_plane(0, plane).outer);
      }
    return int64_t(2.0 * std::min(widest, kFarthest)) + 2;
  }

  template <class T>
  static bool shares(const RayRun<T>& run, int64_t i, int64_t pixels, PlaneShares<T>& shares) {
    const double plane = double(i), frame = double(-shares.taps), last = double(pixels);
    const double* numbers = run.numbers;
    int32_t* first = shares.first;
    const int count = int(run.count);
    double before[kRayRun], middle[kRayRun], width[kRayRun];
    for (int k = 0; k < count; ++k) {
      const double a = numbers[k] + plane * numbers[kRayRun + k];
      const double b = numbers[2 * kRayRun + k] + plane * numbers[3 * kRayRun + k];
      middle[k] = 0.5 * (a + b);
      width[k] = std::fabs(b - a);
      const Trapezoid shape(middle[k], width[k], numbers[4 * kRayRun + k]);
      first[k] = int32_t(std::floor(within(middle[k] - shape.outer + 0.5, frame, last)));
      before[k] = 0.0;
    }
    if (!meets(shares, count, pixels)) return false;
    for (int64_t n = 0; n < shares.taps; ++n) {
      T* share = shares.shares.data() + n * kRayRun;
      const double beyond = double(n) + 0.5;
      for (int k = 0; k < count; ++k) {
        const double after = Trapezoid(middle[k], width[k], numbers[4 * kRayRun + k]).below(double(first[k]) + beyond);
        share[k] = T(after - before[k]);
        before[k] = after;
      }
    }
    return true;
  }

 private:
  static constexpr double kFarthest = 1.0e6;
};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
