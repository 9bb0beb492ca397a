// The line primitive for float32 vectors (`Lanes`).
//
// A gather takes all jobs of a single line in one sweep over it, so that sums stay in registers while they grow. A vector of samples reads the blended pair through a window that starts at its first sample's element. Up to steps of
// one element it needs as many elements as it has lanes, and the next ones: two lookups in windows one element apart.
// Larger steps (below two) look up in windows of two vectors. Counted for 16 samples in AVX2, without loads and stores:
// 28 vector instructions (blending 8, lookups 4, places and fractions 10, interpolation and sum 6), 42 for larger steps.
//
// A scatter is read from the pair's side (candidates.h): element j collects the samples less than one element away.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

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
    constexpr int64_t chunk = kVectors * width;
    int64_t k = 0;
    for (; k + chunk <= count; k += chunk) sweep<kVectors>(single + k, chunk, k, jobs, job_count, length);
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
  static constexpr int kVectors = 4;

  // Samples [k, k + count) of all jobs; `count` ends in the last vector.
  template <int vectors>
  static void sweep(float* single, int64_t count, int64_t k, const LineJob<float>* jobs, int64_t job_count,
                    int64_t length) {
    const int64_t rest = count - (vectors - 1) * width;
    Float sums[vectors];
    for (int v = 0; v + 1 < vectors; ++v) sums[v] = Lanes::load(single + v * width);
    sums[vectors - 1] = Lanes::load_first(single + (vectors - 1) * width, rest);
    for (const LineJob<float>* job = jobs; job != jobs + job_count; ++job) {
      const int64_t step = job->map.step, place = job->map.start + k * step;
      const int64_t last = place + (vectors * width - 1) * step;
      if (last <= -kOne || place >= length * kOne) continue;
      const bool inside = place >= -kOne && last < length * kOne;
      if (step <= kOne)
        inside ? add<vectors, true, true>(*job, place, length, sums) : add<vectors, true, false>(*job, place, length, sums);
      else
        inside ? add<vectors, false, true>(*job, place, length, sums) : add<vectors, false, false>(*job, place, length, sums);
    }
    for (int v = 0; v + 1 < vectors; ++v) Lanes::store(single + v * width, sums[v]);
    Lanes::store_first(single + (vectors - 1) * width, sums[vectors - 1], rest);
  }

  // `small`: steps up to one element. `inside`: no vector lies beyond the line, where the pads would end.
  template <int vectors, bool small, bool inside>
  static inline __attribute__((always_inline)) void add(const LineJob<float>& job, int64_t place, int64_t length,
                                                        Float (&sums)[vectors]) {
    const int64_t step = job.map.step;
    const Float w0 = Lanes::all(job.w0), w1 = Lanes::all(job.w1), scale = Lanes::all(1.0f / float(kOne));
    const Int offsets = Lanes::multiply(Lanes::numbers(), Lanes::all(uint32_t(step)));
    const Int bits = Lanes::all(uint32_t(kOne - 1));
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v, place += width * step) {
      if (!inside && (place + (width - 1) * step <= -kOne || place >= length * kOne)) continue;
      const int64_t i = place >> kBits;
      const float *line0 = job.line0 + i, *line1 = job.line1 + i;
      const Int lanes = Lanes::add(Lanes::all(uint32_t(place & (kOne - 1))), offsets);
      const Int index = Lanes::element(lanes);
      const Float fraction = Lanes::multiply(Lanes::number(Lanes::both(lanes, bits)), scale);
      const Float window = blend(line0, line1, w0, w1);
      Float below, above;
      if constexpr (small) {
        below = Lanes::look_up(window, index);
        above = Lanes::look_up(blend(line0 + 1, line1 + 1, w0, w1), index);
      } else {
        const Float next = blend(line0 + width, line1 + width, w0, w1);
        below = Lanes::look_up(window, index, next);
        above = Lanes::look_up(window, Lanes::add(index, Lanes::all(uint32_t(1))), next);
      }
      const Float value = Lanes::multiply_add(fraction, Lanes::subtract(above, below), below);
      sums[v] = Lanes::add(sums[v], value);
    }
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
