// What the adjoints along lines share: one element's sum over the samples that read it.
#pragma once

#include "line_neighbours.h"
#include "scan.h"

namespace sinograd {

// The sum of all samples of a line, each by what it reads of the element.
template <class T>
__device__ inline T gathered(const LineMap& map, T inverse, int64_t count, int64_t element, const T* samples) {
  int64_t k, last;
  samples_near<T>(map, inverse, count, element, k, last);
  T sum = T(0);
  for (int64_t position = map.start + k * map.step; k < last; ++k, position += map.step)
    sum = fused(weight_of_element<T>(position, element), samples[k], sum);
  return sum;
}

}  // namespace sinograd
