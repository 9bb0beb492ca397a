// The operators on the CPU. Arrays are contiguous: volumes [z][y][x], projections [view][row][column], in
// tensors' layout; whatever layout a kernel works in is its own affair. Two-dimensional geometries use the
// planar operators. Results do not depend on the number of threads.
#pragma once

#include <cstdint>

#include "grid.h"
#include "ray.h"
#include "voxel_projection.h"

namespace sinograd {

// Called between blocks of views with no lock held; throws to stop.
using Interruption = void (*)();

struct Views {
  const double* data;  // [count][kViewDoubles] (voxel-driven) or [count][4 or 5][3] (ray-driven)
  int64_t count;
  bool curved;
  bool divergent;
  Weighting weighting;
  int64_t view_stride, row_stride;  // of the projections; only the axial operators take any but [view][row][column]
  bool stacked;                     // slice k falls on row k (axial operators): a stack of two-dimensional scans
};

// View v of ray-driven operators.
inline RayView ray_view(const Views& views, int64_t v) {
  return {views.data + v * 3 * (views.curved ? 5 : 4), views.divergent, views.curved};
}

template <class T>
using Operator = void (*)(const T* input, T* output, Views views, DetectorShape detector, Grid grid, Interruption stop);

// volume += backprojection. Rows of the detector parallel to z.
template <class T>
void backproject_axial(const T* projections, T* volume, Views views, DetectorShape detector, Grid grid, Interruption stop);
// projections += its transpose.
template <class T>
void backproject_axial_adjoint(const T* volume, T* projections, Views views, DetectorShape detector, Grid grid, Interruption stop);
template <class T>
void joseph_axial(const T* volume, T* projections, Views views, DetectorShape detector, Grid grid, Interruption stop);
template <class T>
void joseph_axial_adjoint(const T* projections, T* volume, Views views, DetectorShape detector, Grid grid, Interruption stop);

template <class T>
void footprint_axial(const T* volume, T* projections, Views views, DetectorShape detector, Grid grid, Interruption stop);
template <class T>
void footprint_axial_adjoint(const T* projections, T* volume, Views views, DetectorShape detector, Grid grid, Interruption stop);

// An operator pair of each projection model, for the instruction set in use. Every function adds to its output. There
// are no footprints on detectors in any position.
template <class T>
struct OperatorPairs {
  Operator<T> backproject, backproject_adjoint, joseph, joseph_adjoint;
  Operator<T> footprint = nullptr, footprint_adjoint = nullptr;
};

// Detectors, flat or curved, whose rows run parallel to z; stacks of slices.
template <class T>
const OperatorPairs<T>& axial_operators();

// Detectors in any position.
template <class T>
const OperatorPairs<T>& general_operators();

// One slice: images [y][x], sinograms [view][column]; grid.z and detector.rows are not used.
template <class T>
const OperatorPairs<T>& planar_operators();

}  // namespace sinograd
