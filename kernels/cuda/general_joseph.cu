// Joseph's ray-driven projector and its exact adjoint for rays in any direction to flat detectors.
//
// A thread follows one ray; in the adjoint it has one voxel and looks at the rays whose pixels lie between the images of
// the corners of what surrounds the voxel on a plane. Both read the same fixed-point places (ray_path.h).
//
//     REAL      float or double
#include "line_neighbours.h"
#include "ray_path.h"
#include "scan.h"

using namespace sinograd;

constexpr int kLanes = 32, kRows = 8, kThreads = kLanes * kRows;

__device__ inline RayPath path_of(const Scan& scan, const double* vectors, int64_t view, int64_t u, int64_t v) {
  const RayView beam = ray_view(scan, vectors, view);
  Vector origin, direction;
  beam.ray(beam.column_position(double(u) - 0.5 * double(scan.detector.columns - 1)) +
               (double(v) - 0.5 * double(scan.detector.rows - 1)) * beam.row(3),
           origin, direction);
  return make_ray_path<REAL>(origin, direction, scan.grid);
}

// projections [batch][view][row][column] += line integrals of columns [batch][y][x][z + 2], which begin and end with a
// zero; vectors: [count][4][3]. `along_rows`: lanes run along the detector's rows, not along its columns.
extern "C" __global__ void __launch_bounds__(kThreads)
    joseph_general(const Scan* given, const double* vectors, int64_t count, int64_t along_rows, const REAL* columns,
                   REAL* projections) {
  const Scan scan = *given;
  const int64_t rows = scan.detector.rows, width = scan.detector.columns;
  const int64_t across = pieces(along_rows ? rows : width, kLanes), down = pieces(along_rows ? width : rows, kRows);
  const int64_t number = blockIdx.x, view = number / (across * down) % count, batch = number / (across * down * count);
  const int64_t lane = number % across * kLanes + threadIdx.x, other = number / across % down * kRows + threadIdx.y;
  const int64_t u = along_rows ? other : lane, v = along_rows ? lane : other;
  if (u >= width || v >= rows) return;
  const RayPath ray = path_of(scan, vectors, view, u, v);
  if (ray.axis < 0) return;
  const int64_t z = 1, x = scan.grid.z.count + 2, y = x * scan.grid.x.count;  // strides
  const int64_t step = ray.axis == 0 ? x : ray.axis == 1 ? y : z;
  const int64_t step_j = ray.axis == 0 ? y : x, step_k = ray.axis == 2 ? y : z;
  const int64_t js = minor_j(scan.grid, ray.axis).count, ks = minor_k(scan.grid, ray.axis).count;
  int64_t first = 0, last = major(scan.grid, ray.axis).count;
  narrow<REAL>(ray.j0, ray.dj, js, first, last);
  narrow<REAL>(ray.k0, ray.dk, ks, first, last);
  columns += batch * scan.grid.y.count * y + 1;
  int64_t at_j = ray.j0 + first * ray.dj, at_k = ray.k0 + first * ray.dk;
  REAL sum = REAL(0);
  for (int64_t i = first; i < last; ++i, at_j += ray.dj, at_k += ray.dk) {
    const int64_t j = fixed_index<REAL>(at_j), k = fixed_index<REAL>(at_k);
    if (j < -1 || j >= js || k < -1 || k >= ks) continue;
    const bool left = j >= 0, right = j + 1 < js, below = k >= 0, above = k + 1 < ks;
    const REAL* voxel = columns + i * step + j * step_j + k * step_k;
    const REAL a = left && below ? voxel[0] : REAL(0), b = right && below ? voxel[step_j] : REAL(0);
    const REAL c = left && above ? voxel[step_k] : REAL(0), d = right && above ? voxel[step_j + step_k] : REAL(0);
    const REAL to_right = fixed_fraction<REAL>(at_j);
    const REAL low = fused(to_right, b - a, a), high = fused(to_right, d - c, c);
    sum += fused(fixed_fraction<REAL>(at_k), high - low, low);
  }
  projections[((batch * count + view) * rows + v) * width + u] += REAL(ray.length) * sum;
}

// What the adjoint starts from: rays and their major axes [view][row][column], and the projections times the rays'
// lengths, values [batch][view][row][column].
extern "C" __global__ void __launch_bounds__(kThreads)
    joseph_general_rays(const Scan* given, const double* vectors, int64_t count, const REAL* projections, RayPath* rays,
                        signed char* axes, REAL* values) {
  const Scan scan = *given;
  const int64_t rows = scan.detector.rows, width = scan.detector.columns;
  const int64_t across = pieces(width, kLanes), down = pieces(rows, kRows);
  const int64_t number = blockIdx.x, view = number / (across * down) % count, batch = number / (across * down * count);
  const int64_t u = number % across * kLanes + threadIdx.x, v = number / across % down * kRows + threadIdx.y;
  if (u >= width || v >= rows) return;
  const RayPath ray = path_of(scan, vectors, view, u, v);
  const int64_t pixel = (view * rows + v) * width + u, element = batch * count * rows * width + pixel;
  values[element] = REAL(ray.length) * projections[element];
  if (batch != 0) return;
  rays[pixel] = ray;
  axes[pixel] = (signed char)ray.axis;
}

// The pixels between the images of the four corners of a voxel's surroundings on a plane, and a few more.
struct Window {
  Range u, v;

  __device__ Window(const Scan& scan, const double* m, int axis, double x, double y, double z) {
    const double hj = minor_j(scan.grid, axis).spacing, hk = minor_k(scan.grid, axis).spacing;
    double low_u = 0.0, high_u = 0.0, low_v = 0.0, high_v = 0.0;
    for (int c = 0; c < 4; ++c) {
      const double j = c & 1 ? hj : -hj, k = c & 2 ? hk : -hk;
      const double px = axis == 0 ? x : x + j, py = axis == 0 ? y + j : axis == 1 ? y : y + k;
      const double pz = axis == 2 ? z : z + k;
      const double depth = m[8] * px + m[9] * py + m[10] * pz + m[11], inverse = reciprocal(depth);
      if (!(depth > 0.0)) {  // behind the source: it may be seen anywhere
        u = {0, int(scan.detector.columns)}, v = {0, int(scan.detector.rows)};
        return;
      }
      const double at_u = (m[0] * px + m[1] * py + m[2] * pz + m[3]) * inverse;
      const double at_v = (m[4] * px + m[5] * py + m[6] * pz + m[7]) * inverse;
      low_u = c == 0 || at_u < low_u ? at_u : low_u, high_u = c == 0 || at_u > high_u ? at_u : high_u;
      low_v = c == 0 || at_v < low_v ? at_v : low_v, high_v = c == 0 || at_v > high_v ? at_v : high_v;
    }
    u = between(low_u, high_u, scan.detector.columns), v = between(low_v, high_v, scan.detector.rows);
  }
};

// volume [batch][z][y][x] += adjoint of the above; views: [count][kViewDoubles]; present [count][3]: whether a view has
// rays along x, y, z.
extern "C" __global__ void __launch_bounds__(kThreads)
    joseph_general_adjoint(const Scan* given, const double* views, int64_t count, const RayPath* rays,
                           const unsigned char* present, const REAL* values, REAL* volume) {
  const Scan scan = *given;
  const int64_t nx = scan.grid.x.count, ny = scan.grid.y.count, nz = scan.grid.z.count;
  const int64_t rows = scan.detector.rows, width = scan.detector.columns;
  const int64_t across = pieces(nx, kLanes), down = pieces(ny, kRows), number = blockIdx.x;
  const int64_t x = number % across * kLanes + threadIdx.x, y = number / across % down * kRows + threadIdx.y;
  const int64_t z = number / (across * down) % nz, batch = number / (across * down * nz);
  if (x >= nx || y >= ny) return;
  const double px = scan.grid.x.position(x), py = scan.grid.y.position(y), pz = scan.grid.z.position(z);
  values += batch * count * rows * width;
  REAL sum = REAL(0);
  for (int64_t view = 0; view < count; ++view)
    for (int axis = 0; axis < 3; ++axis) {
      if (!present[3 * view + axis]) continue;
      const int64_t i = axis == 0 ? x : axis == 1 ? y : z, j = axis == 0 ? y : x, k = axis == 2 ? y : z;
      const Window window(scan, views + view * kViewDoubles, axis, px, py, pz);
      for (int64_t v = window.v.first; v < window.v.last; ++v)
        for (int64_t u = window.u.first; u < window.u.last; ++u) {
          const int64_t pixel = (view * rows + v) * width + u;
          const RayPath& ray = rays[pixel];
          if (ray.axis != axis) continue;
          const REAL weight_j = weight_of_element<REAL>(ray.j0 + i * ray.dj, j);
          if (weight_j == REAL(0)) continue;
          sum = fused(weight_j * weight_of_element<REAL>(ray.k0 + i * ray.dk, k), values[pixel], sum);
        }
    }
  volume[((batch * nz + z) * ny + y) * nx + x] += sum;
}
