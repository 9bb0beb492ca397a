// Where rows of voxel columns fall on the detector. Compiled once per instruction set; SINOGRAD_ISA names it.
//
// The images of a row are computed in float64, several columns in a vector, without a branch; what does not meet the
// detector is left out afterwards. Set up one by one, a job takes as long as 60 voxels of its column.
#include "column_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "isa_table.h"
#include "voxel_projection.h"
#if defined(__AVX2__)
#include "slice_lanes.h"
#endif

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
void locate(const double* numbers, const ColumnRow& row, const Axis& z, const DetectorShape& detector, RowImages<T>& out) {
  double copied[kViewDoubles];  // which no write below can change
  std::memcpy(copied, numbers, sizeof copied);
  const View view{copied};
  const double y = row.y;
  const Axis axis = z;
  alignas(64) double column[kTileX], middle[kTileX], step[kTileX], weight[kTileX];
  for (int64_t i = 0; i < kTileX; ++i) {
    const ColumnImage image = view.template column<weighting>(row.x[i], y, axis);
    column[i] = image.column;
    middle[i] = image.middle;
    step[i] = image.step;
    weight[i] = image.weight;
  }
  constexpr double one = double(fixed_one<T>());
  const int64_t whole = axis.whole(), first = axis.first + row.z0, origin = detector.first_row * fixed_one<T>();
  const double reach = double(whole), columns = double(detector.columns);
  for (int64_t i = 0; i < kTileX; ++i) {
    const bool meets = (column[i] > -1.0) & (column[i] < columns) & line_is_near(middle[i], step[i], reach);
    column[i] = meets ? column[i] : double(RowImages<T>::misses);
    middle[i] = meets ? middle[i] : -2.0 - reach;
    step[i] = meets ? step[i] : 0.0;
    weight[i] = meets ? weight[i] : 0.0;
  }
  for (int64_t i = 0; i < kTileX; ++i) {
    const double below = std::floor(column[i]), fraction = column[i] - below;
    out.line[i] = int32_t(below);
    out.w0[i] = T((1.0 - fraction) * weight[i]);
    out.w1[i] = T(fraction * weight[i]);
  }
  for (int64_t i = 0; i < kTileX; ++i) {
    out.steps[i] = nearest<T>(step[i] * one);
    out.start[i] = nearest<T>(middle[i] * one) - ((whole - 1) * out.steps[i] >> 1) + first * out.steps[i] - origin;
  }
}

template <class T>
void locate(const Views& views, int64_t view, const ColumnRow& row, const Axis& z, const DetectorShape& detector,
            RowImages<T>& out) {
  const double* numbers = views.data + view * kViewDoubles;
  with_weighting(views.weighting, [&](auto weighting) {
    constexpr Weighting w = weighting();
    if (views.stacked && views.curved)
      locate<w, T, StackedView<CurvedView>>(numbers, row, z, detector, out);
    else if (views.stacked)
      locate<w, T, StackedView<FlatView>>(numbers, row, z, detector, out);
    else if (views.curved)
      locate<w, T, CurvedView>(numbers, row, z, detector, out);
    else
      locate<w, T, FlatView>(numbers, row, z, detector, out);
  });
}

template <class T>
void add(const Views& views, int64_t view, const ColumnRow& row, const Axis& z, const DetectorShape& detector,
         ViewLines<T> lines, LineJob<T>* jobs, int64_t most, int64_t* counts) {
  RowImages<T> images;
  locate(views, view, row, z, detector, images);
  for (int64_t i = 0; i < row.count; ++i) {
    if (images.line[i] == images.misses) continue;
    T* line = lines.first + images.line[i] * lines.stride;
    jobs[i * most + counts[i]++] = {line, line + lines.stride, images.w0[i], images.w1[i], {images.start[i], images.steps[i]}};
  }
}

#if defined(__AVX2__)
void gather_slices(const Views& views, int64_t view, const ColumnRow& row, const Axis& z, const DetectorShape& detector,
                   const float* image, float* slices, int64_t count) {
  RowImages<float> images;
  locate(views, view, row, z, detector, images);
  int64_t largest = 0;
  for (int64_t i = 0; i < kTileX; ++i) largest = std::max(largest, images.steps[i]);
  if (can_gather(largest))
    SliceLanes::gather(images, image, detector, slices, count);
  else
    SliceLanes::gather_one_by_one(images, image, detector, slices, count);
}
#else
constexpr decltype(ColumnKernels<float>::gather_slices) gather_slices = nullptr;
#endif

}  // namespace

extern const ColumnKernels<float> kFloatColumns = {add<float>, gather_slices};
extern const ColumnKernels<double> kDoubleColumns = {add<double>, nullptr};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
