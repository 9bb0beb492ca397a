// The filter of detector rows. Compiled once per instruction set.
#include "row_filter.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "aligned_buffer.h"
#include "fourier.h"
#include "isa_table.h"
#include "transpose.h"

namespace sinograd {
namespace SINOGRAD_ISA {
namespace {

// Rows of an image that are interpolated from one copy of what they need of sixteen images.
constexpr int64_t kBand = 24;

// A thread's sixteen rows [sample][row], and the filter.
template <class T>
class FilteredRows {
 public:
  explicit FilteredRows(const RowFilter<T>& filter)
      : filter_(filter), samples_(filter.size * kRows), places_(size_t(filter.size / 2)) {
    frequency_places(filter.size / 2, places_.data());
  }

  // Where the rows' own samples [columns][row] are written; call `clear` first.
  T* samples() { return samples_.data() + filter_.before * kRows; }

  // Zeros beside the rows.
  void clear() {
    const int64_t end = filter_.before + filter_.columns;
    std::fill_n(samples_.data(), filter_.before * kRows, T(0));
    std::fill_n(samples_.data() + end * kRows, (filter_.size - end) * kRows, T(0));
  }

  void convolve() {
    const int64_t points = filter_.size / 2;
    const Roots<T> roots{filter_.roots, filter_.size};
    transform(samples_.data(), points, roots);
    respond();
    transform_back(samples_.data(), points, roots);
  }

  // Writes the first `count` rows, `stride` apart.
  void store(T* out, int64_t stride, int64_t count) const {
    transpose(samples_.data() + filter_.first * kRows, kRows, out, stride, filter_.kept, count);
  }

 private:
  using V = VectorOf<T>;

  void respond() {
    const int64_t points = filter_.size / 2;
    for (int64_t k = 0; k <= points / 2; ++k) {
      const int64_t opposite = (points - k) % points;
      const T *a = filter_.response + 4 * k, *b = filter_.response + 4 * opposite;
      T *at = samples_.data() + 2 * kRows * places_[size_t(k)], *there = samples_.data() + 2 * kRows * places_[size_t(opposite)];
      for (int64_t lane = 0; lane < kRows; lane += V::width) {
        const Complex<V> z = {V::load(at + lane), V::load(at + kRows + lane)};
        const Complex<V> w = {V::load(there + lane), V::load(there + kRows + lane)};
        const Complex<V> here = answer(a, z, w), other = answer(b, w, z);
        here.re.store(at + lane);
        here.im.store(at + kRows + lane);
        other.re.store(there + lane);
        other.im.store(there + kRows + lane);
      }
    }
  }

  // r0 z + r1 conj(w)
  static Complex<V> answer(const T* response, Complex<V> z, Complex<V> w) {
    const V a = V::broadcast(response[0]), b = V::broadcast(response[1]);
    const V c = V::broadcast(response[2]), d = V::broadcast(response[3]);
    return {fma(w.im, d, fma(w.re, c, fms(z.re, a, z.im * b))), fms(w.re, d, fms(w.im, c, fma(z.re, b, z.im * a)))};
  }

  const RowFilter<T>& filter_;
  AlignedBuffer<T> samples_;
  std::vector<int32_t> places_;
};

template <class T>
void weigh_row(const T* row, const RowWeights<T>& weights, int64_t number, int64_t columns, T* out) {
  const T* pixels = weights.of_pixels + (weights.of_pixels ? number % weights.rows * columns : 0);
  const T* own = weights.of_columns + (weights.of_columns ? number / weights.rows % weights.views * columns : 0);
  if (weights.of_pixels && weights.of_columns)
    for (int64_t i = 0; i < columns; ++i) out[i] = row[i] * pixels[i] * own[i];
  else if (weights.of_pixels || weights.of_columns) {
    const T* factors = weights.of_pixels ? pixels : own;
    for (int64_t i = 0; i < columns; ++i) out[i] = row[i] * factors[i];
  } else {
    std::copy_n(row, columns, out);
  }
}

template <class T>
void filter_rows(const T* rows, int64_t count, const RowFilter<T>& filter, const RowWeights<T>& weights, T* out) {
  const int64_t groups = (count + kRows - 1) / kRows, columns = filter.columns;
#pragma omp parallel if (groups > 1)
  {
    FilteredRows<T> filtered(filter);
    AlignedBuffer<T> weighted(kRows * columns);
#pragma omp for schedule(static)
    for (int64_t group = 0; group < groups; ++group) {
      const int64_t start = group * kRows, some = std::min(kRows, count - start);
      for (int64_t i = 0; i < some; ++i)
        weigh_row(rows + (start + i) * columns, weights, start + i, columns, weighted.data() + i * columns);
      std::fill_n(weighted.data() + some * columns, (kRows - some) * columns, T(0));
      filtered.clear();
      transpose(weighted.data(), columns, filtered.samples(), kRows, kRows, columns);
      filtered.convolve();
      filtered.store(out + start * filter.kept, filter.kept, some);
    }
  }
}

// Rows [first, end) of the real images that a band of interpolated rows needs.
struct Span {
  int64_t first, end;
};

template <class T>
std::vector<Span> spans_of(const PixelTaps<T>& taps) {
  std::vector<Span> spans;
  for (int64_t row = 0; row < taps.rows; row += kBand) {
    const int32_t* from = taps.row + 4 * row * taps.columns;
    const int32_t* to = taps.row + 4 * std::min(row + kBand, taps.rows) * taps.columns;
    const auto [least, most] = std::minmax_element(from, to);
    spans.push_back({*least, int64_t(*most) + 1});
  }
  return spans;
}

// One row of sixteen images at once: pixels [row][column][image], from row `above` on, to samples [column][image].
template <class T>
void interpolate_row(const T* pixels, int64_t above, const PixelTaps<T>& taps, int64_t row, const T* of_pixels,
                     const T* of_columns, T* out) {
  using V = VectorOf<T>;
  for (int64_t i = 0; i < taps.columns; ++i) {
    const int64_t tap = 4 * (row * taps.columns + i);
    for (int64_t lane = 0; lane < kRows; lane += V::width) {
      V sum = V::broadcast(T(0));
      for (int64_t r = 0; r < 4; ++r) {
        const T* line = pixels + (taps.row[tap + r] - above) * taps.real_columns * kRows + lane;
        V part = V::broadcast(T(0));
        for (int64_t c = 0; c < 4; ++c)
          part = fma(V::load(line + taps.column[tap + c] * kRows), V::broadcast(taps.across[tap + c]), part);
        sum = fma(part, V::broadcast(taps.down[tap + r]), sum);
      }
      if (of_pixels) sum = sum * V::broadcast(of_pixels[row * taps.columns + i]);
      if (of_columns) sum = sum * V::load(of_columns + i * kRows + lane);
      sum.store(out + i * kRows + lane);
    }
  }
}

// The factors of columns of `count` views from `first` on, [column][view].
template <class T>
void lay_across(const RowWeights<T>& weights, int64_t first, int64_t count, int64_t columns, T* out) {
  std::fill_n(out, kRows * columns, T(0));
  for (int64_t i = 0; i < count; ++i) {
    const T* own = weights.of_columns + (first + i) % weights.views * columns;
    for (int64_t column = 0; column < columns; ++column) out[column * kRows + i] = own[column];
  }
}

template <class T>
void filter_images(const T* images, int64_t count, const PixelTaps<T>& taps, const RowFilter<T>& filter,
                   const RowWeights<T>& weights, T* out) {
  const std::vector<Span> spans = spans_of(taps);
  const int64_t bands = int64_t(spans.size()), groups = (count + kRows - 1) / kRows;
  int64_t tallest = 0;
  for (const Span& span : spans) tallest = std::max(tallest, span.end - span.first);
#pragma omp parallel if (groups * bands > 1)
  {
    FilteredRows<T> filtered(filter);
    AlignedBuffer<T> pixels(tallest * taps.real_columns * kRows), factors(kRows * taps.columns);
    pixels.zero();
#pragma omp for schedule(dynamic)
    for (int64_t item = 0; item < groups * bands; ++item) {
      const int64_t first = item / bands * kRows, some = std::min(kRows, count - first);
      const int64_t row0 = item % bands * kBand, row1 = std::min(row0 + kBand, taps.rows);
      const Span span = spans[size_t(item % bands)];
      const int64_t image = taps.held * taps.real_columns;
      transpose(images + first * image + span.first * taps.real_columns, image, pixels.data(), kRows, some,
                (span.end - span.first) * taps.real_columns);
      if (weights.of_columns) lay_across(weights, first, some, taps.columns, factors.data());
      for (int64_t row = row0; row < row1; ++row) {
        filtered.clear();
        interpolate_row(pixels.data(), span.first, taps, row, weights.of_pixels,
                        weights.of_columns ? factors.data() : nullptr, filtered.samples());
        filtered.convolve();
        filtered.store(out + (first * taps.all + taps.first + row) * filter.kept, taps.all * filter.kept, some);
      }
    }
  }
}

}  // namespace

const RowFilters<float> kFloatRowFilters = {filter_rows<float>, filter_images<float>};
const RowFilters<double> kDoubleRowFilters = {filter_rows<double>, filter_images<double>};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
