// The voxel grid as kernels see it: counts, spacings and centre in world millimetres.
#pragma once

#include <cstdint>

namespace sinograd {

// `count` elements from `first` on of an axis of `all`, whose middle is at `centre`. A part of an axis has the places of
// its elements from the whole, to the last bit. all = 0: it is the whole.
struct Axis {
  int64_t count;
  double spacing;
  double centre;
  int64_t first = 0;
  int64_t all = 0;

  int64_t whole() const { return all > 0 ? all : count; }
  double middle() const { return 0.5 * double(whole() - 1) - double(first); }
  double position(int64_t i) const { return centre + (double(i) - middle()) * spacing; }
  double index(double position) const { return (position - centre) / spacing + middle(); }
};

struct Grid {
  Axis z, y, x;
};

// Rows (v) and columns (u) of the detector; the rows start at `first_row` of those that the views' numbers are for.
struct DetectorShape {
  int64_t rows, columns;
  int64_t first_row = 0;
};

}  // namespace sinograd
