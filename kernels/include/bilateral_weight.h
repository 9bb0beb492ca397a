// The bilateral filter's rules that every processor shares: what a neighbour weighs, and what the gradients are.
//
// A neighbour at offset (i, j, k) whose value differs by d weighs exp(-(i^2 / sx^2 + j^2 / sy^2 + k^2 / sz^2 +
// d^2 / sr^2) / 2), computed as 2^e with e = scale(sx) i^2 + ... + scale(sr) d^2; weights below the smallest normal
// number are zero. Neighbours outside the volume are left out. Squares of d leave the range of float where values are
// beyond 1e19 or below 1e-20; so kernels square r = d u, where u is the power of two that brings sr near one, and use
// su = sr u in its place: the same bits for ordinary values. In the backward pass voxel k has G_k = (dL/dY_k) / w_k
// and E_k = G_k (Y_k - x_k) - dL/dw_k, and a pair (k, n) with x_n - x_k = d carries its weight times
//
//     S = d (G_k - G_n) - E_k - E_n  =  dL/d(weight of k for n) + dL/d(weight of n for k),
//
// the same seen from either side. Sums over n: dL/dx_k = weight G_n + u / su^2 weight S r (the second part goes to the
// guide where there is one; d in S is then the input's difference, elsewhere the guide's). Sums over k and n:
// dL/dsr = weight S r^2 / (2 sr su^2), dL/dsx = weight S i^2 / (2 sx^3).
#pragma once

#ifndef __CUDACC_RTC__
#include <cmath>
#endif

namespace sinograd {

template <class T>
struct Largest;
template <>
struct Largest<float> {
  static constexpr double value = 3.4028234663852886e38;
  static constexpr int exponent = 120;  // of the largest unit; not the very last, so that u / su^2 is finite
};
template <>
struct Largest<double> {
  static constexpr double value = 1.7976931348623157e308;
  static constexpr int exponent = 1000;
};

// Infinity would make NaN of a difference of zero.
template <class T>
inline T finite(double value) {
  const double limit = Largest<T>::value;
  return T(value > limit ? limit : value < -limit ? -limit : value);
}

inline double gaussian_exponent(double offset, double sigma) {
  const double ratio = offset / sigma;
  return -0.5 * 1.4426950408889634 * ratio * ratio;  // log2(e)
}

// An offset adds its square times this to the exponent.
template <class T>
inline T gaussian_scale(double sigma) {
  return finite<T>(-0.5 * 1.4426950408889634 / (sigma * sigma));
}

// How kernels measure differences of values: `unit` is u, a power of two; r adds r^2 `scale` to the exponent; `slope` is
// u / su^2.
template <class T>
struct RangeUnit {
  double unit;
  T scale, slope;

  explicit RangeUnit(double sigma) {
    constexpr int most = Largest<T>::exponent;
    int exponent = 0;
    frexp(sigma, &exponent);
    exponent = exponent > most ? most : exponent < -most ? -most : exponent;
    unit = ldexp(1.0, -exponent);
    const double scaled = sigma * unit;
    scale = gaussian_scale<T>(scaled);
    slope = finite<T>(unit / (scaled * scaled));
  }
};

// dL / dsigma from the sum over all pairs of weight S offset^2.
inline double sigma_gradient(double sum, double sigma) { return sum / (2 * sigma * sigma * sigma); }

// dL / dsr from the sum over all pairs of weight S r^2.
inline double range_gradient(double sum, double sigma, double unit) {
  const double scaled = sigma * unit;
  return sum / (2 * scaled * scaled) / sigma;
}

// G and E of one voxel.
template <class T>
struct PulledBack {
  T scaled, excess;
};
template <class T>
inline PulledBack<T> pull_back_normalisation(T grad_output, T grad_normaliser, T x, T output, T normaliser) {
  const T scaled = grad_output / normaliser;
  return {scaled, scaled * (output - x) - grad_normaliser};
}

}  // namespace sinograd
