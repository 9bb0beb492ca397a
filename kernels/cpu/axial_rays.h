// What ray-driven projectors and their adjoints share where the detector's rows run parallel to z: blocks of detector
// columns, lines along v and z, and who owns what.
//
// The rays of one detector column share their horizontal path; on every plane of their major axis their heights are
// linear in the row. So every (detector column, plane) is one job of an axial primitive. A `Model` says which:
//   Rays     what it knows of a detector column, with `fan(rays)` in it; `make(view, u, grid, stacked)`
//   Job      of its primitive; `jobs(rays, voxels, rows, first, last, jobs)` writes those of planes [first, last), at most
//            `jobs_a_plane` on each
//   gather, scatter: the primitive; `scratch(length)`: what it needs.
// An object of the model is made for each thread and says `planes`, how many it is asked for at once.
#pragma once

#include <omp.h>

#include <algorithm>

#include "aligned_buffer.h"
#include "fan.h"
#include "lines.h"
#include "operators.h"
#include "voxel_lines.h"

namespace sinograd {

constexpr int64_t kRayViewBlock = 4, kRayColumnBlock = 16, kRayPlaneBlock = 16;
constexpr int64_t kRayAdjointViewBlock = 16, kRaySlab = 8;

// The rays of column u of view v.
template <class Model>
typename Model::Rays rays_of(const Views& views, int64_t v, int64_t u, DetectorShape detector, const Grid& grid) {
  return Model::make(ray_view(views, v), double(u) - 0.5 * double(detector.columns - 1), grid, views.stacked);
}

template <class T>
T length_of_ray(const Fan& fan, int64_t row, DetectorShape detector) {
  return T(ray_length(fan, double(row) - 0.5 * double(detector.rows - 1)));
}

// Detector columns [u0, u1) of views [v0, v1).
template <class Model, class T>
void project_block(Model& model, VoxelLines<T>& voxels, T* projections, const Views& views, DetectorShape detector,
                   int64_t v0, int64_t v1, int64_t u0, int64_t u1, T* lines, T* scratch) {
  const Grid& grid = voxels.grid;
  const int64_t stride = line_stride(detector.rows);
  typename Model::Rays rays[kRayViewBlock * kRayColumnBlock];
  typename Model::Job jobs[kRayPlaneBlock * Model::jobs_a_plane];
  const int64_t width = u1 - u0, count = (v1 - v0) * width;
  for (int64_t i = 0; i < count; ++i) rays[i] = rays_of<Model>(views, v0 + i / width, u0 + i % width, detector, grid);
  std::fill_n(lines, count * stride, T(0));
  const int64_t planes = std::max(grid.x.count, grid.y.count);
  for (int64_t plane = 0; plane < planes; plane += kRayPlaneBlock)
    for (int64_t i = 0; i < count; ++i) {
      const int64_t n = model.jobs(rays[i], voxels, detector.rows, plane, plane + kRayPlaneBlock, jobs);
      model.gather(lines + i * stride, detector.rows, jobs, n, grid.z.count, scratch);
    }
  for (int64_t i = 0; i < count; ++i) {
    T* target = projections + (v0 + i / width) * views.view_stride + u0 + i % width;
    for (int64_t v = 0; v < detector.rows; ++v)
      target[v * views.row_stride] += lines[i * stride + v] * length_of_ray<T>(Model::fan(rays[i]), v, detector);
  }
}

// Lines along v of a block of views (their pads stay zero), multiplied by the length of each ray between planes.
template <class Model, class T>
void load_scaled(const T* projections, const Views& views, DetectorShape detector, const Grid& grid, int64_t first,
                 int64_t last, T* lines, typename Model::Rays* rays) {
  const int64_t stride = line_stride(detector.rows);
#pragma omp parallel for schedule(dynamic, 8)
  for (int64_t i = 0; i < (last - first) * detector.columns; ++i) {
    const int64_t view = first + i / detector.columns, u = i % detector.columns;
    rays[i] = rays_of<Model>(views, view, u, detector, grid);
    const T* source = projections + view * views.view_stride + u;
    for (int64_t v = 0; v < detector.rows; ++v)
      lines[i * stride + kLinePad + v] =
          source[v * views.row_stride] * length_of_ray<T>(Model::fan(rays[i]), v, detector);
  }
}

// Every thread owns slabs of planes; a slab meets the rays in one fixed order.
template <class Model, class T>
void scatter_planes(VoxelLines<T>& voxels, const T* lines, const typename Model::Rays* rays, DetectorShape detector,
                    int64_t views, bool along_x) {
  const Grid& grid = voxels.grid;
  const int64_t stride = line_stride(detector.rows);
  const int64_t planes = along_x ? grid.x.count : grid.y.count;
#pragma omp parallel
  {
    Model model(grid, kRaySlab);
    AlignedBuffer<T> scratch(Model::scratch(grid.z.count));
    typename Model::Job jobs[kRaySlab * Model::jobs_a_plane];
#pragma omp for schedule(dynamic)
    for (int64_t slab = 0; slab < planes; slab += kRaySlab)
      for (int64_t u0 = 0; u0 < detector.columns; u0 += kRayColumnBlock)
        for (int64_t v = 0; v < views; ++v)
          for (int64_t u = u0; u < std::min(u0 + kRayColumnBlock, detector.columns); ++u) {
            const int64_t i = v * detector.columns + u;
            if (Model::fan(rays[i]).along_x != along_x) continue;
            const int64_t n = model.jobs(rays[i], voxels, detector.rows, slab, slab + kRaySlab, jobs);
            model.scatter(lines + i * stride + kLinePad, detector.rows, jobs, n, grid.z.count, scratch.data());
          }
  }
}

template <class Model, class T>
void project_axial(const T* volume, T* projections, Views views, DetectorShape detector, Grid grid, Interruption stop) {
  VoxelLines<T> voxels(grid);
  voxels.load(volume);
  const int64_t column_blocks = (detector.columns + kRayColumnBlock - 1) / kRayColumnBlock;
  const int64_t view_blocks = (views.count + kRayViewBlock - 1) / kRayViewBlock;
  const int64_t round = std::max<int64_t>(1, 4 * omp_get_max_threads() / column_blocks);
  for (int64_t begin = 0; begin < view_blocks; begin += round) {
    stop();
    const int64_t end = std::min(begin + round, view_blocks);
#pragma omp parallel
    {
      Model model(grid, kRayPlaneBlock);
      AlignedBuffer<T> lines(kRayViewBlock * kRayColumnBlock * line_stride(detector.rows));
      AlignedBuffer<T> scratch(Model::scratch(grid.z.count));
#pragma omp for schedule(dynamic)
      for (int64_t task = begin * column_blocks; task < end * column_blocks; ++task) {
        const int64_t v0 = task / column_blocks * kRayViewBlock, u0 = task % column_blocks * kRayColumnBlock;
        project_block(model, voxels, projections, views, detector, v0, std::min(v0 + kRayViewBlock, views.count), u0,
                      std::min(u0 + kRayColumnBlock, detector.columns), lines.data(), scratch.data());
      }
    }
  }
}

template <class Model, class T>
void project_axial_adjoint(const T* projections, T* volume, Views views, DetectorShape detector, Grid grid,
                           Interruption stop) {
  VoxelLines<T> voxels(grid);
  voxels.lines.zero();
  const int64_t block = std::min(kRayAdjointViewBlock, views.count);
  AlignedBuffer<T> lines(block * detector.columns * line_stride(detector.rows));
  lines.zero();
  AlignedBuffer<typename Model::Rays> rays(block * detector.columns);
  for (int64_t first = 0; first < views.count; first += kRayAdjointViewBlock) {
    stop();
    const int64_t last = std::min(first + kRayAdjointViewBlock, views.count);
    load_scaled<Model>(projections, views, detector, grid, first, last, lines.data(), rays.data());
    scatter_planes<Model>(voxels, lines.data(), rays.data(), detector, last - first, true);
    scatter_planes<Model>(voxels, lines.data(), rays.data(), detector, last - first, false);
  }
  voxels.add_to(volume);
}

}  // namespace sinograd
