// The line primitives. Compiled once per instruction set; SINOGRAD_ISA names it. Portable C++ defines what they do;
// vector versions take the float32 lines they are made for and leave it the rest.
#include "lines.h"

#include "isa_table.h"

#if defined(__AVX2__)
#include "line_lanes.h"
#endif

namespace sinograd {
namespace SINOGRAD_ISA {
namespace {

#if defined(__AVX2__)
// Gathers the first of the jobs that vectors are made for, up to one that they are not; how many.
inline int64_t gather_vectors(float* single, int64_t count, const LineJob<float>* jobs, int64_t job_count,
                              int64_t length) {
  int64_t n = 0;
  while (n < job_count && can_gather(jobs[n].map.step)) ++n;
  if (n > 0) LineLanes::gather(single, count, jobs, n, length);
  return n;
}

inline bool scatter_vectors(const float* single, int64_t low, int64_t high, const LineJob<float>& job) {
  if (!can_scatter(job.map.step)) return false;
  LineLanes::scatter(single, low, high, job);
  return true;
}
#endif

template <class T>
int64_t gather_vectors(T*, int64_t, const LineJob<T>*, int64_t, int64_t) {
  return 0;
}

template <class T>
bool scatter_vectors(const T*, int64_t, int64_t, const LineJob<T>&) {
  return false;
}

template <class T>
void gather(T* single, int64_t count, const LineJob<T>* jobs, int64_t job_count, int64_t length, T* scratch) {
  T* blend = scratch + kLinePad;
  for (const LineJob<T>*job = jobs, *end = jobs + job_count; job != end; ++job) {
    if ((job += gather_vectors(single, count, job, end - job, length)) == end) return;
    int64_t first, last;
    overlap<T>(job->map, count, length, first, last);
    if (first >= last) continue;
    int64_t position = job->map.start + first * job->map.step;
    const int64_t low = fixed_index<T>(position);
    const int64_t high = fixed_index<T>(job->map.start + (last - 1) * job->map.step) + 1;
    const T *line0 = job->line0, *line1 = job->line1;
    const T w0 = job->w0, w1 = job->w1;
    for (int64_t i = low; i <= high; ++i) blend[i] = w0 * line0[i] + w1 * line1[i];
    for (int64_t k = first; k < last; ++k, position += job->map.step) {
      const int64_t i = fixed_index<T>(position);
      single[k] += blend[i] + fixed_fraction<T>(position) * (blend[i + 1] - blend[i]);
    }
  }
}

template <class T>
void scatter(const T* single, int64_t count, const LineJob<T>* jobs, int64_t job_count, int64_t length, T* scratch) {
  T* spread = scratch + kLinePad;
  for (const LineJob<T>* job = jobs; job != jobs + job_count; ++job) {
    int64_t first, last;
    overlap<T>(job->map, count, length, first, last);
    if (first >= last) continue;
    int64_t position = job->map.start + first * job->map.step;
    const int64_t low = fixed_index<T>(position);
    const int64_t high = fixed_index<T>(job->map.start + (last - 1) * job->map.step) + 1;
    if (scatter_vectors(single, low, high, *job)) continue;
    for (int64_t i = low; i <= high; ++i) spread[i] = T(0);
    for (int64_t k = first; k < last; ++k, position += job->map.step) {
      const int64_t i = fixed_index<T>(position);
      const T upper = fixed_fraction<T>(position) * single[k];
      spread[i] += single[k] - upper;
      spread[i + 1] += upper;
    }
    T *line0 = job->line0, *line1 = job->line1;
    const T w0 = job->w0, w1 = job->w1;
    for (int64_t i = low; i <= high; ++i) {
      line0[i] += w0 * spread[i];
      line1[i] += w1 * spread[i];
    }
  }
}

}  // namespace

const LineKernels<float> kFloatLines = {gather<float>, scatter<float>};
const LineKernels<double> kDoubleLines = {gather<double>, scatter<double>};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
