// The rays of the general Joseph operators, line by line of detector pixels, and their one coordinate rule.
//
// A line runs along the detector axis that climbs more steeply, upwards, so that the rays of its pixels meet a plane
// of the volume at rising heights. On plane i of its major axis a ray lies at j0 + i dj on the other horizontal axis
// and at k0 + i dk along z (rays along z: x and y), integers in units of 2^-bits of a voxel (fixed_point.h): the
// projector and its adjoint see the same index and fraction in every instruction set.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "fixed_point.h"
#include "operators.h"
#include "ray.h"

namespace sinograd {
namespace SINOGRAD_ISA {

constexpr int64_t kRays = 16;

// How one view is cut into lines.
struct PixelLines {
  PixelLines(const Views& views, int64_t view_number, DetectorShape shape)
      : view(ray_view(views, view_number)), detector(shape) {
    const double up_v = view.row(3).z, up_u = view.row(2).z;
    along_v = std::fabs(up_v) >= std::fabs(up_u);
    downwards = (along_v ? up_v : up_u) < 0.0;
    count = along_v ? detector.columns : detector.rows;
    length = along_v ? detector.rows : detector.columns;
  }

  // Those along the arc of a curved detector are not.
  bool straight() const { return along_v || !view.curved; }
  int64_t place(int64_t pixel) const { return downwards ? length - 1 - pixel : pixel; }
  // Of a pixel in the view's image.
  int64_t offset(int64_t line, int64_t pixel) const {
    return along_v ? place(pixel) * detector.columns + line : line * detector.columns + place(pixel);
  }

  RayView view;
  DetectorShape detector;
  bool along_v, downwards;
  int64_t count, length;
};

// Rays [first, first + kRays) of a line; those beyond its end are copies of the last one.
struct Directions {
  double ox[kRays], oy[kRays], oz[kRays], dx[kRays], dy[kRays], dz[kRays];

  Directions(const PixelLines& lines, int64_t line, int64_t first) {
    const RayView& view = lines.view;
    const double middle_column = 0.5 * double(lines.detector.columns - 1);
    const double middle_row = 0.5 * double(lines.detector.rows - 1);
    const Vector step = view.row(3);
    const bool shared = lines.along_v;
    Vector column = view.column_position(double(line) - middle_column);
    for (int64_t r = 0; r < kRays; ++r) {
      const int64_t place = lines.place(std::min(first + r, lines.length - 1));
      if (!shared) column = view.column_position(double(place) - middle_column);
      const double v = double(shared ? place : line) - middle_row;
      Vector origin, direction;
      view.ray(column + v * step, origin, direction);
      ox[r] = origin.x, oy[r] = origin.y, oz[r] = origin.z;
      dx[r] = direction.x, dy[r] = direction.y, dz[r] = direction.z;
    }
  }

  // The axis along which a ray steps: 0 x, 1 y, or 2, z, for rays steeper than 45 degrees.
  int major(int64_t r, const Grid& grid) const {
    if (dz[r] * dz[r] > dx[r] * dx[r] + dy[r] * dy[r]) return 2;
    return steps_along_x(grid, {dx[r], dy[r], dz[r]}) ? 0 : 1;
  }
};

// Which major axes the rays of a line have: bit 0 x, 1 y, 2 z.
inline int majors(const PixelLines& lines, int64_t line, const Grid& grid) {
  int found = 0;
  for (int64_t first = 0; first < lines.length; first += kRays) {
    const Directions rays(lines, line, first);
    for (int64_t r = 0; r < kRays; ++r) found |= 1 << rays.major(r, grid);
  }
  return found;
}

// The same rays on the planes of one major axis. Those that step along another have length 0; those whose places
// cannot be told (too far away, or along the planes) as well, and are not `valid`.
template <class T>
struct RayPaths {
  int64_t j0[kRays], dj[kRays], k0[kRays], dk[kRays];
  double length[kRays];
  bool valid;

  RayPaths(const PixelLines& lines, int64_t line, int64_t first, int axis, const Grid& grid) {
    const Directions rays(lines, line, first);
    const double *o[3] = {rays.ox, rays.oy, rays.oz}, *d[3] = {rays.dx, rays.dy, rays.dz};
    const Axis* axes[3] = {&grid.x, &grid.y, &grid.z};
    const int j = axis == 0 ? 1 : 0, k = axis == 2 ? 1 : 2;
    const Axis major = *axes[axis], minor_j = *axes[j], minor_k = *axes[k];
    const int64_t middle = major.count / 2;
    const double plane = major.position(middle), reach = double(major.count);
    constexpr double one = double(fixed_one<T>());
    double at_j[kRays], by_j[kRays], at_k[kRays], by_k[kRays];
    for (int64_t r = 0; r < kRays; ++r) {
      const double inverse = 1.0 / d[axis][r];
      const double t = (plane - o[axis][r]) * inverse, dt = major.spacing * inverse;
      at_j[r] = minor_j.index(o[j][r] + t * d[j][r]);
      by_j[r] = dt * d[j][r] / minor_j.spacing;
      at_k[r] = minor_k.index(o[k][r] + t * d[k][r]);
      by_k[r] = dt * d[k][r] / minor_k.spacing;
      const double squared = rays.dx[r] * rays.dx[r] + rays.dy[r] * rays.dy[r] + rays.dz[r] * rays.dz[r];
      length[r] = major.spacing * std::sqrt(squared) * std::fabs(inverse);
    }
    valid = true;
    for (int64_t r = 0; r < kRays; ++r) {
      const bool near = std::fabs(at_j[r]) + std::fabs(by_j[r]) * reach < kFarthestElement &&
                        std::fabs(at_k[r]) + std::fabs(by_k[r]) * reach < kFarthestElement;
      valid = valid && near;
      if (!near || rays.major(r, grid) != axis) length[r] = 0.0;
      if (!near) at_j[r] = by_j[r] = at_k[r] = by_k[r] = 0.0;
      dj[r] = std::llrint(by_j[r] * one);
      j0[r] = std::llrint(at_j[r] * one) - middle * dj[r];
      dk[r] = std::llrint(by_k[r] * one);
      k0[r] = std::llrint(at_k[r] * one) - middle * dk[r];
    }
  }
};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
