// One slice: the same two operator pairs for images [y][x] and sinograms [view][column]. Compiled once per
// instruction set; the coordinates of a row of pixels are computed first, in loops that compilers vectorise. Vector
// loops take the float32 images that they are made for (image_lanes.h).
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "aligned_buffer.h"
#include "isa_table.h"
#include "lines.h"
#include "planar_models.h"
#if defined(__AVX2__)
#include "image_lanes.h"
#endif

namespace sinograd {
namespace SINOGRAD_ISA {
namespace {

constexpr int64_t kViewBlock = 32;

constexpr int64_t kRun = 256;

// Lines that the adjoint adds to in turn: neighbouring pixels, which may meet the same column, need not wait for each other.
constexpr int64_t kSpreads = 4;

// Whether vector loops are made for these images and views.
template <class T, class View>
constexpr bool in_vectors = has_vectors<T> && std::is_same_v<View, FlatView>;

// The images of a run of pixels along x: the detector column below each (-1 or `columns` where the pixel misses the
// detector: zeros lie there) and the weights of that column and the next.
template <class T>
struct Run {
  int32_t below[kRun];
  T w0[kRun], w1[kRun];
};

// Pixels [first, first + count) of a row: three plain loops over local arrays, which compilers vectorise.
template <Weighting weighting, class T, class View>
void image_run(const View& view, const Axis& x, double y, int64_t columns, int64_t first, int64_t count, Run<T>& run) {
  double column[kRun], weight[kRun];
  const double start = x.position(first), spacing = x.spacing, last = double(columns);
  const int n = int(count);
  const View local = view;
  for (int i = 0; i < n; ++i) {
    const ColumnImage image = local.template column<weighting>(start + double(i) * spacing, y, Axis{1, 1.0, 0.0});
    column[i] = image.column;
    weight[i] = image.weight;
  }
  for (int i = 0; i < n; ++i) {
    double at = column[i] > -1.0 ? column[i] : -1.0;  // NaN as well
    at = at < last ? at : last;
    const double below = std::floor(at), above = at - below;
    run.below[i] = int32_t(below);
    run.w0[i] = T((1.0 - above) * weight[i]);
    run.w1[i] = T(above * weight[i]);
  }
}

template <Weighting weighting, class T, class View>
void backproject(const T* sinogram, T* image, const Views& views, int64_t columns, const Grid& grid, Interruption stop) {
  const int64_t stride = line_stride(columns);
  AlignedBuffer<T> padded(kViewBlock * stride);
  padded.zero();
  for (int64_t first = 0; first < views.count; first += kViewBlock) {
    stop();
    const int64_t last = std::min(first + kViewBlock, views.count);
    for (int64_t v = first; v < last; ++v)
      std::copy_n(sinogram + v * columns, columns, padded.data() + (v - first) * stride + kLinePad);
#pragma omp parallel for schedule(dynamic)
    for (int64_t y = 0; y < grid.y.count; ++y) {
      Run<T> run;
      const double at_y = grid.y.position(y);
      for (int64_t x = 0; x < grid.x.count; x += kRun) {
        const int64_t count = std::min(kRun, grid.x.count - x);
        T* row = image + y * grid.x.count + x;
        T sums[kRun] = {};
        std::copy_n(row, count, sums);
        for (int64_t v = first; v < last; ++v) {
          const T* line = padded.data() + (v - first) * stride + kLinePad;
          const View view{views.data + v * kViewDoubles};
#if defined(__AVX2__)
          if constexpr (in_vectors<T, View>) {
            PixelGroups<weighting, kRun, kSpreads> groups;
            if (groups.locate(view, grid.x, at_y, columns, x, count)) {
              groups.add(line, sums);
              continue;
            }
          }
#endif
          image_run<weighting>(view, grid.x, at_y, columns, x, count, run);
#pragma omp simd
          for (int64_t i = 0; i < count; ++i)
            sums[i] += run.w0[i] * line[run.below[i]] + run.w1[i] * line[run.below[i] + 1];
        }
        std::copy_n(sums, count, row);
      }
    }
  }
}

template <Weighting weighting, class T, class View>
void backproject_adjoint(const T* image, T* sinogram, const Views& views, int64_t columns, const Grid& grid) {
#pragma omp parallel
  {
    const int64_t stride = line_stride(columns);
    AlignedBuffer<T> padded(kSpreads * stride);
    T* line = padded.data() + kLinePad;
    Run<T> run;
#pragma omp for schedule(dynamic)
    for (int64_t v = 0; v < views.count; ++v) {
      padded.zero();
      for (int64_t y = 0; y < grid.y.count; ++y)
        for (int64_t x = 0; x < grid.x.count; x += kRun) {
          const int64_t count = std::min(kRun, grid.x.count - x);
          const T* row = image + y * grid.x.count + x;
          const View view{views.data + v * kViewDoubles};
          T values[kRun] = {};
          std::copy_n(row, count, values);
#if defined(__AVX2__)
          if constexpr (in_vectors<T, View>) {
            PixelGroups<weighting, kRun, kSpreads> groups;
            if (groups.locate(view, grid.x, grid.y.position(y), columns, x, count)) {
              groups.spread(values, line, stride);
              continue;
            }
          }
#endif
          image_run<weighting>(view, grid.x, grid.y.position(y), columns, x, count, run);
          for (int64_t i = 0; i < count; ++i) {
            line[run.below[i]] += run.w0[i] * row[i];
            line[run.below[i] + 1] += run.w1[i] * row[i];
          }
        }
      for (int64_t n = 0; n < kSpreads; ++n)
        for (int64_t u = 0; u < columns; ++u) sinogram[v * columns + u] += line[n * stride + u];
    }
  }
}

template <class T>
void backproject_planar(const T* sinogram, T* image, Views views, DetectorShape detector, Grid grid, Interruption stop) {
  if (views.curved)
    with_weighting(views.weighting, [&](auto w) { backproject<w(), T, CurvedView>(sinogram, image, views, detector.columns, grid, stop); });
  else
    with_weighting(views.weighting, [&](auto w) { backproject<w(), T, FlatView>(sinogram, image, views, detector.columns, grid, stop); });
}

template <class T>
void backproject_planar_adjoint(const T* image, T* sinogram, Views views, DetectorShape detector, Grid grid,
                                Interruption stop) {
  stop();
  if (views.curved)
    with_weighting(views.weighting, [&](auto w) { backproject_adjoint<w(), T, CurvedView>(image, sinogram, views, detector.columns, grid); });
  else
    with_weighting(views.weighting, [&](auto w) { backproject_adjoint<w(), T, FlatView>(image, sinogram, views, detector.columns, grid); });
}

template <class T, class Model>
void rays_planar(const T* image, T* sinogram, Views views, DetectorShape detector, Grid grid, Interruption stop) {
  project_planar<Model>(image, sinogram, views, detector.columns, grid, stop);
}

template <class T, class Model>
void rays_planar_adjoint(const T* sinogram, T* image, Views views, DetectorShape detector, Grid grid,
                         Interruption stop) {
  project_planar_adjoint<Model>(sinogram, image, views, detector.columns, grid, stop);
}

template <class T>
constexpr OperatorPairs<T> planar_pairs() {
  return {backproject_planar<T>,           backproject_planar_adjoint<T>,
          rays_planar<T, JosephPixels>,    rays_planar_adjoint<T, JosephPixels>,
          rays_planar<T, FootprintPixels>, rays_planar_adjoint<T, FootprintPixels>};
}

}  // namespace

const OperatorPairs<float> kFloatPlanar = planar_pairs<float>();
const OperatorPairs<double> kDoublePlanar = planar_pairs<double>();

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
