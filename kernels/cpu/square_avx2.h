// 16 x 16 floats, transposed as they are read; see square_avx512.h. AVX2 has registers for a quarter of them.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace sinograd {
namespace avx2 {

struct Square {
  alignas(32) float lines[16][16];

  void read(const float* source, int64_t stride) {
    for (int i = 0; i < 16; i += 8)
      for (int j = 0; j < 16; j += 8) quarter(source + i * stride + j, stride, &lines[j][i]);
  }

  void write(float* target, int64_t stride) const {
    for (int j = 0; j < 16; ++j)
      for (int i = 0; i < 16; i += 8) _mm256_storeu_ps(target + j * stride + i, _mm256_load_ps(&lines[j][i]));
  }

 private:
  static void quarter(const float* source, int64_t stride, float* target) {
    __m256 a[8], b[8];
    for (int i = 0; i < 8; ++i) a[i] = _mm256_loadu_ps(source + i * stride);
    for (int i = 0; i < 8; i += 2) {
      b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
      b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
      for (int j = 0; j < 2; ++j) {
        a[i + 2 * j] = _mm256_shuffle_ps(b[i + j], b[i + 2 + j], 0x44);
        a[i + 2 * j + 1] = _mm256_shuffle_ps(b[i + j], b[i + 2 + j], 0xee);
      }
    for (int j = 0; j < 4; ++j) {
      _mm256_store_ps(target + j * 16, _mm256_permute2f128_ps(a[j], a[4 + j], 0x20));
      _mm256_store_ps(target + (4 + j) * 16, _mm256_permute2f128_ps(a[j], a[4 + j], 0x31));
    }
  }
};

}  // namespace avx2
}  // namespace sinograd
