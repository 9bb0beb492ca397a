// Where a column of voxels falls on a cone-parallel view: the coordinates of the weighted backprojection.
//
// Rays of a view run in one direction (-sin, cos) in the plane across the axis, at equally spaced distances from it;
// each distance has its source. Four doubles a distance, computed once in Python (sinograd/ops/cone_parallel.py):
// distance from the source to the point nearest to the axis, detector rows per unit of slope, height of the source,
// row at its height. Between two distances they are interpolated.
#pragma once

#include <cmath>
#include <cstdint>

#include "voxel_projection.h"

namespace sinograd {

constexpr int kRayDoubles = 4;

struct ConeParallelView {
  double cosine, sine;    // of the direction; NaN: the view does not exist
  const double* rays;     // [distances][kRayDoubles]
  double nearest, spacing;  // smallest distance from the axis, and from one to the next, mm
  int64_t distances;

  // Whether a column of voxels lies between the outermost distances; then its image, with the weight 1.
  bool column(double x, double y, const Axis& z, ColumnImage& image) const {
    const double at = (x * cosine + y * sine - nearest) / spacing;
    if (!(at >= 0.0 && at <= double(distances - 1))) return false;
    const int64_t last = distances - 2, below = int64_t(at) < last ? int64_t(at) : last;
    const double share = at - double(below);
    const double *low = rays + below * kRayDoubles, *high = low + kRayDoubles;
    const auto between = [&](int i) { return low[i] + share * (high[i] - low[i]); };
    const double rows = between(1) / (between(0) + (y * cosine - x * sine));
    image.column = at;
    image.middle = between(3) + (z.centre - between(2)) * rows;
    image.step = z.spacing * rows;
    image.weight = 1.0;
    return true;
  }
};

}  // namespace sinograd
