// Voxel-driven backprojection and its exact adjoint for flat detectors in any position: one perspective division, in
// float64, and one bilinear interpolation a voxel and view. Lanes of a warp run along x (detector columns in the
// adjoint). Both gather, and place a voxel by the same function.
//
//     REAL      float or double
//     LEVELS    voxels of a thread along z
#include "ray_path.h"
#include "scan.h"

using namespace sinograd;

constexpr int kColumns = 32, kRows = 8, kThreads = kColumns * kRows;

struct PixelImage {
  double column, row;
  REAL weight;
};

// The image of a point in a view, of kViewDoubles.
__device__ inline PixelImage pixel_image(const Scan& scan, const double* m, double x, double y, double z) {
  const double inverse = reciprocal(m[8] * x + m[9] * y + m[10] * z + m[11]);
  PixelImage image{(m[0] * x + m[1] * y + m[2] * z + m[3]) * inverse,
                   (m[4] * x + m[5] * y + m[6] * z + m[7]) * inverse, REAL(1)};
  with_weighting(Weighting(scan.weighting),
                 [&](auto weighting) { image.weight = REAL(FlatView{m}.weight<weighting()>(x, y, inverse)); });
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
  for (int64_t view = 0; view < count; ++view, image += image_size) {
#pragma unroll
    for (int q = 0; q < LEVELS; ++q) {
      const PixelImage at = pixel_image(scan, views + view * kViewDoubles, x, y, scan.grid.z.position(k0 + q));
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

// The four rays one element beside a pixel, between which lie all voxels that read it, on the planes of one axis.
struct Frustum {
  int axis;
  bool one_sided, divergent;
  double t0, dt, j0[4], dj[4], k0[4], dk[4];

  __device__ Frustum(const Scan& scan, const RayView& view, double u, double v) : one_sided(true), divergent(view.divergent) {
    Vector origin, direction;
    view.ray(view.column_position(u) + v * view.row(3), origin, direction);
    axis = major_axis(direction, scan.grid);
    const Axis &steps = major(scan.grid, axis), &js = minor_j(scan.grid, axis), &ks = minor_k(scan.grid, axis);
    const double sign = along(direction, axis);
    for (int c = 0; c < 4; ++c) {
      const double beside_u = c & 1 ? 1.0 : -1.0, beside_v = c & 2 ? 1.0 : -1.0;
      view.ray(view.column_position(u + beside_u) + (v + beside_v) * view.row(3), origin, direction);
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
    for (int c = 1; c < 4; ++c) {
      const double at_j = j0[c] + double(i) * dj[c], at_k = k0[c] + double(i) * dk[c];
      low_j = at_j < low_j ? at_j : low_j, high_j = at_j > high_j ? at_j : high_j;
      low_k = at_k < low_k ? at_k : low_k, high_k = at_k > high_k ? at_k : high_k;
    }
    j = between(low_j, high_j, js), k = between(low_k, high_k, ks);
  }
};

// projections += adjoint of volume; vectors: [count][4][3].
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
  const double* m = views + view * kViewDoubles;
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
        const PixelImage at =
            pixel_image(scan, m, scan.grid.x.position(x), scan.grid.y.position(y), scan.grid.z.position(z));
        const double left = at.column - double(u), under = at.row - double(v);
        if (!(left > -1.0 && left < 1.0 && under > -1.0 && under < 1.0)) continue;
        const REAL right = REAL(at.column - std::floor(at.column)), upper = REAL(at.row - std::floor(at.row));
        const REAL weight = (left < 0.0 ? right : REAL(1) - right) * (under < 0.0 ? upper : REAL(1) - upper);
        sum = fused(at.weight * weight, volume[(z * ny + y) * nx + x], sum);
      }
  }
  projections[((batch * count + view) * rows + v) * columns + u] += sum;
}
