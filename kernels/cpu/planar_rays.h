// Ray-driven projectors of one slice: what Joseph's and footprints share. Compiled once per instruction set.
//
// Planes are rows of the image or, for rays along x, of its transpose, with zeros around them. On one plane every ray
// reads a few neighbouring pixels; what is needed for that is found for many columns of the detector at a time, in
// loops over plain arrays, which compilers vectorise. A `Model` says which pixels:
//   doubles           numbers that it keeps of a ray; `rays(view, u, grid, numbers)` writes them
//   taps(...)         how many pixels a ray reads on one plane at most
//   shares(...)       the first pixel of each ray on a plane, from -taps to the number of pixels, and the shares.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "aligned_buffer.h"
#include "fan.h"
#include "lanes.h"
#include "operators.h"
#include "transpose.h"

namespace sinograd {
namespace SINOGRAD_ISA {

constexpr int64_t kRayRun = 128, kRayViews = 16, kPlaneSlab = 16;

// Rays of some columns of one view that step along the same axis, a number of all of them after the other.
template <class T>
struct RayRun {
  int64_t count = 0;
  double* numbers;  // [model's doubles][kRayRun]
  int32_t columns[kRayRun];
  T lengths[kRayRun];
};

// What a plane means to a run of rays: share n of ray k is shares[n * kRayRun + k].
template <class T>
struct PlaneShares {
  explicit PlaneShares(int64_t taps) : taps(taps), shares(taps * kRayRun) {}

  int64_t taps;
  int32_t first[kRayRun];
  AlignedBuffer<T> shares;
};

// Elements of the planes that are copied at a time: all of an image of 8192 x 8192, and some of a larger one.
constexpr int64_t kPlaneElements = int64_t(1) << 26;

// Some planes of an image along one axis, rows or (for rays along x) columns, with `frame` zeros on both sides of each and
// room for vectors behind.
template <class T>
struct PlaneSlab {
  PlaneSlab(const Grid& grid, bool along_x, int64_t frame)
      : along_x(along_x),
        row(grid.x.count),
        all(along_x ? grid.x.count : grid.y.count),
        pixels(along_x ? grid.y.count : grid.x.count),
        frame(frame),
        stride(pixels + 2 * frame),
        most(std::min(all, std::max(kPlaneSlab, kPlaneElements / stride))),
        values(most * stride + 4 * kRayRun) {
    values.zero();
  }

  T* plane(int64_t i) { return values.data() + (i - first) * stride + frame; }
  int64_t end() const { return std::min(first + most, all); }

  void load(const T* image) {
    if (along_x)
      transpose(image + first, row, plane(first), stride, pixels, end() - first);
    else
      for (int64_t i = first; i < end(); ++i) std::copy_n(image + i * row, pixels, plane(i));
  }

  // What is zero is not written: large images may take memory only where something is.
  void add_to(T* image) {
    const int64_t from_row = along_x ? 0 : first, to_row = along_x ? pixels : end();
    const int64_t from = along_x ? first : 0, to = along_x ? end() : pixels;
    for (int64_t y = from_row; y < to_row; ++y)
      for (int64_t x = from; x < to; ++x) {
        const T value = along_x ? plane(x)[y] : plane(y)[x];
        if (value != T(0)) image[y * row + x] += value;
      }
  }

  bool along_x;
  int64_t row, all, pixels, frame, stride, most, first = 0;
  AlignedBuffer<T> values;
};

// Rays of columns [u0, u1) of a view that step along x, or those that do not.
template <class Model, class T>
void collect_rays(const Views& views, int64_t v, int64_t u0, int64_t u1, int64_t columns, const Grid& grid, bool along_x,
                  RayRun<T>& run) {
  const RayView view = ray_view(views, v);
  run.count = 0;
  for (int64_t u = u0; u < u1; ++u) {
    const double place = double(u) - 0.5 * double(columns - 1);
    const PixelRay ray = pixel_ray(view, place);
    if (steps_along_x(grid, ray.direction) != along_x) continue;
    const Fan fan = fan_of(ray, view, grid, true, along_x);
    double numbers[Model::doubles];
    Model::rays(fan, view, place, grid, numbers);
    for (int n = 0; n < Model::doubles; ++n) run.numbers[n * kRayRun + run.count] = numbers[n];
    run.columns[run.count] = int32_t(u);
    run.lengths[run.count++] = T(fan.stretch * fan.horizontal);
  }
}

// sums[k] += what ray k reads of a plane.
template <class T>
inline void read_plane(const T* plane, const PlaneShares<T>& shares, int64_t count, T* sums) {
  const T* share = shares.shares.data();
  int64_t k = 0;
#if defined(__AVX2__)
  if constexpr (has_vectors<T>) {
    constexpr int64_t width = Lanes::width;
    for (; k + width <= count; k += width) {
      const int32_t a = shares.first[k], b = shares.first[k + width - 1], low = std::min(a, b);
      if (std::max(a, b) - low >= 2 * width - 1) break;  // rays far from each other: one by one
      const auto index = Lanes::subtract(Lanes::load(reinterpret_cast<const uint32_t*>(shares.first + k)),
                                         Lanes::all(uint32_t(low)));
      auto sum = Lanes::load(sums + k);
      for (int64_t n = 0; n < shares.taps; ++n) {
        const T* window = plane + low + n;
        const auto pixels = Lanes::look_up(Lanes::load(window), index, Lanes::load(window + width));
        sum = Lanes::multiply_add(pixels, Lanes::load(share + n * kRayRun + k), sum);
      }
      Lanes::store(sums + k, sum);
    }
  }
#endif
  for (; k < count; ++k)
    for (int64_t n = 0; n < shares.taps; ++n) sums[k] += share[n * kRayRun + k] * plane[shares.first[k] + n];
}

// The transpose.
template <class T>
inline void write_plane(T* plane, const PlaneShares<T>& shares, int64_t count, const T* values) {
  const T* share = shares.shares.data();
  for (int64_t k = 0; k < count; ++k)
    for (int64_t n = 0; n < shares.taps; ++n) plane[shares.first[k] + n] += share[n * kRayRun + k] * values[k];
}

template <class Model, class T>
void project_planar(const T* image, T* sinogram, const Views& views, int64_t columns, const Grid& grid,
                    Interruption stop) {
  const int64_t taps = Model::taps(views, columns, grid), blocks = (columns + kRayRun - 1) / kRayRun;
  for (const bool along_x : {false, true}) {
    PlaneSlab<T> planes(grid, along_x, taps);
    for (; planes.first < planes.all; planes.first += planes.most) {
      stop();
      planes.load(image);
#pragma omp parallel
      {
        AlignedBuffer<double> numbers(Model::doubles * kRayRun);
        PlaneShares<T> shares(taps);
        RayRun<T> run;
        run.numbers = numbers.data();
#pragma omp for schedule(dynamic)
        for (int64_t task = 0; task < views.count * blocks; ++task) {
          const int64_t v = task / blocks, u0 = task % blocks * kRayRun, u1 = std::min(u0 + kRayRun, columns);
          collect_rays<Model>(views, v, u0, u1, columns, grid, along_x, run);
          if (run.count == 0) continue;
          T sums[kRayRun] = {};
          for (int64_t i = planes.first; i < planes.end(); ++i)
            if (Model::shares(run, i, planes.pixels, shares)) read_plane(planes.plane(i), shares, run.count, sums);
          for (int64_t k = 0; k < run.count; ++k) sinogram[v * columns + run.columns[k]] += run.lengths[k] * sums[k];
        }
      }
    }
  }
}

// Every thread owns slabs of planes, which meet the rays in one fixed order.
template <class Model, class T>
void project_planar_adjoint(const T* sinogram, T* image, const Views& views, int64_t columns, const Grid& grid,
                            Interruption stop) {
  const int64_t taps = Model::taps(views, columns, grid), blocks = (columns + kRayRun - 1) / kRayRun;
  std::vector<RayRun<T>> runs(kRayViews * blocks);
  AlignedBuffer<double> numbers(int64_t(runs.size()) * Model::doubles * kRayRun);
  for (size_t r = 0; r < runs.size(); ++r) runs[r].numbers = numbers.data() + int64_t(r) * Model::doubles * kRayRun;
  for (const bool along_x : {false, true}) {
    PlaneSlab<T> planes(grid, along_x, taps);
    for (; planes.first < planes.all; planes.first += planes.most) {
      if (planes.first > 0) planes.values.zero();
      for (int64_t first = 0; first < views.count; first += kRayViews) {
        stop();
        const int64_t tasks = std::min(kRayViews, views.count - first) * blocks;
#pragma omp parallel
        {
          PlaneShares<T> shares(taps);
#pragma omp for schedule(static)
          for (int64_t task = 0; task < tasks; ++task) {
            const int64_t u0 = task % blocks * kRayRun, v = first + task / blocks;
            RayRun<T>& run = runs[size_t(task)];
            collect_rays<Model>(views, v, u0, std::min(u0 + kRayRun, columns), columns, grid, along_x, run);
            for (int64_t k = 0; k < run.count; ++k) run.lengths[k] *= sinogram[v * columns + run.columns[k]];
          }
#pragma omp for schedule(dynamic)
          for (int64_t slab = planes.first; slab < planes.end(); slab += kPlaneSlab)
            for (int64_t task = 0; task < tasks; ++task) {
              const RayRun<T>& run = runs[size_t(task)];
              for (int64_t i = slab; i < std::min(slab + kPlaneSlab, planes.end()) && run.count > 0; ++i)
                if (Model::shares(run, i, planes.pixels, shares))
                  write_plane(planes.plane(i), shares, run.count, run.lengths);
            }
        }
      }
      planes.add_to(image);
    }
  }
}

// Whether some rays of a run may read pixels: those at its ends do not lie on one side of the plane.
template <class T>
inline bool meets(const PlaneShares<T>& shares, int64_t count, int64_t pixels) {
  const int32_t a = shares.first[0], b = shares.first[count - 1];
  const int64_t frame = shares.taps;
  return !((a >= pixels && b >= pixels) || (a <= -frame && b <= -frame));
}

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
