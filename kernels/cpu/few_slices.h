// The axial backprojection of stacks of few slices: vectors take neighbouring columns of a slice (slice_lanes.h), and
// views stay in the order of the detector, in which those fall near each other. Slices have the bits of a tall stack.
#pragma once

#include <algorithm>
#include <cstdint>

#include "aligned_buffer.h"
#include "column_rows.h"
#include "operators.h"
#include "tile.h"

namespace sinograd {

constexpr int64_t kFewSlices = 20;  // up to which this is quicker than vectors along columns
constexpr int64_t kFewViews = 24;   // of a block

// Whether the stack is one of few slices and there are vectors for it.
template <class T>
bool has_few_slices(const ColumnKernels<T>& kernels, const Grid& grid, const DetectorShape& detector) {
  return kernels.gather_slices != nullptr && grid.z.count <= kFewSlices && ImageRows<T>::elements(detector) < int64_t(1) << 31;
}

// Adds views [first, last), already in `images`, to rows of all slices.
template <class T>
void backproject_row(const ColumnKernels<T>& kernels, const T* images, T* volume, const Views& views, int64_t first,
                     int64_t last, const DetectorShape& detector, const Grid& grid, int64_t y) {
  constexpr T one = T(fixed_one<T>()), part = T(1) / one;
  const int64_t view_stride = ImageRows<T>::elements(detector), slice_stride = grid.y.count * grid.x.count;
  alignas(64) T slices[kFewSlices * kTileX] = {};
  for (int64_t x0 = 0; x0 < grid.x.count; x0 += kTileX) {
    const int64_t nx = std::min(kTileX, grid.x.count - x0);
    const ColumnRow row(grid, x0, nx, y, 0);
    T* voxels = volume + y * grid.x.count + x0;
    for (int64_t z = 0; z < grid.z.count; ++z)
      for (int64_t x = 0; x < nx; ++x) slices[z * kTileX + x] = voxels[z * slice_stride + x] * one;
    for (int64_t v = first; v < last; ++v)
      kernels.gather_slices(views, v, row, grid.z, detector, images + (v - first) * view_stride, slices, grid.z.count);
    for (int64_t z = 0; z < grid.z.count; ++z)
      for (int64_t x = 0; x < nx; ++x) voxels[z * slice_stride + x] = slices[z * kTileX + x] * part;
  }
}

template <class T>
void backproject_few_slices(const ColumnKernels<T>& kernels, const T* projections, T* volume, const Views& views,
                            const DetectorShape& detector, const Grid& grid, Interruption stop) {
  const int64_t view_stride = ImageRows<T>::elements(detector);
  AlignedBuffer<T> images(std::min(kFewViews, views.count) * view_stride + kLinePad);  // vectors read on
  images.zero();
  for (int64_t first = 0; first < views.count; first += kFewViews) {
    stop();
    const int64_t last = std::min(first + kFewViews, views.count);
#pragma omp parallel
    {
#pragma omp for schedule(dynamic)
      for (int64_t v = first; v < last; ++v)
        for (int64_t r = 0; r < detector.rows; ++r)
          std::copy_n(projections + v * views.view_stride + r * views.row_stride, detector.columns,
                      images.data() + (v - first) * view_stride + ImageRows<T>::offset(detector, r));
#pragma omp for schedule(dynamic)
      for (int64_t y = 0; y < grid.y.count; ++y)
        backproject_row(kernels, images.data(), volume, views, first, last, detector, grid, y);
    }
  }
}

}  // namespace sinograd
