// The line primitives for float32 in AVX-512: sixteen samples at a time, indices and fractions from one 32-bit
// fixed-point vector that equals the low 32 bits of the exact positions.
#pragma once

#include <immintrin.h>

#include <cmath>
#include <cstdint>

#include "lines.h"
#include "lines_steps.h"

namespace sinograd {
namespace avx512 {

inline __m512 blend16(const LineJob<float>& job, int64_t i) {
  const __m512 w0 = _mm512_set1_ps(job.w0), w1 = _mm512_set1_ps(job.w1);
  return _mm512_fmadd_ps(_mm512_loadu_ps(job.line1 + i), w1, _mm512_mul_ps(_mm512_loadu_ps(job.line0 + i), w0));
}

inline __m512i lane_numbers() {
  return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

// Sixteen interpolated values from a table of 32: position >> kBits counts in the table (modulo 32).
inline __m512 interpolate16(__m512i position, __m512 low, __m512 high) {
  const __m512i index = _mm512_srli_epi32(position, kBits);
  const __m512i fixed = _mm512_and_si512(position, _mm512_set1_epi32(int32_t(kOne - 1)));
  const __m512 fraction = _mm512_mul_ps(_mm512_cvtepi32_ps(fixed), _mm512_set1_ps(1.0f / float(kOne)));
  const __m512 below = _mm512_permutex2var_ps(low, index, high);
  const __m512 above = _mm512_permutex2var_ps(low, _mm512_add_epi32(index, _mm512_set1_epi32(1)), high);
  return _mm512_fmadd_ps(fraction, _mm512_sub_ps(above, below), below);
}

inline __mmask16 first_lanes(int64_t count) { return count >= 16 ? __mmask16(0xffff) : __mmask16((1u << count) - 1); }

// Steps up to one element: two neighbouring 16-element chunks of the blended pair slide along in registers.
inline void gather_sliding(float* single, int64_t first, int64_t last, const LineJob<float>& job) {
  const int64_t step = job.map.step;
  int64_t position = job.map.start + first * step;
  int64_t chunk = position >> (kBits + 4);
  __m512 current = blend16(job, 16 * chunk), next = blend16(job, 16 * chunk + 16);
  int64_t limit = (chunk + 1) * (16 * kOne);
  const __m512i advance = _mm512_set1_epi32(int32_t(uint32_t(16 * step)));
  const __m512i turn = _mm512_set1_epi32(int32_t(16u << kBits));
  __m512i lanes = _mm512_add_epi32(_mm512_set1_epi32(int32_t(uint32_t(position - chunk * (16 * kOne)))),
                                   _mm512_mullo_epi32(lane_numbers(), _mm512_set1_epi32(int32_t(step))));
  for (int64_t k = first;; k += 16) {
    const __m512 value = interpolate16(lanes, current, next);
    if (last - k <= 16) {
      const __mmask16 mask = first_lanes(last - k);
      _mm512_mask_storeu_ps(single + k, mask, _mm512_add_ps(_mm512_maskz_loadu_ps(mask, single + k), value));
      return;
    }
    _mm512_storeu_ps(single + k, _mm512_add_ps(_mm512_loadu_ps(single + k), value));
    lanes = _mm512_add_epi32(lanes, advance);
    position += 16 * step;
    if (position >= limit) {
      limit += 16 * kOne;
      ++chunk;
      current = next;
      next = blend16(job, 16 * chunk + 16);
      lanes = _mm512_sub_epi32(lanes, turn);
    }
  }
}

// Steps up to two elements: the blended pair in memory, windows of 32 elements read from it.
inline void gather_windows(float* single, int64_t first, int64_t last, const LineJob<float>& job, float* blend) {
  const int64_t step = job.map.step;
  int64_t position = job.map.start + first * step;
  const int64_t begin = position >> kBits, end = ((job.map.start + (last - 1) * step) >> kBits) + 2;
  for (int64_t i = begin; i < end; i += 16) _mm512_storeu_ps(blend + i, blend16(job, i));
  const __m512i offsets = _mm512_mullo_epi32(lane_numbers(), _mm512_set1_epi32(int32_t(step)));
  for (int64_t k = first; k < last; k += 16, position += 16 * step) {
    const float* window = blend + (position >> kBits);
    const __m512i lanes = _mm512_add_epi32(_mm512_set1_epi32(int32_t(position & (kOne - 1))), offsets);
    const __m512 value = interpolate16(lanes, _mm512_loadu_ps(window), _mm512_loadu_ps(window + 16));
    const __mmask16 mask = first_lanes(last - k);
    _mm512_mask_storeu_ps(single + k, mask, _mm512_add_ps(_mm512_maskz_loadu_ps(mask, single + k), value));
  }
}

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

inline void gather_job(float* single, int64_t first, int64_t last, const LineJob<float>& job, float* blend) {
  if (job.map.step <= kOne)
    gather_sliding(single, first, last, job);
  else
    gather_windows(single, first, last, job, blend);
}

inline void scatter_job(const float* single, int64_t low, int64_t high, const LineJob<float>& job) {
  with_candidates(job.map.step, [&](auto count) { scatter_windows<count()>(single, low, high, job); });
}

}  // namespace avx512
}  // namespace sinograd
