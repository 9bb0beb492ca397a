// One slice, or a batch of them: the voxel-driven pair and Joseph's for images [y][x] and sinograms [view][column].
//
// A thread computes one element of IMAGES results of a batch, whose places it finds once, in float64. All gather.
//
//     REAL      float or double
//     IMAGES    of a batch that a thread works on
#include "fan.h"
#include "horizontal.h"

using namespace sinograd;

constexpr int kColumns = 32, kRows = 4, kThreads = kColumns * kRows;

// The thread's element: (across, down) and the first of its images.
struct Place {
  int64_t across, down, image;
};

__device__ inline Place place_of(int64_t width, int64_t height) {
  const int64_t a = pieces(width, kColumns), d = pieces(height, kRows), number = blockIdx.x;
  return {number % a * kColumns + threadIdx.x, number / a % d * kRows + threadIdx.y, number / (a * d) * IMAGES};
}

// Adds a row's elements `below` and the next, weighted, to each image's sum.
__device__ inline void read_pair(const REAL* row, int64_t step, int64_t image_size, int64_t images, int64_t below,
                                 int64_t count, REAL w0, REAL w1, REAL* sums) {
#pragma unroll
  for (int b = 0; b < IMAGES; ++b, row += image_size) {
    if (b >= images) continue;
    if (below >= 0) sums[b] = fused(w0, row[below * step], sums[b]);
    if (below + 1 < count) sums[b] = fused(w1, row[(below + 1) * step], sums[b]);
  }
}

__device__ inline void add_to(REAL* element, int64_t image_size, int64_t images, const REAL* sums, REAL factor) {
  for (int b = 0; b < IMAGES && b < images; ++b) element[b * image_size] += factor * sums[b];
}

// images [batch][y][x] += backprojection of sinograms [batch][view][column]; views: [count][kViewDoubles].
extern "C" __global__ void __launch_bounds__(kThreads)
    backproject_planar(const Scan* given, const double* views, int64_t count, int64_t batch, const REAL* sinograms,
                       REAL* images) {
  const Scan scan = *given;
  const int64_t nx = scan.grid.x.count, ny = scan.grid.y.count, width = scan.detector.columns;
  const Place at = place_of(nx, ny);
  if (at.across >= nx || at.down >= ny) return;
  const double x = scan.grid.x.position(at.across), y = scan.grid.y.position(at.down);
  REAL sums[IMAGES] = {};
  for (int64_t view = 0; view < count; ++view) {
    const ColumnImage image = column_image(scan, views + view * kViewDoubles, x, y);
    if (!(image.column > -1.0 && image.column < double(width))) continue;
    const double below = std::floor(image.column), above = image.column - below;
    read_pair(sinograms + (at.image * count + view) * width, 1, count * width, batch - at.image, int64_t(below), width,
              REAL((1.0 - above) * image.weight), REAL(above * image.weight), sums);
  }
  add_to(images + (at.image * ny + at.down) * nx + at.across, nx * ny, batch - at.image, sums, REAL(1));
}

// sinograms += its adjoint.
extern "C" __global__ void __launch_bounds__(kThreads)
    backproject_planar_adjoint(const Scan* given, const double* views, const double* vectors, int64_t count,
                               int64_t batch, const REAL* images, REAL* sinograms) {
  const Scan scan = *given;
  const int64_t nx = scan.grid.x.count, ny = scan.grid.y.count, width = scan.detector.columns;
  const Place at = place_of(width, count);
  if (at.across >= width || at.down >= count) return;
  const double* view = views + at.down * kViewDoubles;
  const double column = double(at.across);
  const Wedge wedge(scan, ray_view(scan, vectors, at.down), column - 0.5 * double(width - 1));
  const int64_t planes = wedge.along_x ? nx : ny;
  REAL sums[IMAGES] = {};
  for (int64_t i = 0; i < planes; ++i) {
    const Range range = wedge.on_plane(scan, i);
    for (int64_t j = range.first; j < range.last; ++j) {
      const int64_t x = wedge.along_x ? i : j, y = wedge.along_x ? j : i;
      const ColumnImage image = column_image(scan, view, scan.grid.x.position(x), scan.grid.y.position(y));
      if (!(image.column > column - 1.0 && image.column < column + 1.0)) continue;
      const double below = std::floor(image.column), above = image.column - below;
      const REAL weight = REAL((below == column ? 1.0 - above : above) * image.weight);
      const REAL* pixel = images + (at.image * ny + y) * nx + x;
#pragma unroll
      for (int b = 0; b < IMAGES; ++b)
        if (at.image + b < batch) sums[b] = fused(weight, pixel[b * nx * ny], sums[b]);
    }
  }
  add_to(sinograms + (at.image * count + at.down) * width + at.across, count * width, batch - at.image, sums, REAL(1));
}

// fans [view][column]: what Joseph's kernels start from.
extern "C" __global__ void __launch_bounds__(kThreads)
    joseph_planar_fans(const Scan* given, const double* vectors, int64_t count, Fan* fans) {
  const Scan scan = *given;
  const int64_t width = scan.detector.columns;
  const Place at = place_of(width, count);
  if (at.across >= width || at.down >= count) return;
  fans[at.down * width + at.across] =
      make_fan(ray_view(scan, vectors, at.down), double(at.across) - 0.5 * double(width - 1), scan.grid, true);
}

// sinograms [batch][view][column] += line integrals of images [batch][y][x].
extern "C" __global__ void __launch_bounds__(kThreads)
    joseph_planar(const Scan* given, const Fan* fans, int64_t count, int64_t batch, const REAL* images,
                  REAL* sinograms) {
  const Scan scan = *given;
  const int64_t nx = scan.grid.x.count, ny = scan.grid.y.count, width = scan.detector.columns;
  const Place at = place_of(width, count);
  if (at.across >= width || at.down >= count) return;
  const Fan fan = fans[at.down * width + at.across];
  const int64_t planes = fan.along_x ? nx : ny, others = fan.along_x ? ny : nx;
  REAL sums[IMAGES] = {};
  for (int64_t i = 0; i < planes; ++i) {
    const double j = fan.j0 + double(i) * fan.dj;
    if (!(j > -1.0 && j < double(others))) continue;
    const double below = std::floor(j), above = j - below;
    const REAL* plane = images + at.image * ny * nx + (fan.along_x ? i : i * nx);
    read_pair(plane, fan.along_x ? nx : 1, nx * ny, batch - at.image, int64_t(below), others, REAL(1.0 - above),
              REAL(above), sums);
  }
  add_to(sinograms + (at.image * count + at.down) * width + at.across, count * width, batch - at.image, sums,
         REAL(ray_length(fan, 0.0)));
}

// images += its adjoint; views: [count][kViewDoubles].
extern "C" __global__ void __launch_bounds__(kThreads)
    joseph_planar_adjoint(const Scan* given, const double* views, const Fan* fans, int64_t count, int64_t batch,
                          const REAL* sinograms, REAL* images) {
  const Scan scan = *given;
  const int64_t nx = scan.grid.x.count, ny = scan.grid.y.count, width = scan.detector.columns;
  const Place at = place_of(nx, ny);
  if (at.across >= nx || at.down >= ny) return;
  REAL sums[IMAGES] = {};
  for (int64_t view = 0; view < count; ++view) {
    const Candidates found = candidates_of(scan, views + view * kViewDoubles, at.across, at.down);
    for (int n = 0; n < found.count(); ++n) {
      const bool along_x = n < found.along_x.count();
      const int64_t u = along_x ? found.along_x.first + n : found.along_y.first + n - found.along_x.count();
      const Fan& fan = fans[view * width + u];
      if (fan.along_x != along_x) continue;
      const double j = fan.j0 + double(along_x ? at.across : at.down) * fan.dj;
      const double own = double(along_x ? at.down : at.across);
      if (!(j > own - 1.0 && j < own + 1.0)) continue;
      const double below = std::floor(j), above = j - below;
      const REAL weight = REAL(below == own ? 1.0 - above : above), length = REAL(ray_length(fan, 0.0));
      const REAL* ray = sinograms + (at.image * count + view) * width + u;
#pragma unroll
      for (int b = 0; b < IMAGES; ++b)
        if (at.image + b < batch) sums[b] = fused(weight, length * ray[b * count * width], sums[b]);
    }
  }
  add_to(images + (at.image * ny + at.down) * nx + at.across, nx * ny, batch - at.image, sums, REAL(1));
}
