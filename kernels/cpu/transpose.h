// Copies between the layouts of tensors (rows outermost) and of the kernels (lines along v and z contiguous).
#pragma once

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include <algorithm>
#include <cstdint>

namespace sinograd {

// target[j * target_stride + i] = source[i * source_stride + j] for i < rows, j < columns.
template <class T>
inline void transpose_block(const T* source, int64_t source_stride, T* target, int64_t target_stride, int64_t rows,
                            int64_t columns) {
  for (int64_t j = 0; j < columns; ++j)
    for (int64_t i = 0; i < rows; ++i) target[j * target_stride + i] = source[i * source_stride + j];
}

#if defined(__SSE__)
// 16 by 16 in registers, four by four.
inline void transpose_16(const float* source, int64_t source_stride, float* target, int64_t target_stride) {
  for (int64_t j = 0; j < 16; j += 4)
    for (int64_t i = 0; i < 16; i += 4) {
      const float* from = source + i * source_stride + j;
      float* to = target + j * target_stride + i;
      __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + source_stride);
      __m128 c = _mm_loadu_ps(from + 2 * source_stride), d = _mm_loadu_ps(from + 3 * source_stride);
      _MM_TRANSPOSE4_PS(a, b, c, d);
      _mm_storeu_ps(to, a);
      _mm_storeu_ps(to + target_stride, b);
      _mm_storeu_ps(to + 2 * target_stride, c);
      _mm_storeu_ps(to + 3 * target_stride, d);
    }
}
#endif

template <class T>
inline void transpose_16(const T* source, int64_t source_stride, T* target, int64_t target_stride) {
  transpose_block(source, source_stride, target, target_stride, 16, 16);
}

// In squares of 16 by 16, of which `whole(from, to)` copies those that are complete.
template <class T, class Whole>
inline void transpose_squares(const T* source, int64_t source_stride, T* target, int64_t target_stride, int64_t rows,
                              int64_t columns, Whole&& whole) {
  constexpr int64_t block = 16;
  for (int64_t i = 0; i < rows; i += block)
    for (int64_t j = 0; j < columns; j += block) {
      const T* from = source + i * source_stride + j;
      T* to = target + j * target_stride + i;
      if (rows - i >= block && columns - j >= block)
        whole(from, to);
      else
        transpose_block(from, source_stride, to, target_stride, std::min(block, rows - i), std::min(block, columns - j));
    }
}

template <class T>
inline void transpose(const T* source, int64_t source_stride, T* target, int64_t target_stride, int64_t rows,
                      int64_t columns) {
  transpose_squares(source, source_stride, target, target_stride, rows, columns,
                    [&](const T* from, T* to) { transpose_16(from, source_stride, to, target_stride); });
}

}  // namespace sinograd
