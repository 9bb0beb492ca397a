// Derivatives of voxel-driven backprojection to the coefficients of the views (voxel_projection.h). Compiled once per
// instruction set; places and differences of a run of voxels are computed first, in loops that compilers vectorise.
//
// A voxel X with the cotangent g reads P at the column u = h0 / h2 and the row v = h1 / h2, h = M (x, y, z, 1), with the
// weight w. With P_u and P_v the differences of its bilinear interpolation,
//   d/dM0 = g w P_u X / h2,   d/dM1 = g w P_v X / h2,   d/dM2 = -g w (P_u u + P_v v) X / h2 + g P dw/dM2.
// Runs lie along x, so that X / h2 needs two sums a coefficient.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "general_gradients.h"
#include "lanes.h"
#include "padded_images.h"

#if defined(__AVX2__)
#include "voxel_sums.h"
#endif

namespace sinograd {
namespace SINOGRAD_ISA {
namespace {

constexpr int64_t kRun = 128, kLineBlock = 64;

// Places of a run of voxels on the detector, and what their cotangents weigh; 0 beside it.
template <class T>
struct Run {
  int32_t offset[kRun];
  T right[kRun], upper[kRun], column[kRun], row[kRun], weight[kRun], inverse[kRun];
};

// Voxels [first, first + n) along x of a flat detector.
template <Weighting weighting, class T>
void place(const FlatView& view, const Axis& x, double y, double z, int64_t first, int n, DetectorShape detector,
           int64_t stride, bool planar, const T* cotangents, Run<T>& run) {
  double columns[kRun], rows[kRun], weights[kRun], inverses[kRun], m[kViewDoubles];
  std::copy_n(view.m, kViewDoubles, m);
  const FlatView local{m};
  const double column0 = m[1] * y + m[2] * z + m[3], row0 = m[5] * y + m[6] * z + m[7];
  const double depth0 = m[9] * y + m[10] * z + m[11], m0 = m[0], m4 = m[4], m8 = m[8];
  const double start = x.position(first), spacing = x.spacing;
  for (int i = 0; i < n; ++i) {
    const double at = start + double(i) * spacing, inverse = reciprocal(m8 * at + depth0);
    inverses[i] = inverse;
    columns[i] = (m0 * at + column0) * inverse;
    rows[i] = planar ? 0.0 : (m4 * at + row0) * inverse;
    weights[i] = local.weight<weighting>(at, y, inverse);
  }
  const double last_column = double(detector.columns), last_row = double(detector.rows);
  for (int i = 0; i < n; ++i) {
    const double column = columns[i], row = rows[i];
    const bool inside = column > -1.0 && column < last_column && row > -1.0 && row < last_row;
    const double c = std::floor(inside ? column : -1.0), r = std::floor(inside ? row : -1.0);
    run.offset[i] = int32_t(r) * int32_t(stride) + int32_t(c);
    run.right[i] = inside ? T(column - c) : T(0);
    run.upper[i] = inside ? T(row - r) : T(0);
    run.column[i] = inside ? T(column) : T(0);
    run.row[i] = inside ? T(row) : T(0);
    run.weight[i] = inside ? T(weights[i]) * cotangents[i] : T(0);
    run.inverse[i] = inside ? T(inverses[i]) : T(0);
  }
}

// Sums over a run, the second of each pair times the voxel's number in it: of the derivatives to column, row and depth,
// and of the weighted values.
struct RunSums {
  double u, u_i, v, v_i, depth, depth_i, value, value_i;
};

// scaled: values by depth as well, which the weightings "fdk" and "ratio" divide by.
template <bool scaled, class T>
RunSums sums_of(const Run<T>& run, int n, const T* image, int64_t stride) {
  const T* next = image + stride;
  T u = T(0), u_i = T(0), v = T(0), v_i = T(0), w = T(0), w_i = T(0), s = T(0), s_i = T(0);
#pragma omp simd reduction(+ : u, u_i, v, v_i, w, w_i, s, s_i)
  for (int i = 0; i < n; ++i) {
    const int32_t k = run.offset[i];
    const T across_low = image[k + 1] - image[k], across_high = next[k + 1] - next[k];
    const T low = image[k] + run.right[i] * across_low, high = next[k] + run.right[i] * across_high;
    const T p_u = across_low + run.upper[i] * (across_high - across_low), p_v = high - low;
    const T weight = run.weight[i], by_depth = weight * run.inverse[i], number = T(i);
    const T to_u = by_depth * p_u, to_v = by_depth * p_v, to_w = to_u * run.column[i] + to_v * run.row[i];
    const T value = (low + run.upper[i] * p_v) * (scaled ? by_depth : weight);
    u += to_u;
    u_i += number * to_u;
    v += to_v;
    v_i += number * to_v;
    w += to_w;
    w_i += number * to_w;
    s += value;
    s_i += number * value;
  }
  return {u, u_i, v, v_i, w, w_i, s, s_i};
}

// One row of the matrix: the derivative times (x, y, z, 1).
inline void add_row(double* m, double sum, double sum_i, double start, double spacing, double y, double z) {
  m[0] += start * sum + spacing * sum_i;
  m[1] += y * sum;
  m[2] += z * sum;
  m[3] += sum;
}

template <Weighting weighting>
void add_flat(const FlatView& view, const RunSums& s, double start, double spacing, double y, double z, double* m) {
  add_row(m, s.u, s.u_i, start, spacing, y, z);
  add_row(m + 4, s.v, s.v_i, start, spacing, y, z);
  add_row(m + 8, -s.depth, -s.depth_i, start, spacing, y, z);
  if constexpr (falls_with_depth<weighting>) {  // w = (m11 / h2)^power; m11 itself is done at the end
    constexpr double power = power_of<weighting>;
    add_row(m + 8, -power * s.value, -power * s.value_i, start, spacing, y, z);
    // h2 / m11 of each voxel: h2 = m8 x + m9 y + m10 z + m11, and value is by 1 / h2
    const double x_sum = start * s.value + spacing * s.value_i;
    m[11] += power / view.m[11] * (view.m[8] * x_sum + (view.m[9] * y + view.m[10] * z + view.m[11]) * s.value);
  }
}

// w = R^2 / r^2, R and r the distances of the axis and the voxel from the source in the plane.
template <class T>
void add_fan_weight(const FlatView& view, const Run<T>& run, int n, const T* image, int64_t stride, double start,
                    double spacing, double y, double* m) {
  double value = 0.0, along_x = 0.0, along_y = 0.0;
  for (int i = 0; i < n; ++i) {
    const T* p = image + run.offset[i];
    const T low = p[0] + run.right[i] * (p[1] - p[0]), high = p[stride] + run.right[i] * (p[stride + 1] - p[stride]);
    const double dx = start + double(i) * spacing - view.m[12], dy = y - view.m[13];
    const double weighted = double(run.weight[i] * (low + run.upper[i] * (high - low)));
    value += weighted;
    along_x += weighted * dx / (dx * dx + dy * dy);
    along_y += weighted * dy / (dx * dx + dy * dy);
  }
  m[12] += 2.0 * along_x;
  m[13] += 2.0 * along_y;
  m[15] += 2.0 * value / view.m[15];
}

template <Weighting weighting, class T>
void add_line(const FlatView& view, PaddedImages<T>& image, const Grid& grid, double y, double z, bool planar,
              const T* cotangents, double* numbers) {
  Run<T> run;
  for (int64_t x = 0; x < grid.x.count; x += kRun) {
    const int n = int(std::min(kRun, grid.x.count - x));
    const double start = grid.x.position(x), spacing = grid.x.spacing;
    place<weighting>(view, grid.x, y, z, x, n, image.shape, image.stride, planar, cotangents + x, run);
    const RunSums sums = sums_of<falls_with_depth<weighting>>(run, n, image.pixel(0, 0, 0), image.stride);
    add_flat<weighting>(view, sums, start, spacing, y, z, numbers);
    if constexpr (weighting == Weighting::fan)
      add_fan_weight(view, run, n, image.pixel(0, 0, 0), image.stride, start, spacing, y, numbers);
  }
}

// The derivatives of one voxel's column and row (and weight) on a curved detector, times what they are worth.
template <Weighting weighting>
void add_voxel(const CylinderView& view, double x, double y, double z, double to_column, double to_row, double value,
               bool planar, double* m) {
  const double* c = view.c;
  const CylinderView::Offset p = view.offset(x, y, z);
  const double t = view.share(p), along = c[12] + t * p.along, across = c[13] + t * p.across;
  const double row = planar ? 0.0 : to_row, turn = to_column * c[15];
  // the cylinder holds (along, across): both move with t
  const double meets = along * p.along + across * p.across;
  const double to_t = (turn * (along * p.across - across * p.along) + row * p.height) / meets;
  const double to_along = -turn * across - to_t * along, to_across = turn * along - to_t * across;
  const double dx = x - c[0], dy = y - c[1], dz = z - c[2];
  const double offsets[3] = {t * to_along, t * to_across, t * row};
  for (int i = 0; i < 3; ++i) {
    m[3 + 3 * i] += offsets[i] * dx;
    m[4 + 3 * i] += offsets[i] * dy;
    m[5 + 3 * i] += offsets[i] * dz;
    for (int axis = 0; axis < 3; ++axis) m[axis] -= offsets[i] * c[3 + 3 * i + axis];
  }
  m[12] += to_along;
  m[13] += to_across;
  m[14] += row;
  m[15] += to_column * std::atan2(across, along);
  if constexpr (weighting != Weighting::none) {
    const double squared = dx * dx + dy * dy, weighted = value * view.voxel_weight<weighting>(x, y, z);
    const double radius = c[0] * c[0] + c[1] * c[1];
    m[0] += power_of<weighting> * weighted * (dx / squared + c[0] / radius);
    m[1] += power_of<weighting> * weighted * (dy / squared + c[1] / radius);
  }
}

template <Weighting weighting, class T>
void add_line(const CylinderView& view, PaddedImages<T>& image, const Grid& grid, double y, double z, bool planar,
              const T* cotangents, double* numbers) {
  for (int64_t i = 0; i < grid.x.count; ++i) {
    const double x = grid.x.position(i), g = double(cotangents[i]);
    const PixelImage at = view.pixel<weighting>(x, y, z);
    const double row = planar ? 0.0 : at.row;
    if (!(at.column > -1.0 && at.column < double(image.shape.columns) && row > -1.0 && row < double(image.shape.rows)))
      continue;
    const double c = std::floor(at.column), r = std::floor(row), right = at.column - c, upper = row - r;
    const T* p = image.pixel(0, int64_t(r), int64_t(c));
    const double across_low = double(p[1]) - double(p[0]);
    const double across_high = double(p[image.stride + 1]) - double(p[image.stride]);
    const double low = double(p[0]) + right * across_low, high = double(p[image.stride]) + right * across_high;
    const double to_column = g * at.weight * (across_low + upper * (across_high - across_low));
    add_voxel<weighting>(view, x, y, z, to_column, g * at.weight * (high - low), g * (low + upper * (high - low)), planar,
                         numbers);
  }
}

// One thread owns a block of lines of voxels in one view.
template <Weighting weighting, class View, class T>
void add_views(const T* volume, const T* projections, double* result, const Views& views, DetectorShape detector,
               const Grid& grid, bool planar, Interruption stop) {
  const int64_t lines = grid.z.count * grid.y.count, blocks = (lines + kLineBlock - 1) / kLineBlock;
  AlignedBuffer<double> parts(blocks * kViewDoubles);
  PaddedImages<T> image(1, detector);
  for (int64_t v = 0; v < views.count; ++v) {
    stop();
    image.load(0, projections + v * detector.rows * detector.columns);
    parts.zero();
    View view;
    if constexpr (std::is_same_v<View, CylinderView>)
      view = {views.data + v * kViewDoubles, 0.5 * double(detector.columns - 1)};
    else
      view = {views.data + v * kViewDoubles};
#pragma omp parallel for schedule(dynamic)
    for (int64_t block = 0; block < blocks; ++block) {
      double numbers[kViewDoubles] = {};
      for (int64_t line = block * kLineBlock; line < std::min(lines, (block + 1) * kLineBlock); ++line)
        add_line<weighting>(view, image, grid, grid.y.position(line % grid.y.count),
                            grid.z.position(line / grid.y.count), planar, volume + line * grid.x.count, numbers);
      std::copy_n(numbers, kViewDoubles, parts.data() + block * kViewDoubles);
    }
    for (int64_t block = 0; block < blocks; ++block)
      for (int64_t i = 0; i < kViewDoubles; ++i)
        result[v * kViewDoubles + i] += parts.data()[block * kViewDoubles + i];
  }
}

}  // namespace

template <class T>
void backprojection_gradient(const T* volume, const T* projections, double* result, Views views, DetectorShape detector,
                             Grid grid, bool planar, Interruption stop) {
  with_weighting(views.weighting, [&](auto w) {
    if (views.curved) return add_views<w(), CylinderView>(volume, projections, result, views, detector, grid, planar, stop);
#if defined(__AVX2__)
    if constexpr (has_vectors<T>)
      if (!planar) return add_views_in_lanes<w()>(volume, projections, result, views, detector, grid, stop);
#endif
    add_views<w(), FlatView>(volume, projections, result, views, detector, grid, planar, stop);
  });
}

template void backprojection_gradient<float>(const float*, const float*, double*, Views, DetectorShape, Grid, bool,
                                             Interruption);
template void backprojection_gradient<double>(const double*, const double*, double*, Views, DetectorShape, Grid, bool,
                                              Interruption);

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
