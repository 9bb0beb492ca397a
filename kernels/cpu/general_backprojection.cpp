// Voxel-driven backprojection and its adjoint for flat detectors in any position: one perspective division and
// one bilinear interpolation a voxel and view.
#include <omp.h>

#include <algorithm>
#include <cmath>

#include "aligned_buffer.h"
#include "operators.h"

namespace sinograd {
namespace {

constexpr int64_t kViewBlock = 16;

// Images of a block of views with a ring of zeros around them.
template <class T>
struct PaddedImages {
  PaddedImages(int64_t views, DetectorShape detector)
      : stride(detector.columns + 2), view_stride((detector.rows + 2) * stride), pixels(views * view_stride) {}

  T* pixel(int64_t view, int64_t row, int64_t column) {
    return pixels.data() + view * view_stride + (row + 1) * stride + column + 1;
  }

  int64_t stride, view_stride;
  AlignedBuffer<T> pixels;
};

// The four pixels around a voxel's image.
template <class T>
struct Corners {
  int64_t offset;  // of the lower row and column, from pixel (0, 0)
  T w00, w01, w10, w11;
};

template <Weighting weighting, class T>
inline bool image_of_voxel(const FlatView& view, double x, double y, double z,
                           DetectorShape detector, int64_t stride, Corners<T>& corners) {
  const double* m = view.m;
  const double inverse = reciprocal(view.depth(x, y, z));
  const double column = (m[0] * x + m[1] * y + m[2] * z + m[3]) * inverse;
  const double row = (m[4] * x + m[5] * y + m[6] * z + m[7]) * inverse;
  if (!(column > -1.0 && column < double(detector.columns) && row > -1.0 && row < double(detector.rows))) return false;
  const double c = std::floor(column), r = std::floor(row);
  const double weight = view.weight<weighting>(x, y, inverse);
  const double upper = (row - r) * weight, lower = weight - upper;
  corners.offset = int64_t(r) * stride + int64_t(c);
  corners.w01 = T(lower * (column - c));
  corners.w00 = T(lower * (1.0 - (column - c)));
  corners.w11 = T(upper * (column - c));
  corners.w10 = T(upper * (1.0 - (column - c)));
  return true;
}

template <Weighting weighting, class T>
void backproject(const T* projections, T* volume, const Views& views, DetectorShape detector, const Grid& grid,
                         Interruption stop) {
  PaddedImages<T> images(std::min(kViewBlock, views.count), detector);
  images.pixels.zero();
  for (int64_t first = 0; first < views.count; first += kViewBlock) {
    stop();
    const int64_t last = std::min(first + kViewBlock, views.count);
    for (int64_t v = first; v < last; ++v)
      for (int64_t row = 0; row < detector.rows; ++row)
        std::copy_n(projections + (v * detector.rows + row) * detector.columns, detector.columns,
                    images.pixel(v - first, row, 0));
#pragma omp parallel for schedule(dynamic, 16)
    for (int64_t line = 0; line < grid.z.count * grid.y.count; ++line) {
      const double z = grid.z.position(line / grid.y.count), y = grid.y.position(line % grid.y.count);
      T* row = volume + line * grid.x.count;
      Corners<T> at;
      for (int64_t v = first; v < last; ++v) {
        const FlatView view{views.data + v * kViewDoubles};
        const T* image = images.pixel(v - first, 0, 0);
        for (int64_t x = 0; x < grid.x.count; ++x)
          if (image_of_voxel<weighting>(view, grid.x.position(x), y, z, detector, images.stride, at)) {
            const T* pixel = image + at.offset;
            row[x] += (at.w00 * pixel[0] + at.w01 * pixel[1]) +
                      (at.w10 * pixel[images.stride] + at.w11 * pixel[images.stride + 1]);
          }
      }
    }
  }
}

// One thread owns a view.
template <Weighting weighting, class T>
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
        const FlatView view{views.data + v * kViewDoubles};
        images.pixels.zero();
        T* image = images.pixel(0, 0, 0);
        Corners<T> at;
        for (int64_t line = 0; line < grid.z.count * grid.y.count; ++line) {
          const double z = grid.z.position(line / grid.y.count), y = grid.y.position(line % grid.y.count);
          const T* row = volume + line * grid.x.count;
          for (int64_t x = 0; x < grid.x.count; ++x)
            if (image_of_voxel<weighting>(view, grid.x.position(x), y, z, detector, images.stride, at)) {
              T* pixel = image + at.offset;
              pixel[0] += at.w00 * row[x];
              pixel[1] += at.w01 * row[x];
              pixel[images.stride] += at.w10 * row[x];
              pixel[images.stride + 1] += at.w11 * row[x];
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
  with_weighting(views.weighting, [&](auto w) { backproject<w(), T>(projections, volume, views, detector, grid, stop); });
}

template <class T>
void backproject_general_adjoint(const T* volume, T* projections, Views views, DetectorShape detector, Grid grid,
                                 Interruption stop) {
  with_weighting(views.weighting,
                 [&](auto w) { backproject_adjoint<w(), T>(volume, projections, views, detector, grid, stop); });
}

#define SINOGRAD_INSTANTIATE(T)                                                                         \
  template void backproject_general<T>(const T*, T*, Views, DetectorShape, Grid, Interruption);         \
  template void backproject_general_adjoint<T>(const T*, T*, Views, DetectorShape, Grid, Interruption);
SINOGRAD_INSTANTIATE(float)
SINOGRAD_INSTANTIATE(double)

}  // namespace sinograd
