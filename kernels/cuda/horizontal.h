// What adjoints look at, seen from above: the columns of voxels that may read a detector column, and the detector columns
// whose rays may read a column of voxels. Both hold all that do, and a few that do not.
#pragma once

#include "scan.h"

namespace sinograd {

// The two rays beside a detector column, horizontally, between which lie all voxels that read it.
struct Wedge {
  double ox[2], oy[2], dx[2], dy[2];
  bool along_x, one_sided, divergent;

  __device__ Wedge() = default;
  __device__ Wedge(const Scan& scan, const RayView& view, double u) : divergent(view.divergent) {
    Vector origin, direction;
    view.ray(view.column_position(u), origin, direction);
    along_x = steps_along_x(scan.grid, direction);
    for (int e = 0; e < 2; ++e) {
      view.ray(view.column_position(u + 2 * e - 1), origin, direction);
      ox[e] = origin.x, oy[e] = origin.y, dx[e] = direction.x, dy[e] = direction.y;
    }
    const double *d = along_x ? dx : dy, *across = along_x ? dy : dx;
    one_sided = d[0] * d[1] > 0.0;
    for (int e = 0; e < 2; ++e) one_sided = one_sided && std::fabs(d[e]) > 1e-6 * std::fabs(across[e]);
  }

  // The voxels of plane i of the major axis.
  __device__ Range on_plane(const Scan& scan, int64_t i) const {
    const Axis &major = along_x ? scan.grid.x : scan.grid.y, &minor = along_x ? scan.grid.y : scan.grid.x;
    if (!one_sided) return {0, int(minor.count)};
    const double *o = along_x ? ox : oy, *d = along_x ? dx : dy;
    const double *minor_o = along_x ? oy : ox, *minor_d = along_x ? dy : dx;
    double j[2];
    for (int e = 0; e < 2; ++e) {
      const double t = (major.position(i) - o[e]) / d[e];
      if (divergent && t <= 0.0) return {0, 0};
      j[e] = minor.index(minor_o[e] + t * minor_d[e]);
    }
    return between(j[0], j[1], minor.count);
  }
};

// The detector columns between the images of two points that the middle of them lies between.
__device__ inline Range columns_between(const Scan& scan, const double* view, double x, double y, double hx, double hy) {
  const int64_t width = scan.detector.columns;
  for (int side = -1; side <= 1; side += 2) {
    const double px = x + side * hx, py = y + side * hy;
    if (scan.curved) {
      const double *source = view, dx = x - source[0], dy = y - source[1];
      if (!(dx * (px - source[0]) + dy * (py - source[1]) > 0.0)) return {0, int(width)};
    } else if (!(FlatView{view}.depth(px, py, 0.0) > 0.0)) {
      return {0, int(width)};
    }
  }
  return between(column_image(scan, view, x - hx, y - hy).column, column_image(scan, view, x + hx, y + hy).column, width);
}

// The detector columns whose rays along x, and along y, may read the column of voxels (x, y).
struct Candidates {
  Range along_x, along_y;
  __device__ int count() const { return along_x.count() + along_y.count(); }
};

__device__ inline Candidates candidates_of(const Scan& scan, const double* view, int64_t i, int64_t j) {
  const double x = scan.grid.x.position(i), y = scan.grid.y.position(j);
  return {columns_between(scan, view, x, y, 0.0, scan.grid.y.spacing),
          columns_between(scan, view, x, y, scan.grid.x.spacing, 0.0)};
}

}  // namespace sinograd
