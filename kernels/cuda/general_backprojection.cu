// Voxel-driven backprojection and its exact adjoint for detectors in any position: the place of a voxel's image, in
// float64, and one bilinear interpolation a voxel and view. Lanes of a warp run along x (detector columns in the
// adjoint). Both gather, and place a voxel by the same function.
//
//     REAL      float or double
//     CURVED    0 or 1: what the detector is
//     LEVELS    voxels of a thread along z
#include "ray_path.h"
#include "scan.h"

using namespace sinograd;

constexpr int kColumns = 32, kRows = 8, kThreads = kColumns * kRows;

using View = std::conditional_t<CURVED, CylinderView, FlatView>;

struct Image {
  double column, row;
  REAL weight;
};

// The image of a point in a view.
__device__ inline Image image_of(const Scan& scan, const View& view, double x, double y, double z) {
  const PixelImage pixel = view.pixel<Weighting::none>(x, y, z);
  Image image{pixel.column, pixel.row, REAL(1)};
  with_weighting(Weighting(scan.weighting),
                 [&](auto weighting) { image.weight = REAL(view.template voxel_weight<weighting()>(x, y, z)); });
  return image;
}

__device__ inline REAL element(const REAL* image, int64_t row, int64_t column, const DetectorShape& shape) {
  return within(row, shape.rows) && within(column, shape.columns) ? image[row * shape.columns + column] : REAL(0);
}

// volume [batch][z][y][x] += backprojection of projections [batch][view][row][column]; views: [count][kViewDoubles].
extern "C" __global__ void __launch_bounds__(kThreads)
    backproject_general(const Scan* given, const double* views, int64_t count, const REAL* projections, REAL* volume) {
  const Scan scan = *given;
  const int64_t nx = scan.grid.x.count, ny = scan.grid.y.count, nz = scan.grid.z.count;
  const int64_t across = pieces(nx, kColumns), down = pieces(ny, kRows), deep = pieces(nz, LEVELS), number = blockIdx.x;
  const int64_t i = number % across * kColumns + threadIdx.x, j = number / across % down * kRows + threadIdx.y;
  const int64_t k0 = number / (across * down) % deep * LEVELS, batch = number / (across * down * deep);
  if (i >= nx || j >= ny) return;
  const double x = scan.grid.x.position(i), y = scan.grid.y.position(j);
  const double last_row = double(scan.detector.rows), last_column = double(scan.detector.columns);
  const int64_t image_size = scan.detector.rows * scan.detector.columns;
  REAL sums[LEVELS] = {};
  const REAL* image = projections + batch * count * image_size;
  for (int64_t number_of_view = 0; number_of_view < count; ++number_of_view, image += image_size) {
    const View view = general_view<CURVED>(scan, views, number_of_view);
#pragma unroll
    for (int q = 0; q < LEVELS; ++q) {
      const Image at = image_of(scan, view, x, y, scan.grid.z.position(k0 + q));
      if (!(at.column > -1.0 && at.column < last_column && at.row > -1.0 && at.row < last_row)) continue;
      const double column = std::floor(at.column), row = std::floor(at.row);
      const REAL right = REAL(at.column - column), upper = REAL(at.row - row);
      const int64_t u = int64_t(column), v = int64_t(row);
      const REAL a = element(image, v, u, scan.detector), b = element(image, v, u + 1, scan.detector);
      const REAL c = element(image, v + 1, u, scan.detector), d = element(image, v + 1, u + 1, scan.detector);
      const REAL low = fused(right, b - a, a), high = fused(right, d - c, c);
      sums[q] = fused(at.weight, fused(upper, high - low, low), sums[q]);
    }
  }
  for (int q = 0; q < LEVELS; ++q)
    if (k0 + q < nz) volume[((batch * nz + k0 + q) * ny + j) * nx + i] += sums[q];
}

// The rays one element beside a pixel, between which lie all voxels that read it, on the planes of one axis. An arc lies
// between its chord and the tangents at its ends: two rays more go through where these meet.
struct Frustum {
  static constexpr int kRays = CURVED ? 6 : 4;
  int axis;
  bool one_sided, divergent;
  double t0, dt, j0[kRays], dj[kRays], k0[kRays], dk[kRays];

  __device__ Frustum(const Scan& scan, const RayView& view, double u, double v) : one_sided(true), divergent(view.divergent) {
    Vector origin, direction, tip{};
    if constexpr (CURVED) {
      const double element = length(view.row(2)) / length(view.row(1) - view.row(4)), cosine = std::cos(element);
      one_sided = element < 1.5;
      tip = view.row(4) + (1.0 / cosine) * (view.column_position(u) - view.row(4));
    }
    view.ray(view.column_position(u) + v * view.row(3), origin, direction);
    axis = major_axis(direction, scan.grid);
    const Axis &steps = major(scan.grid, axis), &js = minor_j(scan.grid, axis), &ks = minor_k(scan.grid, axis);
    const double sign = along(direction, axis);
    for (int c = 0; c < kRays; ++c) {
      const Vector column = c < 4 ? view.column_position(c & 1 ? u + 1.0 : u - 1.0) : tip;
      view.ray(column + ((c < 4 ? c & 2 : c & 1) ? v + 1.0 : v - 1.0) * view.row(3), origin, direction);
      const double d = along(direction, axis);
      one_sided = one_sided && sign * d > 0.0 && std::fabs(d) > 1e-6 * length(direction);
      t0 = (steps.position(0) - along(origin, axis)) / d;
      dt = steps.spacing / d;
      j0[c] = js.index(along_j(origin, axis) + t0 * along_j(direction, axis));
      dj[c] = dt * along_j(direction, axis) / js.spacing;
      k0[c] = ks.index(along_k(origin, axis) + t0 * along_k(direction, axis));
      dk[c] = dt * along_k(direction, axis) / ks.spacing;
    }
  }

  // Voxels of plane i, along j and k.
  __device__ void on_plane(const Scan& scan, int64_t i, Range& j, Range& k) const {
    const int64_t js = minor_j(scan.grid, axis).count, ks = minor_k(scan.grid, axis).count;
    j = {0, int(js)}, k = {0, int(ks)};
    if (!one_sided) return;
    if (divergent && t0 + double(i) * dt <= 0.0) {  // behind the source
      j = {0, 0};
      return;
    }
    double low_j = j0[0] + double(i) * dj[0], high_j = low_j, low_k = k0[0] + double(i) * dk[0], high_k = low_k;
    for (int c = 1; c < kRays; ++c) {
      const double at_j = j0[c] + double(i) * dj[c], at_k = k0[c] + double(i) * dk[c];
      low_j = at_j < low_j ? at_j : low_j, high_j = at_j > high_j ? at_j : high_j;
      low_k = at_k < low_k ? at_k : low_k, high_k = at_k > high_k ? at_k : high_k;
    }
    j = between(low_j, high_j, js), k = between(low_k, high_k, ks);
  }
};

// projections += adjoint of volume; vectors: [count][4 or 5][3].
extern "C" __global__ void __launch_bounds__(kThreads)
    backproject_general_adjoint(const Scan* given, const double* views, const double* vectors, int64_t count,
                                const REAL* volume, REAL* projections) {
  const Scan scan = *given;
  const int64_t nx = scan.grid.x.count, ny = scan.grid.y.count, nz = scan.grid.z.count;
  const int64_t rows = scan.detector.rows, columns = scan.detector.columns;
  const int64_t across = pieces(columns, kColumns), down = pieces(rows, kRows), number = blockIdx.x;
  const int64_t u = number % across * kColumns + threadIdx.x, v = number / across % down * kRows + threadIdx.y;
  const int64_t view = number / (across * down) % count, batch = number / (across * down * count);
  if (u >= columns || v >= rows) return;
  const View placed = general_view<CURVED>(scan, views, view);
  const Frustum frustum(scan, ray_view(scan, vectors, view), double(u) - 0.5 * double(columns - 1),
                        double(v) - 0.5 * double(rows - 1));
  const int64_t planes = major(scan.grid, frustum.axis).count;
  volume += batch * nz * ny * nx;
  REAL sum = REAL(0);
  for (int64_t i = 0; i < planes; ++i) {
    Range js, ks;
    frustum.on_plane(scan, i, js, ks);
    for (int64_t j = js.first; j < js.last; ++j)
      for (int64_t k = ks.first; k < ks.last; ++k) {
        const int64_t x = frustum.axis == 0 ? i : j, y = frustum.axis == 0 ? j : frustum.axis == 1 ? i : k;
        const int64_t z = frustum.axis == 2 ? i : k;
        const Image at =
            image_of(scan, placed, scan.grid.x.position(x), scan.grid.y.position(y), scan.grid.z.position(z));
        const double left = at.column - double(u), under = at.row - double(v);
        if (!(left > -1.0 && left < 1.0 && under > -1.0 && under < 1.0)) continue;
        const REAL right = REAL(at.column - std::floor(at.column)), upper = REAL(at.row - std::floor(at.row));
        const REAL weight = (left < 0.0 ? right : REAL(1) - right) * (under < 0.0 ? upper : REAL(1) - upper);
        sum = fused(at.weight * weight, volume[(z * ny + y) * nx + x], sum);
      }
  }
  projections[((batch * count + view) * rows + v) * columns + u] += sum;
}
