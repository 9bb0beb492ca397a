// Joseph's ray-driven projector and its adjoint where the detector's rows run parallel to z.
//
// P. M. Joseph, "An improved algorithm for reprojecting rays through pixel images", IEEE TMI 1(3), 1982: a ray
// steps through the planes of the axis along which it moves fastest and interpolates linearly inside each plane.
// So every (detector column, plane) is one job of the line primitive. The major axis is chosen from the horizontal
// components, in float64, once per detector column.
#include <cmath>

#include "axial_rays.h"

namespace sinograd {
namespace {

template <class T>
struct JosephModel {
  using Rays = Fan;
  using Job = LineJob<T>;

  JosephModel(const Grid&, int64_t) {}

  static constexpr int64_t jobs_a_plane = 1;

  static Rays make(const RayView& view, double u, const Grid& grid, bool stacked) {
    return make_fan(view, u, grid, stacked);
  }
  static const Fan& fan(const Rays& rays) { return rays; }
  static int64_t scratch(int64_t length) { return line_scratch(length); }

  int64_t jobs(const Rays& fan, VoxelLines<T>& voxels, int64_t rows, int64_t first, int64_t last, Job* jobs) const {
    const Grid& grid = voxels.grid;
    last = std::min(last, fan.along_x ? grid.x.count : grid.y.count);
    const double minor_count = double(fan.along_x ? grid.y.count : grid.x.count);
    const int64_t next = fan.along_x ? voxels.row_stride : voxels.stride;
    int64_t count = 0;
    for (int64_t i = first; i < last; ++i) {
      const double j = fan.j0 + double(i) * fan.dj;
      if (!(j > -1.0 && j < minor_count)) continue;
      const double t = fan.t0 + double(i) * fan.dt;
      Job& job = jobs[count];
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

  void gather(T* single, int64_t count, const Job* jobs, int64_t job_count, int64_t length, T* scratch) const {
    kernels.gather(single, count, jobs, job_count, length, scratch);
  }
  void scatter(const T* single, int64_t count, const Job* jobs, int64_t job_count, int64_t length, T* scratch) const {
    kernels.scatter(single, count, jobs, job_count, length, scratch);
  }

  const LineKernels<T>& kernels = line_kernels<T>();
};

}  // namespace

template <class T>
void joseph_axial(const T* volume, T* projections, Views views, DetectorShape detector, Grid grid, Interruption stop) {
  project_axial<JosephModel<T>>(volume, projections, views, detector, grid, stop);
}

template <class T>
void joseph_axial_adjoint(const T* projections, T* volume, Views views, DetectorShape detector, Grid grid,
                          Interruption stop) {
  project_axial_adjoint<JosephModel<T>>(projections, volume, views, detector, grid, stop);
}

#define SINOGRAD_INSTANTIATE(T)                                                                  \
  template void joseph_axial<T>(const T*, T*, Views, DetectorShape, Grid, Interruption);         \
  template void joseph_axial_adjoint<T>(const T*, T*, Views, DetectorShape, Grid, Interruption);
SINOGRAD_INSTANTIATE(float)
SINOGRAD_INSTANTIATE(double)

}  // namespace sinograd
