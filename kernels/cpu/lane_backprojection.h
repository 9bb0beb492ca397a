// The general backprojection in float32.
//
// Vectors take voxels along z (voxel_lanes.h), but of few slices along x or y, whichever runs more nearly along the
// detector's columns, so that the image of a line climbs little across the rows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "voxel_lanes.h"

namespace sinograd {
namespace SINOGRAD_ISA {

constexpr int64_t kTall = 128;   // slices from which both ways take as long
constexpr int64_t kBundle = 16;  // neighbouring lines along x or y that are worked on together

// A view of a block and its place in it.
struct BlockView {
  LinedView lined;
  int64_t place;
};

// Lines of voxels along an axis, at (x, y) of a rectangle on the other axes.
struct Rectangle {
  double x[2], y[2];
};

// Whether those of `count` voxels from the first of `axis` on are plain.
inline bool are_plain(const LinedView& view, const Rectangle& at, const Axis& axis, int64_t first, int64_t count) {
  const double start = axis.position(first);
  const double end = start + double((count + Lanes::width - 1) / Lanes::width * Lanes::width) * axis.spacing;
  Plainness plainness(view);
  for (const double x : at.x)
    for (const double y : at.y) plainness.add_line(LineImage(view, x, y), start, end);
  return plainness.holds(axis.spacing);
}

// Adds views, already in `lines`, to one tile.
template <Weighting weighting>
void backproject_tile(ViewLines& lines, const std::vector<BlockView>& views, float* volume, const Grid& grid,
                      const Tile& tile, float* columns) {
  const int64_t stride = line_stride(kTileZ);
  load_tile(volume, grid, tile, columns, stride);
  const Rectangle whole = {{grid.x.position(tile.x0), grid.x.position(tile.x0 + tile.nx - 1)},
                           {grid.y.position(tile.y0), grid.y.position(tile.y0 + tile.ny - 1)}};
  Groups located;
  for (const BlockView& view : views) {
    const float* line0 = lines.line(view.place, 0);
    const auto add = [&](auto plain) {
      for (int64_t y = 0; y < tile.ny; ++y)
        for (int64_t x = 0; x < tile.nx; ++x)
          read_line<weighting, plain()>(view.lined, line0, lines.stride(view.place), grid.x.position(tile.x0 + x),
                                        grid.y.position(tile.y0 + y), grid.z, tile.z0, tile.nz, located,
                                        columns + (y * kTileX + x) * stride);
    };
    are_plain(view.lined, whole, grid.z, tile.z0, tile.nz) ? add(std::true_type()) : add(std::false_type());
  }
  store_tile(columns, stride, volume, grid, tile);
}

// Neighbouring lines of one slice along x (axis 0) or y (1).
struct Bundle {
  int64_t axis, z, across0, along0;  // the first voxel of the first line
  int64_t lines, count;              // voxels of a line

  static int64_t number(const Grid& grid, int64_t axis) {
    return grid.z.count * blocks(across(grid, axis).count, kBundle) * blocks(along(grid, axis).count, kTileZ);
  }
  static Bundle of(const Grid& grid, int64_t axis, int64_t number) {
    const Axis &steps = along(grid, axis), &others = across(grid, axis);
    const int64_t parts = blocks(steps.count, kTileZ), bundles = blocks(others.count, kBundle);
    Bundle bundle{axis, number / (parts * bundles), number / parts % bundles * kBundle, number % parts * kTileZ, 0, 0};
    bundle.lines = std::min(kBundle, others.count - bundle.across0);
    bundle.count = std::min(kTileZ, steps.count - bundle.along0);
    return bundle;
  }
  static const Axis& along(const Grid& grid, int64_t axis) { return axis == 0 ? grid.x : grid.y; }
  static const Axis& across(const Grid& grid, int64_t axis) { return axis == 0 ? grid.y : grid.x; }
  static int64_t blocks(int64_t count, int64_t size) { return (count + size - 1) / size; }

  void load(const float* volume, const Grid& grid, float* lines_along, int64_t stride) const {
    const float* first = volume + start(grid);
    if (axis == 1) return transpose(first, grid.x.count, lines_along, stride, count, lines);
    for (int64_t i = 0; i < lines; ++i) std::copy_n(first + i * grid.x.count, count, lines_along + i * stride);
  }
  void store(const float* lines_along, int64_t stride, float* volume, const Grid& grid) const {
    float* first = volume + start(grid);
    if (axis == 1) return transpose(lines_along, stride, first, grid.x.count, lines, count);
    for (int64_t i = 0; i < lines; ++i) std::copy_n(lines_along + i * stride, count, first + i * grid.x.count);
  }

 private:
  int64_t start(const Grid& grid) const {
    const int64_t x0 = axis == 0 ? along0 : across0, y0 = axis == 0 ? across0 : along0;
    return (z * grid.y.count + y0) * grid.x.count + x0;
  }
};

// Adds views, already in `lines`, all of one axis, to the lines of a bundle.
template <Weighting weighting>
void backproject_bundle(ViewLines& lines, const std::vector<BlockView>& views, float* volume, const Grid& grid,
                        const Bundle& bundle, float* buffer) {
  const int64_t stride = line_stride(kTileZ);
  const Axis &steps = Bundle::along(grid, bundle.axis), &others = Bundle::across(grid, bundle.axis);
  const double z = grid.z.position(bundle.z);
  bundle.load(volume, grid, buffer, stride);
  Groups located;
  const double across[2] = {others.position(bundle.across0), others.position(bundle.across0 + bundle.lines - 1)};
  for (const BlockView& view : views) {
    const float* line0 = lines.line(view.place, 0);
    const auto add = [&](auto plain) {
      for (int64_t i = 0; i < bundle.lines; ++i)
        read_line<weighting, plain()>(view.lined, line0, lines.stride(view.place), others.position(bundle.across0 + i), z,
                                      steps, bundle.along0, bundle.count, located, buffer + i * stride);
    };
    const Rectangle whole = {{across[0], across[1]}, {z, z}};
    are_plain(view.lined, whole, steps, bundle.along0, bundle.count) ? add(std::true_type()) : add(std::false_type());
  }
  bundle.store(buffer, stride, volume, grid);
}

// The axis of the two along which vectors take the voxels in a view.
inline int lanes_across(const double* m, const Grid& grid) {
  const bool short_x = grid.x.count < Lanes::width, short_y = grid.y.count < Lanes::width;
  if (short_x || short_y) return grid.x.count >= grid.y.count ? 0 : 1;
  const double x = grid.x.centre, y = grid.y.centre, z = grid.z.centre;
  const double depth = m[8] * x + m[9] * y + m[10] * z + m[11], column = m[0] * x + m[1] * y + m[2] * z + m[3];
  const double by_x = (m[0] * depth - column * m[8]) * grid.x.spacing, by_y = (m[1] * depth - column * m[9]) * grid.y.spacing;
  return std::fabs(by_y) > std::fabs(by_x) ? 1 : 0;
}

template <Weighting weighting>
void backproject_lanes(const float* projections, float* volume, const Views& views, DetectorShape detector,
                       const Grid& grid, Interruption stop) {
  const int64_t longest = std::max(grid.x.count, grid.y.count);
  // the weights of a fan ask where x and y are
  const bool in_slices = weighting != Weighting::fan && grid.z.count < kTall && longest >= std::min(grid.z.count, Lanes::width);
  ViewLines lines(std::min(kLinedViews, views.count), detector);
  for (int64_t first = 0; first < views.count; first += kLinedViews) {
    stop();
    const int64_t last = std::min(first + kLinedViews, views.count);
    std::vector<BlockView> along[3];
    for (int64_t v = first; v < last; ++v) {
      const double* m = views.data + v * kViewDoubles;
      const int axis = in_slices ? lanes_across(m, grid) : 2;
      along[axis].push_back({LinedView(m, detector, axis), v - first});
    }
#pragma omp parallel
    {
      for (const std::vector<BlockView>& some : along)
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < some.size(); ++i)
          lines.load(some[i].place, projections + (first + some[i].place) * detector.rows * detector.columns,
                     some[i].lined.along_rows);
      AlignedBuffer<float> columns(kTileElements);
      columns.zero();
      for (int64_t axis = 0; axis < 2; ++axis)
        if (!along[axis].empty()) {
#pragma omp for schedule(dynamic)
          for (int64_t i = 0; i < Bundle::number(grid, axis); ++i)
            backproject_bundle<weighting>(lines, along[axis], volume, grid, Bundle::of(grid, axis, i), columns.data());
        }
      if (!in_slices) {
#pragma omp for schedule(dynamic)
        for (int64_t t = 0; t < count_tiles(grid); ++t)
          backproject_tile<weighting>(lines, along[2], volume, grid, tile_of(grid, t), columns.data());
      }
    }
  }
}

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
