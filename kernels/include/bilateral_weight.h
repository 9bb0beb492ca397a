// The bilateral filter's rules that every processor shares: what a tap weighs, and the numbers that say it.
//
// A neighbour at offset (i, j, k) whose value differs by d weighs exp(-(i^2 / sx^2 + j^2 / sy^2 + k^2 / sz^2 +
// d^2 / sr^2) / 2), computed as 2^e; weights below the smallest normal number are zero. Neighbours outside the volume
// are left out. In the backward pass voxel k has G_k = (dL/dY_k) / w_k and E_k = G_k (Y_k - x_k) - dL/dw_k, and a
// pair (k, n) with x_n - x_k = d carries its weight times
//
//     S = d (G_k - G_n) - E_k - E_n  =  dL/d(weight of k for n) + dL/d(weight of n for k),
//
// the same seen from either side. Sums over n: dL/dx_k = weight G_n + weight S d / sr^2 (the second part goes to the
// guide where there is one; d in S is then the input's difference, elsewhere the guide's). Sums over k and n:
// dL/dsr = weight S d^2 / (2 sr^3), dL/dsx = weight S i^2 / (2 sx^3).
#pragma once

#ifndef SINOGRAD_DEVICE
#define SINOGRAD_DEVICE
#endif

namespace sinograd {

constexpr double kLog2E = 1.4426950408889634;

// The part of the exponent that a difference d contributes is range_scale(sr) d^2.
SINOGRAD_DEVICE inline double range_scale(double sigma) { return -0.5 * kLog2E / (sigma * sigma); }

// The part of the exponent that an offset along one axis contributes.
SINOGRAD_DEVICE inline double spatial_exponent(double offset, double sigma) {
  const double ratio = offset / sigma;
  return -0.5 * kLog2E * ratio * ratio;
}

}  // namespace sinograd
