// Isotropic total variation on the CPU: what its iterations do to an image and its dual, in one pass over memory each.
// Arrays are contiguous: images [batch][z][y][x], fields [axis][batch][z][y][x]. Differences are taken forward, 0 at the
// last voxel of an axis. Results do not depend on the number of threads.
#pragma once

#include <cstdint>

namespace sinograd {

struct VariationImages {
  int64_t batch, shape[3];  // z, y, x; of images with fewer axes the first are 1
  int64_t axes;             // how many a field has: the last ones
  double factors[3];        // of the differences along z, y, x

  int64_t rows() const { return batch * shape[0] * shape[1]; }
  int64_t voxels() const { return rows() * shape[2]; }
};

template <class T>
struct VariationKernels {
  // out = b + scale * divergence(field), within bounds; out may be b. The field is 0 at the last voxel of its axis.
  void (*descend)(const T* b, const T* field, T* out, const VariationImages& images, T scale, T lower, T upper);

  // next = ahead + step * gradient(x), put back where it is longer than `limit`; then ahead = next + momentum * (next -
  // dual), dual = next. Without momentum `ahead` may be `dual`.
  void (*ascend)(const T* x, T* dual, T* ahead, const VariationImages& images, T step, T limit, T momentum);

  // sums[image] = sum of sqrt(|gradient|^2 + smoothing^2) - smoothing.
  void (*value)(const T* x, double* sums, const VariationImages& images, T smoothing);
};

// For the instruction set in use.
template <class T>
const VariationKernels<T>& variation_kernels();

}  // namespace sinograd
