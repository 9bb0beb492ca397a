// The bilateral filter on the CPU. Arrays are contiguous, [batch][z][y][x]; an image is a volume with one z and a
// window with no extent along it. Results do not depend on the number of threads.
#pragma once

#include <cstdint>

#include "operators.h"

namespace sinograd {

struct BilateralFilter {
  int64_t batch, shape[3];  // z, y, x
  int64_t radius[3];        // of the window
  double sigma_spatial[3];  // voxels
  double sigma_range;       // units of the guide
};

template <class T>
struct BilateralKernels {
  // `guide` is x itself for the plain filter.
  void (*forward)(const T* x, const T* guide, T* output, T* normaliser, const BilateralFilter& filter, Interruption stop);

  // Gradients from those of the output and (unless null) of the normaliser. For the plain filter `guide` is x and
  // grad_guide is not used. `grad_sigmas`: z, y, x, range.
  void (*backward)(const T* grad_output, const T* grad_normaliser, const T* x, const T* guide, const T* output,
                   const T* normaliser, T* grad_x, T* grad_guide, double* grad_sigmas, const BilateralFilter& filter,
                   Interruption stop);
};

// For the instruction set in use.
template <class T>
const BilateralKernels<T>& bilateral_kernels();

}  // namespace sinograd
