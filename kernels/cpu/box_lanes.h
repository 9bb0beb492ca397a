// The axial primitive of footprints for float32 vectors (`Lanes`): as many samples at a time as a vector holds.
#pragma once

#include <cstdint>
#include <type_traits>

#include "box_lines.h"
#include "candidates.h"
#include "lanes.h"
#include "lines_steps.h"

namespace sinograd {
namespace SINOGRAD_ISA {

struct BoxLanes {
  using Float = Lanes::Float;
  using Int = Lanes::Int;
  static constexpr int64_t width = Lanes::width;

  static void gather(float* single, int64_t first, int64_t last, const BoxJob<float>& job, float* blend) {
    const int64_t begin = (job.map.start + first * job.map.step) >> kBits;
    const int64_t end = ((job.map.start + (last - 1) * job.map.step) >> kBits) + 3;
    switch (job.count) {
      case 1: blend_lines<1>(begin, end, job, blend); break;
      case 2: blend_lines<2>(begin, end, job, blend); break;
      case 3: blend_lines<3>(begin, end, job, blend); break;
      case 4: blend_lines<4>(begin, end, job, blend); break;
      default: blend_lines<0>(begin, end, job, blend);
    }
    if (job.map.step <= kOne)
      sample<true>(single, first, last, job, blend);
    else
      sample<false>(single, first, last, job, blend);
  }

  // Element j collects the boxes that meet [j, j + 1). The first one is found with the inverse step in floating point,
  // a little generously; shares come from exact places.
  static void scatter(const float* single, int64_t low, int64_t high, const BoxJob<float>& job) {
    if (job.map.step > kOne + kOne / 256)
      collect<2>(single, low, high, job);
    else
      collect<3>(single, low, high, job);
  }

 private:
  // `lines`: how many, 0 for any number.
  template <int lines>
  static void blend_lines(int64_t begin, int64_t end, const BoxJob<float>& job, float* blend) {
    const int64_t count = lines ? lines : job.count;
    for (int64_t i = begin; i < end; i += width) {
      Float sum = Lanes::multiply(Lanes::all(job.weights[0]), Lanes::load(job.lines + i));
      for (int64_t n = 1; n < count; ++n)
        sum = Lanes::multiply_add(Lanes::all(job.weights[n]), Lanes::load(job.lines + n * job.stride + i), sum);
      Lanes::store(blend + i, sum);
    }
  }

  // `small`: the step is at most one element, so that a box meets at most two and a vector of them `width` + 1.
  template <bool small>
  static void sample(float* single, int64_t first, int64_t last, const BoxJob<float>& job, const float* blend) {
    const int64_t step = job.map.step;
    const Int one = Lanes::all(uint32_t(kOne)), steps = Lanes::all(uint32_t(step)), bits = Lanes::all(uint32_t(kOne - 1));
    const Int offsets = Lanes::multiply(Lanes::numbers(), steps);
    int64_t place = job.map.start + first * step;
    for (int64_t k = first; k < last; k += width, place += width * step) {
      const float* window = blend + (place >> kBits);
      const Int lanes = Lanes::add(Lanes::all(uint32_t(place & (kOne - 1))), offsets);
      const Int index = Lanes::element(lanes), beyond = Lanes::add(Lanes::both(lanes, bits), Lanes::subtract(steps, one));
      Float value;
      if constexpr (small) {
        const Int next = Lanes::positive(beyond);
        value = Lanes::multiply(Lanes::number(next), Lanes::look_up(Lanes::load(window + 1), index));
        value = Lanes::multiply_add(Lanes::number(Lanes::subtract(steps, next)),
                                    Lanes::look_up(Lanes::load(window), index), value);
      } else {
        const Int after = Lanes::positive(Lanes::subtract(beyond, one));
        const Int own = Lanes::subtract(one, Lanes::both(lanes, bits));
        value = Lanes::multiply(Lanes::number(own), far(window, index));
        value = Lanes::multiply_add(Lanes::number(Lanes::subtract(beyond, after)), far(window + 1, index), value);
        value = Lanes::multiply_add(Lanes::number(after), far(window + 2, index), value);
      }
      Lanes::add_first(single + k, value, last - k);
    }
  }

  static Float far(const float* window, Int index) {
    return Lanes::look_up(Lanes::load(window), index, Lanes::load(window + width));
  }

  template <int candidates>
  static void collect(const float* single, int64_t low, int64_t high, const BoxJob<float>& job) {
    Candidates boxes(job.map);
    const Int one = Lanes::all(uint32_t(kOne)), steps = boxes.steps();
    for (int64_t j = low; j < high; j += width) {
      boxes.begin(single, j, j * kOne - job.map.step);  // the first box that ends beyond j
      Float sum = Lanes::all(0.0f);
      for (int c = 0; c < candidates; ++c, boxes.next()) {
        const Int end = Lanes::smaller(Lanes::add(boxes.place, steps), one);
        const Int share = Lanes::subtract(end, Lanes::positive(boxes.place));
        sum = Lanes::multiply_add(Lanes::number(Lanes::positive(share)), boxes.value(), sum);
      }
      for (int64_t n = 0; n < job.count; ++n)
        Lanes::add_first(job.lines + n * job.stride + j, Lanes::multiply(sum, Lanes::all(job.weights[n])), high - j);
    }
  }
};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
