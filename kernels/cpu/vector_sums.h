// From derivatives to the origins and directions of a line of rays, to those to the vectors of their view.
#pragma once

#include <cmath>
#include <cstdint>

#include "pixel_lines.h"
#include "ray.h"

namespace sinograd {
namespace SINOGRAD_ISA {

constexpr int64_t kVectorNumbers = 15;  // of a view with a curved detector

inline void add_vector(double* numbers, int row, double factor, Vector v) {
  numbers[3 * row] += factor * v.x;
  numbers[3 * row + 1] += factor * v.y;
  numbers[3 * row + 2] += factor * v.z;
}

inline double dot(Vector a, Vector b) { return a.x * b.x + a.y * b.y + a.z * b.z; }

// From the derivative to the place of column u on the middle row, to the vectors that give it
// (RayView::column_position).
inline void add_column(double* numbers, const RayView& view, double u, Vector g) {
  if (!view.curved) {
    add_vector(numbers, 1, 1.0, g);
    add_vector(numbers, 2, u, g);
    return;
  }
  const Vector outward = view.row(1) - view.row(4), step = view.row(2);
  const double radius = length(outward), spacing = length(step), angle = u * spacing / radius;
  const double along_step = dot(g, step) / spacing, turned = std::sin(angle) * along_step;
  const double g_angle = -std::sin(angle) * dot(g, outward) + std::cos(angle) * radius * along_step;
  const double g_radius = turned - g_angle * angle / radius;
  const double g_spacing = -turned * radius / spacing + g_angle * u / radius;
  const Vector g_outward = std::cos(angle) * g + (g_radius / radius) * outward;
  add_vector(numbers, 1, 1.0, g_outward);
  add_vector(numbers, 2, 1.0, (std::sin(angle) * radius / spacing) * g + (g_spacing / spacing) * step);
  add_vector(numbers, 4, 1.0, g - g_outward);
}

// What a line of rays adds to the numbers of its view.
class VectorSums {
 public:
  VectorSums(const PixelLines& lines, int64_t line) : lines_(lines), line_(line) {}

  // Rays [first, first + kRays): derivatives to their origins and directions.
  void add(int64_t first, const double (&origin)[3][kRays], const double (&direction)[3][kRays]) {
    const bool divergent = lines_.view.divergent;
    const double(&pixel)[3][kRays] = divergent ? direction : origin;
    double places[kRays];
    for (int64_t r = 0; r < kRays; ++r)
      places[r] = double(lines_.place(first + r < lines_.length ? first + r : lines_.length - 1));
    for (int axis = 0; axis < 3; ++axis) {
      double start = 0.0, sum = 0.0, moment = 0.0;
      for (int64_t r = 0; r < kRays; ++r) {
        start += divergent ? origin[axis][r] - direction[axis][r] : direction[axis][r];
        sum += pixel[axis][r];
        moment += places[r] * pixel[axis][r];
      }
      start_[axis] += start;
      sum_[axis] += sum;
      moment_[axis] += moment;
    }
    if (!lines_.straight())
      for (int64_t r = 0; r < kRays; ++r)
        add_column(bent_, lines_.view, places[r] - middle_column(), {pixel[0][r], pixel[1][r], pixel[2][r]});
  }

  void add_to(double* numbers) const {
    const Vector sum = vector(sum_), moment = vector(moment_);
    add_vector(numbers, 0, 1.0, vector(start_));
    const double middle_row = 0.5 * double(lines_.detector.rows - 1);
    if (lines_.along_v) {
      add_column(numbers, lines_.view, double(line_) - middle_column(), sum);
      add_vector(numbers, 3, 1.0, moment - middle_row * sum);
      return;
    }
    add_vector(numbers, 3, double(line_) - middle_row, sum);
    if (lines_.straight()) {
      add_vector(numbers, 1, 1.0, sum);
      add_vector(numbers, 2, 1.0, moment - middle_column() * sum);
    } else {
      for (int64_t i = 0; i < kVectorNumbers; ++i) numbers[i] += bent_[i];
    }
  }

 private:
  static Vector vector(const double* v) { return {v[0], v[1], v[2]}; }
  double middle_column() const { return 0.5 * double(lines_.detector.columns - 1); }

  PixelLines lines_;
  int64_t line_;
  double start_[3] = {}, sum_[3] = {}, moment_[3] = {}, bent_[kVectorNumbers] = {};
};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
