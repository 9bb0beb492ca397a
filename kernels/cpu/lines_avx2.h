// The scatter of the line primitive for float32 in AVX2: eight elements at a time; indices and
// fractions from one 32-bit fixed-point vector that equals the low 32 bits of the exact positions.
#pragma once

#include <immintrin.h>

#include <cmath>
#include <cstdint>

#include "lines.h"
#include "lines_steps.h"

namespace sinograd {
namespace avx2 {

inline __m256i lane_numbers() { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }

// Elements index (0 to 15) of a table of sixteen.
inline __m256 look_up(__m256 low, __m256i index, __m256 high) {
  const __m256 a = _mm256_permutevar8x32_ps(low, index), b = _mm256_permutevar8x32_ps(high, index);
  return _mm256_blendv_ps(a, b, _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
}

// All lanes below `count`, as a mask for maskload and maskstore.
inline __m256i first_lanes(int64_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(int32_t(count < 8 ? count : 8)), lane_numbers());
}

inline void add_first(float* target, __m256i mask, __m256 value) {
  _mm256_maskstore_ps(target, mask, _mm256_add_ps(_mm256_maskload_ps(target, mask), value));
}

// The transpose, read from the pair's side: element j collects the samples less than one element away. Candidates
// are found with the inverse step in floating point, a little generously; their weights come from exact positions.
template <int candidates>
inline void scatter_windows(const float* single, int64_t low, int64_t high, const LineJob<float>& job) {
  const int64_t step = job.map.step;
  const double inverse = 1.0 / double(step);
  const __m256 spread = _mm256_mul_ps(_mm256_cvtepi32_ps(lane_numbers()), _mm256_set1_ps(float(double(kOne) * inverse)));
  const __m256i steps = _mm256_set1_epi32(int32_t(step)), next = _mm256_set1_epi32(1);
  const __m256i elements = _mm256_slli_epi32(lane_numbers(), kBits);
  const __m256 w0 = _mm256_set1_ps(job.w0), w1 = _mm256_set1_ps(job.w1);
  const __m256 one = _mm256_set1_ps(1.0f), scale = _mm256_set1_ps(-1.0f / float(kOne));
  for (int64_t j = low; j <= high; j += 8) {
    // the first sample beyond element j - 1
    const double from = double((j - 1) * kOne - job.map.start) * inverse + 0.999;
    const int64_t base = int64_t(std::floor(from));
    __m256i index = _mm256_cvttps_epi32(_mm256_add_ps(spread, _mm256_set1_ps(float(from - double(base)))));
    const uint32_t origin = uint32_t(job.map.start + base * step - j * kOne);
    __m256i away = _mm256_sub_epi32(
        _mm256_add_epi32(_mm256_set1_epi32(int32_t(origin)), _mm256_mullo_epi32(index, steps)), elements);
    const __m256 below = _mm256_loadu_ps(single + base), above = _mm256_loadu_ps(single + base + 8);
    __m256 sum = _mm256_setzero_ps();
    for (int c = 0; c < candidates; ++c) {
      const __m256 distance = _mm256_cvtepi32_ps(_mm256_abs_epi32(away));
      const __m256 weight = _mm256_max_ps(_mm256_fmadd_ps(distance, scale, one), _mm256_setzero_ps());
      sum = _mm256_fmadd_ps(weight, look_up(below, index, above), sum);
      away = _mm256_add_epi32(away, steps);
      index = _mm256_add_epi32(index, next);
    }
    if (high - j >= 7) {
      _mm256_storeu_ps(job.line0 + j, _mm256_fmadd_ps(sum, w0, _mm256_loadu_ps(job.line0 + j)));
      _mm256_storeu_ps(job.line1 + j, _mm256_fmadd_ps(sum, w1, _mm256_loadu_ps(job.line1 + j)));
    } else {
      const __m256i mask = first_lanes(high - j + 1);
      add_first(job.line0 + j, mask, _mm256_mul_ps(sum, w0));
      add_first(job.line1 + j, mask, _mm256_mul_ps(sum, w1));
    }
  }
}

inline void scatter_job(const float* single, int64_t low, int64_t high, const LineJob<float>& job) {
  with_candidates(job.map.step, [&](auto count) { scatter_windows<count()>(single, low, high, job); });
}

}  // namespace avx2
}  // namespace sinograd
