// Weighted backprojection of cone-parallel views and its adjoint.
//
// The image of a column of voxels is a line on the detector: one column coordinate, rows linear in z. So a column and
// the views of one direction are jobs of the line primitive, twice: on the views, weighted by row, and on a line of the
// weights themselves. The ratio is the weighted mean.
#include "cone_parallel.h"

#include <omp.h>

#include <algorithm>
#include <vector>

#include "aligned_buffer.h"
#include "lines.h"
#include "tile.h"
#include "transposition.h"

namespace sinograd {
namespace {

constexpr int64_t kViewBlock = 4;

// Sums of weights below this are taken for zero: what is left of the outermost row's interpolation.
constexpr double kSmallestWeight = 1e-5;

// Detector lines of some views of every half turn, and the line of weights.
template <class T>
struct WeightedLines {
  WeightedLines(const ConeParallelViews& shape, int64_t views)
      : stride(line_stride(shape.rows)),
        view_stride(shape.distances * stride),
        views(views),
        lines(shape.turns * views * view_stride),
        weights(stride) {
    lines.zero();
    weights.zero();
    for (int64_t row = 0; row < shape.rows; ++row) weight()[row] = T(shape.window[row]);
  }

  T* line(int64_t turn, int64_t view, int64_t column) {
    return lines.data() + (turn * views + view) * view_stride + column * stride + kLinePad;
  }
  T* weight() { return weights.data() + kLinePad; }

  int64_t stride, view_stride, views;
  AlignedBuffer<T> lines, weights;
};

// The jobs of a column of voxels with the views of one direction, and the samples [first, last) that any of them meets.
template <class T>
struct ColumnJobs {
  explicit ColumnJobs(int64_t turns) : values(turns), weights(turns) {}

  void find(const ConeParallelViews& views, int64_t view, WeightedLines<T>& lines, int64_t line_view, double x, double y,
            const Axis& z) {
    count = 0;
    first = z.count;
    last = 0;
    for (int64_t turn = 0; turn < views.turns; ++turn) {
      ColumnImage image;
      LineJob<T>& job = values[count];
      if (!views.view(turn, view).column(x, y, z, image)) continue;
      // most half turns are far above or below; a row of margin, as the map rounds
      const double reach = 0.5 * double(z.count - 1) * image.step;
      if (!(image.middle + reach > -2.0 && image.middle - reach < double(views.rows) + 1.0)) continue;
      if (!make_line_map<T>(image.middle, image.step, z.count, job.map)) continue;
      int64_t low, high;
      overlap<T>(job.map, z.count, views.rows, low, high);
      if (low >= high) continue;
      first = std::min(first, low);
      last = std::max(last, high);
      const int64_t below = std::min(int64_t(image.column), views.distances - 2);
      const double share = image.column - double(below);
      job.line0 = lines.line(turn, line_view, below);
      job.line1 = job.line0 + lines.stride;
      job.w0 = T(1.0 - share);
      job.w1 = T(share);
      ++count;
    }
    for (int64_t i = 0; i < count; ++i) {
      values[i].map.start += first * values[i].map.step;
      weights[i] = {lines.weight(), lines.weight(), T(1), T(0), values[i].map};
    }
  }

  int64_t samples() const { return last - first; }

  std::vector<LineJob<T>> values, weights;
  int64_t count = 0, first = 0, last = 0;
};

// A line along z, with pads.
template <class T>
struct ScratchLine {
  explicit ScratchLine(int64_t length) : buffer(line_stride(length)) { buffer.zero(); }
  T* data() { return buffer.data() + kLinePad; }
  AlignedBuffer<T> buffer;
};

template <class T>
void load_lines(const Transposition<T>& transposed, const T* projections, const ConeParallelViews& views,
                WeightedLines<T>& lines, int64_t turn, int64_t view, int64_t line_view) {
  const T* source = projections + (turn * views.views + view) * views.rows * views.distances;
  transposed.copy(source, views.distances, lines.line(turn, line_view, 0), lines.stride, views.rows, views.distances);
  for (int64_t column = 0; column < views.distances; ++column) {
    T* line = lines.line(turn, line_view, column);
    for (int64_t row = 0; row < views.rows; ++row) line[row] *= lines.weight()[row];
  }
}

}  // namespace

template <class T>
void cone_parallel_backproject(const T* projections, T* volume, const ConeParallelViews& views, const Grid& grid,
                               Interruption stop) {
  const LineKernels<T>& kernels = line_kernels<T>();
  const Transposition<T>& transposed = transposition<T>();
  WeightedLines<T> lines(views, std::min(kViewBlock, views.views));
  const int64_t tiles = count_tiles(grid), stride = line_stride(kTileZ);
  for (int64_t begin = 0; begin < views.views; begin += kViewBlock) {
    stop();
    const int64_t end = std::min(begin + kViewBlock, views.views), block = end - begin;
#pragma omp parallel
    {
#pragma omp for schedule(dynamic)
      for (int64_t i = 0; i < views.turns * block; ++i)
        load_lines(transposed, projections, views, lines, i / block, begin + i % block, i % block);
      AlignedBuffer<T> columns(kTileElements), scratch(line_scratch(views.rows));
      ScratchLine<T> sums(kTileZ), totals(kTileZ);
      ColumnJobs<T> jobs(views.turns);
#pragma omp for schedule(dynamic)
      for (int64_t t = 0; t < tiles; ++t) {
        const Tile tile = tile_of(grid, t);
        load_tile(volume, grid, tile, columns.data(), stride, transposed);
        const Axis part{tile.nz, grid.z.spacing, grid.z.position(tile.z0) + 0.5 * double(tile.nz - 1) * grid.z.spacing};
        for (int64_t y = 0; y < tile.ny; ++y)
          for (int64_t x = 0; x < tile.nx; ++x) {
            T* column = columns.data() + (y * kTileX + x) * stride;
            for (int64_t view = begin; view < end; ++view) {
              jobs.find(views, view, lines, view - begin, grid.x.position(tile.x0 + x), grid.y.position(tile.y0 + y), part);
              const int64_t count = jobs.samples();
              if (count <= 0) continue;
              T *sum = sums.data(), *total = totals.data(), *target = column + jobs.first;
              std::fill_n(sum, count, T(0));
              std::fill_n(total, count, T(0));
              kernels.gather(sum, count, jobs.values.data(), jobs.count, views.rows, scratch.data());
              kernels.gather(total, count, jobs.weights.data(), jobs.count, views.rows, scratch.data());
              for (int64_t k = 0; k < count; ++k)
                target[k] += total[k] > T(kSmallestWeight) ? sum[k] / total[k] : T(0);
            }
          }
        store_tile(columns.data(), stride, volume, grid, tile, transposed);
      }
    }
  }
}

// A thread owns the views of one direction and meets every column of voxels; nothing is shared, so the order is fixed.
template <class T>
void cone_parallel_backproject_adjoint(const T* volume, T* projections, const ConeParallelViews& views, const Grid& grid,
                                       Interruption stop) {
  const LineKernels<T>& kernels = line_kernels<T>();
  const Transposition<T>& transposed = transposition<T>();
  const int64_t round = 2 * omp_get_max_threads(), stride = line_stride(grid.z.count);
  for (int64_t begin = 0; begin < views.views; begin += round) {
    stop();
#pragma omp parallel
    {
      WeightedLines<T> lines(views, 1);
      AlignedBuffer<T> columns(kTileX * stride), scratch(line_scratch(views.rows));
      columns.zero();
      ScratchLine<T> shares(grid.z.count), totals(grid.z.count);
      ColumnJobs<T> jobs(views.turns);
#pragma omp for schedule(dynamic)
      for (int64_t view = begin; view < std::min(begin + round, views.views); ++view) {
        lines.lines.zero();
        for (int64_t y = 0; y < grid.y.count; ++y)
          for (int64_t x0 = 0; x0 < grid.x.count; x0 += kTileX) {
            const int64_t nx = std::min(kTileX, grid.x.count - x0);
            transposed.copy(volume + y * grid.x.count + x0, grid.y.count * grid.x.count, columns.data() + kLinePad, stride,
                            grid.z.count, nx);
            for (int64_t x = 0; x < nx; ++x) {
              jobs.find(views, view, lines, 0, grid.x.position(x0 + x), grid.y.position(y), grid.z);
              const int64_t count = jobs.samples();
              if (count <= 0) continue;
              T *share = shares.data(), *total = totals.data();
              const T* column = columns.data() + kLinePad + x * stride + jobs.first;
              std::fill_n(total, count, T(0));
              kernels.gather(total, count, jobs.weights.data(), jobs.count, views.rows, scratch.data());
              for (int64_t k = 0; k < count; ++k)
                share[k] = total[k] > T(kSmallestWeight) ? column[k] / total[k] : T(0);
              std::fill_n(share + count, kLinePad, T(0));
              kernels.scatter(share, count, jobs.values.data(), jobs.count, views.rows, scratch.data());
            }
          }
        for (int64_t turn = 0; turn < views.turns; ++turn) {
          T* target = projections + (turn * views.views + view) * views.rows * views.distances;
          for (int64_t row = 0; row < views.rows; ++row)
            for (int64_t column = 0; column < views.distances; ++column)
              target[row * views.distances + column] += lines.line(turn, 0, column)[row] * lines.weight()[row];
        }
      }
    }
  }
}

#define SINOGRAD_INSTANTIATE(T)                                                                                     \
  template void cone_parallel_backproject<T>(const T*, T*, const ConeParallelViews&, const Grid&, Interruption);    \
  template void cone_parallel_backproject_adjoint<T>(const T*, T*, const ConeParallelViews&, const Grid&, Interruption);
SINOGRAD_INSTANTIATE(float)
SINOGRAD_INSTANTIATE(double)

}  // namespace sinograd
