// Vectors of floats and doubles in AVX2 and FMA; see vectors_avx512.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "exponential.h"

namespace sinograd {
namespace avx2 {

struct Floats {
  using Scalar = float;
  using Lanes = __m256i;
  static constexpr int64_t width = 8;
  __m256 v;

  static Floats broadcast(float value) { return {_mm256_set1_ps(value)}; }
  static Lanes lanes(int64_t first, int64_t count) {
    const int64_t low = first < -width ? -width : first, high = count - first < width ? count - first : width;
    const __m256i l = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_and_si256(_mm256_cmpgt_epi32(l, _mm256_set1_epi32(int32_t(-1 - low))),
                            _mm256_cmpgt_epi32(_mm256_set1_epi32(int32_t(high < 0 ? 0 : high)), l));
  }
  static Floats load(const float* from) { return {_mm256_loadu_ps(from)}; }
  static Floats load(const float* from, Lanes lanes) { return {_mm256_maskload_ps(from, lanes)}; }
  void store(float* to) const { _mm256_storeu_ps(to, v); }
  void store(float* to, Lanes lanes) const { _mm256_maskstore_ps(to, lanes, v); }
  Floats only(Lanes lanes) const { return {_mm256_and_ps(v, _mm256_castsi256_ps(lanes))}; }
};

struct Doubles {
  using Scalar = double;
  using Lanes = __m256i;
  static constexpr int64_t width = 4;
  __m256d v;

  static Doubles broadcast(double value) { return {_mm256_set1_pd(value)}; }
  static Lanes lanes(int64_t first, int64_t count) {
    const __m256i l = _mm256_setr_epi64x(0, 1, 2, 3);
    return _mm256_and_si256(_mm256_cmpgt_epi64(l, _mm256_set1_epi64x(-1 - first)),
                            _mm256_cmpgt_epi64(_mm256_set1_epi64x(count - first), l));
  }
  static Doubles load(const double* from) { return {_mm256_loadu_pd(from)}; }
  static Doubles load(const double* from, Lanes lanes) { return {_mm256_maskload_pd(from, lanes)}; }
  void store(double* to) const { _mm256_storeu_pd(to, v); }
  void store(double* to, Lanes lanes) const { _mm256_maskstore_pd(to, lanes, v); }
  Doubles only(Lanes lanes) const { return {_mm256_and_pd(v, _mm256_castsi256_pd(lanes))}; }
};

inline Floats operator+(Floats a, Floats b) { return {_mm256_add_ps(a.v, b.v)}; }
inline Floats operator-(Floats a, Floats b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline Floats operator*(Floats a, Floats b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline Floats operator/(Floats a, Floats b) { return {_mm256_div_ps(a.v, b.v)}; }
inline Doubles operator+(Doubles a, Doubles b) { return {_mm256_add_pd(a.v, b.v)}; }
inline Doubles operator-(Doubles a, Doubles b) { return {_mm256_sub_pd(a.v, b.v)}; }
inline Doubles operator*(Doubles a, Doubles b) { return {_mm256_mul_pd(a.v, b.v)}; }
inline Doubles operator/(Doubles a, Doubles b) { return {_mm256_div_pd(a.v, b.v)}; }

inline Floats fma(Floats a, Floats b, Floats c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline Floats fms(Floats a, Floats b, Floats c) { return {_mm256_fmsub_ps(a.v, b.v, c.v)}; }
inline Doubles fma(Doubles a, Doubles b, Doubles c) { return {_mm256_fmadd_pd(a.v, b.v, c.v)}; }
inline Doubles fms(Doubles a, Doubles b, Doubles c) { return {_mm256_fmsub_pd(a.v, b.v, c.v)}; }

inline double sum(Doubles a) {
  const __m128d halves = _mm_add_pd(_mm256_castpd256_pd128(a.v), _mm256_extractf128_pd(a.v, 1));
  return _mm_cvtsd_f64(halves) + _mm_cvtsd_f64(_mm_unpackhi_pd(halves, halves));
}
inline double sum(Floats a) {
  const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(a.v));
  return sum(Doubles{_mm256_add_pd(low, _mm256_cvtps_pd(_mm256_extractf128_ps(a.v, 1)))});
}

inline Floats exp2_of_negative(Floats e) {
  const __m256 magic = _mm256_set1_ps(Exp2<float>::magic);
  const __m256 whole = _mm256_add_ps(e.v, magic);
  const Floats p = exp2_of_fraction(Floats{_mm256_sub_ps(e.v, _mm256_sub_ps(whole, magic))});
  const __m256 counts = _mm256_cmp_ps(e.v, _mm256_set1_ps(Exp2<float>::lowest), _CMP_NLT_UQ);
  const __m256i power = _mm256_slli_epi32(_mm256_castps_si256(whole), 23);
  return {_mm256_and_ps(counts, _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p.v), power)))};
}
inline Doubles exp2_of_negative(Doubles e) {
  const __m256d magic = _mm256_set1_pd(Exp2<double>::magic);
  const __m256d whole = _mm256_add_pd(e.v, magic);
  const Doubles p = exp2_of_fraction(Doubles{_mm256_sub_pd(e.v, _mm256_sub_pd(whole, magic))});
  const __m256d counts = _mm256_cmp_pd(e.v, _mm256_set1_pd(Exp2<double>::lowest), _CMP_NLT_UQ);
  const __m256i power = _mm256_slli_epi64(_mm256_castpd_si256(whole), 52);
  return {_mm256_and_pd(counts, _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(p.v), power)))};
}

}  // namespace avx2
}  // namespace sinograd
