// Joseph's ray-driven projector and its exact adjoint where the detector's rows run parallel to z.
//
// The rays of a detector column share their horizontal path (see kernels/cpu/axial_joseph.cpp), so that on every plane
// they read two neighbouring columns of voxels, whose place is found once, in float64, by a block's threads together.
// Lanes of a warp run along the detector's rows (z in the adjoint). Both gather.
//
//     REAL      float or double
//     WARPS     of a block
//     COLUMNS   of voxels of a warp, along y (adjoint)
//     LEVELS    detector rows of a thread, 32 WARPS apart (in the adjoint: voxels, 32 apart)
#include "fan.h"
#include "gathered.h"
#include "horizontal.h"
#include "scan.h"

using namespace sinograd;

constexpr int kLanes = 32, kThreads = kLanes * WARPS, kTile = WARPS * COLUMNS;
constexpr int kNeighbours = 8;          // views whose blocks run side by side, so that they share what they read
constexpr int kViews = 4, kSlots = 8;   // views, and detector columns of each, that the adjoint looks at at a time

// The two columns of voxels that a fan reads on a plane.
struct PlaneJob {
  int64_t start, step, line0, line1;
  REAL w0, w1;
};

// Place of plane i on the minor axis, and the map of rows on the line along z; false where nothing is met.
__device__ inline bool meet(const Scan& scan, const Fan& fan, int64_t i, double& below, double& above, LineMap& map) {
  const double j = fan.j0 + double(i) * fan.dj, t = fan.t0 + double(i) * fan.dt;
  if (!(j > -1.0 && j < double(fan.along_x ? scan.grid.y.count : scan.grid.x.count))) return false;
  below = std::floor(j);
  above = j - below;
  return make_line_map<REAL>(fan.middle + fan.slope * t, fan.step + fan.spread * t, scan.detector.rows, map);
}

__device__ inline PlaneJob plane_job(const Scan& scan, const Fan& fan, int64_t i) {
  PlaneJob job{0, 0, 0, 0, REAL(0), REAL(0)};
  const Axis& minor = fan.along_x ? scan.grid.y : scan.grid.x;
  double below, above;
  LineMap map;
  if (!meet(scan, fan, i, below, above, map)) return job;
  const int64_t j = int64_t(below), nx = scan.grid.x.count;
  const int64_t left = j < 0 ? 0 : j, right = j + 1 < minor.count ? j + 1 : left;
  job.start = map.start;
  job.step = map.step;
  job.line0 = (fan.along_x ? left * nx + i : i * nx + left) * (scan.grid.z.count + 2) + 1;
  job.line1 = (fan.along_x ? right * nx + i : i * nx + right) * (scan.grid.z.count + 2) + 1;
  job.w0 = j >= 0 ? REAL(1.0 - above) : REAL(0);
  job.w1 = j + 1 < minor.count ? REAL(above) : REAL(0);
  return job;
}

// projections [batch][view][row][column] += line integrals of columns [batch][y][x][z + 2], which begin and end with a
// zero; vectors: [count][4 or 5][3].
extern "C" __global__ void __launch_bounds__(kThreads)
    joseph_axial(const Scan* given, const double* vectors, int64_t count, const REAL* columns, REAL* projections) {
  __shared__ PlaneJob jobs[kThreads];
  __shared__ Fan shared;
  const Scan scan = *given;
  const int64_t nz = scan.grid.z.count, rows = scan.detector.rows, width = scan.detector.columns;
  const int64_t tall = pieces(rows, kThreads * LEVELS), groups = pieces(count, kNeighbours), number = blockIdx.x;
  const int64_t group = number / (tall * kNeighbours * width) % groups;
  const int64_t view = group * kNeighbours + number / tall % kNeighbours;
  const int64_t u = number / (tall * kNeighbours) % width, batch = number / (tall * kNeighbours * width * groups);
  if (view >= count) return;
  const int thread = threadIdx.y * kLanes + threadIdx.x;
  const int64_t v0 = number % tall * (kThreads * LEVELS) + thread;
  columns += batch * scan.grid.y.count * scan.grid.x.count * (nz + 2);
  if (thread == 0)
    shared = make_fan(ray_view(scan, vectors, view), double(u) - 0.5 * double(width - 1), scan.grid, false);
  __syncthreads();
  const Fan fan = shared;
  const int64_t planes = fan.along_x ? scan.grid.x.count : scan.grid.y.count;
  REAL sums[LEVELS] = {};
  for (int64_t first = 0; first < planes; first += kThreads) {
    jobs[thread] = first + thread < planes ? plane_job(scan, fan, first + thread) : PlaneJob{};
    __syncthreads();
    for (int p = 0; p < kThreads && first + p < planes; ++p) {
      const PlaneJob& job = jobs[p];
      if (job.line0 == 0) continue;
      const REAL *left = columns + job.line0, *right = columns + job.line1;
      int64_t position = job.start + v0 * job.step;
#pragma unroll
      for (int q = 0; q < LEVELS; ++q, position += kThreads * job.step) {
        const int i = int(fixed_index<REAL>(position));  // far below 2^31: see make_line_map
        if (unsigned(i + 1) > unsigned(nz)) continue;
        const REAL low = fused(job.w1, right[i], job.w0 * left[i]);
        const REAL high = fused(job.w1, right[i + 1], job.w0 * left[i + 1]);
        sums[q] += fused(fixed_fraction<REAL>(position), high - low, low);
      }
    }
    __syncthreads();
  }
  for (int q = 0; q < LEVELS; ++q) {
    const int64_t v = v0 + q * kThreads;
    if (v < rows)
      projections[((batch * count + view) * rows + v) * width + u] +=
          sums[q] * REAL(ray_length(fan, double(v) - 0.5 * double(rows - 1)));
  }
}

// What the adjoint starts from: fans [view][column] and the projections times the rays' lengths,
// lines [batch][view][column][row].
extern "C" __global__ void __launch_bounds__(kThreads)
    joseph_axial_rays(const Scan* given, const double* vectors, int64_t count, const REAL* projections, Fan* fans,
                      REAL* lines) {
  __shared__ Fan shared;
  const Scan scan = *given;
  const int64_t rows = scan.detector.rows, width = scan.detector.columns, number = blockIdx.x;
  const int64_t u = number % width, view = number / width % count, batch = number / (width * count);
  const int thread = threadIdx.y * kLanes + threadIdx.x;
  if (thread == 0) {
    shared = make_fan(ray_view(scan, vectors, view), double(u) - 0.5 * double(width - 1), scan.grid, false);
    if (batch == 0) fans[view * width + u] = shared;
  }
  __syncthreads();
  for (int64_t v = thread; v < rows; v += kThreads)
    lines[number * rows + v] = projections[((batch * count + view) * rows + v) * width + u] *
                               REAL(ray_length(shared, double(v) - 0.5 * double(rows - 1)));
}

// A detector column as a column of voxels meets it.
struct RayJob {
  int64_t start, step, line;
  REAL weight, inverse;
};

__device__ inline RayJob ray_job(const Scan& scan, const Fan& fan, bool along_x, int64_t x, int64_t y, int64_t line) {
  RayJob job{0, 0, line * scan.detector.rows, REAL(0), REAL(0)};
  double below, above;
  LineMap map;
  if (fan.along_x != along_x || !meet(scan, fan, along_x ? x : y, below, above, map)) return job;
  const int64_t away = (along_x ? y : x) - int64_t(below);
  if (away != 0 && away != 1) return job;
  job.start = map.start;
  job.step = map.step;
  job.weight = REAL(away == 0 ? 1.0 - above : above);
  job.inverse = samples_a_unit<REAL>(map, scan.detector.rows);
  return job;
}

// volume [batch][z][y][x] += adjoint of the above lines; views: [count][kViewDoubles].
extern "C" __global__ void __launch_bounds__(kThreads)
    joseph_axial_adjoint(const Scan* given, const double* views, int64_t count, const Fan* fans, const REAL* lines,
                         REAL* volume) {
  __shared__ Candidates candidates[kViews * kTile];
  __shared__ RayJob jobs[kViews * kTile * kSlots];
  const Scan scan = *given;
  const int64_t nx = scan.grid.x.count, ny = scan.grid.y.count, nz = scan.grid.z.count;
  const int64_t rows = scan.detector.rows, width = scan.detector.columns;
  const int64_t across = pieces(nx, WARPS), down = pieces(ny, COLUMNS), deep = pieces(nz, kLanes * LEVELS);
  const int64_t number = blockIdx.x, batch = number / (across * down * deep);
  const int64_t x0 = number % across * WARPS, y0 = number / across % down * COLUMNS;
  const int64_t z0 = number / (across * down) % deep * (kLanes * LEVELS) + threadIdx.x;
  const int thread = threadIdx.y * kLanes + threadIdx.x;
  lines += batch * count * width * rows;
  REAL sums[COLUMNS][LEVELS] = {};
  for (int64_t first = 0; first < count; first += kViews) {
    for (int e = thread; e < kViews * kTile; e += kThreads) {
      const int64_t view = first + e / kTile, x = x0 + e % kTile / COLUMNS, y = y0 + e % COLUMNS;
      candidates[e] = Candidates{{0, 0}, {0, 0}};
      if (view < count && x < nx && y < ny) candidates[e] = candidates_of(scan, views + view * kViewDoubles, x, y);
    }
    __syncthreads();
    int most = 0;
    for (int e = 0; e < kViews * kTile; ++e) most = candidates[e].count() > most ? candidates[e].count() : most;
    for (int slot = 0; slot < most; slot += kSlots) {
      for (int e = thread; e < kViews * kTile * kSlots; e += kThreads) {
        const int place = e / kSlots, n = slot + e % kSlots;
        const Candidates& found = candidates[place];
        jobs[e] = RayJob{};
        if (n >= found.count()) continue;
        const bool along_x = n < found.along_x.count();
        const int64_t u = along_x ? found.along_x.first + n : found.along_y.first + n - found.along_x.count();
        const int64_t line = (first + place / kTile) * width + u;
        jobs[e] = ray_job(scan, fans[line], along_x, x0 + place % kTile / COLUMNS, y0 + place % COLUMNS, line);
      }
      __syncthreads();
      for (int v = 0; v < kViews; ++v)
#pragma unroll
        for (int c = 0; c < COLUMNS; ++c)
          for (int n = 0; n < kSlots; ++n) {
            const RayJob& job = jobs[(v * kTile + threadIdx.y * COLUMNS + c) * kSlots + n];
            if (job.weight == REAL(0)) continue;
            const LineMap map{job.start, job.step};
#pragma unroll
            for (int q = 0; q < LEVELS; ++q) {
              const REAL sum = gathered<REAL>(map, job.inverse, rows, z0 + q * kLanes, lines + job.line);
              sums[c][q] = fused(job.weight, sum, sums[c][q]);
            }
          }
      __syncthreads();
    }
    __syncthreads();
  }
  const int64_t x = x0 + threadIdx.y;
  for (int c = 0; c < COLUMNS; ++c)
    for (int q = 0; q < LEVELS; ++q) {
      const int64_t y = y0 + c, z = z0 + q * kLanes;
      if (x < nx && y < ny && z < nz) volume[((batch * nz + z) * ny + y) * nx + x] += sums[c][q];
    }
}
