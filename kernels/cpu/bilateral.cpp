// The bilateral filter and its gradients, a vector of voxels along x at a time. Compiled once per instruction set.
#include "bilateral.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "aligned_buffer.h"
#include "bilateral_weight.h"
#include "isa_table.h"
#include "vectors.h"

namespace sinograd {
namespace SINOGRAD_ISA {
namespace {

template <class T>
using VectorOf = std::conditional_t<std::is_same_v<T, float>, Floats, Doubles>;

// Taps between two looks at interrupts, and rows that a thread takes at a time.
constexpr int64_t kTapsPerBlock = int64_t(1) << 28, kRowsPerTurn = 8;
// A window whose radius along x is not known when this is compiled.
constexpr int kAnyRadius = -1;

// The filter with what is the same for every voxel.
template <class T>
struct Plan {
  BilateralFilter filter;
  std::vector<T> exponents;  // of the spatial weights, [z][y][x] over the window
  RangeUnit<T> range;

  explicit Plan(const BilateralFilter& f) : filter(f), range(f.sigma_range) {
    const auto exponent = [&](int axis, int64_t o) { return gaussian_exponent(double(o), f.sigma_spatial[axis]); };
    for (int64_t k = -f.radius[0]; k <= f.radius[0]; ++k)
      for (int64_t j = -f.radius[1]; j <= f.radius[1]; ++j)
        for (int64_t i = -f.radius[2]; i <= f.radius[2]; ++i)
          exponents.push_back(T(exponent(0, k) + exponent(1, j) + exponent(2, i)));
  }
};

// A row of voxels, and the lines of neighbours around it that the volume has.
struct Row {
  int64_t start;  // of its first voxel in the arrays
  int64_t first_z, last_z, first_y, last_y;

  Row(const BilateralFilter& f, int64_t number) : start(number * f.shape[2]) {
    const int64_t y = number % f.shape[1], z = number / f.shape[1] % f.shape[0];
    first_z = std::max(-f.radius[0], -z);
    last_z = std::min(f.radius[0], f.shape[0] - 1 - z);
    first_y = std::max(-f.radius[1], -y);
    last_y = std::min(f.radius[1], f.shape[1] - 1 - y);
  }
};

// Calls tap(i, offset, exponent) for every neighbour (., ., i) in the window, `offset` elements away; after each line
// and plane of them end_line(j) and end_plane(k). `radius` is the window's along x, or kAnyRadius.
template <int radius, class T, class Tap, class EndLine, class EndPlane>
inline __attribute__((always_inline)) void for_taps(const Plan<T>& plan, const Row& row, Tap&& tap, EndLine&& end_line,
                                                    EndPlane&& end_plane) {
  const BilateralFilter& f = plan.filter;
  const int64_t rz = f.radius[0], ry = f.radius[1], rx = radius == kAnyRadius ? f.radius[2] : radius;
  for (int64_t k = row.first_z; k <= row.last_z; ++k) {
    for (int64_t j = row.first_y; j <= row.last_y; ++j) {
      const T* exponents = plan.exponents.data() + ((k + rz) * (2 * ry + 1) + j + ry) * (2 * rx + 1) + rx;
      const int64_t line = (k * f.shape[1] + j) * f.shape[2];
#pragma GCC unroll 8
      for (int64_t i = -rx; i <= rx; ++i) tap(i, line + i, exponents[i]);
      end_line(j);
    }
    end_plane(k);
  }
}

// The vector of voxels from column `at` of a row. At the border, where some of them or of their neighbours along x are
// outside the volume, lanes are masked: what is outside reads as zero and weighs nothing.
template <class V, bool border>
struct Place {
  using T = typename V::Scalar;
  int64_t at, columns;

  V load(const T* array, int64_t element, int64_t i) const {
    if constexpr (border) return V::load(array + element, V::lanes(at + i, columns));
    return V::load(array + element);
  }
  V weight(V exponent, int64_t i) const {
    if constexpr (border) return exp2_of_negative(exponent).only(V::lanes(at + i, columns));
    return exp2_of_negative(exponent);
  }
  void store(V a, T* array, int64_t element) const {
    if constexpr (border)
      a.store(array + element, V::lanes(at, columns));
    else
      a.store(array + element);
  }
  double sum_inside(V a) const {
    if constexpr (border) return sum(a.only(V::lanes(at, columns)));
    return sum(a);
  }
};

template <class T>
struct Forward {
  const T *x, *guide;
  T *output, *normaliser;

  // The mean is summed as differences to the voxel's own value, so that what is constant stays so exactly.
  template <bool joint, int radius, bool border>
  void columns(const Plan<T>& plan, const Row& row, int64_t at) const {
    using V = VectorOf<T>;
    const Place<V, border> place{at, plan.filter.shape[2]};
    const int64_t here = row.start + at;
    const V scale = V::broadcast(plan.range.scale), unit = V::broadcast(T(plan.range.unit));
    const V xk = place.load(x, here, 0), zk = joint ? place.load(guide, here, 0) : xk;
    V total = V::broadcast(0), weights = V::broadcast(0);
    for_taps<radius>(
        plan, row,
        [&](int64_t i, int64_t offset, T exponent) {
          const V d = place.load(guide, here + offset, i) - zk;
          const V r = d * unit;
          const V weight = place.weight(fma(r * r, scale, V::broadcast(exponent)), i);
          const V dx = joint ? place.load(x, here + offset, i) - xk : d;
          weights = weights + weight;
          total = fma(weight, dx, total);
        },
        [](int64_t) {}, [](int64_t) {});
    place.store(xk + total / weights, output, here);
    place.store(weights, normaliser, here);
  }
};

template <class T>
struct Backward {
  const T *x, *guide, *scaled, *excess;  // G and E of bilateral_weight.h
  T *grad_x, *grad_guide;

  // Adds to sums: weight S k^2, weight S j^2, weight S i^2 and weight S r^2.
  template <bool joint, int radius, bool border>
  void columns(const Plan<T>& plan, const Row& row, int64_t at, double* sums) const {
    using V = VectorOf<T>;
    const Place<V, border> place{at, plan.filter.shape[2]};
    const int64_t here = row.start + at;
    const V scale = V::broadcast(plan.range.scale), unit = V::broadcast(T(plan.range.unit)), zero = V::broadcast(0);
    const V xk = place.load(x, here, 0), zk = joint ? place.load(guide, here, 0) : xk;
    const V gk = place.load(scaled, here, 0), ek = place.load(excess, here, 0);
    V direct = zero, through = zero;  // to x as an average's element, and through the weights
    V along_z = zero, along_y = zero, along_x = zero, range = zero, line = zero, plane = zero;
    for_taps<radius>(
        plan, row,
        [&](int64_t i, int64_t offset, T exponent) {
          const V d = place.load(guide, here + offset, i) - zk;
          const V r = d * unit;
          const V weight = place.weight(fma(r * r, scale, V::broadcast(exponent)), i);
          const V dx = joint ? place.load(x, here + offset, i) - xk : d;
          const V g = place.load(scaled, here + offset, i);
          const V pair = weight * (fms(dx, gk - g, place.load(excess, here + offset, i)) - ek);
          const V pull = pair * r;
          direct = fma(weight, g, direct);
          through = through + pull;
          range = fma(pull, r, range);
          line = line + pair;
          if (i == 1 || i == -1)
            along_x = along_x + pair;
          else if (i != 0)
            along_x = fma(V::broadcast(T(i * i)), pair, along_x);
        },
        [&](int64_t j) {
          along_y = fma(V::broadcast(T(j * j)), line, along_y);
          plane = plane + line;
          line = zero;
        },
        [&](int64_t k) {
          along_z = fma(V::broadcast(T(k * k)), plane, along_z);
          plane = zero;
        });
    const V slope = V::broadcast(plan.range.slope);
    place.store(joint ? direct : fma(slope, through, direct), grad_x, here);
    if constexpr (joint) place.store(slope * through, grad_guide, here);
    const V parts[] = {along_z, along_y, along_x, range};
    for (int a = 0; a < 4; ++a) sums[a] += place.sum_inside(parts[a]);
  }
};

// Calls work.columns for the vectors of a row one after the other.
template <class T, bool joint, int radius, class Work, class... Sums>
void for_columns(const Work& work, const Plan<T>& plan, int64_t number, Sums... sums) {
  constexpr int64_t width = VectorOf<T>::width;
  const Row row(plan.filter, number);
  const int64_t columns = plan.filter.shape[2], reach = plan.filter.radius[2];
  for (int64_t at = 0; at < columns; at += width) {
    if (at >= reach && at + width + reach <= columns)
      work.template columns<joint, radius, false>(plan, row, at, sums...);
    else
      work.template columns<joint, radius, true>(plan, row, at, sums...);
  }
}

int64_t row_count(const BilateralFilter& f) { return f.batch * f.shape[0] * f.shape[1]; }

int64_t rows_per_block(const BilateralFilter& f) {
  const int64_t taps = f.shape[2] * (2 * f.radius[0] + 1) * (2 * f.radius[1] + 1) * (2 * f.radius[2] + 1);
  return std::min(row_count(f), std::max<int64_t>(64, kTapsPerBlock / taps));
}

// Blocks of rows, each shared out among the threads: work(row, place in its block), then after(rows in the block).
template <class Work, class After>
void for_rows(const BilateralFilter& f, Interruption stop, Work&& work, After&& after) {
  const int64_t rows = row_count(f), block = rows_per_block(f);
  for (int64_t first = 0; first < rows; first += block) {
    stop();
    const int64_t last = std::min(first + block, rows);
#pragma omp parallel for schedule(dynamic, kRowsPerTurn)
    for (int64_t number = first; number < last; ++number) work(number, number - first);
    after(last - first);
  }
}

// Calls f with what the loops want as constants: whether the filter is joint, and its radius along x.
template <class F>
void with_constants(const BilateralFilter& filter, bool joint, F&& f) {
  const auto with_radius = [&](auto is_joint) {
    if (filter.radius[2] == 2)
      f(is_joint, std::integral_constant<int, 2>());
    else
      f(is_joint, std::integral_constant<int, kAnyRadius>());
  };
  if (joint)
    with_radius(std::true_type());
  else
    with_radius(std::false_type());
}

template <class T>
void forward(const T* x, const T* guide, T* output, T* normaliser, const BilateralFilter& filter, Interruption stop) {
  const Plan<T> plan(filter);
  const Forward<T> work{x, guide, output, normaliser};
  with_constants(filter, guide != x, [&](auto joint, auto radius) {
    for_rows(
        filter, stop, [&](int64_t row, int64_t) { for_columns<T, joint(), radius()>(work, plan, row); }, [](int64_t) {});
  });
}

template <class T>
void backward(const T* grad_output, const T* grad_normaliser, const T* x, const T* guide, const T* output,
              const T* normaliser, T* grad_x, T* grad_guide, double* grad_sigmas, const BilateralFilter& filter,
              Interruption stop) {
  const int64_t size = row_count(filter) * filter.shape[2];
  AlignedBuffer<T> scaled(size), excess(size);
  T *g = scaled.data(), *e = excess.data();
#pragma omp parallel for
  for (int64_t n = 0; n < size; ++n) {
    const T of_normaliser = grad_normaliser != nullptr ? grad_normaliser[n] : T(0);
    const PulledBack<T> voxel = pull_back_normalisation(grad_output[n], of_normaliser, x[n], output[n], normaliser[n]);
    g[n] = voxel.scaled;
    e[n] = voxel.excess;
  }
  const Plan<T> plan(filter);
  const Backward<T> work{x, guide, g, e, grad_x, grad_guide};
  std::vector<double> parts(size_t(4 * rows_per_block(filter)));
  double sums[4] = {0.0, 0.0, 0.0, 0.0};
  with_constants(filter, guide != x, [&](auto joint, auto radius) {
    for_rows(
        filter, stop,
        [&](int64_t row, int64_t place) {
          double* own = parts.data() + 4 * place;
          std::fill_n(own, 4, 0.0);
          for_columns<T, joint(), radius()>(work, plan, row, own);
        },
        [&](int64_t rows) {
          for (int64_t place = 0; place < rows; ++place)
            for (int a = 0; a < 4; ++a) sums[a] += parts[size_t(4 * place + a)];
        });
  });
  for (int a = 0; a < 3; ++a) grad_sigmas[a] = sigma_gradient(sums[a], filter.sigma_spatial[a]);
  grad_sigmas[3] = range_gradient(sums[3], filter.sigma_range, plan.range.unit);
}

}  // namespace

const BilateralKernels<float> kFloatBilateral = {forward<float>, backward<float>};
const BilateralKernels<double> kDoubleBilateral = {forward<double>, backward<double>};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
