// Where a voxel falls on the detector: the coordinates of the voxel-driven operators.
//
// Views come as 16 doubles, computed once in Python (sinograd/ops/lowering.py):
//   flat detectors    0-11   matrix [3][4]: world (x, y, z, 1) -> (column * w, row * w, w), w = 1 on the detector
//                            (a parallel beam has the last row 0 0 0 1)
//                     12-14  source position, 15 its distance to the axis
//   curved detectors with rows parallel to z
//                     0-2    source, 3-4 curvature centre (x, y), 5 radius, 6-7 unit normal at the middle column,
//                     8      middle column, 9 radius / column spacing along the arc,
//                     10     z of the middle row, 11 row spacing, 12 middle row, 15 distance of source to axis
//   curved detectors in any position
//                     0-2    source, 3-11 matrix [3][3]: world vectors to parts along the middle column's normal and
//                            tangent, in radii, and along v, in rows; 12-13 source from the curvature centre along
//                            normal and tangent, in radii, 14 row of the source, 15 radius / column spacing
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "grid.h"

namespace sinograd {

// fan and fdk are squares of ratios; ratio is fdk's own, not squared.
enum class Weighting : int { none = 0, fan = 1, fdk = 2, ratio = 3 };

// Whether the weights of flat detectors are a power of the depth, and which power of the ratio weights are.
template <Weighting weighting>
constexpr bool falls_with_depth = weighting == Weighting::fdk || weighting == Weighting::ratio;
template <Weighting weighting>
constexpr int power_of = weighting == Weighting::none ? 0 : weighting == Weighting::ratio ? 1 : 2;

constexpr int kViewDoubles = 16;

// The image of a line of voxels along z.
struct ColumnImage {
  double column;  // detector column
  double middle;  // detector row of the middle of the line
  double step;    // rows a voxel
  double weight;
};

// The image of one voxel.
struct PixelImage {
  double column, row, weight;
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
    if constexpr (weighting == Weighting::ratio) return m[11] * inverse_depth;
    if constexpr (weighting == Weighting::fan) {
      const double dx = x - m[12], dy = y - m[13];
      return m[15] * m[15] / (dx * dx + dy * dy);
    }
    return 1.0;
  }

  template <Weighting weighting>
  double voxel_weight(double x, double y, double z) const {
    return weight<weighting>(x, y, reciprocal(depth(x, y, z)));
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

  template <Weighting weighting>
  PixelImage pixel(double x, double y, double z) const {
    const double inverse = reciprocal(depth(x, y, z));
    return {(m[0] * x + m[1] * y + m[2] * z + m[3]) * inverse, (m[4] * x + m[5] * y + m[6] * z + m[7]) * inverse,
            weight<weighting>(x, y, inverse)};
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
    if constexpr (weighting == Weighting::ratio) image.weight = std::sqrt(image.weight);
    return image;
  }
};

// A curved detector in any position.
struct CylinderView {
  const double* c;
  double middle;  // column

  // From the source: along the middle column's normal and tangent, in radii, and along v, in rows.
  struct Offset {
    double along, across, height;
  };

  Offset offset(double x, double y, double z) const {
    const double dx = x - c[0], dy = y - c[1], dz = z - c[2];
    return {c[3] * dx + c[4] * dy + c[5] * dz, c[6] * dx + c[7] * dy + c[8] * dz, c[9] * dx + c[10] * dy + c[11] * dz};
  }

  // Source + share * offset is on the cylinder, at the farther of the two points; NaN where there is none.
  double share(const Offset& p) const {
    const double squared = p.along * p.along + p.across * p.across, half = c[12] * p.along + c[13] * p.across;
    return (-half + std::sqrt(half * half - squared * (c[12] * c[12] + c[13] * c[13] - 1.0))) / squared;
  }

  double column(const Offset& p, double share) const {
    return middle + c[15] * std::atan2(c[13] + share * p.across, c[12] + share * p.along);
  }

  template <Weighting weighting>
  double voxel_weight(double x, double y, double) const {
    const double dx = x - c[0], dy = y - c[1];
    const double square = weighting == Weighting::none ? 1.0 : (c[0] * c[0] + c[1] * c[1]) / (dx * dx + dy * dy);
    return weighting == Weighting::ratio ? std::sqrt(square) : square;
  }

  template <Weighting weighting>
  PixelImage pixel(double x, double y, double z) const {
    const Offset p = offset(x, y, z);
    const double t = share(p);
    if (!(t > 0.0)) return {-2.0, -2.0, 0.0};  // beside every detector
    return {column(p, t), c[14] + t * p.height, voxel_weight<weighting>(x, y, z)};
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
  if (weighting == Weighting::ratio)
    f(std::integral_constant<Weighting, Weighting::ratio>());
  else if (weighting == Weighting::fdk)
    f(std::integral_constant<Weighting, Weighting::fdk>());
  else if (weighting == Weighting::fan)
    f(std::integral_constant<Weighting, Weighting::fan>());
  else
    f(std::integral_constant<Weighting, Weighting::none>());
}

}  // namespace sinograd
