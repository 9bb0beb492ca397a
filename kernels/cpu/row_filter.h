// Detector rows weighted and convolved, sixteen at a time, by Fourier transforms. Results depend neither on the number
// of threads nor on which rows are filtered together.
#pragma once

#include <cstdint>

namespace sinograd {

// A convolution on a circle of `size` samples (even, with prime factors 2, 3 and 5).
//
// Two real samples are one complex point: z[n] = x[2 n] + i x[2 n + 1], with spectrum Z of size / 2 frequencies. With
// H[k] the kernel's spectrum, S = (H[k] + H[k + size / 2]) / 2, D = (H[k] - H[k + size / 2]) / 2 and t = 2 pi k / size,
// the convolved row has
//   (S - D sin t) Z[k] + i D cos t conj(Z[-k]).
template <class T>
struct RowFilter {
  int64_t size;
  const T* roots;     // [size][2]: exp(-2 pi i k / size)
  const T* response;  // [size / 2][4]: both factors, real and imaginary parts, divided by size / 2
  int64_t before;     // samples of zero before a row's first one
  int64_t columns;    // of a row
  int64_t first;      // sample of the convolved row that is kept first
  int64_t kept;
};

// What a row is multiplied with: factors of pixels [rows][columns] and of columns [views][columns] (or [1][columns]),
// each null if there is none. Row i is row i % rows of view i / rows % views.
template <class T>
struct RowWeights {
  const T* of_pixels;
  const T* of_columns;
  int64_t rows, views;
};

// Pixels [rows][columns] interpolated in images [held][real_columns]: four rows and four columns each, [pixels][4]. They
// are rows `first` on of results with `all` rows.
template <class T>
struct PixelTaps {
  const int32_t *row, *column;
  const T *down, *across;
  int64_t rows, columns;
  int64_t held, real_columns;
  int64_t first, all;
};

template <class T>
struct RowFilters {
  // Rows [count][columns] to [count][kept].
  void (*rows)(const T* rows, int64_t count, const RowFilter<T>& filter, const RowWeights<T>& weights, T* out);

  // Images [count][held][real_columns], interpolated at the same places, to [count][all][kept].
  void (*images)(const T* images, int64_t count, const PixelTaps<T>& taps, const RowFilter<T>& filter,
                 const RowWeights<T>& weights, T* out);
};

// For the instruction set in use.
template <class T>
const RowFilters<T>& row_filters();

}  // namespace sinograd
