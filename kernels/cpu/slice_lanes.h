// The gather of line_lanes.h for stacks of few slices: vectors take neighbouring columns of a slice.
//
// Every sample computes what it does in a vector along its column, so that a slice has the same bits in a stack of any
// height. Where all samples of a vector lie between the same two rows their elements are looked up in windows of these;
// elsewhere they are fetched pair by pair.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "column_rows.h"
#include "lanes.h"
#include "lines_steps.h"

namespace sinograd {
namespace SINOGRAD_ISA {

class SliceLanes {
 public:
  // Steps are below two elements.
  static void gather(const RowImages<float>& images, const float* image, const DetectorShape& detector, float* slices,
                     int64_t count) {
    const Float one = Lanes::all(float(kOne));
    const Int bits = Lanes::all(uint32_t(kOne - 1)), last = Lanes::all(uint32_t(detector.rows + 2));
    alignas(64) int64_t elements[kTileX], whole[kTileX];
    for (int64_t i = 0; i < kTileX; ++i) {
      elements[i] = int64_t(uint64_t(images.start[i] + kFarOff) >> kBits);
      whole[i] = int64_t(uint64_t(images.steps[i]) >> kBits);
    }
    const uint32_t pitch = uint32_t(ImageRows<float>::pitch(detector));
    for (int64_t g = 0; g < kTileX; g += width) {
      const Float w0 = Lanes::load(images.w0 + g), w1 = Lanes::load(images.w1 + g);
      const Int line = Lanes::positive(Lanes::add(Lanes::load(reinterpret_cast<const uint32_t*>(images.line + g)), Lanes::all(uint32_t(1))));
      const int32_t lowest = std::max(std::min(images.line[g], images.line[g + width - 1]) + 1, 0);
      const Int index = Lanes::subtract(line, Lanes::all(uint32_t(lowest)));
      const bool narrow = Lanes::in_window(index);
      const Int steps = Lanes::both(Lanes::low(images.steps + g), bits), jumps = Lanes::low(whole + g);
      Int fraction = Lanes::both(Lanes::low(images.start + g), bits);
      Int element = Lanes::subtract(Lanes::low(elements + g), Lanes::all(uint32_t((kFarOff >> kBits) - 2)));
      float* slice = slices + g;
      for (int64_t z = 0; z < count; ++z, slice += kTileX) {
        // beyond the line zeros are met
        const Int place = Lanes::smaller(Lanes::positive(element), last);
        Float below0, above0, below1, above1;
        if (narrow && Lanes::are_one(place)) {
          const float *lower = image + int64_t(Lanes::first_of(place)) * pitch + lowest, *upper = lower + pitch;
          below0 = Lanes::look_up(Lanes::load(lower), index);
          below1 = Lanes::look_up(Lanes::load(lower + 1), index);
          above0 = Lanes::look_up(Lanes::load(upper), index);
          above1 = Lanes::look_up(Lanes::load(upper + 1), index);
        } else {
          const Int at = Lanes::add(line, Lanes::multiply(place, Lanes::all(pitch)));
          Lanes::pairs(image, at, below0, below1);
          Lanes::pairs(image + pitch, at, above0, above1);
        }
        const Float below = Lanes::multiply_add(below1, w1, Lanes::multiply(below0, w0));
        const Float above = Lanes::multiply_add(above1, w1, Lanes::multiply(above0, w0));
        const Float sum = Lanes::multiply_add(below, one, Lanes::load(slice));
        Lanes::store(slice, Lanes::multiply_add(Lanes::number(fraction), Lanes::subtract(above, below), sum));
        fraction = Lanes::add(fraction, steps);
        element = Lanes::add(Lanes::add(element, jumps), Lanes::element(fraction));
        fraction = Lanes::both(fraction, bits);
      }
    }
  }

  // Any steps; those that vectors along columns do not take as portable code computes them.
  static void gather_one_by_one(const RowImages<float>& images, const float* image, const DetectorShape& detector,
                                float* slices, int64_t count) {
    const int64_t pitch = ImageRows<float>::pitch(detector);
    constexpr float one = float(kOne);
    for (int64_t i = 0; i < kTileX; ++i) {
      if (images.line[i] == images.misses) continue;
      const float w0 = images.w0[i], w1 = images.w1[i];
      for (int64_t z = 0; z < count; ++z) {
        const int64_t place = images.start[i] + z * images.steps[i];
        if (place < -kOne || place >= detector.rows * kOne) continue;
        const float* lower = image + ImageRows<float>::offset(detector, place >> kBits) + images.line[i];
        const float* upper = lower + pitch;
        const float fraction = fixed_fraction<float>(place);
        float& sum = slices[z * kTileX + i];
        if (can_gather(images.steps[i])) {
          const float below = std::fma(lower[1], w1, lower[0] * w0), above = std::fma(upper[1], w1, upper[0] * w0);
          sum = std::fma(fraction * one, above - below, std::fma(below, one, sum));
        } else {
          const float below = w0 * lower[0] + w1 * lower[1], above = w0 * upper[0] + w1 * upper[1];
          sum += (below + fraction * (above - below)) * one;
        }
      }
    }
  }

 private:
  using Float = Lanes::Float;
  using Int = Lanes::Int;
  static constexpr int64_t width = Lanes::width;
  static constexpr int64_t kFarOff = int64_t(1) << 55;  // makes places positive
};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
