// Projector and adjoint of separable footprints (footprint.h) where the detector's rows run parallel to z: on every
// plane the voxels that a pixel's rays meet are blended with the shares of its trapezoid, and the blend is averaged
// over the box of each row.
#include <cmath>

#include "axial_rays.h"
#include "box_lines.h"
#include "footprint.h"

namespace sinograd {
namespace {

template <class T>
struct FootprintModel {
  using Rays = PixelFan;
  using Job = BoxJob<T>;

  FootprintModel(const Grid& grid, int64_t planes)
      : weights(planes * kMostParts * std::max(grid.x.count, grid.y.count)) {}

  static constexpr int64_t jobs_a_plane = kMostParts;
  static Rays make(const RayView& view, double u, const Grid& grid, bool stacked) {
    return make_pixel_fan(view, u, grid, stacked);
  }
  static const Fan& fan(const Rays& rays) { return rays.fan; }
  static int64_t scratch(int64_t length) { return box_scratch(length); }

  int64_t jobs(const Rays& rays, VoxelLines<T>& voxels, int64_t rows, int64_t first, int64_t last, Job* jobs) {
    const Grid& grid = voxels.grid;
    last = std::min(last, rays.fan.along_x ? grid.x.count : grid.y.count);
    T* share = weights.data();
    int64_t count = 0;
    for (int64_t part = 0; part < rays.parts; ++part)
      for (int64_t i = first; i < last; ++i) count += job(rays, part, i, voxels, rows, share, jobs[count]);
    return count;
  }

  // The job of part of a column on plane i; false where it meets no voxel. Its weights are written to `share`.
  bool job(const Rays& rays, int64_t part, int64_t i, VoxelLines<T>& voxels, int64_t rows, T*& share, Job& job) const {
    const Grid& grid = voxels.grid;
    const Fan& fan = rays.middles[part];
    const int64_t minor_count = fan.along_x ? grid.y.count : grid.x.count;
    const Trapezoid shares = rays.on_plane(part, double(i));
    // boundary b lies between voxels b - 1 and b
    const double low = shares.middle - shares.outer + 0.5, high = shares.middle + shares.outer + 0.5;
    if (!(high > 0.0 && low < double(minor_count))) return false;
    const double t = fan.t0 + double(i) * fan.dt;
    if (!make_line_map<T>(fan.middle + fan.slope * t, fan.step + fan.spread * t, rows, job.map)) return false;
    job.map = box_edges<T>(job.map);
    const int64_t begin = low > 0.0 ? int64_t(low) : 0;
    const int64_t end = high < double(minor_count) ? int64_t(std::ceil(high)) : minor_count;
    if (begin >= end) return false;
    const double scale = 1.0 / (double(job.map.step) * double(rays.parts));
    double before = shares.below(double(begin) - 0.5);
    job.weights = share;
    for (int64_t j = begin; j < end; ++j) {
      const double after = shares.below(double(j) + 0.5);
      *share++ = T((after - before) * scale);
      before = after;
    }
    job.lines = fan.along_x ? voxels.line(begin, i) : voxels.line(i, begin);
    job.stride = fan.along_x ? voxels.row_stride : voxels.stride;
    job.count = end - begin;
    return true;
  }

  void gather(T* single, int64_t count, const Job* jobs, int64_t job_count, int64_t length, T* scratch) const {
    kernels.gather(single, count, jobs, job_count, length, scratch);
  }
  void scatter(const T* single, int64_t count, const Job* jobs, int64_t job_count, int64_t length, T* scratch) const {
    kernels.scatter(single, count, jobs, job_count, length, scratch);
  }

  const BoxKernels<T>& kernels = box_kernels<T>();
  AlignedBuffer<T> weights;
};

}  // namespace

template <class T>
void footprint_axial(const T* volume, T* projections, Views views, DetectorShape detector, Grid grid, Interruption stop) {
  project_axial<FootprintModel<T>>(volume, projections, views, detector, grid, stop);
}

template <class T>
void footprint_axial_adjoint(const T* projections, T* volume, Views views, DetectorShape detector, Grid grid,
                             Interruption stop) {
  project_axial_adjoint<FootprintModel<T>>(projections, volume, views, detector, grid, stop);
}

#define SINOGRAD_INSTANTIATE(T)                                                                     \
  template void footprint_axial<T>(const T*, T*, Views, DetectorShape, Grid, Interruption);         \
  template void footprint_axial_adjoint<T>(const T*, T*, Views, DetectorShape, Grid, Interruption);
SINOGRAD_INSTANTIATE(float)
SINOGRAD_INSTANTIATE(double)

}  // namespace sinograd
