// Copies between the layouts of tensors (rows outermost) and of the kernels (lines along v and z contiguous).
#pragma once

#include <algorithm>
#include <cstdint>

namespace sinograd {

// target[j * target_stride + i] = source[i * source_stride + j] for i < rows, j < columns.
template <class T>
inline void transpose(const T* source, int64_t source_stride, T* target, int64_t target_stride, int64_t rows,
                      int64_t columns) {
  constexpr int64_t block = 16;
  for (int64_t i0 = 0; i0 < rows; i0 += block)
    for (int64_t j0 = 0; j0 < columns; j0 += block) {
      const int64_t i1 = std::min(i0 + block, rows), j1 = std::min(j0 + block, columns);
      for (int64_t j = j0; j < j1; ++j)
        for (int64_t i = i0; i < i1; ++i) target[j * target_stride + i] = source[i * source_stride + j];
    }
}

}  // namespace sinograd
