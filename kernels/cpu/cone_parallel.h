// Weighted backprojection of cone-parallel views on the CPU. Arrays are contiguous: volumes [z][y][x], projections
// [half turn][view][row][distance]. Results do not depend on the number of threads.
#pragma once

#include <cstdint>

#include "cone_parallel_projection.h"
#include "operators.h"

namespace sinograd {

// View j of every half turn has the same direction up to half turns: in each voxel the weighted mean of them is taken.
struct ConeParallelViews {
  const double* directions;  // [half turn][view][2]: cosine and sine; NaN: that view does not exist
  const double* rays;        // [half turn][view][distance][kRayDoubles]
  const double* window;      // [row], weights; zero beyond
  int64_t turns, views, rows, distances;
  double nearest, spacing;

  ConeParallelView view(int64_t turn, int64_t number) const {
    const int64_t index = turn * views + number;
    return {directions[2 * index], directions[2 * index + 1], rays + index * distances * kRayDoubles, nearest, spacing, distances};
  }
};

// volume += sum over views of the weighted mean over half turns.
template <class T>
void cone_parallel_backproject(const T* projections, T* volume, const ConeParallelViews& views, const Grid& grid, Interruption stop);

// projections += its transpose.
template <class T>
void cone_parallel_backproject_adjoint(const T* volume, T* projections, const ConeParallelViews& views, const Grid& grid, Interruption stop);

}  // namespace sinograd
