// Joseph's projector and its adjoint for rays in any direction. Compiled once per instruction set.
//
// The major axis is the horizontal one of axial_joseph.cpp, or z for rays steeper than 45 degrees.
#include <omp.h>

#include <algorithm>
#include <cmath>

#include "aligned_buffer.h"
#include "general.h"
#include "ray.h"

namespace sinograd {
namespace SINOGRAD_ISA {
namespace {

constexpr int64_t kViewBlock = 8, kSlab = 16;

// On plane i of the major axis the ray has indices (j0 + i dj, k0 + i dk) on the two minor axes.
struct Path {
  int major;  // 0 x, 1 y, 2 z
  double j0, dj, k0, dk, length;
};

struct Strides {
  int64_t planes, j_count, k_count;
  int64_t plane, j, k;
};

Strides strides(const Grid& grid, int major) {
  const int64_t x = 1, y = grid.x.count, z = grid.x.count * grid.y.count;
  if (major == 0) return {grid.x.count, grid.y.count, grid.z.count, x, y, z};
  if (major == 1) return {grid.y.count, grid.x.count, grid.z.count, y, x, z};
  return {grid.z.count, grid.x.count, grid.y.count, z, x, y};
}

Path make_path(const RayView& view, double u, double v, const Grid& grid) {
  Vector origin, direction;
  view.ray(view.column_position(u) + v * view.row(3), origin, direction);
  Path path;
  const bool steep = direction.z * direction.z > direction.x * direction.x + direction.y * direction.y;
  path.major = steep ? 2 : (steps_along_x(grid, direction) ? 0 : 1);
  const Axis* axes[3] = {&grid.x, &grid.y, &grid.z};
  const double o[3] = {origin.x, origin.y, origin.z}, d[3] = {direction.x, direction.y, direction.z};
  const int j = path.major == 0 ? 1 : 0, k = path.major == 2 ? 1 : 2;
  const Axis& major = *axes[path.major];
  const double t0 = (major.position(0) - o[path.major]) / d[path.major], dt = major.spacing / d[path.major];
  path.j0 = axes[j]->index(o[j] + t0 * d[j]);
  path.dj = dt * d[j] / axes[j]->spacing;
  path.k0 = axes[k]->index(o[k] + t0 * d[k]);
  path.dk = dt * d[k] / axes[k]->spacing;
  path.length = major.spacing * length(direction) / std::fabs(d[path.major]);
  return path;
}

// Narrows planes [first, last) to those on which start + i step lies in (-1, count); a plane too many on either
// side does no harm.
void narrow(double start, double step, double count, int64_t& first, int64_t& last) {
  if (std::fabs(step) < 1e-9) {
    if (!(start > -1.001 && start < count + 0.001)) last = first;
    return;
  }
  const double a = (-1.0 - start) / step, b = (count - start) / step;
  const double low = std::min(a, b) - 1.0, high = std::max(a, b) + 2.0;
  if (low > double(first)) first = low < double(last) ? int64_t(low) : last;
  if (high < double(last)) last = high > double(first) ? int64_t(high) : first;
}

// Four neighbours in a plane; missing ones have weight zero and offset zero.
template <class T>
struct Neighbours {
  int64_t offset[4];
  T weight[4];
};

template <class T>
bool neighbours(const Path& path, const Strides& s, int64_t plane, Neighbours<T>& n) {
  const double j = path.j0 + double(plane) * path.dj, k = path.k0 + double(plane) * path.dk;
  if (!(j > -1.0 && j < double(s.j_count) && k > -1.0 && k < double(s.k_count))) return false;
  const double jf = std::floor(j), kf = std::floor(k);
  const int64_t j0 = int64_t(jf), k0 = int64_t(kf);
  const double wj[2] = {1.0 - (j - jf), j - jf}, wk[2] = {1.0 - (k - kf), k - kf};
  for (int b = 0; b < 2; ++b)
    for (int a = 0; a < 2; ++a) {
      const bool inside = j0 + a >= 0 && j0 + a < s.j_count && k0 + b >= 0 && k0 + b < s.k_count;
      n.offset[2 * b + a] = inside ? plane * s.plane + (j0 + a) * s.j + (k0 + b) * s.k : 0;
      n.weight[2 * b + a] = inside ? T(wj[a] * wk[b]) : T(0);
    }
  return true;
}

RayView ray_view(const Views& views, int64_t v) {
  return {views.data + v * 3 * (views.curved ? 5 : 4), views.divergent, views.curved};
}

}  // namespace

template <class T>
void joseph_general(const T* volume, T* projections, Views views, DetectorShape detector, Grid grid, Interruption stop) {
  const double middle_row = 0.5 * double(detector.rows - 1), middle_column = 0.5 * double(detector.columns - 1);
  for (int64_t view = 0; view < views.count; ++view) {
    stop();
    const RayView rays = ray_view(views, view);
#pragma omp parallel for schedule(dynamic, 4)
    for (int64_t row = 0; row < detector.rows; ++row)
      for (int64_t column = 0; column < detector.columns; ++column) {
        const Path path = make_path(rays, double(column) - middle_column, double(row) - middle_row, grid);
        const Strides s = strides(grid, path.major);
        int64_t first = 0, last = s.planes;
        narrow(path.j0, path.dj, double(s.j_count), first, last);
        narrow(path.k0, path.dk, double(s.k_count), first, last);
        T sum = T(0);
        Neighbours<T> n;
        for (int64_t plane = first; plane < last; ++plane)
          if (neighbours(path, s, plane, n))
            sum += (n.weight[0] * volume[n.offset[0]] + n.weight[1] * volume[n.offset[1]]) +
                   (n.weight[2] * volume[n.offset[2]] + n.weight[3] * volume[n.offset[3]]);
        projections[(view * detector.rows + row) * detector.columns + column] += T(path.length) * sum;
      }
  }
}

// Every thread owns slabs of planes: of the rays along x first, then along y, then along z. A slab meets the
// rays in one fixed order.
template <class T>
void joseph_general_adjoint(const T* projections, T* volume, Views views, DetectorShape detector, Grid grid,
                            Interruption stop) {
  const double middle_row = 0.5 * double(detector.rows - 1), middle_column = 0.5 * double(detector.columns - 1);
  const int64_t pixels = detector.rows * detector.columns;
  AlignedBuffer<Path> paths(std::min(kViewBlock, views.count) * pixels);
  for (int64_t begin = 0; begin < views.count; begin += kViewBlock) {
    stop();
    const int64_t count = (std::min(begin + kViewBlock, views.count) - begin) * pixels;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < count; ++i)
      paths.data()[i] = make_path(ray_view(views, begin + i / pixels), double(i % detector.columns) - middle_column,
                                  double(i / detector.columns % detector.rows) - middle_row, grid);
    for (int major = 0; major < 3; ++major) {
      const Strides s = strides(grid, major);
#pragma omp parallel for schedule(dynamic)
      for (int64_t slab = 0; slab < s.planes; slab += kSlab)
        for (int64_t i = 0; i < count; ++i) {
          const Path& path = paths.data()[i];
          if (path.major != major) continue;
          int64_t first = slab, last = std::min(slab + kSlab, s.planes);
          narrow(path.j0, path.dj, double(s.j_count), first, last);
          narrow(path.k0, path.dk, double(s.k_count), first, last);
          const T value = T(path.length) * projections[begin * pixels + i];
          Neighbours<T> n;
          for (int64_t plane = first; plane < last; ++plane)
            if (neighbours(path, s, plane, n))
              for (int c = 0; c < 4; ++c)
                if (n.weight[c] != T(0)) volume[n.offset[c]] += n.weight[c] * value;
        }
    }
  }
}

#define SINOGRAD_INSTANTIATE(T)                                                                    \
  template void joseph_general<T>(const T*, T*, Views, DetectorShape, Grid, Interruption);         \
  template void joseph_general_adjoint<T>(const T*, T*, Views, DetectorShape, Grid, Interruption);
SINOGRAD_INSTANTIATE(float)
SINOGRAD_INSTANTIATE(double)

const OperatorPairs<float> kFloatGeneral = {backproject_general<float>, backproject_general_adjoint<float>,
                                            joseph_general<float>, joseph_general_adjoint<float>};
const OperatorPairs<double> kDoubleGeneral = {backproject_general<double>, backproject_general_adjoint<double>,
                                              joseph_general<double>, joseph_general_adjoint<double>};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
