// Sixteen rays or voxels at a time for ray_lanes.h and voxel_lanes.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "fixed_point.h"

namespace sinograd {
namespace avx512 {

struct Lanes {
  static constexpr int64_t width = 16;
  using Float = __m512;
  using Int = __m512i;

  static Float load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Float a) { _mm512_storeu_ps(p, a); }
  static Float all(float a) { return _mm512_set1_ps(a); }
  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float subtract(Float a, Float b) { return _mm512_sub_ps(a, b); }
  static Float multiply(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float multiply_add(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float subtract_product(Float a, Float b, Float c) { return _mm512_fnmadd_ps(b, c, a); }  // a - b c
  // 1 / a to about 1e-7
  static Float reciprocal(Float a) {
    const Float guess = _mm512_rcp14_ps(a);
    return _mm512_mul_ps(guess, _mm512_sub_ps(_mm512_set1_ps(2.0f), _mm512_mul_ps(a, guess)));
  }
  static Float positive(Float a) { return _mm512_max_ps(a, _mm512_setzero_ps()); }
  static Float smaller(Float a, Float b) { return _mm512_min_ps(a, b); }
  static Int floor_element(Float a) { return _mm512_cvt_roundps_epi32(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
  static Float above_floor(Float a) { return _mm512_reduce_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
  static Float number(Int a) { return _mm512_cvtepi32_ps(a); }

  static Int load(const uint32_t* p) { return _mm512_loadu_si512(p); }
  static void store(uint32_t* p, Int a) { _mm512_storeu_si512(p, a); }
  static Int all(uint32_t a) { return _mm512_set1_epi32(int32_t(a)); }
  // *p in all lanes; the ports that calculate stay free
  static Int everywhere(const uint32_t* p) { return _mm512_set1_epi32(int32_t(*p)); }
  static Int numbers() { return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
  static Int add(Int a, Int b) { return _mm512_add_epi32(a, b); }
  static Int subtract(Int a, Int b) { return _mm512_sub_epi32(a, b); }
  static Int multiply(Int a, Int b) { return _mm512_mullo_epi32(a, b); }
  static Int magnitude(Int a) { return _mm512_abs_epi32(a); }
  static Int smaller(Int a, Int b) { return _mm512_min_epi32(a, b); }
  static Int positive(Int a) { return _mm512_max_epi32(a, _mm512_setzero_si512()); }
  static Int both(Int a, Int b) { return _mm512_and_si512(a, b); }
  static Int element(Int position) { return _mm512_srli_epi32(position, FixedPoint<float>::bits); }
  static Int position(Int element) { return _mm512_slli_epi32(element, FixedPoint<float>::bits); }
  static Int nearest(Float a) { return _mm512_cvtps_epi32(a); }
  static Int truncate(Float a) { return _mm512_cvttps_epi32(a); }

  // The first `count` lanes, all if there are more; the others are zero and their memory is not touched.
  static Float load_first(const float* p, int64_t count) { return _mm512_maskz_loadu_ps(first(count), p); }
  static void store_first(float* p, Float a, int64_t count) { _mm512_mask_storeu_ps(p, first(count), a); }
  static void add_product(float* p, Float a, Float b, int64_t count) {
    store_first(p, multiply_add(a, b, load_first(p, count)), count);
  }
  static void add_first(float* p, Float a, int64_t count) { store_first(p, add(load_first(p, count), a), count); }
  static __mmask16 first(int64_t count) { return count >= width ? __mmask16(0xffff) : __mmask16((1u << count) - 1); }

  static Float look_up(Float table, Int index) { return _mm512_permutexvar_ps(index, table); }
  // Elements index (0 to 2 width - 1) of a table of two vectors.
  static Float look_up(Float low, Int index, Float high) { return _mm512_permutex2var_ps(low, index, high); }
  static Int look_up(Int low, Int index, Int high) { return _mm512_permutex2var_epi32(low, index, high); }
  // Whether all lanes are 0 to width - 1.
  static bool in_window(Int a) { return _mm512_test_epi32_mask(a, _mm512_set1_epi32(~int32_t(width - 1))) == 0; }
  static bool are_one(Int a) { return _mm512_cmpneq_epi32_mask(a, _mm512_broadcastd_epi32(_mm512_castsi512_si128(a))) == 0; }
  static int32_t first_of(Int a) { return _mm512_cvtsi512_si32(a); }
  // The low halves of numbers of 64 bits.
  static Int low(const int64_t* p) {
    const Int even = add(numbers(), numbers());
    return _mm512_permutex2var_epi32(_mm512_loadu_si512(p), even, _mm512_loadu_si512(p + 8));
  }
  // Eight places, a vector of samples apart from each other: the elements at multiples of 2^block below them and the
  // rest. Where that is not below `most` (`all`: it always is), the elements just below and the fractions.
  template <int block, bool all>
  static void divide(int64_t place, int64_t step, int64_t most, int64_t* elements, uint32_t* offsets) {
    constexpr int bits = FixedPoint<float>::bits;
    constexpr int64_t one = fixed_one<float>();
    const __m512i samples = _mm512_setr_epi64(0, width, 2 * width, 3 * width, 4 * width, 5 * width, 6 * width, 7 * width);
    const __m512i places = _mm512_add_epi64(_mm512_set1_epi64(place), _mm512_mul_epu32(samples, _mm512_set1_epi64(step)));
    __m512i element = _mm512_slli_epi64(_mm512_srai_epi64(places, bits + block), block);
    __m512i offset = _mm512_and_si512(places, _mm512_set1_epi64((one << block) - 1));
    if constexpr (!all) {
      const __mmask8 beyond = _mm512_cmpge_epi64_mask(offset, _mm512_set1_epi64(most));
      element = _mm512_mask_srai_epi64(element, beyond, places, bits);
      offset = _mm512_mask_and_epi64(offset, beyond, places, _mm512_set1_epi64(one - 1));
    }
    _mm512_store_si512(elements, element);
    _mm256_store_si256(reinterpret_cast<__m256i*>(offsets), _mm512_cvtepi64_epi32(offset));
  }
  // Elements index and index + 1 of every lane.
  static void pairs(const float* p, Int index, Float& first, Float& second) {
    const __m512 a = _mm512_castpd_ps(_mm512_i32gather_pd(_mm512_castsi512_si256(index), p, 4));
    const __m512 b = _mm512_castpd_ps(_mm512_i32gather_pd(_mm512_extracti64x4_epi64(index, 1), p, 4));
    const Int even = add(numbers(), numbers());
    first = _mm512_permutex2var_ps(a, even, b);
    second = _mm512_permutex2var_ps(a, add(even, all(uint32_t(1))), b);
  }
};

}  // namespace avx512
}  // namespace sinograd
