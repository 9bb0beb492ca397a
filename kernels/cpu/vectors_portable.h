// Vectors of floats and doubles for any processor: 16 bytes of the compiler's own vector type, which becomes SSE2, NEON
// or plain code; see vectors_avx512.h.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "exponential.h"

namespace sinograd {
namespace portable {

template <class T, class Bits>
struct Vector {
  using Scalar = T;
  typedef T Values __attribute__((vector_size(16)));
  typedef Bits Lanes __attribute__((vector_size(16)));
  static constexpr int64_t width = 16 / sizeof(T);
  Values v;

  static Vector broadcast(T value) { return {Values{} + value}; }
  static Lanes lanes(int64_t first, int64_t count) {
    Lanes lanes;
    for (int64_t l = 0; l < width; ++l) lanes[l] = Bits(first + l >= 0 && first + l < count ? -1 : 0);
    return lanes;
  }
  static Vector load(const T* from) {
    Vector a;
    std::memcpy(&a.v, from, sizeof a.v);
    return a;
  }
  static Vector load(const T* from, Lanes lanes) {
    Vector a = broadcast(T(0));
    for (int64_t l = 0; l < width; ++l)
      if (lanes[l]) a.v[l] = from[l];
    return a;
  }
  void store(T* to) const { std::memcpy(to, &v, sizeof v); }
  void store(T* to, Lanes lanes) const {
    for (int64_t l = 0; l < width; ++l)
      if (lanes[l]) to[l] = v[l];
  }
  Vector only(Lanes lanes) const { return {Values(Lanes(v) & lanes)}; }
};

using Floats = Vector<float, int32_t>;
using Doubles = Vector<double, int64_t>;

template <class T, class B>
inline Vector<T, B> operator+(Vector<T, B> a, Vector<T, B> b) { return {a.v + b.v}; }
template <class T, class B>
inline Vector<T, B> operator-(Vector<T, B> a, Vector<T, B> b) { return {a.v - b.v}; }
template <class T, class B>
inline Vector<T, B> operator*(Vector<T, B> a, Vector<T, B> b) { return {a.v * b.v}; }
template <class T, class B>
inline Vector<T, B> operator/(Vector<T, B> a, Vector<T, B> b) { return {a.v / b.v}; }
template <class T, class B>
inline Vector<T, B> fma(Vector<T, B> a, Vector<T, B> b, Vector<T, B> c) { return {a.v * b.v + c.v}; }
template <class T, class B>
inline Vector<T, B> fms(Vector<T, B> a, Vector<T, B> b, Vector<T, B> c) { return {a.v * b.v - c.v}; }

template <class T, class B>
inline double sum(Vector<T, B> a) {
  double total = 0.0;
  for (int64_t l = 0; l < Vector<T, B>::width; ++l) total += double(a.v[l]);
  return total;
}

template <class T, class B>
inline Vector<T, B> exp2_of_negative(Vector<T, B> e) {
  using V = Vector<T, B>;
  constexpr int mantissa = sizeof(T) == 4 ? 23 : 52;
  const typename V::Values magic = V::broadcast(Exp2<T>::magic).v, whole = e.v + magic;
  const V p = exp2_of_fraction(V{e.v - (whole - magic)});
  const typename V::Lanes counts = ~(e.v < V::broadcast(Exp2<T>::lowest).v);
  typedef typename std::make_unsigned<B>::type Unsigned __attribute__((vector_size(16)));
  const Unsigned power = Unsigned(whole) << mantissa;
  return {typename V::Values((Unsigned(p.v) + power) & Unsigned(counts))};
}

}  // namespace portable
}  // namespace sinograd
