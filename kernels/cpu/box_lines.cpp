// The axial primitive of footprints. Compiled once per instruction set; portable C++ says what is computed, and float32
// vectors take steps that they are made for.
#include "box_lines.h"

#include <algorithm>

#include "isa_table.h"
#include "lanes.h"
#include "lines_steps.h"

#if defined(__AVX2__)
#include "box_lanes.h"
#endif

namespace sinograd {
namespace SINOGRAD_ISA {
namespace {

// Samples [first, last) whose boxes meet [0, length).
template <class T>
void boxes_within(const LineMap& map, int64_t count, int64_t length, int64_t& first, int64_t& last) {
  const int64_t low = -map.start, high = length * fixed_one<T>() - map.start;
  first = low <= 0 ? 0 : low / map.step;
  last = high <= 0 ? 0 : (high + map.step - 1) / map.step;
  last = std::min(last, count);
  first = std::min(first, last);
}

// Elements [low, high) that the boxes of samples [first, last) meet.
template <class T>
void elements_met(const LineMap& map, int64_t first, int64_t last, int64_t length, int64_t& low, int64_t& high) {
  low = std::max<int64_t>(0, fixed_index<T>(map.start + first * map.step));
  high = std::min(length, fixed_index<T>(map.start + last * map.step - 1) + 1);
}

// Calls f(element, share) for the elements that box [from, to) meets.
template <class T, class F>
inline void each_share(int64_t from, int64_t to, int64_t length, F&& f) {
  constexpr int64_t one = fixed_one<T>();
  const int64_t last = std::min(length, fixed_index<T>(to - 1) + 1);
  for (int64_t i = std::max<int64_t>(0, fixed_index<T>(from)); i < last; ++i)
    f(i, T(std::min(to, (i + 1) * one) - std::max(from, i * one)));
}

template <class T>
void gather(T* single, int64_t count, const BoxJob<T>* jobs, int64_t job_count, int64_t length, T* scratch) {
  T* blend = scratch + kLinePad;
  for (const BoxJob<T>* job = jobs; job != jobs + job_count; ++job) {
    int64_t first, last, low, high;
    boxes_within<T>(job->map, count, length, first, last);
    if (first >= last) continue;
#if defined(__AVX2__)
    if constexpr (has_vectors<T>)
      if (can_gather(job->map.step)) {
        BoxLanes::gather(single, first, last, *job, blend);
        continue;
      }
#endif
    elements_met<T>(job->map, first, last, length, low, high);
    for (int64_t i = low; i < high; ++i) blend[i] = job->weights[0] * job->lines[i];
    for (int64_t n = 1; n < job->count; ++n) {
      const T* line = job->lines + n * job->stride;
      for (int64_t i = low; i < high; ++i) blend[i] += job->weights[n] * line[i];
    }
    for (int64_t k = first; k < last; ++k) {
      const int64_t from = job->map.start + k * job->map.step;
      T sum = T(0);
      each_share<T>(from, from + job->map.step, length, [&](int64_t i, T share) { sum += share * blend[i]; });
      single[k] += sum;
    }
  }
}

template <class T>
void scatter(const T* single, int64_t count, const BoxJob<T>* jobs, int64_t job_count, int64_t length, T* scratch) {
  T* spread = scratch + kLinePad;
  for (const BoxJob<T>* job = jobs; job != jobs + job_count; ++job) {
    int64_t first, last, low, high;
    boxes_within<T>(job->map, count, length, first, last);
    if (first >= last) continue;
    elements_met<T>(job->map, first, last, length, low, high);
#if defined(__AVX2__)
    if constexpr (has_vectors<T>)
      if (can_scatter(job->map.step)) {
        BoxLanes::scatter(single, low, high, *job);
        continue;
      }
#endif
    std::fill(spread + low, spread + high, T(0));
    for (int64_t k = first; k < last; ++k) {
      const int64_t from = job->map.start + k * job->map.step;
      each_share<T>(from, from + job->map.step, length, [&](int64_t i, T share) { spread[i] += share * single[k]; });
    }
    for (int64_t n = 0; n < job->count; ++n) {
      T* line = job->lines + n * job->stride;
      for (int64_t i = low; i < high; ++i) line[i] += job->weights[n] * spread[i];
    }
  }
}

}  // namespace

const BoxKernels<float> kFloatBoxes = {gather<float>, scatter<float>};
const BoxKernels<double> kDoubleBoxes = {gather<double>, scatter<double>};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
