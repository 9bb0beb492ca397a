// Images of some views with zeros around them: one row and column before, two after.
#pragma once

#include <algorithm>
#include <cstdint>

#include "aligned_buffer.h"
#include "grid.h"

namespace sinograd {
namespace SINOGRAD_ISA {

template <class T>
struct PaddedImages {
  PaddedImages(int64_t views, DetectorShape detector)
      : shape(detector),
        stride(detector.columns + 3),
        view_stride((detector.rows + 3) * stride),
        pixels(views * view_stride) {
    pixels.zero();
  }

  T* pixel(int64_t view, int64_t row, int64_t column) {
    return pixels.data() + view * view_stride + (row + 1) * stride + column + 1;
  }
  void load(int64_t view, const T* image) {
    for (int64_t row = 0; row < shape.rows; ++row)
      std::copy_n(image + row * shape.columns, shape.columns, pixel(view, row, 0));
  }

  DetectorShape shape;
  int64_t stride, view_stride;
  AlignedBuffer<T> pixels;
};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
