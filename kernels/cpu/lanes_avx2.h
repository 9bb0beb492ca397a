// Eight rays or voxels at a time for ray_lanes.h and voxel_lanes.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "fixed_point.h"

namespace sinograd {
namespace avx2 {

struct Lanes {
  static constexpr int64_t width = 8;
  using Float = __m256;
  using Int = __m256i;

  static Float load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Float a) { _mm256_storeu_ps(p, a); }
  static Float all(float a) { return _mm256_set1_ps(a); }
  static Float add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float subtract(Float a, Float b) { return _mm256_sub_ps(a, b); }
  static Float multiply(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float multiply_add(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float subtract_product(Float a, Float b, Float c) { return _mm256_fnmadd_ps(b, c, a); }  // a - b c
  // 1 / a to about 1e-7
  static Float reciprocal(Float a) {
    const Float guess = _mm256_rcp_ps(a);
    return _mm256_mul_ps(guess, _mm256_sub_ps(_mm256_set1_ps(2.0f), _mm256_mul_ps(a, guess)));
  }
  static Float positive(Float a) { return _mm256_max_ps(a, _mm256_setzero_ps()); }
  static Float smaller(Float a, Float b) { return _mm256_min_ps(a, b); }
  static Int floor_element(Float a) { return _mm256_cvttps_epi32(_mm256_floor_ps(a)); }
  static Float above_floor(Float a) { return _mm256_sub_ps(a, _mm256_floor_ps(a)); }
  static Float number(Int a) { return _mm256_cvtepi32_ps(a); }

  static Int load(const uint32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static void store(uint32_t* p, Int a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a); }
  static Int all(uint32_t a) { return _mm256_set1_epi32(int32_t(a)); }
  // *p in all lanes; the ports that calculate stay free
  static Int everywhere(const uint32_t* p) { return _mm256_castps_si256(_mm256_broadcast_ss(reinterpret_cast<const float*>(p))); }
  static Int numbers() { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
  static Int add(Int a, Int b) { return _mm256_add_epi32(a, b); }
  static Int subtract(Int a, Int b) { return _mm256_sub_epi32(a, b); }
  static Int multiply(Int a, Int b) { return _mm256_mullo_epi32(a, b); }
  static Int magnitude(Int a) { return _mm256_abs_epi32(a); }
  static Int smaller(Int a, Int b) { return _mm256_min_epi32(a, b); }
  static Int positive(Int a) { return _mm256_max_epi32(a, _mm256_setzero_si256()); }
  static Int both(Int a, Int b) { return _mm256_and_si256(a, b); }
  static Int element(Int position) { return _mm256_srli_epi32(position, FixedPoint<float>::bits); }
  static Int position(Int element) { return _mm256_slli_epi32(element, FixedPoint<float>::bits); }
  static Int nearest(Float a) { return _mm256_cvtps_epi32(a); }
  static Int truncate(Float a) { return _mm256_cvttps_epi32(a); }

  // The first `count` lanes, all if there are more; the others are zero and their memory is not touched.
  static Float load_first(const float* p, int64_t count) { return count >= width ? load(p) : _mm256_maskload_ps(p, first(count)); }
  static void store_first(float* p, Float a, int64_t count) { count >= width ? store(p, a) : _mm256_maskstore_ps(p, first(count), a); }
  static void add_product(float* p, Float a, Float b, int64_t count) {
    store_first(p, multiply_add(a, b, load_first(p, count)), count);
  }
  static void add_first(float* p, Float a, int64_t count) { store_first(p, add(load_first(p, count), a), count); }
  static Int first(int64_t count) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(int32_t(count)), numbers()); }

  static Float look_up(Float table, Int index) { return _mm256_permutevar8x32_ps(table, index); }
  // Elements index (0 to 2 width - 1) of a table of two vectors.
  static Float look_up(Float low, Int index, Float high) {
    const __m256 a = _mm256_permutevar8x32_ps(low, index), b = _mm256_permutevar8x32_ps(high, index);
    return _mm256_blendv_ps(a, b, _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
  }
  static Int look_up(Int low, Int index, Int high) {
    return _mm256_castps_si256(look_up(_mm256_castsi256_ps(low), index, _mm256_castsi256_ps(high)));
  }
  // Whether all lanes are 0 to width - 1.
  static bool in_window(Int a) { return _mm256_testz_si256(a, _mm256_set1_epi32(~int32_t(width - 1))) != 0; }
  static bool are_one(Int a) {
    return _mm256_movemask_epi8(_mm256_cmpeq_epi32(a, _mm256_broadcastd_epi32(_mm256_castsi256_si128(a)))) == -1;
  }
  static int32_t first_of(Int a) { return _mm256_cvtsi256_si32(a); }
  // The low halves of numbers of 64 bits.
  static Int low(const int64_t* p) {
    const __m256 a = _mm256_loadu_ps(reinterpret_cast<const float*>(p)), b = _mm256_loadu_ps(reinterpret_cast<const float*>(p + 4));
    return _mm256_permute4x64_epi64(_mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88)), 0xd8);
  }
  // Eight places, a vector of samples apart from each other: the elements below them and the fractions. Units for vectors
  // have enough to do.
  template <int block, bool>
  static void divide(int64_t place, int64_t step, int64_t, int64_t* elements, uint32_t* offsets) {
    static_assert(block == 0, "windows of two vectors are too short for others");
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v, place += width * step) {
      uint32_t fraction = uint32_t(place) & uint32_t(fixed_one<float>() - 1);
      asm("" : "+r"(fraction));  // one by one: vectors of scalars are dear
      offsets[v] = fraction;
      elements[v] = place >> FixedPoint<float>::bits;
    }
  }
  // Elements index and index + 1 of every lane.
  static void pairs(const float* p, Int index, Float& first, Float& second) {
    const __m256i turned = _mm256_permute4x64_epi64(index, 0xd8);  // shuffles take the halves apart
    const double* from = reinterpret_cast<const double*>(p);
    const __m256 a = _mm256_castpd_ps(_mm256_i32gather_pd(from, _mm256_castsi256_si128(turned), 4));
    const __m256 b = _mm256_castpd_ps(_mm256_i32gather_pd(from, _mm256_extracti128_si256(turned, 1), 4));
    first = _mm256_shuffle_ps(a, b, 0x88);
    second = _mm256_shuffle_ps(a, b, 0xdd);
  }
};

}  // namespace avx2
}  // namespace sinograd
