// Where rows of voxel columns fall on the detector. Compiled once per instruction set; SINOGRAD_ISA names it.
//
// The images of a row are computed in float64, several columns in a vector, without a branch; what does not meet the
// detector is left out afterwards. Set up one by one, a job takes as long as 60 voxels of its column.
#include "column_rows.h"

#include <cmath>
#include <cstring>
#include <type_traits>

#include "isa_table.h"
#include "voxel_projection.h"

namespace sinograd {
namespace SINOGRAD_ISA {
namespace {

// The nearest integer, ties to even; of float32 lines, whose positions stay below 2^51, by adding 1.5 * 2^52.
template <class T>
inline int64_t nearest(double value) {
  if constexpr (std::is_same_v<T, float>) {
    constexpr double large = 6755399441055744.0;
    const double sum = value + large;
    int64_t bits, none;
    std::memcpy(&bits, &sum, sizeof bits);
    std::memcpy(&none, &large, sizeof none);
    return bits - none;
  } else {
    return std::llrint(value);
  }
}

template <Weighting weighting, class T, class View>
void add_row(const double* numbers, const ColumnRow& row, const Axis& z, const DetectorShape& detector,
             ViewLines<T> lines, LineJob<T>* jobs, int64_t most, int64_t* counts) {
  double copied[kViewDoubles];  // which no write below can change
  std::memcpy(copied, numbers, sizeof copied);
  const View view{copied};
  const double y = row.y;
  const Axis axis = z;
  alignas(64) double column[kTileX], middle[kTileX], step[kTileX], weight[kTileX], below[kTileX];
  alignas(64) int64_t start[kTileX], steps[kTileX];
  alignas(64) T w0[kTileX], w1[kTileX];
  for (int64_t i = 0; i < kTileX; ++i) {
    const ColumnImage image = view.template column<weighting>(row.x[i], y, axis);
    column[i] = image.column;
    middle[i] = image.middle;
    step[i] = image.step;
    weight[i] = image.weight;
  }
  for (int64_t i = 0; i < kTileX; ++i) {
    below[i] = std::floor(column[i]);
    const double fraction = column[i] - below[i];
    w0[i] = T((1.0 - fraction) * weight[i]);
    w1[i] = T(fraction * weight[i]);
  }
  constexpr double one = double(fixed_one<T>());
  const int64_t whole = axis.whole(), first = axis.first + row.z0, origin = detector.first_row * fixed_one<T>();
  const double reach = double(whole);
  bool meets[kTileX];
  for (int64_t i = 0; i < kTileX; ++i)
    meets[i] = column[i] > -1.0 && column[i] < double(detector.columns) && line_is_near(middle[i], step[i], reach);
  for (int64_t i = 0; i < kTileX; ++i) {
    steps[i] = nearest<T>(step[i] * one);
    start[i] = nearest<T>(middle[i] * one) - ((whole - 1) * steps[i] >> 1) + first * steps[i] - origin;
  }
  for (int64_t i = 0; i < row.count; ++i) {
    if (!meets[i]) continue;
    T* line = lines.first + int64_t(below[i]) * lines.stride;
    jobs[i * most + counts[i]++] = {line, line + lines.stride, w0[i], w1[i], {start[i], steps[i]}};
  }
}

template <class T>
void add(const Views& views, int64_t view, const ColumnRow& row, const Axis& z, const DetectorShape& detector,
         ViewLines<T> lines, LineJob<T>* jobs, int64_t most, int64_t* counts) {
  const double* numbers = views.data + view * kViewDoubles;
  with_weighting(views.weighting, [&](auto weighting) {
    constexpr Weighting w = weighting();
    if (views.stacked && views.curved)
      add_row<w, T, StackedView<CurvedView>>(numbers, row, z, detector, lines, jobs, most, counts);
    else if (views.stacked)
      add_row<w, T, StackedView<FlatView>>(numbers, row, z, detector, lines, jobs, most, counts);
    else if (views.curved)
      add_row<w, T, CurvedView>(numbers, row, z, detector, lines, jobs, most, counts);
    else
      add_row<w, T, FlatView>(numbers, row, z, detector, lines, jobs, most, counts);
  });
}

}  // namespace

extern const ColumnKernels<float> kFloatColumns = {add<float>};
extern const ColumnKernels<double> kDoubleColumns = {add<double>};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
