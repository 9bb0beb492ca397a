// The axial-column primitive: blend two neighbouring lines, resample the blend on to a third, and the reverse.
//
// Whenever the detector's rows run parallel to z, all four operators are made of it: backprojection gathers a
// column of voxels from pairs of detector columns, Joseph's projector gathers a detector column from pairs of
// voxel columns, and the adjoints scatter the same pairs. One table of functions per instruction set.
#pragma once

#include <cstdint>

#include "fixed_point.h"

namespace sinograd {

// Every line has kLinePad elements on both sides, which vectors may read. The pairs of a gather hold zeros in them,
// the single line of a scatter as well; a scatter leaves something in those just outside its pairs.
constexpr int64_t kLinePad = 32;

// Elements from one line to the next: the line, its two pads, and a whole number of 64-byte blocks.
constexpr int64_t line_stride(int64_t length) { return (length + 2 * kLinePad + 15) / 16 * 16; }

// The pair of lines (weights w0, w1) that sample k of the single line meets at map.start + k map.step.
template <class T>
struct LineJob {
  T* line0;
  T* line1;
  T w0, w1;
  LineMap map;
};

template <class T>
struct LineKernels {
  // single[k] += sum over jobs of the blended pair, interpolated at the job's position k
  void (*gather)(T* single, int64_t count, const LineJob<T>* jobs, int64_t job_count, int64_t length, T* scratch);
  // the transpose: every pair receives single[k] with the weights with which gather reads it
  void (*scatter)(const T* single, int64_t count, const LineJob<T>* jobs, int64_t job_count, int64_t length, T* scratch);
};

// Scratch a call of the above needs, in elements.
constexpr int64_t line_scratch(int64_t length) { return line_stride(length); }

// The functions for the instruction set in use (see instruction_set.h).
template <class T>
const LineKernels<T>& line_kernels();

}  // namespace sinograd
