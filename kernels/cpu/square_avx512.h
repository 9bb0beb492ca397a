// 16 x 16 floats, transposed as they are read. AVX-512.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace sinograd {
namespace avx512 {

struct Square {
  __m512 lines[16];

  void read(const float* source, int64_t stride) {
    __m512 a[16], b[16];
    for (int i = 0; i < 16; ++i) a[i] = _mm512_loadu_ps(source + i * stride);
    for (int i = 0; i < 16; i += 2) {
      b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
      b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
      for (int j = 0; j < 2; ++j) {
        const __m512d low = _mm512_castps_pd(b[i + j]), high = _mm512_castps_pd(b[i + 2 + j]);
        a[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
        a[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
      }
    for (int i = 0; i < 16; i += 8)
      for (int j = 0; j < 4; ++j) {
        b[i + j] = _mm512_shuffle_f32x4(a[i + j], a[i + 4 + j], 0x88);
        b[i + 4 + j] = _mm512_shuffle_f32x4(a[i + j], a[i + 4 + j], 0xdd);
      }
    for (int j = 0; j < 8; ++j) {
      lines[j] = _mm512_shuffle_f32x4(b[j], b[8 + j], 0x88);
      lines[8 + j] = _mm512_shuffle_f32x4(b[j], b[8 + j], 0xdd);
    }
  }

  void write(float* target, int64_t stride) const {
    for (int j = 0; j < 16; ++j) _mm512_storeu_ps(target + j * stride, lines[j]);
  }
};

}  // namespace avx512
}  // namespace sinograd
