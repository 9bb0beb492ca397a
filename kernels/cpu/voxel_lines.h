// The volume of Joseph's operators while they run: columns of voxels as lines along z.
#pragma once

#include <algorithm>
#include <cstdint>

#include "aligned_buffer.h"
#include "grid.h"
#include "lines.h"
#include "transposition.h"

namespace sinograd {

// Columns of voxels as lines along z, [y][x], with a ring of zero lines around them.
template <class T>
struct VoxelLines {
  explicit VoxelLines(const Grid& grid)
      : stride(line_stride(grid.z.count)),
        row_stride((grid.x.count + 2) * stride),
        lines((grid.y.count + 2) * row_stride),
        grid(grid) {}

  T* line(int64_t y, int64_t x) { return lines.data() + (y + 1) * row_stride + (x + 1) * stride + kLinePad; }

  void load(const T* volume) {
    const Transposition<T>& transposed = transposition<T>();
#pragma omp parallel for schedule(static)
    for (int64_t y = -1; y <= grid.y.count; ++y) {
      std::fill_n(line(y, -1) - kLinePad, row_stride, T(0));
      if (y < 0 || y == grid.y.count) continue;
      transposed.copy(volume + y * grid.x.count, grid.y.count * grid.x.count, line(y, 0), stride, grid.z.count,
                      grid.x.count);
    }
  }

  void add_to(T* volume) {
#pragma omp parallel for schedule(static)
    for (int64_t y = 0; y < grid.y.count; ++y)
      for (int64_t z = 0; z < grid.z.count; ++z) {
        T* row = volume + (z * grid.y.count + y) * grid.x.count;
        const T* column = line(y, 0) + z;
        for (int64_t x = 0; x < grid.x.count; ++x) row[x] += column[x * stride];
      }
  }

  int64_t stride, row_stride;
  AlignedBuffer<T> lines;
  Grid grid;
};

}  // namespace sinograd
