// Voxel-driven backprojection and its adjoint where the detector's rows run parallel to z.
//
// The image of a column of voxels is a line on the detector: one column coordinate, rows linear in z. So every
// (column of voxels, view) is one job of the line primitive. Views are taken in blocks, which are copied into
// lines along v with a column of zeros on either side; tiles of voxel columns meet a whole block of views while
// they and the detector columns they need stay in the second-level cache.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "aligned_buffer.h"
#include "lines.h"
#include "operators.h"
#include "tile.h"
#include "transpose.h"

namespace sinograd {
namespace {

constexpr int64_t kViewBlock = 24;
constexpr int64_t kAdjointViewBlock = 8;

// Detector lines of a block of views: columns -1 and `columns` exist and hold zeros.
template <class T>
struct DetectorLines {
  DetectorLines(int64_t views, DetectorShape detector)
      : stride(line_stride(detector.rows)), view_stride((detector.columns + 2) * stride), lines(views * view_stride) {}

  T* line(int64_t view, int64_t column) { return lines.data() + view * view_stride + (column + 1) * stride + kLinePad; }

  int64_t stride, view_stride;
  AlignedBuffer<T> lines;
};

// The job of one voxel column in one view; false where its image misses the detector.
template <Weighting weighting, class T, class View>
bool column_job(const View& view, double x, double y, const Axis& z, DetectorShape detector,
                DetectorLines<T>& lines, int64_t line_view, LineJob<T>& job) {
  const ColumnImage image = view.template column<weighting>(x, y, z);
  if (!(image.column > -1.0 && image.column < double(detector.columns))) return false;
  if (!make_line_map<T>(image.middle, image.step, z.whole(), job.map)) return false;
  job.map = part_of<T>(job.map, z.first, detector.first_row);
  const double below = std::floor(image.column);
  const double fraction = image.column - below;
  job.line0 = lines.line(line_view, int64_t(below));
  job.line1 = job.line0 + lines.stride;
  job.w0 = T((1.0 - fraction) * image.weight);
  job.w1 = T(fraction * image.weight);
  return true;
}

// Adds views [first, last), already in `lines`, to one tile.
template <Weighting weighting, class T, class View>
void backproject_tile(const LineKernels<T>& kernels, DetectorLines<T>& lines, T* volume, const Views& views,
                      int64_t first, int64_t last, DetectorShape detector, const Grid& grid, const Tile& tile,
                      T* columns, T* scratch) {
  const int64_t stride = line_stride(kTileZ);
  load_tile(volume, grid, tile, columns, stride);
  LineJob<T> jobs[kViewBlock];
  const Axis z = grid.z;  // a copy, which no write below can change: what depends on it alone is computed once
  for (int64_t y = 0; y < tile.ny; ++y)
    for (int64_t x = 0; x < tile.nx; ++x) {
      const double place_x = grid.x.position(tile.x0 + x), place_y = grid.y.position(tile.y0 + y);
      int64_t count = 0;
      for (int64_t v = first; v < last; ++v) {
        LineJob<T>& job = jobs[count];
        if (!column_job<weighting>(View{views.data + v * kViewDoubles}, place_x, place_y, z, detector, lines, v - first,
                                   job))
          continue;
        job.map.start += tile.z0 * job.map.step;
        ++count;
      }
      kernels.gather(columns + (y * kTileX + x) * stride, tile.nz, jobs, count, detector.rows, scratch);
    }
  store_tile(columns, stride, volume, grid, tile);
}

template <Weighting weighting, class T, class View>
void backproject(const T* projections, T* volume, const Views& views, DetectorShape detector, const Grid& grid,
                 Interruption stop) {
  const LineKernels<T>& kernels = line_kernels<T>();
  DetectorLines<T> lines(std::min(kViewBlock, views.count), detector);
  lines.lines.zero();
  const int64_t tiles = count_tiles(grid);
  for (int64_t first = 0; first < views.count; first += kViewBlock) {
    stop();
    const int64_t last = std::min(first + kViewBlock, views.count);
#pragma omp parallel
    {
#pragma omp for schedule(dynamic)
      for (int64_t v = first; v < last; ++v)
        transpose(projections + v * views.view_stride, views.row_stride, lines.line(v - first, 0),
                  lines.stride, detector.rows, detector.columns);
      AlignedBuffer<T> columns(kTileElements);
      AlignedBuffer<T> scratch(line_scratch(detector.rows));
#pragma omp for schedule(dynamic)
      for (int64_t t = 0; t < tiles; ++t)
        backproject_tile<weighting, T, View>(kernels, lines, volume, views, first, last, detector, grid,
                                             tile_of(grid, t), columns.data(), scratch.data());
    }
  }
}

// One thread owns a block of views and meets every voxel column; nothing is shared, so the order is fixed.
template <Weighting weighting, class T, class View>
void backproject_adjoint(const T* volume, T* projections, const Views& views, DetectorShape detector, const Grid& grid,
                         Interruption stop) {
  const LineKernels<T>& kernels = line_kernels<T>();
  const int64_t blocks = (views.count + kAdjointViewBlock - 1) / kAdjointViewBlock;
  const int64_t round = 2 * omp_get_max_threads();
  const int64_t stride = line_stride(grid.z.count);
  const Axis z = grid.z;
  for (int64_t begin = 0; begin < blocks; begin += round) {
    stop();
#pragma omp parallel
    {
      DetectorLines<T> lines(kAdjointViewBlock, detector);
      AlignedBuffer<T> columns(kTileX * stride);
      columns.zero();
      AlignedBuffer<T> scratch(line_scratch(detector.rows));
      LineJob<T> jobs[kAdjointViewBlock];
#pragma omp for schedule(dynamic)
      for (int64_t block = begin; block < std::min(begin + round, blocks); ++block) {
        const int64_t first = block * kAdjointViewBlock, last = std::min(first + kAdjointViewBlock, views.count);
        lines.lines.zero();
        for (int64_t y = 0; y < grid.y.count; ++y)
          for (int64_t x0 = 0; x0 < grid.x.count; x0 += kTileX) {
            const int64_t nx = std::min(kTileX, grid.x.count - x0);
            transpose(volume + y * grid.x.count + x0, grid.y.count * grid.x.count, columns.data() + kLinePad, stride,
                      grid.z.count, nx);
            for (int64_t x = 0; x < nx; ++x) {
              const double place_x = grid.x.position(x0 + x), place_y = grid.y.position(y);
              int64_t count = 0;
              for (int64_t v = first; v < last; ++v)
                count += column_job<weighting>(View{views.data + v * kViewDoubles}, place_x, place_y, z, detector,
                                               lines, v - first, jobs[count]);
              kernels.scatter(columns.data() + kLinePad + x * stride, grid.z.count, jobs, count, detector.rows,
                              scratch.data());
            }
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

// Calls f with the weighting as a constant and a view of the kind at hand.
template <class F>
void with_view(const Views& views, F&& f) {
  with_weighting(views.weighting, [&](auto weighting) {
    if (views.stacked && views.curved)
      f(weighting, StackedView<CurvedView>{});
    else if (views.stacked)
      f(weighting, StackedView<FlatView>{});
    else if (views.curved)
      f(weighting, CurvedView{});
    else
      f(weighting, FlatView{});
  });
}

}  // namespace

template <class T>
void backproject_axial(const T* projections, T* volume, Views views, DetectorShape detector, Grid grid,
                       Interruption stop) {
  with_view(views, [&](auto weighting, auto view) {
    backproject<weighting(), T, decltype(view)>(projections, volume, views, detector, grid, stop);
  });
}

template <class T>
void backproject_axial_adjoint(const T* volume, T* projections, Views views, DetectorShape detector, Grid grid,
                               Interruption stop) {
  with_view(views, [&](auto weighting, auto view) {
    backproject_adjoint<weighting(), T, decltype(view)>(volume, projections, views, detector, grid, stop);
  });
}

#define SINOGRAD_INSTANTIATE(T)                                                                       \
  template void backproject_axial<T>(const T*, T*, Views, DetectorShape, Grid, Interruption);         \
  template void backproject_axial_adjoint<T>(const T*, T*, Views, DetectorShape, Grid, Interruption);
SINOGRAD_INSTANTIATE(float)
SINOGRAD_INSTANTIATE(double)

}  // namespace sinograd
