// The rays through one detector column, where the detector's rows run parallel to z: they share their horizontal path.
#pragma once

#include <cmath>
#include <cstdint>

#include "grid.h"
#include "ray.h"

namespace sinograd {

// On plane i of the major axis: t = t0 + i dt along the rays, index j0 + i dj on the minor axis, and rows at z index
// (middle + slope t) with (step + spread t) a row.
struct Fan {
  bool along_x;
  double t0, dt, j0, dj;
  double middle, slope, step, spread;
  // length of the ray through row v between planes: stretch * sqrt(horizontal^2 + (rise + v_mid rise_step)^2)
  double stretch, horizontal, rise, rise_step;
};
static_assert(sizeof(Fan) == 104);  // FAN_BYTES of projection_cuda.py

// The ray through the middle row of a column.
struct PixelRay {
  Vector origin, direction;
};

// `u` is counted from the middle column.
inline PixelRay pixel_ray(const RayView& view, double u) {
  PixelRay ray;
  view.ray(view.column_position(u), ray.origin, ray.direction);
  return ray;
}

// The rays of that column. `stacked`: slice k falls on row k. `along_x`: which planes it steps through.
inline Fan fan_of(const PixelRay& ray, const RayView& view, const Grid& grid, bool stacked, bool along_x) {
  const auto& [origin, direction] = ray;
  const double row_step = view.row(3).z;
  Fan fan;
  fan.along_x = along_x;
  const Axis &major = fan.along_x ? grid.x : grid.y, &minor = fan.along_x ? grid.y : grid.x;
  const double o = fan.along_x ? origin.x : origin.y, d = fan.along_x ? direction.x : direction.y;
  const double minor_o = fan.along_x ? origin.y : origin.x, minor_d = fan.along_x ? direction.y : direction.x;
  fan.t0 = (major.position(0) - o) / d;
  fan.dt = major.spacing / d;
  fan.j0 = minor.index(minor_o + fan.t0 * minor_d);
  fan.dj = fan.dt * minor_d / minor.spacing;
  fan.middle = grid.z.index(origin.z);
  fan.slope = direction.z / grid.z.spacing;
  fan.step = view.divergent ? 0.0 : row_step / grid.z.spacing;
  fan.spread = view.divergent ? row_step / grid.z.spacing : 0.0;
  fan.stretch = major.spacing / std::fabs(d);
  fan.horizontal = std::hypot(direction.x, direction.y);
  fan.rise = direction.z;
  fan.rise_step = view.divergent ? row_step : 0.0;
  if (stacked) {  // rays stay in their slice
    fan.middle = grid.z.middle();
    fan.step = 1.0;
    fan.slope = fan.spread = fan.rise = fan.rise_step = 0.0;
  }
  return fan;
}

inline Fan make_fan(const RayView& view, double u, const Grid& grid, bool stacked) {
  const PixelRay ray = pixel_ray(view, u);
  return fan_of(ray, view, grid, stacked, steps_along_x(grid, ray.direction));
}

// `v` is counted from the middle row.
inline double ray_length(const Fan& fan, double v) {
  return fan.stretch * std::hypot(fan.horizontal, fan.rise + v * fan.rise_step);
}

}  // namespace sinograd
