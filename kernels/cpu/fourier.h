// Fourier transforms of sixteen rows at a time, one row a lane: rows [point][real, imaginary][lane], in place. The forward
// transform (decimation in frequency) leaves its result in the order of `frequency_places`, from which the inverse one
// (decimation in time, not divided by the number of points) takes it, so that nothing is put in order in between. A
// row's bits depend on nothing but the row. Compiled once per instruction set (SINOGRAD_ISA).
#pragma once

#include <cstdint>
#include <type_traits>

#include "vectors.h"

namespace sinograd {
namespace SINOGRAD_ISA {

constexpr int64_t kRows = 16;

template <class T>
using VectorOf = std::conditional_t<std::is_same_v<T, float>, Floats, Doubles>;

// exp(-2 pi i k / size) for k < size, [size][real, imaginary].
template <class T>
struct Roots {
  const T* values;
  int64_t size;
};

template <class V>
struct Complex {
  V re, im;
};

template <class V>
inline Complex<V> operator+(Complex<V> a, Complex<V> b) { return {a.re + b.re, a.im + b.im}; }
template <class V>
inline Complex<V> operator-(Complex<V> a, Complex<V> b) { return {a.re - b.re, a.im - b.im}; }
template <class V>
inline Complex<V> scaled(Complex<V> a, V b) { return {a.re * b, a.im * b}; }
// a + b c of a real c
template <class V>
inline Complex<V> plus(Complex<V> a, Complex<V> b, V c) { return {fma(b.re, c, a.re), fma(b.im, c, a.im)}; }
// a -+ i b, of the forward and of the inverse transform
template <bool forward, class V>
inline Complex<V> turned(Complex<V> a, Complex<V> b) {
  if constexpr (forward) return {a.re + b.im, a.im - b.re};
  return {a.re - b.im, a.im + b.re};
}
// a w or a conj(w)
template <bool forward, class V>
inline Complex<V> times(Complex<V> a, V re, V im) {
  if constexpr (forward) return {fms(a.re, re, a.im * im), fma(a.re, im, a.im * re)};
  return {fma(a.re, re, a.im * im), fms(a.im, re, a.re * im)};
}

// The transform of as many points as its name says, in registers.
template <int radix, bool forward, class V>
inline __attribute__((always_inline)) void transform_points(Complex<V>* x) {
  using T = typename V::Scalar;
  const auto number = [](double value) { return V::broadcast(T(value)); };
  if constexpr (radix == 2) {
    const Complex<V> a = x[0], b = x[1];
    x[0] = a + b;
    x[1] = a - b;
  } else if constexpr (radix == 3) {
    const Complex<V> sum = x[1] + x[2], apart = scaled(x[1] - x[2], number(0.86602540378443864676));
    const Complex<V> middle = plus(x[0], sum, number(-0.5));
    x[0] = x[0] + sum;
    x[1] = turned<forward>(middle, apart);
    x[2] = turned<!forward>(middle, apart);
  } else if constexpr (radix == 4) {
    const Complex<V> a = x[0] + x[2], b = x[0] - x[2], c = x[1] + x[3], d = x[1] - x[3];
    x[0] = a + c;
    x[1] = turned<forward>(b, d);
    x[2] = a - c;
    x[3] = turned<!forward>(b, d);
  } else {
    static_assert(radix == 5);
    const V c1 = number(0.30901699437494742410), c2 = number(-0.80901699437494742410);
    const V s1 = number(0.95105651629515357212), s2 = number(0.58778525229247312917);
    const Complex<V> a = x[1] + x[4], b = x[2] + x[3], c = x[1] - x[4], d = x[2] - x[3];
    const Complex<V> near = plus(plus(x[0], a, c1), b, c2), far = plus(plus(x[0], a, c2), b, c1);
    const Complex<V> one = plus(scaled(c, s1), d, s2), two = plus(scaled(c, s2), d, number(0.0) - s1);
    x[0] = x[0] + a + b;
    x[1] = turned<forward>(near, one);
    x[2] = turned<forward>(far, two);
    x[3] = turned<!forward>(far, two);
    x[4] = turned<!forward>(near, one);
  }
}

// One pass over n points: the forward one ends with the factors of each, the inverse one begins with them.
template <int radix, bool forward, class T>
void pass(T* rows, int64_t n, Roots<T> roots) {
  using V = VectorOf<T>;
  const int64_t part = n / radix, turn = roots.size / n;
  for (int64_t j = 0; j < part; ++j)
    for (int64_t lane = 0; lane < kRows; lane += V::width) {
      T* points = rows + 2 * kRows * j + lane;
      Complex<V> x[radix];
      for (int r = 0; r < radix; ++r) {
        const T* point = points + 2 * kRows * part * r;
        x[r] = {V::load(point), V::load(point + kRows)};
        if constexpr (!forward)
          if (r > 0 && j > 0) {
            const T* root = roots.values + 2 * turn * j * r;
            x[r] = times<false>(x[r], V::broadcast(root[0]), V::broadcast(root[1]));
          }
      }
      transform_points<radix, forward>(x);
      for (int r = 0; r < radix; ++r) {
        if constexpr (forward)
          if (r > 0 && j > 0) {
            const T* root = roots.values + 2 * turn * j * r;
            x[r] = times<true>(x[r], V::broadcast(root[0]), V::broadcast(root[1]));
          }
        T* point = points + 2 * kRows * part * r;
        x[r].re.store(point);
        x[r].im.store(point + kRows);
      }
    }
}

// The radix of the first pass over n points, whose prime factors are 2, 3 and 5.
inline int first_radix(int64_t n) { return n % 5 == 0 ? 5 : n % 3 == 0 ? 3 : n % 4 == 0 ? 4 : 2; }

template <bool forward, class T>
void passes(T* rows, int64_t n, Roots<T> roots) {
  const int radix = first_radix(n);
  if (radix == 2)
    pass<2, forward>(rows, n, roots);
  else if (radix == 3)
    pass<3, forward>(rows, n, roots);
  else if (radix == 4)
    pass<4, forward>(rows, n, roots);
  else
    pass<5, forward>(rows, n, roots);
}

// Part by part, so that parts stay in the first-level cache.
template <class T>
void transform(T* rows, int64_t n, Roots<T> roots) {
  if (n == 1) return;
  passes<true>(rows, n, roots);
  const int64_t part = n / first_radix(n);
  for (int64_t start = 0; start < n; start += part) transform(rows + 2 * kRows * start, part, roots);
}

template <class T>
void transform_back(T* rows, int64_t n, Roots<T> roots) {
  if (n == 1) return;
  const int64_t part = n / first_radix(n);
  for (int64_t start = 0; start < n; start += part) transform_back(rows + 2 * kRows * start, part, roots);
  passes<false>(rows, n, roots);
}

// places[k]: where `transform` of n points leaves frequency k.
inline void frequency_places(int64_t n, int32_t* places, int64_t start = 0, int64_t frequency = 0, int64_t step = 1) {
  if (n == 1) {
    places[frequency] = int32_t(start);
    return;
  }
  const int radix = first_radix(n);
  for (int r = 0; r < radix; ++r)
    frequency_places(n / radix, places, start + n / radix * r, frequency + step * r, step * radix);
}

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
