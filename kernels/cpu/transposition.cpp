// Transposed copies, 16 by 16 floats in registers, so that every cache line is read once and written whole: planes of a
// volume often lie a power of two apart, where lines that are met a second time have left the caches.
#include "transposition.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstdint>

#include "isa_table.h"
#include "transpose.h"

namespace sinograd {
namespace SINOGRAD_ISA {
namespace {

#if defined(__AVX512F__)
struct Block {
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

  template <bool streamed>
  void write(float* target, int64_t stride) const {
    for (int j = 0; j < 16; ++j)
      if constexpr (streamed)
        _mm512_stream_ps(target + j * stride, lines[j]);
      else
        _mm512_storeu_ps(target + j * stride, lines[j]);
  }
};
#elif defined(__AVX2__)
struct Block {
  alignas(32) float lines[16][16];

  void read(const float* source, int64_t stride) {
    for (int i = 0; i < 16; i += 8)
      for (int j = 0; j < 16; j += 8) quarter(source + i * stride + j, stride, &lines[j][i]);
  }

  template <bool streamed>
  void write(float* target, int64_t stride) const {
    for (int j = 0; j < 16; ++j)
      for (int i = 0; i < 16; i += 8) {
        const __m256 values = _mm256_load_ps(&lines[j][i]);
        if constexpr (streamed)
          _mm256_stream_ps(target + j * stride + i, values);
        else
          _mm256_storeu_ps(target + j * stride + i, values);
      }
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
#endif

#if defined(__AVX2__)
template <bool streamed>
void blocks(const float* source, int64_t source_stride, float* target, int64_t target_stride, int64_t rows,
            int64_t columns) {
  constexpr int64_t side = 16;
  for (int64_t i = 0; i < rows; i += side)
    for (int64_t j = 0; j < columns; j += side) {
      const float* from = source + i * source_stride + j;
      float* to = target + j * target_stride + i;
      if (rows - i >= side && columns - j >= side) {
        Block block;
        block.read(from, source_stride);
        block.write<streamed>(to, target_stride);
      } else {
        transpose_block(from, source_stride, to, target_stride, std::min(side, rows - i), std::min(side, columns - j));
      }
    }
}

void copy(const float* source, int64_t source_stride, float* target, int64_t target_stride, int64_t rows,
          int64_t columns) {
  blocks<false>(source, source_stride, target, target_stride, rows, columns);
}

void stream(const float* source, int64_t source_stride, float* target, int64_t target_stride, int64_t rows,
            int64_t columns) {
  const bool whole = reinterpret_cast<uintptr_t>(target) % 64 == 0 && target_stride % 16 == 0;
  if (!whole) return copy(source, source_stride, target, target_stride, rows, columns);
  blocks<true>(source, source_stride, target, target_stride, rows, columns);
  _mm_sfence();  // other threads see what was written
}
#endif

template <class T>
void copy(const T* source, int64_t source_stride, T* target, int64_t target_stride, int64_t rows, int64_t columns) {
  transpose(source, source_stride, target, target_stride, rows, columns);
}

}  // namespace

#if defined(__AVX2__)
extern const Transposition<float> kFloatTransposition = {copy, stream};
#else
extern const Transposition<float> kFloatTransposition = {copy<float>, copy<float>};
#endif
extern const Transposition<double> kDoubleTransposition = {copy<double>, copy<double>};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
