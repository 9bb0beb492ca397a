// The vector loops of the general Joseph operators in float32, for rays along x or y.
//
// Neighbouring rays of a line of pixels meet a plane of the volume in neighbouring voxels of a few columns along z.
// The projector takes as many rays as a vector has lanes and looks their voxels up in windows of those columns; the
// adjoint takes as many voxels of a column and looks up the rays that lie less than a voxel away. Both compute places
// in 32-bit fixed point, which equals the low words of the exact ones.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "interpolation.h"
#include "pixel_lines.h"
#include "ray_table.h"
#include "voxel_lines.h"

namespace sinograd {
namespace SINOGRAD_ISA {

// Places between two rays of a block may leave the range of those two by rounding, a few thousand units at most.
constexpr int64_t kMargin = 1 << 14;
// The place of the first and last ray of a block on one axis, on consecutive planes.
struct Ends {
  int64_t first, last, first_step, last_step;

  int64_t low() const { return std::min(first, last) - kMargin; }
  int64_t high() const { return std::max(first, last) + kMargin; }
  int64_t low_after(int64_t planes) const { return std::min(first + planes * first_step, last + planes * last_step) - kMargin; }
  int64_t high_after(int64_t planes) const { return std::max(first + planes * first_step, last + planes * last_step) + kMargin; }
  void advance() { first += first_step, last += last_step; }
};

// Whether rays between the ends miss `count` elements on this plane and on `more` that follow.
inline bool missed(const Ends& ends, int64_t more, int64_t count) {
  return std::max(ends.high(), ends.high_after(more)) <= -kOne ||
         std::min(ends.low(), ends.low_after(more)) >= count * kOne;
}

// Whether windows are wide enough for them.
inline bool fits(const Ends& k, const Ends& j, int64_t more) {
  constexpr int64_t widest = kWidest * kOne;
  return k.high() - k.low() <= widest && k.high_after(more) - k.low_after(more) <= widest &&
         std::max(j.high() - j.low(), j.high_after(more) - j.low_after(more)) <= (kMostLines - 2) * kOne;
}

// Rays of block `block` on planes [first, last); false where a window is too narrow for them.
inline bool gather_rays(VoxelLines<float>& voxels, const RayTable<float>& table, int64_t line, int64_t block, bool along_x,
                        int64_t first, int64_t last, float* sums) {
  const RayAnchor *a = table.anchors(line) + block, *b = a + 1;
  Ends k{a->k0 + first * a->dk, b->k0 + first * b->dk, a->dk, b->dk};
  Ends j{a->j0 + first * a->dj, b->j0 + first * b->dj, a->dj, b->dj};
  const int64_t more = last - 1 - first;
  const int64_t columns = along_x ? voxels.grid.y.count : voxels.grid.x.count, height = voxels.grid.z.count;
  const int64_t step_j = along_x ? voxels.row_stride : voxels.stride;
  const int64_t step_i = along_x ? voxels.stride : voxels.row_stride;
  if (missed(k, more, height) || missed(j, more, columns)) return true;
  if (!fits(k, j, more)) return false;

  const int64_t ray = block * Lanes::width;
  const Lanes::Int step_k = Lanes::load(table.dk(line) + ray), step_jv = Lanes::load(table.dj(line) + ray);
  const Lanes::Int skipped = Lanes::all(uint32_t(first));
  Lanes::Int place_k = Lanes::add(Lanes::load(table.k0(line) + ray), Lanes::multiply(step_k, skipped));
  Lanes::Int place_j = Lanes::add(Lanes::load(table.j0(line) + ray), Lanes::multiply(step_jv, skipped));
  Lanes::Float sum = Lanes::load(sums + ray);
  const float* plane = voxels.line(0, 0) + first * step_i;
  for (int64_t i = first; i < last; ++i, plane += step_i) {
    const int64_t low_k = k.low(), low_j = j.low(), high_j = j.high();
    if (k.high() > -kOne && low_k < height * kOne && high_j > -kOne && low_j < columns * kOne) {
      const int64_t base_k = low_k >> kBits, base_j = low_j >> kBits, last_j = (high_j >> kBits) + 1;
      const Lanes::Int within = Lanes::subtract(place_k, Lanes::all(uint32_t(base_k) << kBits));
      const Lanes::Int across = Lanes::subtract(place_j, Lanes::all(uint32_t(base_j) << kBits));
      sum = Lanes::add(sum, interpolate(plane + base_k, step_j, base_j, last_j, columns, within, across));
    }
    k.advance();
    j.advance();
    place_k = Lanes::add(place_k, step_k);
    place_j = Lanes::add(place_j, step_jv);
  }
  Lanes::store(sums + ray, sum);
  return true;
}

// The rays of one line on one plane, from the side of the voxels.
class LineOnPlane {
 public:
  explicit LineOnPlane(int64_t longest)
      : k_(longest / Lanes::width + 2), j_(k_.size()), rays_(k_.size()), lean_(k_.size()), places_(2 * (longest + kTablePad)) {}

  // Adds values times weights to the volume.
  void scatter(VoxelLines<float>& voxels, const RayTable<float>& table, int64_t line, const float* values, bool along_x,
               int64_t plane) {
    prepare(table, line, plane);
    const int64_t columns = along_x ? voxels.grid.y.count : voxels.grid.x.count;
    const int64_t step_j = along_x ? voxels.row_stride : voxels.stride;
    float* target = voxels.line(0, 0) + plane * (along_x ? voxels.stride : voxels.row_stride);
    const double top = std::min(k_[segments_] + 1.0, double(voxels.grid.z.count - 1));
    const double bend = table.bend(line);
    int64_t g = 0;
    double here = 0.0, j_here = 0.0;
    const auto go = [&](double k) {
      while (g + 1 < segments_ && k_[g + 1] <= k) ++g;
      here = double(g * Lanes::width) + (k - k_[g]) * rays_[g];
      j_here = j_[g] + (k - k_[g]) * lean_[g];
    };
    if (!(top >= 0.0) || k_[0] >= double(voxels.grid.z.count)) return;
    const int64_t low = k_[0] > 0.0 ? int64_t(k_[0]) : 0, high = int64_t(top);
    go(double(low - 1));
    for (int64_t e = low; e <= high; e += Lanes::width) {
      const double from = here, j_from = j_here;
      go(double(e + Lanes::width - 1));
      const double slope = (here - from) / double(Lanes::width);
      const double slack = 0.001 + bend * slope, j_margin = 0.001 + bend;
      const double j_next = j_here + lean_[g];
      const int64_t base_j = int64_t(std::floor(std::min(j_from, j_next) - j_margin));
      const int64_t last_j = int64_t(std::floor(std::max(j_from, j_next) + j_margin)) + 1;
      if (last_j < 0 || base_j >= columns) continue;
      const Block block{from + 1.0 - slack, slope, e, base_j, last_j, columns, step_j};
      const double within = 2.0 * slope + 2.0 * slack;
      if (within < 2.0)
        scatter_block<2>(block, values, target);
      else if (within < 3.0)
        scatter_block<3>(block, values, target);
      else
        scatter_block<4>(block, values, target);
    }
  }

 private:
  struct Block {
    double from, slope;  // the first ray to look at from element e, rays an element
    int64_t e, base_j, last_j, columns, step_j;
  };

  void prepare(const RayTable<float>& table, int64_t line, int64_t plane) {
    segments_ = table.segments(line);
    const RayAnchor* anchors = table.anchors(line);
    constexpr double scale = 1.0 / double(kOne);
    for (int64_t g = 0; g <= segments_; ++g) {
      k_[g] = double(anchors[g].k0 + plane * anchors[g].dk) * scale;
      j_[g] = double(anchors[g].j0 + plane * anchors[g].dj) * scale;
    }
    for (int64_t g = 0; g < segments_; ++g) {
      const double inverse = 1.0 / (k_[g + 1] - k_[g]);
      rays_[g] = double(table.segment_length(line, g)) * inverse;
      lean_[g] = (j_[g + 1] - j_[g]) * inverse;
    }
    const uint32_t *k0 = table.k0(line), *dk = table.dk(line), *j0 = table.j0(line), *dj = table.dj(line);
    half_ = int64_t(places_.size()) / 2;
    const Lanes::Int planes = Lanes::all(uint32_t(plane));
    for (int64_t r = 0; r < table.rays(line); r += Lanes::width) {
      uint32_t* k = places_.data() + kTableFront + r;
      Lanes::store(k, Lanes::add(Lanes::load(k0 + r), Lanes::multiply(Lanes::load(dk + r), planes)));
      Lanes::store(k + half_, Lanes::add(Lanes::load(j0 + r), Lanes::multiply(Lanes::load(dj + r), planes)));
    }
  }

  template <int candidates>
  void scatter_block(const Block& block, const float* values, float* target) {
    const int64_t base = int64_t(std::floor(block.from));
    const Lanes::Float lane = Lanes::number(Lanes::numbers());
    Lanes::Int index = Lanes::truncate(
        Lanes::multiply_add(lane, Lanes::all(float(block.slope)), Lanes::all(float(block.from - double(base)))));
    const uint32_t *k = places_.data() + kTableFront + base, *j = k + half_;
    const float* value = values + base;
    const Lanes::Int k_low = Lanes::load(k), k_high = Lanes::load(k + Lanes::width);
    const Lanes::Int j_low = Lanes::load(j), j_high = Lanes::load(j + Lanes::width);
    const Lanes::Float low = Lanes::load(value), high = Lanes::load(value + Lanes::width);
    const Lanes::Int elements =
        Lanes::add(Lanes::position(Lanes::numbers()), Lanes::all(uint32_t(block.e) << kBits));
    const Lanes::Int origin = Lanes::all(uint32_t(block.base_j) << kBits);
    Lanes::Float weighted[candidates];
    Lanes::Int across[candidates];
    for (int c = 0; c < candidates; ++c) {
      const Lanes::Float weight = hat(Lanes::subtract(Lanes::look_up(k_low, index, k_high), elements));
      weighted[c] = Lanes::multiply(weight, Lanes::look_up(low, index, high));
      across[c] = Lanes::subtract(Lanes::look_up(j_low, index, j_high), origin);
      index = Lanes::add(index, Lanes::all(uint32_t(1)));
    }
    float* column = target + block.base_j * block.step_j + block.e;
    if (block.last_j == block.base_j + 1) {
      Lanes::Float all = Lanes::all(0.0f), right = all;
      for (int c = 0; c < candidates; ++c) {
        all = Lanes::add(all, weighted[c]);
        right = Lanes::multiply_add(weighted[c], fraction(across[c]), right);
      }
      Lanes::store(column, Lanes::add(Lanes::load(column), Lanes::subtract(all, right)));
      column += block.step_j;
      Lanes::store(column, Lanes::add(Lanes::load(column), right));
      return;
    }
    const int64_t end = std::min(block.last_j, block.columns - 1);
    for (int64_t line = std::max<int64_t>(block.base_j, 0); line <= end; ++line) {
      const Lanes::Int here = Lanes::all(uint32_t(line - block.base_j) << kBits);
      column = target + line * block.step_j + block.e;
      Lanes::Float sum = Lanes::load(column);
      for (int c = 0; c < candidates; ++c)
        sum = Lanes::multiply_add(weighted[c], hat(Lanes::subtract(across[c], here)), sum);
      Lanes::store(column, sum);
    }
  }

  std::vector<double> k_, j_, rays_, lean_;
  std::vector<uint32_t> places_;
  int64_t segments_ = 0, half_ = 0;
};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
