// The samples of a line around one element of another: the coordinate rule of fixed_point.h read backwards.
//
// Sample k touches element e where its position lies less than one element from e. An adjoint that gathers looks at
// every sample that may, and weighs each by the same index and fraction with which the operator reads e.
#pragma once

#include <cstdint>

#include "fixed_point.h"

namespace sinograd {

// Samples a unit of position; 0 where all samples lie within one element.
template <class T>
inline T samples_a_unit(const LineMap& map, int64_t count) {
  return map.step * count > fixed_one<T>() ? T(1) / T(map.step) : T(0);
}

// Samples [first, last) of [0, count) hold all that touch the element, and perhaps others. `inverse` is as above.
template <class T>
inline void samples_near(const LineMap& map, T inverse, int64_t count, int64_t element, int64_t& first, int64_t& last) {
  first = 0;
  last = count;
  if (inverse == T(0)) return;
  const T middle = T(element * fixed_one<T>() - map.start) * inverse;
  const T reach = T(fixed_one<T>()) * inverse + T(0.01) + T(count) * T(1e-6);  // rounding is far less
  const T low = middle - reach, high = middle + reach, end = T(count);
  if (low > T(0)) first = low < end ? int64_t(low) : count;
  if (high < end) last = high < T(0) ? 0 : int64_t(high) + 1;
  if (last > count) last = count;
}

// What a sample at `position` reads of the element.
template <class T>
inline T weight_of_element(int64_t position, int64_t element) {
  const int64_t away = position - element * fixed_one<T>();
  if (away <= -fixed_one<T>() || away >= fixed_one<T>()) return T(0);
  const T fraction = fixed_fraction<T>(position);
  return away < 0 ? fraction : T(1) - fraction;
}

}  // namespace sinograd
