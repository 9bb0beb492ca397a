// What scatters of lines read from the elements' side share: the samples that may reach each element of a vector.
//
// They are found with the inverse step in floating point, a little generously; weights come from exact places.
#pragma once

#include <cmath>
#include <cstdint>

#include "fixed_point.h"
#include "lanes.h"
#include "lines_steps.h"

namespace sinograd {
namespace SINOGRAD_ISA {

class Candidates {
 public:
  using Float = Lanes::Float;
  using Int = Lanes::Int;

  explicit Candidates(const LineMap& map)
      : map_(map),
        inverse_(1.0 / double(map.step)),
        spread_(Lanes::multiply(Lanes::number(Lanes::numbers()), Lanes::all(float(double(kOne) * inverse_)))),
        steps_(Lanes::all(uint32_t(map.step))),
        elements_(Lanes::position(Lanes::numbers())) {}

  Int steps() const { return steps_; }

  // To the first candidates of elements j and following: samples after `position`, which belongs to element j.
  inline __attribute__((always_inline)) void begin(const float* single, int64_t j, int64_t position) {
    const double from = double(position - map_.start) * inverse_ + kBeyond;
    const int64_t base = int64_t(std::floor(from));
    index_ = Lanes::truncate(Lanes::add(spread_, Lanes::all(float(from - double(base)))));
    const uint32_t origin = uint32_t(map_.start + base * map_.step - j * kOne);
    place = Lanes::subtract(Lanes::add(Lanes::all(origin), Lanes::multiply(index_, steps_)), elements_);
    below_ = Lanes::load(single + base);
    above_ = Lanes::load(single + base + Lanes::width);
  }

  Float value() const { return Lanes::look_up(below_, index_, above_); }

  inline __attribute__((always_inline)) void next() {
    place = Lanes::add(place, steps_);
    index_ = Lanes::add(index_, Lanes::all(uint32_t(1)));
  }

  Int place;  // of the candidates, from the elements, in fixed point

 private:
  static constexpr double kBeyond = 0.999;

  LineMap map_;
  double inverse_;
  Float spread_;
  Int steps_, elements_, index_;
  Float below_, above_;
};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
