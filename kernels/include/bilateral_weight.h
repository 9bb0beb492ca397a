// The bilateral filter's rules that every processor shares: what a neighbour weighs, and what the gradients are.
//
// A neighbour at offset (i, j, k) whose value differs by d weighs exp(-(i^2 / sx^2 + j^2 / sy^2 + k^2 / sz^2 +
// d^2 / sr^2) / 2), computed as 2^e with e = scale(sx) i^2 + ... + scale(sr) d^2; weights below the smallest normal
// number are zero. Neighbours outside the volume are left out. In the backward pass voxel k has G_k = (dL/dY_k) / w_k
// and E_k = G_k (Y_k - x_k) - dL/dw_k, and a pair (k, n) with x_n - x_k = d carries its weight times
//
//     S = d (G_k - G_n) - E_k - E_n  =  dL/d(weight of k for n) + dL/d(weight of n for k),
//
// the same seen from either side. Sums over n: dL/dx_k = weight G_n + slope(sr) weight S d (the second part goes to the
// guide where there is one; d in S is then the input's difference, elsewhere the guide's). Sums over k and n:
// dL/dsr = weight S d^2 / (2 sr^3), dL/dsx = weight S i^2 / (2 sx^3).
#pragma once

namespace sinograd {

template <class T>
struct Largest;
template <>
struct Largest<float> {
  static constexpr double value = 3.4028234663852886e38;
};
template <>
struct Largest<double> {
  static constexpr double value = 1.7976931348623157e308;
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

template <class T>
inline T gaussian_slope(double sigma) {
  return finite<T>(1 / (sigma * sigma));
}

// dL / dsigma from the sum over all pairs of weight S offset^2.
inline double sigma_gradient(double sum, double sigma) { return sum / (2 * sigma * sigma * sigma); }

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
