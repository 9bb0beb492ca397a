// One slice: the same two operator pairs for images [y][x] and sinograms [view][column]. Compiled once per
// instruction set; the coordinates of a row of pixels are computed first, in loops that compilers vectorise.
#include <omp.h>

#include <algorithm>
#include <cmath>

#include "aligned_buffer.h"
#include "isa_table.h"
#include "ray.h"

namespace sinograd {
namespace SINOGRAD_ISA {
namespace {

constexpr int64_t kViewBlock = 32;

constexpr int64_t kRun = 256;

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

// Rows of the sinogram with zeros around them: columns -1, `columns` and `columns` + 1.
constexpr int64_t padded_columns(int64_t columns) { return columns + 3; }

template <class T>
void pad_rows(const T* sinogram, int64_t views, int64_t columns, T* padded) {
  for (int64_t v = 0; v < views; ++v) {
    T* row = padded + v * padded_columns(columns);
    row[0] = row[columns + 1] = row[columns + 2] = T(0);
    std::copy_n(sinogram + v * columns, columns, row + 1);
  }
}

template <Weighting weighting, class T, class View>
void backproject(const T* sinogram, T* image, const Views& views, int64_t columns, const Grid& grid, Interruption stop) {
  AlignedBuffer<T> padded(kViewBlock * padded_columns(columns));
  for (int64_t first = 0; first < views.count; first += kViewBlock) {
    stop();
    const int64_t last = std::min(first + kViewBlock, views.count);
    pad_rows(sinogram + first * columns, last - first, columns, padded.data());
#pragma omp parallel for schedule(dynamic)
    for (int64_t y = 0; y < grid.y.count; ++y) {
      Run<T> run;
      for (int64_t x = 0; x < grid.x.count; x += kRun) {
        const int64_t count = std::min(kRun, grid.x.count - x);
        T* row = image + y * grid.x.count + x;
        for (int64_t v = first; v < last; ++v) {
          const T* line = padded.data() + (v - first) * padded_columns(columns) + 1;
          image_run<weighting>(View{views.data + v * kViewDoubles}, grid.x, grid.y.position(y), columns, x, count,
                    run);
#pragma omp simd
          for (int64_t i = 0; i < count; ++i)
            row[i] += run.w0[i] * line[run.below[i]] + run.w1[i] * line[run.below[i] + 1];
        }
      }
    }
  }
}

template <Weighting weighting, class T, class View>
void backproject_adjoint(const T* image, T* sinogram, const Views& views, int64_t columns, const Grid& grid) {
#pragma omp parallel
  {
    AlignedBuffer<T> padded(padded_columns(columns));
    T* line = padded.data() + 1;
    Run<T> run;
#pragma omp for schedule(dynamic)
    for (int64_t v = 0; v < views.count; ++v) {
      padded.zero();
      for (int64_t y = 0; y < grid.y.count; ++y)
        for (int64_t x = 0; x < grid.x.count; x += kRun) {
          const int64_t count = std::min(kRun, grid.x.count - x);
          const T* row = image + y * grid.x.count + x;
          image_run<weighting>(View{views.data + v * kViewDoubles}, grid.x, grid.y.position(y), columns, x, count,
                    run);
          for (int64_t i = 0; i < count; ++i) {
            line[run.below[i]] += run.w0[i] * row[i];
            line[run.below[i] + 1] += run.w1[i] * row[i];
          }
        }
      for (int64_t u = 0; u < columns; ++u) sinogram[v * columns + u] += line[u];
    }
  }
}

// On plane i of the major axis the ray has index j0 + i dj on the minor axis.
struct Ray {
  bool along_x;
  double j0, dj, length;
};

Ray make_ray(const Views& views, int64_t v, double u, const Grid& grid) {
  const RayView view{views.data + v * 3 * (views.curved ? 5 : 4), views.divergent, views.curved};
  Vector origin, direction;
  view.ray(view.column_position(u), origin, direction);
  Ray ray;
  ray.along_x = steps_along_x(grid, direction);
  const Axis &major = ray.along_x ? grid.x : grid.y, &minor = ray.along_x ? grid.y : grid.x;
  const double o = ray.along_x ? origin.x : origin.y, d = ray.along_x ? direction.x : direction.y;
  const double minor_o = ray.along_x ? origin.y : origin.x, minor_d = ray.along_x ? direction.y : direction.x;
  ray.j0 = minor.index(minor_o + (major.position(0) - o) / d * minor_d);
  ray.dj = major.spacing / d * minor_d / minor.spacing;
  ray.length = major.spacing * std::hypot(direction.x, direction.y) / std::fabs(d);
  return ray;
}

// Planes on which the ray is inside the image or less than one element outside.
void planes_inside(const Ray& ray, const Grid& grid, int64_t& first, int64_t& last) {
  const double count = double(ray.along_x ? grid.y.count : grid.x.count);
  first = 0;
  last = ray.along_x ? grid.x.count : grid.y.count;
  while (first < last && !(ray.j0 + double(first) * ray.dj > -1.0 && ray.j0 + double(first) * ray.dj < count)) ++first;
  while (last > first && !(ray.j0 + double(last - 1) * ray.dj > -1.0 && ray.j0 + double(last - 1) * ray.dj < count)) --last;
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

template <class T>
void joseph_planar(const T* image, T* sinogram, Views views, DetectorShape detector, Grid grid, Interruption stop) {
  stop();
#pragma omp parallel for schedule(dynamic)
  for (int64_t v = 0; v < views.count; ++v)
    for (int64_t u = 0; u < detector.columns; ++u) {
      const Ray ray = make_ray(views, v, double(u) - 0.5 * double(detector.columns - 1), grid);
      const int64_t minor_count = ray.along_x ? grid.y.count : grid.x.count;
      const int64_t major_step = ray.along_x ? 1 : grid.x.count, minor_step = ray.along_x ? grid.x.count : 1;
      int64_t first, last;
      planes_inside(ray, grid, first, last);
      T sum = T(0);
      for (int64_t i = first; i < last; ++i) {
        const double j = ray.j0 + double(i) * ray.dj, below = std::floor(j);
        const T w1 = T(j - below), w0 = T(1.0 - (j - below));
        const int64_t k = int64_t(below);
        const T* line = image + i * major_step;
        if (k >= 0) sum += w0 * line[k * minor_step];
        if (k + 1 < minor_count) sum += w1 * line[(k + 1) * minor_step];
      }
      sinogram[v * detector.columns + u] += T(ray.length) * sum;
    }
}

template <class T>
void joseph_planar_adjoint(const T* sinogram, T* image, Views views, DetectorShape detector, Grid grid,
                           Interruption stop) {
  const int64_t block = std::min(kViewBlock, views.count);
  AlignedBuffer<Ray> rays(block * detector.columns);
  constexpr int64_t slab = 16;
  for (int64_t first = 0; first < views.count; first += kViewBlock) {
    stop();
    const int64_t count = (std::min(first + kViewBlock, views.count) - first) * detector.columns;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < count; ++i)
      rays.data()[i] = make_ray(views, first + i / detector.columns,
                                double(i % detector.columns) - 0.5 * double(detector.columns - 1), grid);
    // every thread owns slabs of planes: of the rays along x first, then of the others
    for (const bool along_x : {true, false}) {
      const int64_t planes = along_x ? grid.x.count : grid.y.count, minor_count = along_x ? grid.y.count : grid.x.count;
      const int64_t major_step = along_x ? 1 : grid.x.count, minor_step = along_x ? grid.x.count : 1;
#pragma omp parallel for schedule(dynamic)
      for (int64_t begin = 0; begin < planes; begin += slab)
        for (int64_t r = 0; r < count; ++r) {
          const Ray& ray = rays.data()[r];
          if (ray.along_x != along_x) continue;
          const T value = T(ray.length) * sinogram[first * detector.columns + r];
          for (int64_t i = begin; i < std::min(begin + slab, planes); ++i) {
            const double j = ray.j0 + double(i) * ray.dj;
            if (!(j > -1.0 && j < double(minor_count))) continue;
            const double below = std::floor(j);
            const int64_t k = int64_t(below);
            T* line = image + i * major_step;
            if (k >= 0) line[k * minor_step] += T(1.0 - (j - below)) * value;
            if (k + 1 < minor_count) line[(k + 1) * minor_step] += T(j - below) * value;
          }
        }
    }
  }
}

}  // namespace

const OperatorPairs<float> kFloatPlanar = {backproject_planar<float>, backproject_planar_adjoint<float>,
                                           joseph_planar<float>, joseph_planar_adjoint<float>};
const OperatorPairs<double> kDoublePlanar = {backproject_planar<double>, backproject_planar_adjoint<double>,
                                             joseph_planar<double>, joseph_planar_adjoint<double>};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
