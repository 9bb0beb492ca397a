// The vector loops of the derivatives of the general backprojection in float32: columns of voxels along z, as in
// voxel_lanes.h, with the derivatives of the interpolation beside its value.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "aligned_buffer.h"
#include "differentiate.h"
#include "voxel_lanes.h"

namespace sinograd {
namespace SINOGRAD_ISA {

// Sums over a column of voxels, each once more times the voxel's number in it: of the derivatives to the places along
// and across lines and to the depth, by depth, and of the weighted values (by depth where these fall with it).
struct ColumnSums {
  enum Of : int { across, along, depth, value };
  Lanes::Float sum[4], moment[4];

  ColumnSums() {
    for (int i = 0; i < 4; ++i) sum[i] = moment[i] = Lanes::all(0.0f);
  }
  void add(Of which, Lanes::Float term, Lanes::Float number) {
    sum[which] = Lanes::add(sum[which], term);
    moment[which] = Lanes::multiply_add(number, term, moment[which]);
  }
};

inline double total(Lanes::Float a) {
  float lanes[Lanes::width];
  Lanes::store(lanes, a);
  double sum = 0.0;
  for (int64_t i = 0; i < Lanes::width; ++i) sum += double(lanes[i]);
  return sum;
}

// Derivatives of one row of the matrix for voxels at x, y and z0 + i dz: the sums times (x, y, z, 1).
inline void add_matrix_row(double* m, double sum, double moment, double x, double y, double z0, double dz) {
  m[0] += x * sum;
  m[1] += y * sum;
  m[2] += z0 * sum + dz * moment;
  m[3] += sum;
}

// Adds one group of voxels, from the first of which on `cotangents` stand.
template <Weighting weighting>
inline void add_group(const Groups& groups, int64_t g, const LinedView& lined, double inverse_depth, const float* line0,
                      int64_t stride, const float* cotangents, ColumnSums& sums) {
  const GroupPlaces at = GroupPlaces::of<false>(groups, g);
  const auto fixed = [](Lanes::Float place) { return Lanes::nearest(Lanes::multiply(place, Lanes::all(float(kOne)))); };
  // elements of a window of two vectors, the first of which lies a vector's width before the middle
  const Lanes::Int along = Lanes::add(fixed(at.along), Lanes::all(uint32_t(Lanes::width) << kBits));
  const float* window = line0 + groups.element[g] - Lanes::width;
  const int64_t first = groups.line[g], last = first + groups.met[g] - 1;
  const Differentiated f = differentiate(window, stride, first, last, lined.count, along, fixed(at.across));
  Lanes::Float weight = Lanes::multiply(Lanes::load(cotangents), Lanes::all(groups.weight[g]));
  if constexpr (weighting == Weighting::fdk) weight = Lanes::multiply(weight, Lanes::multiply(at.nearer, at.nearer));
  if constexpr (weighting == Weighting::ratio) weight = Lanes::multiply(weight, at.nearer);
  const Lanes::Float by_depth = Lanes::multiply(weight, Lanes::multiply(at.nearer, Lanes::all(float(inverse_depth))));
  const Lanes::Float number = Lanes::add(Lanes::number(Lanes::numbers()), Lanes::all(float(g * Lanes::width)));
  const Lanes::Float to_j = Lanes::multiply(by_depth, f.across), to_k = Lanes::multiply(by_depth, f.along);
  sums.add(ColumnSums::across, to_j, number);
  sums.add(ColumnSums::along, to_k, number);
  const Lanes::Float to_depth = Lanes::multiply_add(to_j, Lanes::add(at.across, Lanes::all(float(first))),
                                                    Lanes::multiply(to_k, Lanes::add(at.along, Lanes::all(float(groups.element[g])))));
  sums.add(ColumnSums::depth, to_depth, number);
  if constexpr (weighting != Weighting::none)
    sums.add(ColumnSums::value, Lanes::multiply(f.value, falls_with_depth<weighting> ? by_depth : weight), number);
}

// What the weights of a column add: `value` and its moment as in ColumnSums.
template <Weighting weighting>
void add_weights(const double* v, double value, double moment, double x, double y, double z0, double dz, double* m) {
  if constexpr (falls_with_depth<weighting>) {  // w = (m11 / h2)^power, h2 = m8 x + m9 y + m10 z + m11
    constexpr double power = power_of<weighting>;
    add_matrix_row(m + 8, -power * value, -power * moment, x, y, z0, dz);
    m[11] += power / v[11] * ((v[8] * x + v[9] * y + v[10] * z0 + v[11]) * value + v[10] * dz * moment);
  }
  if constexpr (weighting == Weighting::fan) {
    const double dx = x - v[12], dy = y - v[13], squared = dx * dx + dy * dy;
    m[12] += 2.0 * value * dx / squared;
    m[13] += 2.0 * value * dy / squared;
    m[15] += 2.0 * value / v[15];
  }
}

// A voxel of a group of any kind.
template <Weighting weighting>
void add_voxel(const LinedView& lined, double x, double y, double z, const float* line0, int64_t stride, double cotangent,
               double* m) {
  const double *j = lined.j, *k = lined.k, *w = lined.w;
  const double inverse = reciprocal(w[0] * x + w[1] * y + w[2] * z + w[3]);
  const double at_j = (j[0] * x + j[1] * y + j[2] * z + j[3]) * inverse;
  const double at_k = (k[0] * x + k[1] * y + k[2] * z + k[3]) * inverse;
  if (!(at_j > -1.0 && at_j < double(lined.count) && at_k > -1.0 && at_k < double(lined.length))) return;
  const double first_j = std::floor(at_j), first_k = std::floor(at_k), right = at_j - first_j, upper = at_k - first_k;
  const float *left = line0 + int64_t(first_j) * stride + int64_t(first_k), *next = left + stride;
  const double slope_left = double(left[1]) - double(left[0]), slope_right = double(next[1]) - double(next[0]);
  const double low = double(left[0]) + upper * slope_left, high = double(next[0]) + upper * slope_right;
  const double weight = cotangent * lined.view.weight<weighting>(x, y, inverse), by_depth = weight * inverse;
  const double to_j = by_depth * (high - low), to_k = by_depth * (slope_left + right * (slope_right - slope_left));
  add_matrix_row(m + (lined.along_rows ? 0 : 4), to_j, 0.0, x, y, z, 0.0);
  add_matrix_row(m + (lined.along_rows ? 4 : 0), to_k, 0.0, x, y, z, 0.0);
  add_matrix_row(m + 8, -(to_j * at_j + to_k * at_k), 0.0, x, y, z, 0.0);
  const double value = (low + right * (high - low)) * (falls_with_depth<weighting> ? by_depth : weight);
  add_weights<weighting>(lined.view.m, value, 0.0, x, y, z, 0.0, m);
}

// One view and one tile, whose cotangents are in `columns`, zeros behind them.
template <Weighting weighting>
void add_tile(const LinedView& lined, const float* line0, int64_t line_step, const Grid& grid, const Tile& tile,
              const float* columns, double* m) {
  const int64_t stride = line_stride(kTileZ), groups = (tile.nz + Lanes::width - 1) / Lanes::width;
  const double z0 = grid.z.position(tile.z0), dz = grid.z.spacing, *w = lined.w;
  const double middle = z0 + 0.5 * double(Lanes::width - 1) * dz, pitch = double(Lanes::width) * dz;
  Groups located;
  for (int64_t row = 0; row < tile.ny; ++row)
    for (int64_t column = 0; column < tile.nx; ++column) {
      const double x = grid.x.position(tile.x0 + column), y = grid.y.position(tile.y0 + row);
      const float* cotangents = columns + (row * kTileX + column) * stride;
      locate<weighting>(lined, x, y, Located(grid.z, tile.z0, groups), located);
      ColumnSums sums;
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t z = g * Lanes::width;
        if (located.kind[g] == Groups::smooth) {
          const double inverse = reciprocal(w[0] * x + w[1] * y + w[2] * (middle + double(g) * pitch) + w[3]);
          add_group<weighting>(located, g, lined, inverse, line0, line_step, cotangents + z, sums);
        } else if (located.kind[g] == Groups::rough) {
          for (int64_t i = 0; i < std::min(Lanes::width, tile.nz - z); ++i)
            add_voxel<weighting>(lined, x, y, grid.z.position(tile.z0 + z + i), line0, line_step,
                                 double(cotangents[z + i]), m);
        }
      }
      double sum[4], moment[4];
      for (int i = 0; i < 4; ++i) sum[i] = total(sums.sum[i]), moment[i] = total(sums.moment[i]);
      const auto add = [&](double* to, double sign, ColumnSums::Of which) {
        add_matrix_row(to, sign * sum[which], sign * moment[which], x, y, z0, dz);
      };
      add(m + (lined.along_rows ? 0 : 4), 1.0, ColumnSums::across);
      add(m + (lined.along_rows ? 4 : 0), 1.0, ColumnSums::along);
      add(m + 8, -1.0, ColumnSums::depth);
      add_weights<weighting>(lined.view.m, sum[ColumnSums::value], moment[ColumnSums::value], x, y, z0, dz, m);
    }
}

// A tile of cotangents, with zeros behind each column, as far as vectors read.
inline void load_cotangents(const float* volume, const Grid& grid, const Tile& tile, float* columns) {
  const int64_t stride = line_stride(kTileZ);
  load_tile(volume, grid, tile, columns, stride);
  for (int64_t column = 0; column < kTileX * kTileY; ++column)
    std::fill_n(columns + column * stride + tile.nz, Lanes::width, 0.0f);
}

// Tiles that one thread takes after each other, and views at a time.
constexpr int64_t kTileBlock = 8;

template <Weighting weighting>
void add_views_in_lanes(const float* volume, const float* projections, double* result, const Views& views,
                        DetectorShape detector, const Grid& grid, Interruption stop) {
  ViewLines lines(std::min(kLinedViews, views.count), detector);
  const int64_t tiles = count_tiles(grid), blocks = (tiles + kTileBlock - 1) / kTileBlock;
  AlignedBuffer<double> parts(blocks * kLinedViews * kViewDoubles);
  for (int64_t first = 0; first < views.count; first += kLinedViews) {
    stop();
    const int64_t last = std::min(first + kLinedViews, views.count);
    parts.zero();
#pragma omp parallel
    {
#pragma omp for schedule(dynamic)
      for (int64_t v = first; v < last; ++v)
        lines.load(v - first, projections + v * detector.rows * detector.columns,
                   LinedView(views.data + v * kViewDoubles, detector).along_rows);
      AlignedBuffer<float> columns(kTileElements);
#pragma omp for schedule(dynamic)
      for (int64_t block = 0; block < blocks; ++block)
        for (int64_t t = block * kTileBlock; t < std::min(tiles, (block + 1) * kTileBlock); ++t) {
          const Tile tile = tile_of(grid, t);
          load_cotangents(volume, grid, tile, columns.data());
          for (int64_t v = first; v < last; ++v)
            add_tile<weighting>(LinedView(views.data + v * kViewDoubles, detector), lines.line(v - first, 0),
                                lines.stride(v - first), grid, tile, columns.data(),
                                parts.data() + (block * kLinedViews + v - first) * kViewDoubles);
        }
    }
    for (int64_t block = 0; block < blocks; ++block)
      for (int64_t v = first; v < last; ++v)
        for (int64_t i = 0; i < kViewDoubles; ++i)
          result[v * kViewDoubles + i] += parts.data()[(block * kLinedViews + v - first) * kViewDoubles + i];
  }
}

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
