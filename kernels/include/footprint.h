// Footprints: the share of a pixel's rays between neighbouring voxel boundaries, on one plane of voxels.
//
// Y. Long, J. A. Fessler, J. M. Balter, "3D forward and back-projection for X-ray CT using separable footprints", IEEE
// TMI 29(11), 2010: a voxel's image, integrated over a pixel, is a product of a trapezoid along the columns (their
// eq. 37-43) and of a box along the rows. Here the trapezoid is seen from the ray: while a ray of the pixel runs
// through the thickness of a plane, it moves by `slope` voxels along the minor axis, and the rays of the pixel are
// spread over `width` voxels. The place of a point drawn from both is distributed as the convolution of two boxes, so
// its share between two voxel boundaries is the trapezoid's integral over the pixel.
#pragma once

#include <cmath>
#include <cstdint>

#include "fan.h"

namespace sinograd {

// Narrower ones are taken for as wide: shares change by less than 1e-15.
constexpr double kNarrowest = 1e-8;

struct Trapezoid {
  double middle, outer, inner, per_width, per_area;

  Trapezoid(double middle, double width, double slope) : middle(middle) {
    const double wide = width > slope ? width : slope, least = width > slope ? slope : width;
    const double narrow = least > kNarrowest ? least : kNarrowest, broad = wide > kNarrowest ? wide : kNarrowest;
    const double inverse = 1.0 / (broad * narrow);
    outer = 0.5 * (broad + narrow);
    inner = 0.5 * (broad - narrow);
    per_width = narrow * inverse;
    per_area = 0.5 * inverse;
  }

  // The share below a place.
  double below(double place) const {
    const double x = place - middle, far = std::fabs(x), rest = outer > far ? outer - far : 0.0;
    const double half = far <= inner ? far * per_width : 0.5 - rest * rest * per_area;
    return x < 0.0 ? 0.5 - half : 0.5 + half;
  }
};

// Two lines that a plane meets at start + i step on its minor axis.
struct PixelEdge {
  double start, step;
};

inline PixelEdge pixel_edge(const RayView& view, double u, const Grid& grid, bool along_x) {
  const auto [origin, direction] = pixel_ray(view, u);
  const Axis &major = along_x ? grid.x : grid.y, &minor = along_x ? grid.y : grid.x;
  const double o = along_x ? origin.x : origin.y, d = along_x ? direction.x : direction.y;
  const double minor_o = along_x ? origin.y : origin.x, minor_d = along_x ? direction.y : direction.x;
  const double t = (major.position(0) - o) / d;
  return {minor.index(minor_o + t * minor_d), major.spacing / d * minor_d / minor.spacing};
}

// Pixels that are wider on the middle plane, in voxels, are divided: across a wide one the places of planes along the
// rays, and with them heights, change.
constexpr double kWidestPart = 1.47;
constexpr int64_t kMostParts = 4;

// The rays of one detector column: those of its middle, those of the middles of its parts, and where the parts' edges
// meet the planes of the same axis.
struct PixelFan {
  Fan fan;
  int64_t parts;
  Fan middles[kMostParts];
  PixelEdge edges[kMostParts + 1];

  Trapezoid on_plane(int64_t part, double i) const {
    const PixelEdge &lower = edges[part], &upper = edges[part + 1];
    const double a = lower.start + i * lower.step, b = upper.start + i * upper.step;
    return Trapezoid(0.5 * (a + b), std::fabs(b - a), std::fabs(middles[part].dj));
  }
};

inline PixelFan make_pixel_fan(const RayView& view, double u, const Grid& grid, bool stacked) {
  PixelFan pixel;
  pixel.fan = make_fan(view, u, grid, stacked);
  const bool along_x = pixel.fan.along_x;
  const PixelEdge first = pixel_edge(view, u - 0.5, grid, along_x), last = pixel_edge(view, u + 0.5, grid, along_x);
  const double middle = double((along_x ? grid.x.count : grid.y.count) / 2);
  const double width = std::fabs(last.start - first.start + middle * (last.step - first.step));
  pixel.parts = 1;
  while (!stacked && pixel.parts < kMostParts && width > kWidestPart * double(pixel.parts)) ++pixel.parts;
  const double share = 1.0 / double(pixel.parts);
  pixel.edges[0] = first;
  for (int64_t part = 0; part < pixel.parts; ++part) {
    const double lower = u - 0.5 + double(part) * share;
    pixel.middles[part] = fan_of(pixel_ray(view, lower + 0.5 * share), view, grid, stacked, along_x);
    pixel.edges[part + 1] = part + 1 == pixel.parts ? last : pixel_edge(view, lower + share, grid, along_x);
  }
  return pixel;
}

}  // namespace sinograd
