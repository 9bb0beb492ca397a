// The scatter of the line primitive for float32 in AVX-512: sixteen elements at a time, indices and fractions from one 32-bit
// fixed-point vector that equals the low 32 bits of the exact positions.
#pragma once

#include <immintrin.h>

#include <cmath>
#include <cstdint>

#include "lines.h"
#include "lines_steps.h"

namespace sinograd {
namespace avx512 {

inline __m512i lane_numbers() {
  return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

inline __mmask16 first_lanes(int64_t count) { return count >= 16 ? __mmask16(0xffff) : __mmask16((1u << count) - 1); }

// The transpose, read from the pair's side: element j collects the samples less than one element away. Candidates
// are found with the inverse step in floating point, a little generously; their weights come from exact positions.
template <int candidates>
inline void scatter_windows(const float* single, int64_t low, int64_t high, const LineJob<float>& job) {
  const int64_t step = job.map.step;
  const double inverse = 1.0 / double(step);
  const __m512 spread = _mm512_mul_ps(_mm512_cvtepi32_ps(lane_numbers()), _mm512_set1_ps(float(double(kOne) * inverse)));
  const __m512i steps = _mm512_set1_epi32(int32_t(step));
  const __m512i elements = _mm512_slli_epi32(lane_numbers(), kBits);
  const __m512 w0 = _mm512_set1_ps(job.w0), w1 = _mm512_set1_ps(job.w1);
  const __m512 one = _mm512_set1_ps(1.0f), scale = _mm512_set1_ps(-1.0f / float(kOne));
  for (int64_t j = low; j <= high; j += 16) {
    // the first sample beyond element j - 1
    const double from = double((j - 1) * kOne - job.map.start) * inverse + 0.999;
    const int64_t base = int64_t(std::floor(from));
    const __m512i k = _mm512_cvttps_epi32(_mm512_add_ps(spread, _mm512_set1_ps(float(from - double(base)))));
    const uint32_t origin = uint32_t(job.map.start + base * step - j * kOne);
    __m512i away = _mm512_sub_epi32(_mm512_add_epi32(_mm512_set1_epi32(int32_t(origin)), _mm512_mullo_epi32(k, steps)), elements);
    const __m512 below = _mm512_loadu_ps(single + base), above = _mm512_loadu_ps(single + base + 16);
    __m512i index = k;
    __m512 sum = _mm512_setzero_ps();
    for (int c = 0; c < candidates; ++c) {
      const __m512 distance = _mm512_cvtepi32_ps(_mm512_abs_epi32(away));
      const __m512 weight = _mm512_max_ps(_mm512_fmadd_ps(distance, scale, one), _mm512_setzero_ps());
      sum = _mm512_fmadd_ps(weight, _mm512_permutex2var_ps(below, index, above), sum);
      away = _mm512_add_epi32(away, steps);
      index = _mm512_add_epi32(index, _mm512_set1_epi32(1));
    }
    const __mmask16 mask = first_lanes(high - j + 1);
    _mm512_mask_storeu_ps(job.line0 + j, mask, _mm512_fmadd_ps(sum, w0, _mm512_maskz_loadu_ps(mask, job.line0 + j)));
    _mm512_mask_storeu_ps(job.line1 + j, mask, _mm512_fmadd_ps(sum, w1, _mm512_maskz_loadu_ps(mask, job.line1 + j)));
  }
}

inline void scatter_job(const float* single, int64_t low, int64_t high, const LineJob<float>& job) {
  with_candidates(job.map.step, [&](auto count) { scatter_windows<count()>(single, low, high, job); });
}

}  // namespace avx512
}  // namespace sinograd
