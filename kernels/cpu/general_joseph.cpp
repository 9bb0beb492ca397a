// Joseph's projector and its adjoint for rays in any direction. Compiled once per instruction set.
//
// The major axis is the horizontal one of axial_joseph.cpp, or z for rays steeper than 45 degrees. Rays along x and y
// work on columns of voxels along z, line by line of pixels (pixel_lines.h), in vectors where there are some; rays
// along z, rare, one by one on the volume as it is.
#include <omp.h>

#include <algorithm>
#include <type_traits>

#include "general.h"
#include "pixel_lines.h"
#include "ray_path.h"
#include "ray_table.h"
#include "voxel_lines.h"

#if defined(__AVX2__)
#include "ray_lanes.h"
#endif

namespace sinograd {
namespace SINOGRAD_ISA {
namespace {

constexpr int64_t kViewBlock = 4, kLineBlock = 16, kPlaneBlock = 8;
constexpr int64_t kAdjointViewBlock = 4, kSlab = 8;

#if !defined(__AVX2__)
struct LineOnPlane {
  explicit LineOnPlane(int64_t) {}
  template <class... A>
  void scatter(A&&...) {}
};
#endif

// Voxels by plane and by the two indices of a ray on it.
template <class T>
struct Voxels {
  T* data;
  int64_t planes, j_count, k_count;
  int64_t plane, j, k;  // strides
};

template <class T>
Voxels<T> voxels_on(VoxelLines<T>& lines, int axis) {
  const Grid& grid = lines.grid;
  if (axis == 0) return {lines.line(0, 0), grid.x.count, grid.y.count, grid.z.count, lines.stride, lines.row_stride, 1};
  return {lines.line(0, 0), grid.y.count, grid.x.count, grid.z.count, lines.row_stride, lines.stride, 1};
}

template <class T>
Voxels<T> voxels_on_z(T* volume, const Grid& grid) {
  return {volume, grid.z.count, grid.x.count, grid.y.count, grid.x.count * grid.y.count, 1, grid.x.count};
}

// Calls f(voxel, weight) for the four neighbours of a ray on planes [first, last).
template <class V, class F>
void walk(const Voxels<V>& voxels, int64_t j0, int64_t dj, int64_t k0, int64_t dk, int64_t first, int64_t last, F&& f) {
  using T = std::remove_const_t<V>;
  narrow<T>(j0, dj, voxels.j_count, first, last);
  narrow<T>(k0, dk, voxels.k_count, first, last);
  for (int64_t i = first; i < last; ++i) {
    const int64_t at_j = j0 + i * dj, at_k = k0 + i * dk;
    const int64_t j = fixed_index<T>(at_j), k = fixed_index<T>(at_k);
    if (j < -1 || j >= voxels.j_count || k < -1 || k >= voxels.k_count) continue;
    const T right = fixed_fraction<T>(at_j), upper = fixed_fraction<T>(at_k);
    V* voxel = voxels.data + i * voxels.plane + j * voxels.j + k * voxels.k;
    if (k >= 0) {
      if (j >= 0) f(voxel, (T(1) - right) * (T(1) - upper));
      if (j + 1 < voxels.j_count) f(voxel + voxels.j, right * (T(1) - upper));
    }
    if (k + 1 < voxels.k_count) {
      if (j >= 0) f(voxel + voxels.k, (T(1) - right) * upper);
      if (j + 1 < voxels.j_count) f(voxel + voxels.j + voxels.k, right * upper);
    }
  }
}

// `count` rays of a line from `ray` on, one by one, on planes [first, last).
template <class T>
void gather_one_by_one(const Voxels<T>& voxels, const RayPaths<T>& rays, int64_t count, int64_t first, int64_t last,
                       T* sums) {
  for (int64_t r = 0; r < count; ++r) {
    if (rays.length[r] == 0.0) continue;
    T sum = T(0);
    walk(voxels, rays.j0[r], rays.dj[r], rays.k0[r], rays.dk[r], first, last,
         [&](const T* voxel, T weight) { sum += weight * *voxel; });
    sums[r] += sum;
  }
}

template <class T>
void scatter_one_by_one(const Voxels<T>& voxels, const RayPaths<T>& rays, int64_t count, int64_t first, int64_t last,
                        const T* values) {
  for (int64_t r = 0; r < count; ++r)
    if (rays.length[r] != 0.0)
      walk(voxels, rays.j0[r], rays.dj[r], rays.k0[r], rays.dk[r], first, last,
           [&](T* voxel, T weight) { *voxel += weight * values[r]; });
}

// Lines [l0, l1) of views [v0, v1): what one thread projects at a time.
template <class T>
struct Projection {
  VoxelLines<T>& columns;
  const T* volume;
  T* projections;
  const Views& views;
  DetectorShape detector;
  int64_t v0, v1, l0, l1;

  int64_t slots() const { return (v1 - v0) * (l1 - l0); }
  int64_t view(int64_t slot) const { return v0 + slot / (l1 - l0); }
  int64_t line(int64_t slot) const { return l0 + slot % (l1 - l0); }
  PixelLines lines(int64_t slot) const { return PixelLines(views, view(slot), detector); }
  T& pixel(const PixelLines& lines, int64_t slot, int64_t p) const {
    return projections[view(slot) * detector.rows * detector.columns + lines.offset(line(slot), p)];
  }

  // Rays along x or y, of the lines in `chosen`; `sums` holds a line for each slot.
  void along(int axis, const int64_t* chosen, int64_t count, RayTable<T>& table, T* sums) const {
    const Voxels<T> voxels = voxels_on(columns, axis);
    std::fill_n(sums, slots() * table.stride(), T(0));
    for (int64_t i = 0; i < count; ++i) table.fill(chosen[i], lines(chosen[i]), line(chosen[i]), axis, columns.grid);
    for (int64_t plane = 0; plane < voxels.planes; plane += kPlaneBlock) {
      const int64_t end = std::min(plane + kPlaneBlock, voxels.planes);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t slot = chosen[i];
        const bool even = has_vectors<T> && table.is_even(slot);
        for (int64_t ray = 0; ray < table.rays(slot); ray += kWidth) {
          T* sum = sums + slot * table.stride();
          if constexpr (has_vectors<T>)
            if (even && gather_rays(columns, table, slot, ray / kWidth, axis == 0, plane, end, sum)) continue;
          const RayPaths<T> rays(lines(slot), line(slot), ray, axis, columns.grid);
          gather_one_by_one(voxels, rays, std::min(kWidth, table.rays(slot) - ray), plane, end, sum + ray);
        }
      }
    }
    for (int64_t i = 0; i < count; ++i) {
      const PixelLines line = lines(chosen[i]);
      const T *sum = sums + chosen[i] * table.stride(), *length = table.lengths(chosen[i]);
      for (int64_t p = 0; p < line.length; ++p) pixel(line, chosen[i], p) += length[p] * sum[p];
    }
  }

  void along_z(int64_t slot) const {
    const PixelLines cut = lines(slot);
    const Voxels<const T> voxels = voxels_on_z(volume, columns.grid);
    for (int64_t first = 0; first < cut.length; first += kRays) {
      const RayPaths<T> rays(cut, line(slot), first, 2, columns.grid);
      T sums[kRays] = {};
      for (int64_t r = 0; r < kRays; ++r)
        if (rays.length[r] != 0.0)
          walk(voxels, rays.j0[r], rays.dj[r], rays.k0[r], rays.dk[r], 0, voxels.planes,
               [&](const T* voxel, T weight) { sums[r] += weight * *voxel; });
      for (int64_t r = 0; r < std::min(kRays, cut.length - first); ++r)
        pixel(cut, slot, first + r) += T(rays.length[r]) * sums[r];
    }
  }

  void run(RayTable<T>& table, T* sums) const {
    int64_t chosen[2][kViewBlock * kLineBlock], count[2] = {};
    for (int64_t slot = 0; slot < slots(); ++slot) {
      const PixelLines cut = lines(slot);
      if (line(slot) >= cut.count) continue;
      const int found = majors(cut, line(slot), columns.grid);
      for (const int axis : {0, 1})
        if (found >> axis & 1) chosen[axis][count[axis]++] = slot;
      if (found & 4) along_z(slot);
    }
    for (const int axis : {0, 1})
      if (count[axis] > 0) along(axis, chosen[axis], count[axis], table, sums);
  }
};

}  // namespace

template <class T>
void joseph_general(const T* volume, T* projections, Views views, DetectorShape detector, Grid grid, Interruption stop) {
  VoxelLines<T> columns(grid);
  columns.load(volume);
  const int64_t longest = std::max(detector.rows, detector.columns);
  const int64_t line_blocks = (longest + kLineBlock - 1) / kLineBlock;
  const int64_t view_blocks = (views.count + kViewBlock - 1) / kViewBlock;
  const int64_t round = std::max<int64_t>(1, 4 * omp_get_max_threads() / line_blocks);
  for (int64_t begin = 0; begin < view_blocks; begin += round) {
    stop();
    const int64_t end = std::min(begin + round, view_blocks);
#pragma omp parallel
    {
      RayTable<T> table(kViewBlock * kLineBlock, longest, kWidth);
      AlignedBuffer<T> sums(kViewBlock * kLineBlock * table.stride());
#pragma omp for schedule(dynamic)
      for (int64_t task = begin * line_blocks; task < end * line_blocks; ++task) {
        const int64_t v = task / line_blocks * kViewBlock, l = task % line_blocks * kLineBlock;
        Projection<T>{columns, volume, projections, views, detector, v, std::min(v + kViewBlock, views.count), l,
                      std::min(l + kLineBlock, longest)}
            .run(table, sums.data());
      }
    }
  }
}

namespace {

// Rays along one horizontal axis: every thread owns slabs of planes; a slab meets the lines in one fixed order.
template <class T>
void scatter_planes(VoxelLines<T>& columns, RayTable<T>& table, T* values, const Views& views, DetectorShape detector,
                    int64_t first_view, const char* present, int64_t slots, int64_t longest, int axis) {
  const Voxels<T> voxels = voxels_on(columns, axis);
#pragma omp parallel
  {
    LineOnPlane on_plane(longest);
#pragma omp for schedule(dynamic)
    for (int64_t slab = 0; slab < voxels.planes; slab += kSlab)
      for (int64_t slot = 0; slot < slots; ++slot) {
        if (!present[slot]) continue;
        const int64_t end = std::min(slab + kSlab, voxels.planes);
        const T* value = values + slot * table.stride() + kTableFront;
        if constexpr (has_vectors<T>) {
          double least, most;
          table.steps(slot, slab, end - 1, least, most);
          if (table.is_even(slot) && least >= 0.6 && most <= 4.0) {
            for (int64_t plane = slab; plane < end; ++plane)
              on_plane.scatter(columns, table, slot, value, axis == 0, plane);
            continue;
          }
        }
        const PixelLines lines(views, first_view + slot / longest, detector);
        for (int64_t ray = 0; ray < lines.length; ray += kRays) {
          const RayPaths<T> rays(lines, slot % longest, ray, axis, columns.grid);
          scatter_one_by_one(voxels, rays, std::min(kRays, lines.length - ray), slab, end, value + ray);
        }
      }
  }
}

template <class T>
void scatter_along_z(const T* projections, T* volume, const Views& views, DetectorShape detector, const Grid& grid,
                     int64_t first_view, const char* present, int64_t slots, int64_t longest) {
  const Voxels<T> voxels = voxels_on_z(volume, grid);
#pragma omp parallel for schedule(dynamic)
  for (int64_t slab = 0; slab < voxels.planes; slab += kSlab)
    for (int64_t slot = 0; slot < slots; ++slot) {
      if (!(present[slot] & 4)) continue;
      const int64_t view = first_view + slot / longest, line = slot % longest;
      const PixelLines lines(views, view, detector);
      const T* image = projections + view * detector.rows * detector.columns;
      for (int64_t ray = 0; ray < lines.length; ray += kRays) {
        const RayPaths<T> rays(lines, line, ray, 2, grid);
        const int64_t count = std::min(kRays, lines.length - ray);
        T values[kRays];
        for (int64_t r = 0; r < count; ++r) values[r] = T(rays.length[r]) * image[lines.offset(line, ray + r)];
        scatter_one_by_one(voxels, rays, count, slab, std::min(slab + kSlab, voxels.planes), values);
      }
    }
}

}  // namespace

template <class T>
void joseph_general_adjoint(const T* projections, T* volume, Views views, DetectorShape detector, Grid grid,
                            Interruption stop) {
  VoxelLines<T> columns(grid);
  columns.lines.zero();
  const int64_t longest = std::max(detector.rows, detector.columns);
  const int64_t most = std::min(kAdjointViewBlock, views.count) * longest;
  RayTable<T> table(most, longest, kWidth);
  std::vector<T> values(most * table.stride());
  std::vector<char> found(most), present(most);
  for (int64_t first = 0; first < views.count; first += kAdjointViewBlock) {
    stop();
    const int64_t slots = (std::min(first + kAdjointViewBlock, views.count) - first) * longest;
    char any = 0;
#pragma omp parallel for schedule(dynamic, 8) reduction(| : any)
    for (int64_t slot = 0; slot < slots; ++slot) {
      const PixelLines lines(views, first + slot / longest, detector);
      found[slot] = slot % longest < lines.count ? char(majors(lines, slot % longest, grid)) : char(0);
      any |= found[slot];
    }
    for (const int axis : {0, 1}) {
      if (!(any >> axis & 1)) continue;
#pragma omp parallel for schedule(dynamic, 8)
      for (int64_t slot = 0; slot < slots; ++slot) {
        const int64_t view = first + slot / longest, line = slot % longest;
        const PixelLines lines(views, view, detector);
        present[slot] = (found[slot] >> axis & 1) && table.fill(slot, lines, line, axis, grid);
        if (!present[slot]) continue;
        T* value = values.data() + slot * table.stride() + kTableFront;
        const T* image = projections + view * detector.rows * detector.columns;
        std::fill(value - kTableFront, value - kTableFront + table.stride(), T(0));
        for (int64_t p = 0; p < lines.length; ++p) value[p] = table.lengths(slot)[p] * image[lines.offset(line, p)];
      }
      scatter_planes(columns, table, values.data(), views, detector, first, present.data(), slots, longest, axis);
    }
    if (any & 4) scatter_along_z(projections, volume, views, detector, grid, first, found.data(), slots, longest);
  }
  columns.add_to(volume);
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
