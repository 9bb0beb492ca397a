// One ray in any direction on the planes of its major axis: the general Joseph operators' coordinate rule.
//
// The major axis is the horizontal one along which the ray moves faster, or z for rays steeper than 45 degrees. On plane
// i the ray lies at j0 + i dj on the other horizontal axis and at k0 + i dk along z (rays along z: x and y), integers in
// units of 2^-bits of a voxel (fixed_point.h).
#pragma once

#include <cmath>
#include <cstdint>

#include "fixed_point.h"
#include "grid.h"
#include "ray.h"

namespace sinograd {

struct RayPath {
  int64_t j0, dj, k0, dk;
  double length;  // between two planes
  int64_t axis;   // 0 x, 1 y, 2 z; -1: too far away to touch anything
};
static_assert(sizeof(RayPath) == 48);  // RAY_BYTES of projection_cuda.py

inline int major_axis(Vector direction, const Grid& grid) {
  if (direction.z * direction.z > direction.x * direction.x + direction.y * direction.y) return 2;
  return steps_along_x(grid, direction) ? 0 : 1;
}

// The axes of a plane that a ray with this major axis meets.
inline const Axis& minor_j(const Grid& grid, int64_t axis) { return axis == 0 ? grid.y : grid.x; }
inline const Axis& minor_k(const Grid& grid, int64_t axis) { return axis == 2 ? grid.y : grid.z; }
inline const Axis& major(const Grid& grid, int64_t axis) { return axis == 0 ? grid.x : axis == 1 ? grid.y : grid.z; }

inline double along(Vector a, int64_t axis) { return axis == 0 ? a.x : axis == 1 ? a.y : a.z; }
inline double along_j(Vector a, int64_t axis) { return axis == 0 ? a.y : a.x; }
inline double along_k(Vector a, int64_t axis) { return axis == 2 ? a.y : a.z; }

template <class T>
inline RayPath make_ray_path(Vector origin, Vector direction, const Grid& grid) {
  const int axis = major_axis(direction, grid);
  const Axis &steps = major(grid, axis), &js = minor_j(grid, axis), &ks = minor_k(grid, axis);
  const int64_t middle = steps.count / 2;
  const double inverse = 1.0 / along(direction, axis), reach = double(steps.count);
  const double t = (steps.position(middle) - along(origin, axis)) * inverse, dt = steps.spacing * inverse;
  const double at_j = js.index(along_j(origin, axis) + t * along_j(direction, axis));
  const double at_k = ks.index(along_k(origin, axis) + t * along_k(direction, axis));
  const double by_j = dt * along_j(direction, axis) / js.spacing, by_k = dt * along_k(direction, axis) / ks.spacing;
  if (!(std::fabs(at_j) + std::fabs(by_j) * reach < kFarthestElement &&
        std::fabs(at_k) + std::fabs(by_k) * reach < kFarthestElement))
    return {0, 0, 0, 0, 0.0, -1};
  constexpr double one = double(fixed_one<T>());
  const int64_t dj = std::llrint(by_j * one), dk = std::llrint(by_k * one);
  return {std::llrint(at_j * one) - middle * dj, dj, std::llrint(at_k * one) - middle * dk, dk,
          steps.spacing * length(direction) * std::fabs(inverse), axis};
}

// Narrows planes [first, last) to those on which start + i step lies in (-1, count) voxels; a plane too many on either
// side does no harm.
template <class T>
inline void narrow(int64_t start, int64_t step, int64_t count, int64_t& first, int64_t& last) {
  constexpr int64_t one = fixed_one<T>();
  if (step == 0) {
    if (start <= -one || start >= count * one) last = first;
    return;
  }
  const double a = double(-one - start) / double(step), b = double(count * one - start) / double(step);
  const double low = (a < b ? a : b) - 1.0, high = (a < b ? b : a) + 2.0;
  if (low > double(first)) first = low < double(last) ? int64_t(low) : last;
  if (high < double(last)) last = high > double(first) ? int64_t(high) : first;
}

}  // namespace sinograd
