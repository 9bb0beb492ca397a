// The jobs of a row of voxel columns in one view: where each column falls on the detector. Compiled once per instruction
// set, so that the columns of a row are worked on together.
#pragma once

#include <algorithm>
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

  ColumnRow(const Grid& grid, int64_t x0, int64_t columns, int64_t row, int64_t first)
      : y(grid.y.position(row)), count(columns), z0(first) {
    for (int64_t i = 0; i < kTileX; ++i) x[i] = grid.x.position(x0 + std::min(i, count - 1));  // the last one again
  }
};

// Detector lines of a block of views: columns -1 and `columns` exist and hold zeros.
template <class T>
struct ViewLines {
  T* first;  // column 0
  int64_t stride;
};

// Where the columns of a row fall: between lines `line` and line + 1, with weights w0 and w1, their first voxel at
// `start`, each further one `steps` on (fixed_point.h). Those that miss the detector have line `misses`, weights and steps
// of zero and lie before all lines' first elements.
template <class T>
struct RowImages {
  static constexpr int32_t misses = -2;
  alignas(64) int64_t start[kTileX], steps[kTileX];
  alignas(64) T w0[kTileX], w1[kTileX];
  alignas(64) int32_t line[kTileX];
};

// A view as it is, with zeros around it: rows -2, -1, `rows` and `rows` + 1, columns -1 and `columns`.
template <class T>
struct ImageRows {
  static int64_t pitch(const DetectorShape& detector) { return detector.columns + 2; }
  static int64_t elements(const DetectorShape& detector) { return (detector.rows + 4) * pitch(detector); }
  static int64_t offset(const DetectorShape& detector, int64_t row) { return (row + 2) * pitch(detector) + 1; }
};

template <class T>
struct ColumnKernels {
  // Appends a job to those of each column whose image meets the detector: column i has counts[i] jobs from
  // jobs[i * most] on.
  void (*add)(const Views& views, int64_t view, const ColumnRow& row, const Axis& z, const DetectorShape& detector,
              ViewLines<T> lines, LineJob<T>* jobs, int64_t most, int64_t* counts);
  // Adds a view (ImageRows) to the first `count` voxels of each column, slice by slice [count][kTileX], which lie
  // multiplied by fixed_one: the bits of a gather of every column. Null where there are no vectors for it.
  void (*gather_slices)(const Views& views, int64_t view, const ColumnRow& row, const Axis& z,
                        const DetectorShape& detector, const T* image, T* slices, int64_t count);
};

// The functions for the instruction set in use (see instruction_set.h).
template <class T>
const ColumnKernels<T>& column_kernels();

}  // namespace sinograd
