// Voxel-driven backprojection and its exact adjoint where the detector's rows run parallel to z.
//
// The image of a column of voxels is a line along the detector's rows (see kernels/cpu/axial_backprojection.cpp), so
// its place is found once, in float64, for all voxels of the column: by a block's threads together, in shared memory.
// Lanes of a warp run along z (rows in the adjoint), so that neighbours read neighbouring elements. Both gather.
//
//     REAL      float or double
//     WARPS     of a block; each has columns of voxels of its own
//     COLUMNS   of voxels of a warp, along y
//     LEVELS    voxels (in the adjoint: detector rows) of a thread, 32 apart (32 WARPS apart)
#include "gathered.h"
#include "horizontal.h"
#include "scan.h"

using namespace sinograd;

constexpr int kLanes = 32, kThreads = kLanes * WARPS, kTile = WARPS * COLUMNS;
constexpr int kViews = 8;                // of which a block keeps the places of its columns at a time
constexpr int kPlanes = 32, kSlots = 4;  // planes of voxels, and voxels of each, that the adjoint looks at at a time

// The image of one column of voxels in a view; `line` is the element before row 0 of detector column `below`, in images
// with a ring of zeros around them. 0: there is no image.
struct ColumnJob {
  int64_t start, step;
  int line;
  REAL w0, w1;
};

__device__ inline ColumnJob column_job(const Scan& scan, const double* view, int64_t x, int64_t y) {
  ColumnJob job{0, 0, 0, REAL(0), REAL(0)};
  const ColumnImage image = column_image(scan, view, scan.grid.x.position(x), scan.grid.y.position(y));
  LineMap map;
  if (!(image.column > -1.0 && image.column < double(scan.detector.columns))) return job;
  if (!make_line_map<REAL>(image.middle, image.step, scan.grid.z.whole(), map)) return job;
  map = part_of<REAL>(map, scan.grid.z.first, scan.detector.first_row);
  const double below = std::floor(image.column), fraction = image.column - below;
  job.start = map.start;
  job.step = map.step;
  job.line = int((int64_t(below) + 1) * (scan.detector.rows + 2) + 1);
  job.w0 = REAL((1.0 - fraction) * image.weight);
  job.w1 = REAL(fraction * image.weight);
  return job;
}

// volume [batch][z][y][x] += backprojection of images [batch][view][columns + 2][rows + 2]; views: [count][kViewDoubles].
extern "C" __global__ void __launch_bounds__(kThreads)
    backproject_axial(const Scan* given, const double* views, int64_t count, const REAL* images, REAL* volume) {
  __shared__ ColumnJob jobs[kViews * kTile];
  const Scan scan = *given;
  const int64_t nx = scan.grid.x.count, ny = scan.grid.y.count, nz = scan.grid.z.count, rows = scan.detector.rows;
  const int64_t across = pieces(nx, WARPS), down = pieces(ny, COLUMNS), deep = pieces(nz, kLanes * LEVELS);
  const int64_t number = blockIdx.x, batch = number / (across * down * deep);
  const int64_t x0 = number % across * WARPS, y0 = number / across % down * COLUMNS;
  const int64_t z0 = number / (across * down) % deep * (kLanes * LEVELS) + threadIdx.x;
  const int64_t stride = rows + 2, image_size = stride * (scan.detector.columns + 2);
  const int thread = threadIdx.y * kLanes + threadIdx.x;
  const REAL* image = images + batch * count * image_size;
  REAL sums[COLUMNS][LEVELS] = {};
  for (int64_t first = 0; first < count; first += kViews) {
    __syncthreads();
    for (int e = thread; e < kViews * kTile; e += kThreads) {
      const int64_t view = first + e / kTile, x = x0 + e % kTile / COLUMNS, y = y0 + e % COLUMNS;
      jobs[e] = view < count && x < nx && y < ny ? column_job(scan, views + view * kViewDoubles, x, y) : ColumnJob{};
    }
    __syncthreads();
    for (int v = 0; v < kViews && first + v < count; ++v, image += image_size) {
#pragma unroll
      for (int c = 0; c < COLUMNS; ++c) {
        const ColumnJob& job = jobs[v * kTile + threadIdx.y * COLUMNS + c];
        if (job.line == 0) continue;
        const REAL *left = image + job.line, *right = left + stride;
        const int64_t step = kLanes * job.step;
        int64_t position = job.start + z0 * job.step;
#pragma unroll
        for (int q = 0; q < LEVELS; ++q, position += step) {
          const int i = int(fixed_index<REAL>(position));  // far below 2^31: see make_line_map
          if (unsigned(i + 1) > unsigned(rows)) continue;
          const REAL low = fused(job.w1, right[i], job.w0 * left[i]);
          const REAL high = fused(job.w1, right[i + 1], job.w0 * left[i + 1]);
          sums[c][q] += fused(fixed_fraction<REAL>(position), high - low, low);
        }
      }
    }
  }
  const int64_t x = x0 + threadIdx.y;
  for (int c = 0; c < COLUMNS; ++c)
    for (int q = 0; q < LEVELS; ++q) {
      const int64_t y = y0 + c, z = z0 + q * kLanes;
      if (x < nx && y < ny && z < nz) volume[((batch * nz + z) * ny + y) * nx + x] += sums[c][q];
    }
}

// A column of voxels as one detector column meets it.
struct VoxelJob {
  int64_t start, step, column;
  REAL weight, inverse;
};

__device__ inline VoxelJob voxel_job(const Scan& scan, const double* view, int64_t u, int64_t x, int64_t y) {
  const int64_t nz = scan.grid.z.count;
  VoxelJob job{0, 0, (y * scan.grid.x.count + x) * (nz + 2) + 1, REAL(0), REAL(0)};
  const ColumnImage image = column_image(scan, view, scan.grid.x.position(x), scan.grid.y.position(y));
  LineMap map;
  if (!(image.column > double(u - 1) && image.column < double(u + 1))) return job;
  if (!make_line_map<REAL>(image.middle, image.step, scan.grid.z.whole(), map)) return job;
  map = part_of<REAL>(map, scan.grid.z.first, 0);
  const double below = std::floor(image.column), fraction = image.column - below;
  job.start = map.start;
  job.step = map.step;
  job.weight = REAL((int64_t(below) == u ? 1.0 - fraction : fraction) * image.weight);
  job.inverse = samples_a_unit<REAL>(map, nz);
  return job;
}

// projections [batch][view][row][column] += adjoint of columns [batch][y][x][z + 2], which begin and end with a zero.
extern "C" __global__ void __launch_bounds__(kThreads)
    backproject_axial_adjoint(const Scan* given, const double* views, const double* vectors, int64_t count,
                              const REAL* columns, REAL* projections) {
  __shared__ Wedge wedge;
  __shared__ Range ranges[kPlanes];
  __shared__ VoxelJob jobs[kPlanes * kSlots];
  const Scan scan = *given;
  const int64_t nz = scan.grid.z.count, rows = scan.detector.rows, width = scan.detector.columns;
  const int64_t tall = pieces(rows, kThreads * LEVELS), number = blockIdx.x;
  const int64_t u = number / tall % width, view = number / (tall * width) % count, batch = number / (tall * width * count);
  const int thread = threadIdx.y * kLanes + threadIdx.x;
  const int64_t v0 = number % tall * (kThreads * LEVELS) + thread;
  columns += batch * scan.grid.y.count * scan.grid.x.count * (nz + 2);
  if (thread == 0) wedge = Wedge(scan, ray_view(scan, vectors, view), double(u) - 0.5 * double(width - 1));
  __syncthreads();
  const int64_t planes = wedge.along_x ? scan.grid.x.count : scan.grid.y.count;
  REAL sums[LEVELS] = {};
  for (int64_t first = 0; first < planes; first += kPlanes) {
    for (int p = thread; p < kPlanes; p += kThreads)
      ranges[p] = first + p < planes ? wedge.on_plane(scan, first + p) : Range{0, 0};
    __syncthreads();
    int most = 0;
    for (int p = 0; p < kPlanes; ++p) most = ranges[p].count() > most ? ranges[p].count() : most;
    for (int slot = 0; slot < most; slot += kSlots) {
      for (int e = thread; e < kPlanes * kSlots; e += kThreads) {
        const int64_t i = first + e / kSlots, j = ranges[e / kSlots].first + slot + e % kSlots;
        jobs[e] = VoxelJob{};
        if (j >= ranges[e / kSlots].last) continue;
        jobs[e] = voxel_job(scan, views + view * kViewDoubles, u, wedge.along_x ? i : j, wedge.along_x ? j : i);
      }
      __syncthreads();
      for (int e = 0; e < kPlanes * kSlots; ++e) {
        const VoxelJob& job = jobs[e];
        if (job.weight == REAL(0)) continue;
        const LineMap map{job.start, job.step};
#pragma unroll
        for (int q = 0; q < LEVELS; ++q) {
          const REAL sum = gathered<REAL>(map, job.inverse, nz, v0 + q * kThreads, columns + job.column);
          sums[q] = fused(job.weight, sum, sums[q]);
        }
      }
      __syncthreads();
    }
    __syncthreads();
  }
  for (int q = 0; q < LEVELS; ++q) {
    const int64_t v = v0 + q * kThreads;
    if (v < rows) projections[((batch * count + view) * rows + v) * width + u] += sums[q];
  }
}
