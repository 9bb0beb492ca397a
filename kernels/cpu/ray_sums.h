// The five sums of a ray of which derivatives to source and pixel are made (joseph_gradient.cpp): of the values on its
// planes, of their two derivatives, and of these times the number of the plane.
#pragma once

#include <algorithm>
#include <cstdint>

#include "pixel_lines.h"
#include "ray_path.h"
#include "ray_table.h"
#include "voxel_lines.h"

#if defined(__AVX2__)
#include "differentiate.h"
#include "ray_lanes.h"
#endif

namespace sinograd {
namespace SINOGRAD_ISA {

// Where the sums of a line of rays stand: `kSums` arrays, `stride` apart.
constexpr int64_t kSums = 5;
enum Sum : int64_t { value, by_j, by_j_plane, by_k, by_k_plane };

// Planes and the two axes of the voxels that a ray meets on each, as strides of VoxelLines.
struct Strides {
  int64_t planes, j_count, k_count, plane, j, k;
};

template <class T>
Strides strides_along(const VoxelLines<T>& lines, int64_t axis) {
  const Grid& grid = lines.grid;
  if (axis == 0) return {grid.x.count, grid.y.count, grid.z.count, lines.stride, lines.row_stride, 1};
  if (axis == 1) return {grid.y.count, grid.x.count, grid.z.count, lines.row_stride, lines.stride, 1};
  return {grid.z.count, grid.x.count, grid.y.count, 1, lines.stride, lines.row_stride};
}

// One ray on planes [first, last), added to the sums; zeros lie around the voxels.
template <class T>
void add_ray(const T* voxels, const RayAnchor& ray, const Strides& s, int64_t first, int64_t last, T* sums,
             int64_t stride) {
  narrow<T>(ray.j0, ray.dj, s.j_count, first, last);
  narrow<T>(ray.k0, ray.dk, s.k_count, first, last);
  T total[kSums] = {};
  for (int64_t i = first; i < last; ++i) {
    const int64_t at_j = ray.j0 + i * ray.dj, at_k = ray.k0 + i * ray.dk;
    const int64_t j = fixed_index<T>(at_j), k = fixed_index<T>(at_k);
    if (j < -1 || j >= s.j_count || k < -1 || k >= s.k_count) continue;
    const T right = fixed_fraction<T>(at_j), upper = fixed_fraction<T>(at_k), plane = T(i);
    const T* p = voxels + i * s.plane + j * s.j + k * s.k;
    const T across_low = p[s.j] - p[0], across_high = p[s.j + s.k] - p[s.k];
    const T low = p[0] + right * across_low, high = p[s.k] + right * across_high;
    const T f_j = across_low + upper * (across_high - across_low), f_k = high - low;
    total[value] += low + upper * f_k;
    total[by_j] += f_j;
    total[by_j_plane] += plane * f_j;
    total[by_k] += f_k;
    total[by_k_plane] += plane * f_k;
  }
  for (int64_t i = 0; i < kSums; ++i) sums[i * stride] += total[i];
}

#if defined(__AVX2__)

// Rays of block `block` on planes [first, last), as `gather_rays`; false where a window is too narrow for them.
inline bool add_rays(VoxelLines<float>& voxels, const RayTable<float>& table, int64_t line, int64_t block, bool along_x,
                     int64_t first, int64_t last, float* sums, int64_t stride) {
  const RayAnchor *a = table.anchors(line) + block, *b = a + 1;
  Ends k{a->k0 + first * a->dk, b->k0 + first * b->dk, a->dk, b->dk};
  Ends j{a->j0 + first * a->dj, b->j0 + first * b->dj, a->dj, b->dj};
  const Strides s = strides_along(voxels, along_x ? 0 : 1);
  const int64_t more = last - 1 - first;
  if (missed(k, more, s.k_count) || missed(j, more, s.j_count)) return true;
  if (!fits(k, j, more)) return false;
  const int64_t ray = block * Lanes::width;
  const Lanes::Int step_k = Lanes::load(table.dk(line) + ray), step_j = Lanes::load(table.dj(line) + ray);
  const Lanes::Int skipped = Lanes::all(uint32_t(first));
  Lanes::Int place_k = Lanes::add(Lanes::load(table.k0(line) + ray), Lanes::multiply(step_k, skipped));
  Lanes::Int place_j = Lanes::add(Lanes::load(table.j0(line) + ray), Lanes::multiply(step_j, skipped));
  float* target = sums + ray;
  Lanes::Float total[kSums];
  for (int64_t i = 0; i < kSums; ++i) total[i] = Lanes::load(target + i * stride);
  const float* plane = voxels.line(0, 0) + first * s.plane;
  for (int64_t i = first; i < last; ++i, plane += s.plane) {
    const int64_t low_k = k.low(), low_j = j.low(), high_j = j.high();
    if (k.high() > -kOne && low_k < s.k_count * kOne && high_j > -kOne && low_j < s.j_count * kOne) {
      const int64_t base_k = low_k >> kBits, base_j = low_j >> kBits, last_j = (high_j >> kBits) + 1;
      const Lanes::Int within = Lanes::subtract(place_k, Lanes::all(uint32_t(base_k) << kBits));
      const Lanes::Int across = Lanes::subtract(place_j, Lanes::all(uint32_t(base_j) << kBits));
      const Differentiated f = differentiate(plane + base_k, s.j, base_j, last_j, s.j_count, within, across);
      const Lanes::Float number = Lanes::all(float(i));
      total[value] = Lanes::add(total[value], f.value);
      total[by_j] = Lanes::add(total[by_j], f.across);
      total[by_j_plane] = Lanes::multiply_add(number, f.across, total[by_j_plane]);
      total[by_k] = Lanes::add(total[by_k], f.along);
      total[by_k_plane] = Lanes::multiply_add(number, f.along, total[by_k_plane]);
    }
    k.advance();
    j.advance();
    place_k = Lanes::add(place_k, step_k);
    place_j = Lanes::add(place_j, step_j);
  }
  for (int64_t i = 0; i < kSums; ++i) Lanes::store(target + i * stride, total[i]);
  return true;
}

#endif

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
