// The axial primitive of footprints: blend some neighbouring lines and average the blend over boxes, and the reverse.
//
// Element i of a line covers [i, i + 1). Sample k of the single line is the mean over
// [start + k step, start + (k + 1) step) of what the blended lines hold, zero outside them. Places are fixed-point
// numbers (fixed_point.h), so shares are exact and those of neighbouring samples fit together.
#pragma once

#include <cstdint>

#include "lines.h"

namespace sinograd {

template <class T>
struct BoxJob {
  T* lines;       // the first of `count`, `stride` apart, each with kLinePad elements on both sides
  int64_t stride, count;
  const T* weights;  // each divided by map.step
  LineMap map;       // step > 0
};

template <class T>
struct BoxKernels {
  // single[k] += sum over jobs of the blend's mean over the job's box k. Pads of the lines hold zeros.
  void (*gather)(T* single, int64_t count, const BoxJob<T>* jobs, int64_t job_count, int64_t length, T* scratch);
  // the transpose; kLinePad elements around the single line hold zeros
  void (*scatter)(const T* single, int64_t count, const BoxJob<T>* jobs, int64_t job_count, int64_t length, T* scratch);
};

// Scratch of a call, in elements.
constexpr int64_t box_scratch(int64_t length) { return line_stride(length) + kLinePad; }

// The map of the lower edges of boxes whose middles `map` gives, in elements that lie at their numbers.
template <class T>
inline LineMap box_edges(LineMap map) {
  if (map.step < 1) map.step = 1;
  return {map.start + ((fixed_one<T>() - map.step) >> 1), map.step};
}

// The functions for the instruction set in use.
template <class T>
const BoxKernels<T>& box_kernels();

}  // namespace sinograd
