// Vectors of floats and doubles in AVX-512, as kernels that are written once for all instruction sets see them.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "exponential.h"

namespace sinograd {
namespace avx512 {

// The lanes l of `width` with 0 <= first + l < count, as bits.
inline uint32_t lanes_within(int64_t width, int64_t first, int64_t count) {
  const int64_t low = first < 0 ? -first : 0, high = count - first < width ? count - first : width;
  return low >= high ? 0u : ((1u << high) - 1u) & ~((1u << low) - 1u);
}

struct Floats {
  using Scalar = float;
  using Lanes = __mmask16;
  static constexpr int64_t width = 16;
  __m512 v;

  static Floats broadcast(float value) { return {_mm512_set1_ps(value)}; }
  static Lanes lanes(int64_t first, int64_t count) { return Lanes(lanes_within(width, first, count)); }
  static Floats load(const float* from) { return {_mm512_loadu_ps(from)}; }
  // Zero in the other lanes, whose memory is not touched.
  static Floats load(const float* from, Lanes lanes) { return {_mm512_maskz_loadu_ps(lanes, from)}; }
  void store(float* to) const { _mm512_storeu_ps(to, v); }
  void store(float* to, Lanes lanes) const { _mm512_mask_storeu_ps(to, lanes, v); }
  Floats only(Lanes lanes) const { return {_mm512_maskz_mov_ps(lanes, v)}; }
};

struct Doubles {
  using Scalar = double;
  using Lanes = __mmask8;
  static constexpr int64_t width = 8;
  __m512d v;

  static Doubles broadcast(double value) { return {_mm512_set1_pd(value)}; }
  static Lanes lanes(int64_t first, int64_t count) { return Lanes(lanes_within(width, first, count)); }
  static Doubles load(const double* from) { return {_mm512_loadu_pd(from)}; }
  static Doubles load(const double* from, Lanes lanes) { return {_mm512_maskz_loadu_pd(lanes, from)}; }
  void store(double* to) const { _mm512_storeu_pd(to, v); }
  void store(double* to, Lanes lanes) const { _mm512_mask_storeu_pd(to, lanes, v); }
  Doubles only(Lanes lanes) const { return {_mm512_maskz_mov_pd(lanes, v)}; }
};

inline Floats operator+(Floats a, Floats b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Floats operator-(Floats a, Floats b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Floats operator*(Floats a, Floats b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Floats operator/(Floats a, Floats b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Doubles operator+(Doubles a, Doubles b) { return {_mm512_add_pd(a.v, b.v)}; }
inline Doubles operator-(Doubles a, Doubles b) { return {_mm512_sub_pd(a.v, b.v)}; }
inline Doubles operator*(Doubles a, Doubles b) { return {_mm512_mul_pd(a.v, b.v)}; }
inline Doubles operator/(Doubles a, Doubles b) { return {_mm512_div_pd(a.v, b.v)}; }

// a b + c and a b - c
inline Floats fma(Floats a, Floats b, Floats c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Floats fms(Floats a, Floats b, Floats c) { return {_mm512_fmsub_ps(a.v, b.v, c.v)}; }
inline Doubles fma(Doubles a, Doubles b, Doubles c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
inline Doubles fms(Doubles a, Doubles b, Doubles c) { return {_mm512_fmsub_pd(a.v, b.v, c.v)}; }

// Sum of the lanes in double precision, always in the same order.
inline double sum(Doubles a) { return _mm512_reduce_add_pd(a.v); }
inline double sum(Floats a) {
  const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(a.v));
  const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(a.v, 1));
  return _mm512_reduce_add_pd(_mm512_add_pd(low, high));
}

// 2^e for e <= 0, zero below the lowest exponent, NaN for NaN.
inline Floats exp2_of_negative(Floats e) {
  const __m512 magic = _mm512_set1_ps(Exp2<float>::magic);
  const __m512 whole = _mm512_add_ps(e.v, magic);
  const Floats p = exp2_of_fraction(Floats{_mm512_sub_ps(e.v, _mm512_sub_ps(whole, magic))});
  const __mmask16 counts = _mm512_cmp_ps_mask(e.v, _mm512_set1_ps(Exp2<float>::lowest), _CMP_NLT_UQ);
  const __m512i power = _mm512_slli_epi32(_mm512_castps_si512(whole), 23);
  return {_mm512_castsi512_ps(_mm512_maskz_add_epi32(counts, _mm512_castps_si512(p.v), power))};
}
inline Doubles exp2_of_negative(Doubles e) {
  const __m512d magic = _mm512_set1_pd(Exp2<double>::magic);
  const __m512d whole = _mm512_add_pd(e.v, magic);
  const Doubles p = exp2_of_fraction(Doubles{_mm512_sub_pd(e.v, _mm512_sub_pd(whole, magic))});
  const __mmask8 counts = _mm512_cmp_pd_mask(e.v, _mm512_set1_pd(Exp2<double>::lowest), _CMP_NLT_UQ);
  const __m512i power = _mm512_slli_epi64(_mm512_castpd_si512(whole), 52);
  return {_mm512_castsi512_pd(_mm512_maskz_add_epi64(counts, _mm512_castpd_si512(p.v), power))};
}

}  // namespace avx512
}  // namespace sinograd
