// The line primitive for float32 vectors (`Lanes`).
//
// A gather takes all jobs of a single line in one sweep over it, so that sums stay in registers while they grow. A vector
// of samples reads the blended pair through a window of two vectors, which in AVX-512 begins at a multiple of 16 elements
// where it can: a load that crosses a cache line costs two. In AVX2, which looks up in one vector, steps up to one element
// take two lookups in windows of one vector, one element apart. Counted for 16 samples, without loads and stores: 14 vector
// instructions in AVX-512 (blending 4, lookups 2, places and fractions 5, difference and sums 3), 26 in AVX2 (blending 8,
// lookups 4, places and fractions 8, difference and sums 6), 40 for larger steps.
//
// A scatter is read from the pair's side (candidates.h): element j collects the samples less than one element away.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "candidates.h"
#include "lanes.h"
#include "lines.h"
#include "lines_steps.h"

namespace sinograd {
namespace SINOGRAD_ISA {

class LineLanes {
 public:
  // jobs [0, job_count), whose steps are all `can_gather`
  static void gather(float* single, int64_t count, const LineJob<float>* jobs, int64_t job_count, int64_t length) {
    int64_t k = 0;
    const auto sweeps = [&](auto vectors) {
      constexpr int64_t chunk = vectors() * width;
      for (; k + chunk <= count; k += chunk) sweep<vectors()>(single + k, chunk, k, jobs, job_count, length);
    };
    sweeps(std::integral_constant<int, kMostVectors>());
    sweeps(std::integral_constant<int, 4>());
    for (; k + width < count; k += 2 * width)
      sweep<2>(single + k, std::min(2 * width, count - k), k, jobs, job_count, length);
    if (k < count) sweep<1>(single + k, count - k, k, jobs, job_count, length);
  }

  // elements [low, high] of a job whose step is `can_scatter`
  static void scatter(const float* single, int64_t low, int64_t high, const LineJob<float>& job) {
    with_candidates(job.map.step, [&](auto count) { collect<count()>(single, low, high, job); });
  }

 private:
  using Float = Lanes::Float;
  using Int = Lanes::Int;
  static constexpr int64_t width = Lanes::width;
  static constexpr int kMostVectors = 8;  // of a sweep

  // f(0), f(1), ... with constants: arrays that only these index stay in registers.
  template <int count, class F>
  static __attribute__((always_inline)) void each(F&& f) {
    each(f, std::make_integer_sequence<int, count>());
  }
  template <class F, int... numbers>
  static __attribute__((always_inline)) void each(F& f, std::integer_sequence<int, numbers...>) {
    (f(std::integral_constant<int, numbers>()), ...);
  }

  // How the samples of a sweep fall on a job's lines: on them and their pads, at steps up to one element or larger ones; so
  // far beyond them in part that windows would end behind the pads; not at all.
  enum class Fall { small, large, partly, outside };

  static Fall fall(const LineMap& map, int64_t place, int64_t samples, int64_t length) {
    const int64_t last = place + (samples - 1) * map.step;
    constexpr int64_t margin = std::max(kLinePad - 2 * width - 1, int64_t(1)) * kOne;
    const uint64_t most = uint64_t(length * kOne + 2 * margin - kOne);
    if (uint64_t(place + margin) < most && uint64_t(last + margin) < most) return map.step <= kOne ? Fall::small : Fall::large;
    return last <= -kOne || place >= length * kOne ? Fall::outside : Fall::partly;
  }

  // Samples [k, k + count) of all jobs; `count` ends in the last vector.
  template <int vectors>
  static void sweep(float* single, int64_t count, int64_t k, const LineJob<float>* jobs, int64_t job_count,
                    int64_t length) {
    for (const LineJob<float>* const end = jobs + job_count; jobs != end;) {
      const Fall first = fall(jobs->map, jobs->map.start + k * jobs->map.step, vectors * width, length);
      if (first == Fall::small)
        jobs = run<vectors, Fall::small>(single, count, k, jobs, end, length);
      else if (first == Fall::large)
        jobs = run<vectors, Fall::large>(single, count, k, jobs, end, length);
      else if (first == Fall::partly)
        jobs = run<vectors, Fall::partly>(single, count, k, jobs, end, length);
      else
        ++jobs;
    }
  }

  // Where the windows of a job's vectors begin, and how far behind that their first samples lie, in units of 1 / kOne.
  template <Fall alike>
  struct Places {
    static constexpr int block = width == 16 ? 4 : 0;  // windows begin at multiples of 2^block elements

    alignas(64) int64_t elements[kMostVectors];
    alignas(64) uint32_t offsets[kMostVectors];
    Int steps;  // of a vector's samples from its first one

    void find(const LineMap& map, int64_t place) {
      steps = Lanes::multiply(Lanes::numbers(), Lanes::all(uint32_t(map.step)));
      const int64_t most = (2 * width - 1) * kOne - (width - 1) * map.step;
      Lanes::divide<block, alike == Fall::small>(place, map.step, most, elements, offsets);
      asm("" : "+m"(elements), "+m"(offsets));  // read from memory
    }
  };

  // Samples [k, k + count) of the first of the jobs, those that fall alike; the first job that does not. Sums are kept in
  // units of the fractions, 1 / kOne (those beyond 2e30 overflow). The places of a job are found before the one before
  // it is worked on: instructions that wait for places would fill the queues of those that are ready.
  template <int vectors, Fall alike>
  static __attribute__((noinline)) const LineJob<float>* run(float* single, int64_t count, int64_t k,
                                                              const LineJob<float>* job, const LineJob<float>* end,
                                                              int64_t length) {
    const int64_t rest = count - (vectors - 1) * width;
    Float one = Lanes::all(float(kOne)), sums[vectors];
    Int bits = Lanes::all(uint32_t(kOne - 1));
    asm("" : "+x"(one), "+x"(bits));  // not made anew from numbers wherever they are used
    each<vectors - 1>([&](auto v) { sums[v()] = Lanes::multiply(Lanes::load(single + v() * width), one); });
    sums[vectors - 1] = Lanes::multiply(Lanes::load_first(single + (vectors - 1) * width, rest), one);
    Places<alike> places[2], *now = places, *then = places + 1;
    now->find(job->map, job->map.start + k * job->map.step);
    for (bool more = true; more; std::swap(now, then), ++job) {
      more = job + 1 != end;
      if (more) {
        const LineMap& next = job[1].map;
        const int64_t place = next.start + k * next.step;
        more = fall(next, place, vectors * width, length) == alike;
        if (more) then->find(next, place);
      }
      const Float w0 = Lanes::all(job->w0), w1 = Lanes::all(job->w1);
      const Int steps = now->steps;
      each<vectors>([&](auto number) __attribute__((always_inline)) {
        constexpr int v = number();
        if (alike == Fall::partly && misses(job->map, k + v * width, length)) return;
        const float *line0 = job->line0 + now->elements[v], *line1 = job->line1 + now->elements[v];
        const Int lanes = Lanes::add(Lanes::everywhere(now->offsets + v), steps);
        const Int index = Lanes::element(lanes);
        const Float fraction = Lanes::number(Lanes::both(lanes, bits));
        const Float window = blend(line0, line1, w0, w1);
        Float below, above;
        if constexpr (alike == Fall::small && width == 8) {
          below = Lanes::look_up(window, index);
          above = Lanes::look_up(blend(line0 + 1, line1 + 1, w0, w1), index);
        } else {
          const Float behind = blend(line0 + width, line1 + width, w0, w1);
          below = Lanes::look_up(window, index, behind);
          above = Lanes::look_up(window, Lanes::add(index, Lanes::all(uint32_t(1))), behind);
        }
        sums[v] = Lanes::multiply_add(below, one, sums[v]);
        sums[v] = Lanes::multiply_add(fraction, Lanes::subtract(above, below), sums[v]);
      });
    }
    const Float part = Lanes::all(1.0f / float(kOne));
    each<vectors - 1>([&](auto v) { Lanes::store(single + v() * width, Lanes::multiply(sums[v()], part)); });
    Lanes::store_first(single + (vectors - 1) * width, Lanes::multiply(sums[vectors - 1], part), rest);
    return job;
  }

  // Whether all samples of the vector from k on lie beyond the line.
  static bool misses(const LineMap& map, int64_t k, int64_t length) {
    const int64_t place = map.start + k * map.step;
    return place + (width - 1) * map.step <= -kOne || place >= length * kOne;
  }

  template <int candidates>
  static void collect(const float* single, int64_t low, int64_t high, const LineJob<float>& job) {
    Candidates samples(job.map);
    const Float w0 = Lanes::all(job.w0), w1 = Lanes::all(job.w1);
    const Float one = Lanes::all(1.0f), scale = Lanes::all(-1.0f / float(kOne));
    for (int64_t j = low; j <= high; j += width) {
      samples.begin(single, j, (j - 1) * kOne);  // beyond element j - 1
      Float sum = Lanes::all(0.0f);
      for (int c = 0; c < candidates; ++c, samples.next()) {
        const Float distance = Lanes::number(Lanes::magnitude(samples.place));
        const Float weight = Lanes::positive(Lanes::multiply_add(distance, scale, one));
        sum = Lanes::multiply_add(weight, samples.value(), sum);
      }
      Lanes::add_product(job.line0 + j, sum, w0, high - j + 1);
      Lanes::add_product(job.line1 + j, sum, w1, high - j + 1);
    }
  }

  static Float blend(const float* line0, const float* line1, Float w0, Float w1) {
    return Lanes::multiply_add(Lanes::load(line1), w1, Lanes::multiply(Lanes::load(line0), w0));
  }
};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
