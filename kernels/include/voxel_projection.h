// Where a voxel falls on the detector: the coordinates of the voxel-driven operators.
//
// Views come as 16 doubles, computed once in Python (sinograd/ops/lowering.py):
//   flat detectors    0-11   matrix [3][4]: world (x, y, z, 1) -> (column * w, row * w, w), w = 1 on the detector
//                            (a parallel beam has the last row 0 0 0 1)
//                     12-14  source position, 15 its distance to the axis
//   curved detectors  0-2    source, 3-4 curvature centre (x, y), 5 radius, 6-7 unit normal at the middle column,
//                     8      middle column, 9 radius / column spacing along the arc,
//                     10     z of the middle row, 11 row spacing, 12 middle row, 15 distance of source to axis
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "grid.h"

namespace sinograd {

enum class Weighting : int { none = 0, fan = 1, fdk = 2 };

constexpr int kViewDoubles = 16;

// The image of a line of voxels along z.
struct ColumnImage {
  double column;  // detector column
  double middle;  // detector row of the middle of the line
  double step;    // rows a voxel
  double weight;
};

// 1 / w to 4e-15: a float32 division and one Newton step, several times faster than a float64 division.
inline double reciprocal(double w) {
  const double guess = double(1.0f / float(w));
  return guess * (2.0 - w * guess);
}

struct FlatView {
  const double* m;

  double depth(double x, double y, double z) const { return m[8] * x + m[9] * y + m[10] * z + m[11]; }

  template <Weighting weighting>
  double weight(double x, double y, double inverse_depth) const {
    if constexpr (weighting == Weighting::fdk) return (m[11] * inverse_depth) * (m[11] * inverse_depth);
    if constexpr (weighting == Weighting::fan) {
      const double dx = x - m[12], dy = y - m[13];
      return m[15] * m[15] / (dx * dx + dy * dy);
    }
    return 1.0;
  }

  // For detectors whose rows' axis is parallel to z: m[2] and m[10] are zero.
  template <Weighting weighting>
  ColumnImage column(double x, double y, const Axis& z) const {
    const double inverse = reciprocal(m[8] * x + m[9] * y + m[11]);
    ColumnImage image;
    image.column = (m[0] * x + m[1] * y + m[3]) * inverse;
    image.middle = (m[4] * x + m[5] * y + m[6] * z.centre + m[7]) * inverse;
    image.step = m[6] * z.spacing * inverse;
    image.weight = weight<weighting>(x, y, inverse);
    return image;
  }
};

struct CurvedView {
  const double* c;

  template <Weighting weighting>
  ColumnImage column(double x, double y, const Axis& z) const {
    const double dx = x - c[0], dy = y - c[1];
    const double squared = dx * dx + dy * dy;
    // source + t (dx, dy) on the circle: the farther of the two points
    const double ox = c[0] - c[3], oy = c[1] - c[4];
    const double half = ox * dx + oy * dy;
    const double t = (-half + std::sqrt(half * half - squared * (ox * ox + oy * oy - c[5] * c[5]))) / squared;
    const double px = ox + t * dx, py = oy + t * dy;
    const double angle = std::atan2(c[6] * py - c[7] * px, c[6] * px + c[7] * py);
    ColumnImage image;
    image.column = c[8] + angle * c[9];
    image.middle = (c[2] + t * (z.centre - c[2]) - c[10]) / c[11] + c[12];
    image.step = t * z.spacing / c[11];
    image.weight = weighting == Weighting::none ? 1.0 : c[15] * c[15] / squared;
    return image;
  }
};

// A two-dimensional scan of every slice of a stack: slice k falls on row k.
template <class View>
struct StackedView {
  View view;

  template <Weighting weighting>
  ColumnImage column(double x, double y, const Axis& z) const {
    ColumnImage image = view.template column<weighting>(x, y, Axis{1, 1.0, 0.0});
    image.middle = z.middle();
    image.step = 1.0;
    return image;
  }
};

// Calls f with the weighting as a compile-time constant: f(std::integral_constant<Weighting, ...>).
template <class F>
inline void with_weighting(Weighting weighting, F&& f) {
  if (weighting == Weighting::fdk)
    f(std::integral_constant<Weighting, Weighting::fdk>());
  else if (weighting == Weighting::fan)
    f(std::integral_constant<Weighting, Weighting::fan>());
  else
    f(std::integral_constant<Weighting, Weighting::none>());
}

}  // namespace sinograd
