// What every projector kernel gets: the grid, the detector and the beam, in device memory, and where blocks are.
#pragma once

#include "grid.h"
#include "ray.h"
#include "voxel_projection.h"

namespace sinograd {

// All fields have 8 bytes; projection_tables.py writes them.
struct Scan {
  Grid grid;
  DetectorShape detector;
  int64_t curved, divergent, weighting;
};
static_assert(sizeof(Scan) == 168);

// Explicit, as the compiler must not contract: forward and adjoint have to round coordinates alike.
__device__ inline float fused(float a, float b, float c) { return fmaf(a, b, c); }
__device__ inline double fused(double a, double b, double c) { return fma(a, b, c); }

__device__ inline int64_t pieces(int64_t count, int64_t size) { return (count + size - 1) / size; }

__device__ inline bool within(int64_t at, int64_t count) { return at >= 0 && at < count; }

// Views as rows of vectors.
__device__ inline RayView ray_view(const Scan& scan, const double* vectors, int64_t view) {
  return {vectors + view * 3 * (scan.curved ? 5 : 4), scan.divergent != 0, scan.curved != 0};
}

// The image of a column of voxels; `view` has kViewDoubles.
__device__ inline ColumnImage column_image(const Scan& scan, const double* view, double x, double y) {
  ColumnImage image;
  with_weighting(Weighting(scan.weighting), [&](auto weighting) {
    if (scan.curved)
      image = CurvedView{view}.column<weighting()>(x, y, scan.grid.z);
    else
      image = FlatView{view}.column<weighting()>(x, y, scan.grid.z);
  });
  return image;
}

// A view of the general kernels.
template <bool curved>
__device__ inline std::conditional_t<curved, CylinderView, FlatView> general_view(const Scan& scan, const double* views,
                                                                                  int64_t view) {
  if constexpr (curved)
    return {views + view * kViewDoubles, 0.5 * double(scan.detector.columns - 1)};
  else
    return {views + view * kViewDoubles};
}

// Indices [first, last).
struct Range {
  int first, last;
  __device__ int count() const { return last - first; }
};

// All indices of [0, count) between a and b, with something to spare; all there are if either is NaN.
__device__ inline Range between(double a, double b, int64_t count) {
  const double low = (a < b ? a : b) - 1e-3, high = (a < b ? b : a) + 1e-3;
  Range range{0, int(count)};
  if (low >= 0.0) range.first = low < double(count) ? int(low) + 1 : int(count);
  if (high < double(count - 1)) range.last = high < 0.0 ? 0 : int(high) + 1;
  if (!(low <= high)) range = {0, int(count)};
  if (range.last < range.first) range.last = range.first;
  return range;
}

}  // namespace sinograd
