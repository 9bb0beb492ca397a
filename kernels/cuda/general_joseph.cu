// Joseph's ray-driven projector and its exact adjoint for rays in any direction.
//
// A thread follows one ray; in the adjoint it has one voxel and looks at the rays whose pixels lie between the images of
// the corners of what surrounds the voxel on a plane. Both read the same fixed-point places (ray_path.h).
//
//     REAL      float or double
//     CURVED    0 or 1: what the detector is
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
// zero; vectors: [count][4 or 5][3]. `along_rows`: lanes run along the detector's rows, not along its columns.
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

// The corners of what surrounds a voxel on a plane of an axis.
__device__ inline Vector corner(const Scan& scan, int axis, Vector voxel, int number) {
  const double hj = minor_j(scan.grid, axis).spacing, hk = minor_k(scan.grid, axis).spacing;
  const double j = number & 1 ? hj : -hj, k = number & 2 ? hk : -hk;
  if (axis == 0) return {voxel.x, voxel.y + j, voxel.z + k};
  if (axis == 1) return {voxel.x + j, voxel.y, voxel.z + k};
  return {voxel.x + j, voxel.y + k, voxel.z};
}

// What numbers lie between.
struct Span {
  double low, high;
  __device__ void add(double number, bool first) {
    low = first || number < low ? number : low;
    high = first || number > high ? number : high;
  }
};

// All pixels whose rays meet a voxel's surroundings on a plane, and a few more.
struct Window {
  Range u, v;

  // The image of a rectangle has straight sides.
  __device__ Window(const Scan& scan, const FlatView& view, int axis, Vector voxel)
      : u{0, int(scan.detector.columns)}, v{0, int(scan.detector.rows)} {
    Span at_u, at_v;
    for (int c = 0; c < 4; ++c) {
      const Vector p = corner(scan, axis, voxel, c);
      if (!(view.depth(p.x, p.y, p.z) > 0.0)) return;  // behind the source: it may be seen anywhere
      const PixelImage image = view.pixel<Weighting::none>(p.x, p.y, p.z);
      at_u.add(image.column, c == 0);
      at_v.add(image.row, c == 0);
    }
    u = between(at_u.low, at_u.high, scan.detector.columns), v = between(at_v.low, at_v.high, scan.detector.rows);
  }

  // Sides of an image on a cylinder are bent. Columns follow the direction seen from above, which is extreme at a
  // corner. Rows are the height over the source times its way to the cylinder over that to the voxel: each has bounds.
  __device__ Window(const Scan& scan, const CylinderView& view, int axis, Vector voxel)
      : u{0, int(scan.detector.columns)}, v{0, int(scan.detector.rows)} {
    const double ox = view.c[12], oy = view.c[13], radians = 1.0 / view.c[15], apart = std::hypot(ox, oy);
    const CylinderView::Offset middle = view.offset(voxel.x, voxel.y, voxel.z);
    const double away = std::hypot(middle.along, middle.across);
    Span columns, heights, ways, nearest, farthest, turns, backs;
    for (int c = 0; c < 4; ++c) {
      const Vector p = corner(scan, axis, voxel, c);
      const CylinderView::Offset at = view.offset(p.x, p.y, p.z);
      const double share = view.share(at), far = std::hypot(at.along, at.across);
      const double near = (at.along * middle.along + at.across * middle.across) / away;
      if (!(share > 0.0 && near > 0.0)) return;  // beside the cylinder or the source: it may be seen anywhere
      columns.add(view.column(at, share), c == 0);
      heights.add(at.height, c == 0);
      ways.add(share * far, c == 0);
      nearest.add(near, c == 0);
      farthest.add(far, c == 0);
      turns.add(ox * at.across - oy * at.along, c == 0);
      backs.add(ox * at.along + oy * at.across, c == 0);
    }
    if ((columns.high - columns.low) * radians > 3.0) return;
    // the way is longest through the curvature centre and shortest straight away from it
    if (turns.low <= 0.0 && turns.high >= 0.0) {
      if (backs.low <= 0.0) ways.add(1.0 + apart, false);
      if (backs.high >= 0.0) ways.add(std::fabs(1.0 - apart), false);
    }
    const double least = ways.low / farthest.high, most = ways.high / nearest.low;
    u = between(columns.low, columns.high, scan.detector.columns);
    v = between(view.c[14] + heights.low * (heights.low < 0.0 ? most : least),
                view.c[14] + heights.high * (heights.high < 0.0 ? least : most), scan.detector.rows);
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
  const Vector voxel{scan.grid.x.position(x), scan.grid.y.position(y), scan.grid.z.position(z)};
  values += batch * count * rows * width;
  REAL sum = REAL(0);
  for (int64_t view = 0; view < count; ++view)
    for (int axis = 0; axis < 3; ++axis) {
      if (!present[3 * view + axis]) continue;
      const int64_t i = axis == 0 ? x : axis == 1 ? y : z, j = axis == 0 ? y : x, k = axis == 2 ? y : z;
      const Window window(scan, general_view<CURVED>(scan, views, view), axis, voxel);
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
