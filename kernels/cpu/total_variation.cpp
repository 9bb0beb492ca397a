// Total variation, a row of voxels along x at a time. Compiled once per instruction set; its loops are ones that
// compilers vectorise.
#include "total_variation.h"

#include <cmath>
#include <vector>

#include "isa_table.h"

namespace sinograd {
namespace SINOGRAD_ISA {
namespace {

// Fewer voxels are worked on by one thread: waking others takes longer.
constexpr int64_t kFewVoxels = 1 << 15;

// A row of an image, and where its neighbours are. At the end of an axis the next row is the row itself (no
// difference), at its beginning there is none before.
struct Row {
  int64_t start;             // first voxel
  int64_t next_y, next_z;    // voxels from the row to the next ones
  int64_t before_y, before_z;  // to those before, 0: none
};

inline Row row_of(const VariationImages& images, int64_t number) {
  const int64_t ny = images.shape[1], nz = images.shape[0], line = images.shape[2], plane = ny * line;
  const int64_t y = number % ny, z = number / ny % nz;
  return {number * line, y + 1 < ny ? line : 0, z + 1 < nz ? plane : 0, y > 0 ? line : 0, z > 0 ? plane : 0};
}

// The components of a field at the start of a row; those of axes that it lacks are null.
template <class T>
struct Field {
  T *z, *y, *x;
};

template <class T>
Field<T> field_at(T* field, const VariationImages& images, int64_t start) {
  const int64_t voxels = images.voxels();
  T* x = field + (images.axes - 1) * voxels + start;
  return {images.axes > 2 ? x - 2 * voxels : nullptr, images.axes > 1 ? x - voxels : nullptr, x};
}

template <class Body>
void for_rows(const VariationImages& images, Body body) {
  const int64_t rows = images.rows();
#pragma omp parallel for schedule(static) if (images.voxels() >= kFewVoxels)
  for (int64_t row = 0; row < rows; ++row) body(row);
}

template <class T>
T within(T value, T lower, T upper) {
  value = value < lower ? lower : value;  // NaN stays
  return value > upper ? upper : value;
}

template <class T, int kAxes>
void descend_row(const T* b, Field<const T> field, T* out, const Row& row, int64_t nx, const T* scales, T lower, T upper) {
  // out may be b
#pragma omp simd
  for (int64_t i = 1; i < nx; ++i) {
    T value = b[i] + scales[2] * (field.x[i] - field.x[i - 1]);
    if constexpr (kAxes > 1) value += scales[1] * field.y[i];
    if constexpr (kAxes > 2) value += scales[0] * field.z[i];
    out[i] = value;
  }
  out[0] = b[0] + scales[2] * field.x[0];
  if constexpr (kAxes > 1) out[0] += scales[1] * field.y[0];
  if constexpr (kAxes > 2) out[0] += scales[0] * field.z[0];
  if (kAxes > 1 && row.before_y) {
    const T* before = field.y - row.before_y;
#pragma omp simd
    for (int64_t i = 0; i < nx; ++i) out[i] -= scales[1] * before[i];
  }
  if (kAxes > 2 && row.before_z) {
    const T* before = field.z - row.before_z;
#pragma omp simd
    for (int64_t i = 0; i < nx; ++i) out[i] -= scales[0] * before[i];
  }
#pragma omp simd
  for (int64_t i = 0; i < nx; ++i) out[i] = within(out[i], lower, upper);
}

template <class T, int kAxes>
void descend(const T* b, const T* field, T* out, const VariationImages& images, T scale, T lower, T upper) {
  const T scales[3] = {T(scale * images.factors[0]), T(scale * images.factors[1]), T(scale * images.factors[2])};
  for_rows(images, [&](int64_t number) {
    const Row row = row_of(images, number);
    descend_row<T, kAxes>(b + row.start, field_at(field, images, row.start), out + row.start, row, images.shape[2], scales, lower, upper);
  });
}

template <class T, int kAxes>
void ascend(const T* x, T* dual, T* ahead, const VariationImages& images, T step, T limit, T momentum) {
  const T steps[3] = {T(step * images.factors[0]), T(step * images.factors[1]), T(step * images.factors[2])};
  const T per_limit = 1 / limit, overshoot = 1 + momentum;
  const int64_t nx = images.shape[2];
  for_rows(images, [&](int64_t number) {
    const Row row = row_of(images, number);
    const T *own = x + row.start, *y = own + row.next_y, *z = own + row.next_z;
    const Field<T> old = field_at(dual, images, row.start), next = field_at(ahead, images, row.start);
    const auto put = [&](T& o, T& n, T value) {
      n = o + overshoot * (value - o);
      o = value;
    };
    const auto voxel = [&](int64_t i, T dx) {
      const T px = next.x[i] + steps[2] * dx;
      T py = 0, pz = 0, square = px * px;
      if constexpr (kAxes > 1) {
        py = next.y[i] + steps[1] * (y[i] - own[i]);
        square += py * py;
      }
      if constexpr (kAxes > 2) {
        pz = next.z[i] + steps[0] * (z[i] - own[i]);
        square += pz * pz;
      }
      const T length = std::sqrt(square) * per_limit, shrunk = 1 / (length > 1 ? length : 1);
      put(old.x[i], next.x[i], px * shrunk);
      if constexpr (kAxes > 1) put(old.y[i], next.y[i], py * shrunk);
      if constexpr (kAxes > 2) put(old.z[i], next.z[i], pz * shrunk);
    };
#pragma omp simd
    for (int64_t i = 0; i < nx - 1; ++i) voxel(i, own[i + 1] - own[i]);
    voxel(nx - 1, 0);
  });
}

template <class T, int kAxes>
void value(const T* x, double* sums, const VariationImages& images, T smoothing) {
  const T factors[3] = {T(images.factors[0]), T(images.factors[1]), T(images.factors[2])};
  const int64_t nx = images.shape[2], rows = images.rows();
  std::vector<double> parts(static_cast<size_t>(rows));
  for_rows(images, [&](int64_t number) {
    const Row row = row_of(images, number);
    const T *own = x + row.start, *y = own + row.next_y, *z = own + row.next_z;
    const auto length = [&](int64_t i, T dx) {
      dx *= factors[2];
      T square = smoothing * smoothing + dx * dx;
      if constexpr (kAxes > 1) {
        const T dy = factors[1] * (y[i] - own[i]);
        square += dy * dy;
      }
      if constexpr (kAxes > 2) {
        const T dz = factors[0] * (z[i] - own[i]);
        square += dz * dz;
      }
      return std::sqrt(square) - smoothing;
    };
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < nx - 1; ++i) sum += length(i, own[i + 1] - own[i]);
    parts[size_t(number)] = sum + length(nx - 1, 0);
  });
  const int64_t each = images.shape[0] * images.shape[1];
  for (int64_t image = 0; image < images.batch; ++image) {
    sums[image] = 0;
    for (int64_t row = image * each; row < (image + 1) * each; ++row) sums[image] += parts[size_t(row)];
  }
}

// The functions for a number of axes.
template <class T>
void any_descend(const T* b, const T* field, T* out, const VariationImages& images, T scale, T lower, T upper) {
  const auto chosen = images.axes == 1 ? descend<T, 1> : images.axes == 2 ? descend<T, 2> : descend<T, 3>;
  chosen(b, field, out, images, scale, lower, upper);
}

template <class T>
void any_ascend(const T* x, T* dual, T* ahead, const VariationImages& images, T step, T limit, T momentum) {
  const auto chosen = images.axes == 1 ? ascend<T, 1> : images.axes == 2 ? ascend<T, 2> : ascend<T, 3>;
  chosen(x, dual, ahead, images, step, limit, momentum);
}

template <class T>
void any_value(const T* x, double* sums, const VariationImages& images, T smoothing) {
  const auto chosen = images.axes == 1 ? value<T, 1> : images.axes == 2 ? value<T, 2> : value<T, 3>;
  chosen(x, sums, images, smoothing);
}

}  // namespace

const VariationKernels<float> kFloatVariation = {any_descend<float>, any_ascend<float>, any_value<float>};
const VariationKernels<double> kDoubleVariation = {any_descend<double>, any_ascend<double>, any_value<double>};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
