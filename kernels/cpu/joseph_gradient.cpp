// Derivatives of Joseph's line integrals to the vectors of the views. Compiled once per instruction set.
//
// On plane n of its major axis m, at t = (n - o_m) / D_m, a ray o + t D has the value f, bilinear between four voxels,
// whose two derivatives f_a and f_b are differences of them. With L the length between planes, p = L sum f has
//   dp/do_a = L sum f_a,      dp/do_m = -(D_a dp/do_a + D_b dp/do_b) / D_m,
//   dp/dD_a = L sum t f_a + S dL/dD_a,      dp/dD_m = -(D_a L sum t f_a + D_b L sum t f_b) / D_m + S dL/dD_m,
// five sums a ray. Source and pixel follow, and from pixels the vectors of the detector.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "aligned_buffer.h"
#include "general_gradients.h"

#include "ray_sums.h"
#include "ray_table.h"
#include "vector_sums.h"

namespace sinograd {
namespace SINOGRAD_ISA {
namespace {

constexpr int64_t kLineBlock = 16, kPlaneBlock = 8;

// Derivatives of rays' integrals, times what they are worth, to their origins and directions.
struct RayGradients {
  double origin[3][kRays], direction[3][kRays];

  // `sums` of rays that step along `axis`, which are worth weights[r] (0: not in the sum).
  template <class T>
  void find(const Directions& rays, const double* weights, const T* sums, int64_t stride, int axis, const Grid& grid,
            bool planar) {
    const double *o[3] = {rays.ox, rays.oy, rays.oz}, *d[3] = {rays.dx, rays.dy, rays.dz};
    const int j = axis == 0 ? 1 : 0, k = axis == 2 ? 1 : 2;
    const Axis& steps = major(grid, axis);
    const double first = steps.position(0), spacing = steps.spacing, per_j = 1.0 / minor_j(grid, axis).spacing;
    const double per_k = planar ? 0.0 : 1.0 / minor_k(grid, axis).spacing;
    double s[kSums][kRays];
    for (int64_t i = 0; i < kSums; ++i) std::copy_n(sums + i * stride, kRays, s[i]);
    for (int64_t r = 0; r < kRays; ++r) {
      const bool counts = weights[r] != 0.0;
      const double d_m = counts ? d[axis][r] : 1.0, d_j = d[j][r], d_k = d[k][r], inverse = 1.0 / d_m;
      const double squared = d_m * d_m + d_j * d_j + d_k * d_k;
      const double length = weights[r] * spacing * std::sqrt(squared) * std::fabs(inverse);
      const double t0 = (first - o[axis][r]) * inverse, dt = spacing * inverse;
      const double o_j = length * per_j * s[by_j][r], o_k = length * per_k * s[by_k][r];
      const double t_j = length * per_j * (t0 * s[by_j][r] + dt * s[by_j_plane][r]);
      const double t_k = length * per_k * (t0 * s[by_k][r] + dt * s[by_k_plane][r]);
      const double integral = length * s[value][r], stretch = integral / squared;
      origin[j][r] = o_j;
      origin[k][r] = o_k;
      origin[axis][r] = -(d_j * o_j + d_k * o_k) * inverse;
      direction[j][r] = t_j + stretch * d_j;
      direction[k][r] = t_k + stretch * d_k;
      direction[axis][r] = -(d_j * t_j + d_k * t_k) * inverse + stretch * d_m - integral * inverse;
    }
  }
};

// Lines [l0, l1) of one view: what one thread works on at a time.
template <class T>
struct LineGradients {
  VoxelLines<T>& columns;
  const T* image;
  const Views& views;
  DetectorShape detector;
  int64_t view, l0, l1;
  bool planar;
  double* numbers;

  PixelLines lines() const { return PixelLines(views, view, detector); }

  void run(RayTable<T>& table, T* sums) const {
    const PixelLines cut = lines();
    int64_t chosen[3][kLineBlock], count[3] = {};
    for (int64_t line = l0; line < std::min(l1, cut.count); ++line) {
      const int found = majors(cut, line, columns.grid);
      for (const int axis : {0, 1, 2})
        if (found >> axis & 1) chosen[axis][count[axis]++] = line;
    }
    for (const int axis : {0, 1, 2})
      if (count[axis] > 0) along(axis, chosen[axis], count[axis], table, sums);
  }

  void along(int axis, const int64_t* chosen, int64_t count, RayTable<T>& table, T* sums) const {
    const Strides strides = strides_along(columns, axis);
    const int64_t stride = table.stride(), size = kSums * stride;
    std::fill_n(sums, count * size, T(0));
    for (int64_t i = 0; i < count; ++i) table.fill(i, lines(), chosen[i], axis, columns.grid);
    for (int64_t plane = 0; plane < strides.planes; plane += kPlaneBlock) {
      const int64_t end = std::min(plane + kPlaneBlock, strides.planes);
      for (int64_t i = 0; i < count; ++i) {
        const bool even = has_vectors<T> && axis < 2 && table.is_even(i);
        for (int64_t ray = 0; ray < lines().length; ray += kWidth) {
          if constexpr (has_vectors<T>)
            if (even && add_rays(columns, table, i, ray / kWidth, axis == 0, plane, end, sums + i * size, stride)) continue;
          one_by_one(axis, chosen[i], ray, strides, plane, end, sums + i * size + ray, stride);
        }
      }
    }
    for (int64_t i = 0; i < count; ++i) add(axis, chosen[i], table.lengths(i), sums + i * size, stride);
  }

  void one_by_one(int axis, int64_t line, int64_t ray, const Strides& strides, int64_t first, int64_t last, T* sums,
                  int64_t stride) const {
    const PixelLines cut = lines();
    const RayPaths<T> rays(cut, line, ray, axis, columns.grid);
    for (int64_t r = 0; r < std::min(kWidth, cut.length - ray); ++r)
      if (rays.length[r] != 0.0)
        add_ray<T>(columns.line(0, 0), {rays.j0[r], rays.dj[r], rays.k0[r], rays.dk[r]}, strides, first, last, sums + r,
                   stride);
  }

  // From the sums of one line to the numbers of the view; rays of length 0 step along another axis.
  void add(int axis, int64_t line, const T* lengths, const T* sums, int64_t stride) const {
    const PixelLines cut = lines();
    VectorSums total(cut, line);
    for (int64_t first = 0; first < cut.length; first += kRays) {
      const Directions rays(cut, line, first);
      double weights[kRays];
      for (int64_t r = 0; r < kRays; ++r)
        weights[r] = lengths[first + r] > T(0) ? double(image[cut.offset(line, first + r)]) : 0.0;
      RayGradients gradients;
      gradients.find(rays, weights, sums + first, stride, axis, columns.grid, planar);
      total.add(first, gradients.origin, gradients.direction);
    }
    total.add_to(numbers);
  }
};

}  // namespace

template <class T>
void joseph_gradient(const T* volume, const T* projections, double* result, Views views, DetectorShape detector,
                     Grid grid, bool planar, Interruption stop) {
  VoxelLines<T> columns(grid);
  columns.load(volume);
  const int64_t longest = std::max(detector.rows, detector.columns), numbers = views.curved ? 15 : 12;
  const int64_t blocks = (longest + kLineBlock - 1) / kLineBlock;
  const int64_t round = std::max<int64_t>(1, 4 * omp_get_max_threads() / blocks);
  AlignedBuffer<double> parts(round * blocks * kVectorNumbers);
  for (int64_t first = 0; first < views.count; first += round) {
    stop();
    const int64_t count = std::min(round, views.count - first);
    parts.zero();
#pragma omp parallel
    {
      RayTable<T> table(kLineBlock, longest, kWidth);
      AlignedBuffer<T> sums(kLineBlock * kSums * table.stride());
#pragma omp for schedule(dynamic)
      for (int64_t task = 0; task < count * blocks; ++task) {
        const int64_t view = first + task / blocks, l0 = task % blocks * kLineBlock;
        LineGradients<T>{columns, projections + view * detector.rows * detector.columns, views, detector, view, l0,
                         std::min(l0 + kLineBlock, longest), planar, parts.data() + task * kVectorNumbers}
            .run(table, sums.data());
      }
    }
    for (int64_t task = 0; task < count * blocks; ++task)
      for (int64_t i = 0; i < numbers; ++i)
        result[(first + task / blocks) * numbers + i] += parts.data()[task * kVectorNumbers + i];
  }
}

template void joseph_gradient<float>(const float*, const float*, double*, Views, DetectorShape, Grid, bool, Interruption);
template void joseph_gradient<double>(const double*, const double*, double*, Views, DetectorShape, Grid, bool,
                                      Interruption);

const VectorGradients<float> kFloatVectorGradients = {joseph_gradient<float>, backprojection_gradient<float>};
const VectorGradients<double> kDoubleVectorGradients = {joseph_gradient<double>, backprojection_gradient<double>};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
