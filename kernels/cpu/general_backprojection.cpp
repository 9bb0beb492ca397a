// Voxel-driven backprojection and its adjoint for detectors in any position: the place of a voxel's image and one
// bilinear interpolation a voxel and view. Compiled once per instruction set; the coordinates of a row of voxels
// are computed first, in loops that compilers vectorise.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "general.h"
#include "lanes.h"
#include "padded_images.h"

#if defined(__AVX2__)
#include "lane_backprojection.h"
#endif

namespace sinograd {
namespace SINOGRAD_ISA {
namespace {

constexpr int64_t kViewBlock = 16, kRun = 128;

// The images of a run of voxels along x: the offset of the pixel below each from pixel (0, 0) and the weights of the
// four pixels around it. Images beside the detector are moved to its padding.
template <class T>
struct Run {
  int32_t offset[kRun];
  T w00[kRun], w01[kRun], w10[kRun], w11[kRun];
};

// Where voxels [first, first + n) of a line along x fall, and what they weigh.
struct Places {
  double columns[kRun], rows[kRun], weights[kRun];

  template <Weighting weighting>
  void find(const FlatView& view, const Axis& x, double y, double z, int64_t first, int n) {
    double m[kViewDoubles];  // a copy, which no store below can change
    std::copy_n(view.m, kViewDoubles, m);
    const FlatView local{m};
    const double column0 = m[1] * y + m[2] * z + m[3], row0 = m[5] * y + m[6] * z + m[7];
    const double depth0 = m[9] * y + m[10] * z + m[11], m0 = m[0], m4 = m[4], m8 = m[8];
    const double start = x.position(first), spacing = x.spacing;
    for (int i = 0; i < n; ++i) {
      const double at = start + double(i) * spacing, inverse = reciprocal(m8 * at + depth0);
      columns[i] = (m0 * at + column0) * inverse;
      rows[i] = (m4 * at + row0) * inverse;
      weights[i] = local.weight<weighting>(at, y, inverse);
    }
  }

  template <Weighting weighting>
  void find(const CylinderView& view, const Axis& x, double y, double z, int64_t first, int n) {
    for (int i = 0; i < n; ++i) {
      const PixelImage image = view.pixel<weighting>(x.position(first + i), y, z);
      columns[i] = image.column;
      rows[i] = image.row;
      weights[i] = image.weight;
    }
  }
};

template <Weighting weighting, class T, class View>
void image_run(const View& view, const Axis& x, double y, double z, DetectorShape detector, int64_t stride,
               int64_t first, int64_t count, Run<T>& run) {
  Places places;
  const int n = int(count), width = int(stride);
  places.find<weighting>(view, x, y, z, first, n);
  const double last_column = double(detector.columns), last_row = double(detector.rows);
  for (int i = 0; i < n; ++i) {
    double column = places.columns[i] > -1.0 ? places.columns[i] : -1.0;  // NaN as well
    double row = places.rows[i] > -1.0 ? places.rows[i] : -1.0;
    column = column < last_column ? column : last_column;
    row = row < last_row ? row : last_row;
    const double c = std::floor(column), r = std::floor(row);
    run.offset[i] = int32_t(r) * width + int32_t(c);
    run.w01[i] = T(column - c);
    run.w10[i] = T(row - r);
    run.w00[i] = T(places.weights[i]);
  }
  for (int i = 0; i < n; ++i) {
    const T right = run.w01[i], upper = run.w10[i] * run.w00[i], lower = run.w00[i] - upper;
    run.w01[i] = lower * right;
    run.w00[i] = lower - run.w01[i];
    run.w11[i] = upper * right;
    run.w10[i] = upper - run.w11[i];
  }
}

template <class T>
inline void read_run(const Run<T>& run, int64_t count, const T* image, int64_t stride, T* row) {
  const T* next = image + stride;
#pragma omp simd
  for (int i = 0; i < int(count); ++i) {
    const int32_t k = run.offset[i];
    row[i] += (run.w00[i] * image[k] + run.w01[i] * image[k + 1]) + (run.w10[i] * next[k] + run.w11[i] * next[k + 1]);
  }
}

template <class T>
inline void spread_run(const Run<T>& run, int64_t count, const T* row, int64_t stride, T* image) {
  for (int64_t i = 0; i < count; ++i) {
    T* pixel = image + run.offset[i];
    pixel[0] += run.w00[i] * row[i];
    pixel[1] += run.w01[i] * row[i];
    pixel[stride] += run.w10[i] * row[i];
    pixel[stride + 1] += run.w11[i] * row[i];
  }
}

template <class View>
View view_of(const Views& views, int64_t v, DetectorShape detector) {
  if constexpr (std::is_same_v<View, CylinderView>)
    return {views.data + v * kViewDoubles, 0.5 * double(detector.columns - 1)};
  else
    return {views.data + v * kViewDoubles};
}

template <Weighting weighting, class View, class T>
void backproject(const T* projections, T* volume, const Views& views, DetectorShape detector, const Grid& grid,
                 Interruption stop) {
  PaddedImages<T> images(std::min(kViewBlock, views.count), detector);
  for (int64_t first = 0; first < views.count; first += kViewBlock) {
    stop();
    const int64_t last = std::min(first + kViewBlock, views.count);
    for (int64_t v = first; v < last; ++v) images.load(v - first, projections + v * detector.rows * detector.columns);
#pragma omp parallel for schedule(dynamic, 16)
    for (int64_t line = 0; line < grid.z.count * grid.y.count; ++line) {
      const double z = grid.z.position(line / grid.y.count), y = grid.y.position(line % grid.y.count);
      Run<T> run;
      for (int64_t x = 0; x < grid.x.count; x += kRun) {
        const int64_t count = std::min(kRun, grid.x.count - x);
        for (int64_t v = first; v < last; ++v) {
          image_run<weighting>(view_of<View>(views, v, detector), grid.x, y, z, detector, images.stride, x, count, run);
          read_run(run, count, images.pixel(v - first, 0, 0), images.stride, volume + line * grid.x.count + x);
        }
      }
    }
  }
}

// One thread owns a view.
template <Weighting weighting, class View, class T>
void backproject_adjoint(const T* volume, T* projections, const Views& views, DetectorShape detector, const Grid& grid,
                         Interruption stop) {
  const int64_t round = 2 * omp_get_max_threads();
  for (int64_t first = 0; first < views.count; first += round) {
    stop();
#pragma omp parallel
    {
      PaddedImages<T> images(1, detector);
#pragma omp for schedule(dynamic)
      for (int64_t v = first; v < std::min(first + round, views.count); ++v) {
        images.pixels.zero();
        Run<T> run;
        for (int64_t line = 0; line < grid.z.count * grid.y.count; ++line) {
          const double z = grid.z.position(line / grid.y.count), y = grid.y.position(line % grid.y.count);
          for (int64_t x = 0; x < grid.x.count; x += kRun) {
            const int64_t count = std::min(kRun, grid.x.count - x);
            image_run<weighting>(view_of<View>(views, v, detector), grid.x, y, z, detector, images.stride, x, count,
                                 run);
            spread_run(run, count, volume + line * grid.x.count + x, images.stride, images.pixel(0, 0, 0));
          }
        }
        for (int64_t row = 0; row < detector.rows; ++row)
          for (int64_t column = 0; column < detector.columns; ++column)
            projections[(v * detector.rows + row) * detector.columns + column] += *images.pixel(0, row, column);
      }
    }
  }
}

}  // namespace

template <class T>
void backproject_general(const T* projections, T* volume, Views views, DetectorShape detector, Grid grid,
                         Interruption stop) {
  with_weighting(views.weighting, [&](auto w) {
    if (views.curved) return backproject<w(), CylinderView>(projections, volume, views, detector, grid, stop);
#if defined(__AVX2__)
    if constexpr (has_vectors<T>) return backproject_lanes<w()>(projections, volume, views, detector, grid, stop);
#endif
    backproject<w(), FlatView>(projections, volume, views, detector, grid, stop);
  });
}

template <class T>
void backproject_general_adjoint(const T* volume, T* projections, Views views, DetectorShape detector, Grid grid,
                                 Interruption stop) {
  with_weighting(views.weighting, [&](auto w) {
    if (views.curved) return backproject_adjoint<w(), CylinderView>(volume, projections, views, detector, grid, stop);
    backproject_adjoint<w(), FlatView>(volume, projections, views, detector, grid, stop);
  });
}

#define SINOGRAD_INSTANTIATE(T)                                                                         \
  template void backproject_general<T>(const T*, T*, Views, DetectorShape, Grid, Interruption);         \
  template void backproject_general_adjoint<T>(const T*, T*, Views, DetectorShape, Grid, Interruption);
SINOGRAD_INSTANTIATE(float)
SINOGRAD_INSTANTIATE(double)

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
