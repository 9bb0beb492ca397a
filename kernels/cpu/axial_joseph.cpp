// Joseph's ray-driven projector and its adjoint where the detector's rows run parallel to z.
//
// P. M. Joseph, "An improved algorithm for reprojecting rays through pixel images", IEEE TMI 1(3), 1982: a ray
// steps through the planes of the axis along which it moves fastest and interpolates linearly inside each plane.
// The rays of one detector column share their horizontal path; on every plane their heights are linear in the
// row. So every (detector column, plane) is one job of the line primitive. The major axis is chosen from the
// horizontal components, in float64, once per detector column.
#include <omp.h>

#include <algorithm>
#include <cmath>

#include "aligned_buffer.h"
#include "fan.h"
#include "lines.h"
#include "operators.h"
#include "voxel_lines.h"

namespace sinograd {
namespace {

constexpr int64_t kViewBlock = 4, kColumnBlock = 16, kPlaneBlock = 16;
constexpr int64_t kAdjointViewBlock = 16, kSlab = 8;

// The jobs of one fan on planes [first, last) of its major axis.
template <class T>
int64_t fan_jobs(const Fan& fan, VoxelLines<T>& voxels, int64_t rows, int64_t first, int64_t last, LineJob<T>* jobs) {
  const Grid& grid = voxels.grid;
  last = std::min(last, fan.along_x ? grid.x.count : grid.y.count);
  const double minor_count = double(fan.along_x ? grid.y.count : grid.x.count);
  const int64_t next = fan.along_x ? voxels.row_stride : voxels.stride;
  int64_t count = 0;
  for (int64_t i = first; i < last; ++i) {
    const double j = fan.j0 + double(i) * fan.dj;
    if (!(j > -1.0 && j < minor_count)) continue;
    const double t = fan.t0 + double(i) * fan.dt;
    LineJob<T>& job = jobs[count];
    if (!make_line_map<T>(fan.middle + fan.slope * t, fan.step + fan.spread * t, rows, job.map)) continue;
    const double below = std::floor(j);
    job.line0 = fan.along_x ? voxels.line(int64_t(below), i) : voxels.line(i, int64_t(below));
    job.line1 = job.line0 + next;
    job.w1 = T(j - below);
    job.w0 = T(1.0 - (j - below));
    ++count;
  }
  return count;
}

RayView ray_view(const Views& views, int64_t v) {
  return {views.data + v * 3 * (views.curved ? 5 : 4), views.divergent, views.curved};
}

// Detector columns [u0, u1) of views [v0, v1).
template <class T>
void project_block(const LineKernels<T>& kernels, VoxelLines<T>& voxels, T* projections, const Views& views,
                   DetectorShape detector, int64_t v0, int64_t v1, int64_t u0, int64_t u1, T* lines, T* scratch) {
  const Grid& grid = voxels.grid;
  const int64_t stride = line_stride(detector.rows);
  Fan fans[kViewBlock * kColumnBlock];
  LineJob<T> jobs[kPlaneBlock];
  const int64_t width = u1 - u0, count = (v1 - v0) * width;
  for (int64_t i = 0; i < count; ++i)
    fans[i] = make_fan(ray_view(views, v0 + i / width), double(u0 + i % width) - 0.5 * double(detector.columns - 1), grid,
                       views.stacked);
  std::fill_n(lines, count * stride, T(0));
  const int64_t planes = std::max(grid.x.count, grid.y.count);
  for (int64_t plane = 0; plane < planes; plane += kPlaneBlock)
    for (int64_t i = 0; i < count; ++i) {
      const int64_t n = fan_jobs(fans[i], voxels, detector.rows, plane, plane + kPlaneBlock, jobs);
      kernels.gather(lines + i * stride, detector.rows, jobs, n, grid.z.count, scratch);
    }
  for (int64_t i = 0; i < count; ++i) {
    T* target = projections + (v0 + i / width) * views.view_stride + u0 + i % width;
    for (int64_t v = 0; v < detector.rows; ++v)
      target[v * views.row_stride] +=
          lines[i * stride + v] * T(ray_length(fans[i], double(v) - 0.5 * double(detector.rows - 1)));
  }
}

// Lines along v of a block of views (their pads stay zero), multiplied by the length of each ray between planes.
template <class T>
void load_scaled(const T* projections, const Views& views, DetectorShape detector, const Grid& grid, int64_t first,
                 int64_t last, T* lines, Fan* fans) {
  const int64_t stride = line_stride(detector.rows);
#pragma omp parallel for schedule(dynamic, 8)
  for (int64_t i = 0; i < (last - first) * detector.columns; ++i) {
    const int64_t view = first + i / detector.columns, u = i % detector.columns;
    fans[i] = make_fan(ray_view(views, view), double(u) - 0.5 * double(detector.columns - 1), grid,
                       views.stacked);
    const T* source = projections + view * views.view_stride + u;
    for (int64_t v = 0; v < detector.rows; ++v)
      lines[i * stride + kLinePad + v] = source[v * views.row_stride] *
                                         T(ray_length(fans[i], double(v) - 0.5 * double(detector.rows - 1)));
  }
}

// Every thread owns slabs of planes; a slab meets the rays in one fixed order.
template <class T>
void scatter_planes(const LineKernels<T>& kernels, VoxelLines<T>& voxels, const T* lines, const Fan* fans,
                    DetectorShape detector, int64_t views, bool along_x) {
  const Grid& grid = voxels.grid;
  const int64_t stride = line_stride(detector.rows);
  const int64_t planes = along_x ? grid.x.count : grid.y.count;
#pragma omp parallel
  {
    AlignedBuffer<T> scratch(line_scratch(grid.z.count));
    LineJob<T> jobs[kSlab];
#pragma omp for schedule(dynamic)
    for (int64_t slab = 0; slab < planes; slab += kSlab)
      for (int64_t u0 = 0; u0 < detector.columns; u0 += kColumnBlock)
        for (int64_t v = 0; v < views; ++v)
          for (int64_t u = u0; u < std::min(u0 + kColumnBlock, detector.columns); ++u) {
            const int64_t i = v * detector.columns + u;
            if (fans[i].along_x != along_x) continue;
            const int64_t n = fan_jobs(fans[i], voxels, detector.rows, slab, slab + kSlab, jobs);
            kernels.scatter(lines + i * stride + kLinePad, detector.rows, jobs, n, grid.z.count, scratch.data());
          }
  }
}

}  // namespace

template <class T>
void joseph_axial(const T* volume, T* projections, Views views, DetectorShape detector, Grid grid, Interruption stop) {
  const LineKernels<T>& kernels = line_kernels<T>();
  VoxelLines<T> voxels(grid);
  voxels.load(volume);
  const int64_t column_blocks = (detector.columns + kColumnBlock - 1) / kColumnBlock;
  const int64_t view_blocks = (views.count + kViewBlock - 1) / kViewBlock;
  const int64_t round = std::max<int64_t>(1, 4 * omp_get_max_threads() / column_blocks);
  for (int64_t begin = 0; begin < view_blocks; begin += round) {
    stop();
    const int64_t end = std::min(begin + round, view_blocks);
#pragma omp parallel
    {
      AlignedBuffer<T> lines(kViewBlock * kColumnBlock * line_stride(detector.rows));
      AlignedBuffer<T> scratch(line_scratch(grid.z.count));
#pragma omp for schedule(dynamic)
      for (int64_t task = begin * column_blocks; task < end * column_blocks; ++task) {
        const int64_t v0 = task / column_blocks * kViewBlock, u0 = task % column_blocks * kColumnBlock;
        project_block(kernels, voxels, projections, views, detector, v0, std::min(v0 + kViewBlock, views.count), u0,
                      std::min(u0 + kColumnBlock, detector.columns), lines.data(), scratch.data());
      }
    }
  }
}

template <class T>
void joseph_axial_adjoint(const T* projections, T* volume, Views views, DetectorShape detector, Grid grid,
                          Interruption stop) {
  const LineKernels<T>& kernels = line_kernels<T>();
  VoxelLines<T> voxels(grid);
  voxels.lines.zero();
  const int64_t block = std::min(kAdjointViewBlock, views.count);
  AlignedBuffer<T> lines(block * detector.columns * line_stride(detector.rows));
  lines.zero();
  AlignedBuffer<Fan> fans(block * detector.columns);
  for (int64_t first = 0; first < views.count; first += kAdjointViewBlock) {
    stop();
    const int64_t last = std::min(first + kAdjointViewBlock, views.count);
    load_scaled(projections, views, detector, grid, first, last, lines.data(), fans.data());
    scatter_planes(kernels, voxels, lines.data(), fans.data(), detector, last - first, true);
    scatter_planes(kernels, voxels, lines.data(), fans.data(), detector, last - first, false);
  }
  voxels.add_to(volume);
}

#define SINOGRAD_INSTANTIATE(T)                                                                  \
  template void joseph_axial<T>(const T*, T*, Views, DetectorShape, Grid, Interruption);         \
  template void joseph_axial_adjoint<T>(const T*, T*, Views, DetectorShape, Grid, Interruption);
SINOGRAD_INSTANTIATE(float)
SINOGRAD_INSTANTIATE(double)

}  // namespace sinograd
