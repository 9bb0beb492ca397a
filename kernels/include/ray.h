// Rays from the source through the detector's pixels: the coordinates of Joseph's ray-driven operators.
//
// Views come as rows of three doubles: source (or, for a parallel beam, the ray direction), detector centre,
// u step, v step and, for curved detectors, the curvature centre.
#pragma once

#include <cmath>
#include <cstdint>

#include "grid.h"

namespace sinograd {

struct Vector {
  double x, y, z;
};

inline Vector operator+(Vector a, Vector b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Vector operator-(Vector a, Vector b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
inline Vector operator*(double s, Vector a) { return {s * a.x, s * a.y, s * a.z}; }
inline double length(Vector a) { return std::sqrt(a.x * a.x + a.y * a.y + a.z * a.z); }

struct RayView {
  const double* vectors;
  bool divergent;
  bool curved;

  Vector row(int i) const { return {vectors[3 * i], vectors[3 * i + 1], vectors[3 * i + 2]}; }

  // World position of detector column u (counted from the middle column) on the middle row.
  Vector column_position(double u) const {
    const Vector centre = row(1), step = row(2);
    if (!curved) return centre + u * step;
    const Vector outward = centre - row(4);
    const double radius = length(outward), spacing = length(step);
    const double angle = u * spacing / radius;
    return row(4) + std::cos(angle) * outward + (std::sin(angle) * radius / spacing) * step;
  }

  // A point on the ray and the vector from it to the pixel (divergent) or along the ray (parallel, unit length).
  void ray(Vector pixel, Vector& origin, Vector& direction) const {
    if (divergent) {
      origin = row(0);
      direction = pixel - origin;
    } else {
      origin = pixel;
      direction = row(0);
    }
  }
};

// Joseph's method steps along the axis on which the ray moves fastest; ties go to x.
inline bool steps_along_x(const Grid& grid, Vector direction) {
  return std::fabs(direction.x) * grid.y.spacing >= std::fabs(direction.y) * grid.x.spacing;
}

}  // namespace sinograd
