// Voxel-driven backprojection and its adjoint where the detector's rows run parallel to z.
//
// The image of a column of voxels is a line on the detector: one column coordinate, rows linear in z. So every
// (column of voxels, view) is one job of the line primitive. Views are taken in blocks, which are copied into
// lines along v with a column of zeros on either side; tiles of voxel columns meet a whole block of views while
// they and the detector columns they need stay in the second-level cache.
#include <omp.h>

#include <algorithm>

#include "aligned_buffer.h"
#include "column_rows.h"
#include "few_slices.h"
#include "lines.h"
#include "operators.h"
#include "tile.h"
#include "tile_strip.h"
#include "transposition.h"

namespace sinograd {
namespace {

constexpr int64_t kViewBlock = 24;
constexpr int64_t kSweepViews = 12;  // that a column takes at a time: their lines stay in the first-level cache
constexpr int64_t kAdjointViewBlock = 8;

// Detector lines of a block of views: columns -1 and `columns` exist and hold zeros.
template <class T>
struct DetectorLines {
  DetectorLines(int64_t views, DetectorShape detector)
      : stride(line_stride(detector.rows)), view_stride((detector.columns + 2) * stride), lines(views * view_stride) {}

  ViewLines<T> of(int64_t view) { return {line(view, 0), stride}; }

  T* line(int64_t view, int64_t column) { return lines.data() + view * view_stride + (column + 1) * stride + kLinePad; }

  int64_t stride, view_stride;
  AlignedBuffer<T> lines;
};

// The functions of the instruction set in use, looked up once a call.
template <class T>
struct Kernels {
  const LineKernels<T>& lines = line_kernels<T>();
  const ColumnKernels<T>& columns = column_kernels<T>();
  const Transposition<T>& transposed = transposition<T>();
};

// Adds views [first, last), already in `lines`, to one tile of a strip.
template <class T>
void backproject_tile(const Kernels<T>& kernels, DetectorLines<T>& lines, Strip<T>& strip, const Views& views, int64_t first,
                      int64_t last, const DetectorShape& detector, const Grid& grid, const Tile& tile, T* scratch) {
  LineJob<T> jobs[kTileX * kSweepViews];
  for (int64_t y = 0; y < tile.ny; ++y) {
    const ColumnRow row(grid, tile.x0, tile.nx, tile.y0 + y, tile.z0);
    for (int64_t begin = first; begin < last; begin += kSweepViews) {
      int64_t counts[kTileX] = {};
      for (int64_t v = begin; v < std::min(last, begin + kSweepViews); ++v)
        kernels.columns.add(views, v, row, grid.z, detector, lines.of(v - first), jobs, kSweepViews, counts);
      for (int64_t x = 0; x < tile.nx; ++x)
        kernels.lines.gather(strip.column(tile.y0 + y, tile.x0 + x), tile.nz, jobs + x * kSweepViews, counts[x],
                             detector.rows, scratch);
    }
  }
}

}  // namespace

template <class T>
void backproject_axial(const T* projections, T* volume, Views views, DetectorShape detector, Grid grid,
                       Interruption stop) {
  const Kernels<T> kernels;
  if (has_few_slices(kernels.columns, grid, detector))
    return backproject_few_slices(kernels.columns, projections, volume, views, detector, grid, stop);
  DetectorLines<T> lines(std::min(kViewBlock, views.count), detector);
  lines.lines.zero();
  const Strips strips(grid, omp_get_max_threads());
  for (int64_t first = 0; first < views.count; first += kViewBlock) {
    stop();
    const int64_t last = std::min(first + kViewBlock, views.count);
#pragma omp parallel
    {
#pragma omp for schedule(dynamic)
      for (int64_t v = first; v < last; ++v)
        kernels.transposed.copy(projections + v * views.view_stride, views.row_stride, lines.line(v - first, 0),
                                lines.stride, detector.rows, detector.columns);
      Strip<T> strip(volume, grid, kernels.transposed, strips.tiles);
      AlignedBuffer<T> scratch(line_scratch(detector.rows));
#pragma omp for schedule(dynamic)
      for (int64_t s = 0; s < strips.count(); ++s) {
        const int64_t begin = strips.first(s), end = begin + strips.size(s);
        strip.load(begin, end - begin);
        for (int64_t t = begin; t < end; ++t)
          backproject_tile(kernels, lines, strip, views, first, last, detector, grid, tile_of(grid, t), scratch.data());
        strip.store();
      }
    }
  }
}

// One thread owns a block of views and meets every voxel column; nothing is shared, so the order is fixed.
template <class T>
void backproject_axial_adjoint(const T* volume, T* projections, Views views, DetectorShape detector, Grid grid,
                               Interruption stop) {
  const Kernels<T> kernels;
  const int64_t blocks = (views.count + kAdjointViewBlock - 1) / kAdjointViewBlock;
  const int64_t round = 2 * omp_get_max_threads();
  const int64_t stride = line_stride(grid.z.count);
  for (int64_t begin = 0; begin < blocks; begin += round) {
    stop();
#pragma omp parallel
    {
      DetectorLines<T> lines(kAdjointViewBlock, detector);
      AlignedBuffer<T> columns(kTileX * stride);
      columns.zero();
      AlignedBuffer<T> scratch(line_scratch(detector.rows));
      LineJob<T> jobs[kTileX * kAdjointViewBlock];
#pragma omp for schedule(dynamic)
      for (int64_t block = begin; block < std::min(begin + round, blocks); ++block) {
        const int64_t first = block * kAdjointViewBlock, last = std::min(first + kAdjointViewBlock, views.count);
        lines.lines.zero();
        for (int64_t y = 0; y < grid.y.count; ++y)
          for (int64_t x0 = 0; x0 < grid.x.count; x0 += kTileX) {
            const int64_t nx = std::min(kTileX, grid.x.count - x0);
            kernels.transposed.copy(volume + y * grid.x.count + x0, grid.y.count * grid.x.count,
                                    columns.data() + kLinePad, stride, grid.z.count, nx);
            const ColumnRow row(grid, x0, nx, y, 0);
            int64_t counts[kTileX] = {};
            for (int64_t v = first; v < last; ++v)
              kernels.columns.add(views, v, row, grid.z, detector, lines.of(v - first), jobs, kAdjointViewBlock,
                                  counts);
            for (int64_t x = 0; x < nx; ++x)
              kernels.lines.scatter(columns.data() + kLinePad + x * stride, grid.z.count, jobs + x * kAdjointViewBlock,
                                    counts[x], detector.rows, scratch.data());
          }
        for (int64_t v = first; v < last; ++v) {
          T* target = projections + v * views.view_stride;
          for (int64_t row = 0; row < detector.rows; ++row)
            for (int64_t column = 0; column < detector.columns; ++column)
              target[row * views.row_stride + column] += lines.line(v - first, column)[row];
        }
      }
    }
  }
}

#define SINOGRAD_INSTANTIATE(T)                                                                       \
  template void backproject_axial<T>(const T*, T*, Views, DetectorShape, Grid, Interruption);         \
  template void backproject_axial_adjoint<T>(const T*, T*, Views, DetectorShape, Grid, Interruption);
SINOGRAD_INSTANTIATE(float)
SINOGRAD_INSTANTIATE(double)

}  // namespace sinograd
