// The voxel grid as kernels see it: counts, spacings and centre in world millimetres.
#pragma once

#include <cstdint>

namespace sinograd {

struct Axis {
  int64_t count;
  double spacing;
  double centre;

  double middle() const { return 0.5 * double(count - 1); }
  double position(int64_t i) const { return centre + (double(i) - middle()) * spacing; }
  double index(double position) const { return (position - centre) / spacing + middle(); }
};

struct Grid {
  Axis z, y, x;
};

// Rows (v) and columns (u) of the detector.
struct DetectorShape {
  int64_t rows, columns;
};

}  // namespace sinograd
