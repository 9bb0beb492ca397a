// The coordinate rule shared by every operator that walks a line of equally spaced samples.
//
// Sample k of a line lies at position(k) = start + k * step on the other line, in units of 2^-bits of its
// elements. Both numbers are integers, so a position is exact however it is reached (by multiplication, by
// increments, sixteen lanes at a time, forwards or in the adjoint), and the operator and its adjoint see the
// same index and the same fraction. Floating-point increments differ from one another by 1e-5 and more.
//
// Resolution: float32 lines use 27 bits (7e-9 elements; 16 lanes of 32 bits hold steps below 2 exactly),
// float64 lines 40 bits.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

namespace sinograd {

template <class T>
struct FixedPoint;

template <>
struct FixedPoint<float> {
  static constexpr int bits = 27;
};

template <>
struct FixedPoint<double> {
  static constexpr int bits = 40;
};

// Positions of samples 0, 1, 2, ... of one line on another.
struct LineMap {
  int64_t start;
  int64_t step;
};

// Largest coordinate, in elements, that a line may reach; beyond it the line misses the other one anyway.
constexpr double kFarthestElement = 4.0e6;

template <class T>
constexpr int64_t fixed_one() {
  return int64_t(1) << FixedPoint<T>::bits;
}

// The element at or below a position.
template <class T>
inline int64_t fixed_index(int64_t position) {
  return position >> FixedPoint<T>::bits;
}

// How far the position lies beyond that element, in [0, 1].
template <class T>
inline T fixed_fraction(int64_t position) {
  using Bits = std::conditional_t<(FixedPoint<T>::bits < 32), int32_t, int64_t>;  // the narrower, the quicker
  return T(Bits(position & (fixed_one<T>() - 1))) * (T(1) / T(fixed_one<T>()));
}

// Whether `count` samples, `step` elements apart, are near enough to touch a line, and run forwards (not behind the source).
inline bool line_is_near(double middle, double step, double count) {
  return (step >= 0.0) & (std::fabs(middle) + step * count < kFarthestElement);
}

// The map of `count` samples whose middle lies at `middle`, `step` elements apart.
// False where the line is too far away to touch anything, or runs backwards (behind the source).
template <class T>
inline bool make_line_map(double middle, double step, int64_t count, LineMap& map) {
  if (!line_is_near(middle, step, double(count))) return false;
  constexpr double one = double(fixed_one<T>());
  map.step = std::llrint(step * one);
  map.start = std::llrint(middle * one) - ((count - 1) * map.step >> 1);
  return true;
}

// The same for the samples from `first` on, on a line that starts at its element `element`.
template <class T>
inline LineMap part_of(const LineMap& map, int64_t first, int64_t element) {
  return {map.start + first * map.step - element * fixed_one<T>(), map.step};
}

// Samples [first, last) fall on [-1, length), where linear interpolation is not zero everywhere. step >= 0.
template <class T>
inline void overlap(const LineMap& map, int64_t count, int64_t length, int64_t& first, int64_t& last) {
  const int64_t low = -fixed_one<T>() - map.start;           // position >= -1
  const int64_t high = length * fixed_one<T>() - map.start;  // position < length
  if (low <= 0 && (count - 1) * map.step < high) {
    first = 0;
    last = count;
    return;
  }
  if (map.step == 0) {
    first = 0;
    last = (low <= 0 && high > 0) ? count : 0;
    return;
  }
  first = low <= 0 ? 0 : (low + map.step - 1) / map.step;
  last = high <= 0 ? 0 : (high + map.step - 1) / map.step;
  if (last > count) last = count;
  if (first > last) first = last;
}

}  // namespace sinograd
