// The jobs of a row of voxel columns in one view: where each column falls on the detector. Compiled once per instruction
// set, so that the columns of a row are worked on together.
#pragma once

#include <cstdint>

#include "lines.h"
#include "operators.h"
#include "tile.h"

namespace sinograd {

// Neighbouring columns of a tile; `x` has kTileX places, of which those from `count` on are not used.
struct ColumnRow {
  double x[kTileX];
  double y;
  int64_t count;
  int64_t z0;  // the first voxel of the columns
};

// Detector lines of a block of views: columns -1 and `columns` exist and hold zeros.
template <class T>
struct ViewLines {
  T* first;  // column 0
  int64_t stride;
};

template <class T>
struct ColumnKernels {
  // Appends a job to those of each column whose image meets the detector: column i has counts[i] jobs from
  // jobs[i * most] on.
  void (*add)(const Views& views, int64_t view, const ColumnRow& row, const Axis& z, const DetectorShape& detector,
              ViewLines<T> lines, LineJob<T>* jobs, int64_t most, int64_t* counts);
};

// The functions for the instruction set in use (see instruction_set.h).
template <class T>
const ColumnKernels<T>& column_kernels();

}  // namespace sinograd
