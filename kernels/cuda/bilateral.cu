// The bilateral filter on a GPU: the rules of bilateral_weight.h, gathered voxel by voxel, without atomics.
//
// Arrays are contiguous, [batch][z][y][x]. A block computes kColumns x ROWS x OUTPUTS voxels, a thread OUTPUTS of them
// along z, which share what they read. Compiled for one filter and direction:
//
//     REAL                           float or double
//     JOINT                          1 where range weights come from a guide, else 0 (guide is x)
//     RADIUS_Z, RADIUS_Y, RADIUS_X   of the window
//     BACKWARD                       1: the gradients, 0: the filter
//     ROWS, OUTPUTS                  voxels of a block along y (a power of two), of a thread along z
//     STAGED                         1: a block's voxels and their neighbours are first brought to shared memory
#include "bilateral_weight.h"

using namespace sinograd;

constexpr int kColumns = 32, kThreads = kColumns * ROWS;
constexpr int kTileZ = OUTPUTS + 2 * RADIUS_Z, kTileY = ROWS + 2 * RADIUS_Y, kTileX = kColumns + 2 * RADIUS_X;
constexpr int kTile = kTileZ * kTileY * kTileX;

__device__ inline float weight_of(float exponent) {
#ifdef __CUDA_ARCH__
  float weight;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(weight) : "f"(exponent));
  return weight;
#else
  return exponent < -126.0f ? 0.0f : exp2f(exponent);
#endif
}
__device__ inline double weight_of(double exponent) { return exponent < -1022.0 ? 0.0 : exp2(exponent); }

__device__ inline bool within(int64_t at, int64_t count) { return at >= 0 && at < count; }

// The block's place in the volume: its first voxel, and the element where its batch entry starts.
struct Block {
  int64_t z, y, x, batch;
};

__device__ inline Block block_of(int64_t depth, int64_t height, int64_t width) {
  const int64_t across = (width + kColumns - 1) / kColumns, down = (height + ROWS - 1) / ROWS;
  const int64_t deep = (depth + OUTPUTS - 1) / OUTPUTS, number = blockIdx.x;
  const int64_t plane = number / (across * down);
  return {plane % deep * OUTPUTS, number / across % down * ROWS, number % across * kColumns,
          plane / deep * depth * height * width};
}

// The values around one thread's voxels: (p, j, i) is plane p of the tile, row j and column i from the thread's own.
struct Field {
  const REAL* own;  // plane 0 of the tile, the thread's row and column; only where the volume has such a voxel
  int64_t plane, row;

  __device__ REAL operator()(int p, int j, int i) const { return own[p * plane + j * row + i]; }
};

// Brings the tile of `volume` to `tile`, zeros outside, unless the field is read where it lies.
__device__ inline Field field_of(const REAL* volume, REAL* tile, const Block& block, int64_t depth, int64_t height,
                                 int64_t width) {
  volume += block.batch;
  if constexpr (STAGED) {
    for (int e = threadIdx.y * kColumns + threadIdx.x; e < kTile; e += kThreads) {
      const int64_t x = block.x - RADIUS_X + e % kTileX;
      const int64_t y = block.y - RADIUS_Y + e / kTileX % kTileY;
      const int64_t z = block.z - RADIUS_Z + e / (kTileX * kTileY);
      tile[e] = within(x, width) && within(y, height) && within(z, depth) ? volume[(z * height + y) * width + x] : REAL(0);
    }
    return {tile + (int(threadIdx.y) + RADIUS_Y) * kTileX + threadIdx.x + RADIUS_X, int64_t(kTileY) * kTileX, kTileX};
  }
  return {volume + ((block.z - RADIUS_Z) * height + block.y + threadIdx.y) * width + block.x + threadIdx.x,
          height * width, width};
}

// Whether all neighbours of all the block's voxels are in the volume: then nothing is asked of each.
__device__ inline bool is_inner(const Block& b, int64_t depth, int64_t height, int64_t width) {
  return b.z >= RADIUS_Z && b.z + OUTPUTS + RADIUS_Z <= depth && b.y >= RADIUS_Y && b.y + ROWS + RADIUS_Y <= height &&
         b.x >= RADIUS_X && b.x + kColumns + RADIUS_X <= width;
}

// The scales of the exponent; sigmas are z, y, x, range.
struct Scales {
  REAL z, y, x, range, unit, slope;
  __device__ explicit Scales(const double* sigmas)
      : z(gaussian_scale<REAL>(sigmas[0])), y(gaussian_scale<REAL>(sigmas[1])), x(gaussian_scale<REAL>(sigmas[2])) {
    const RangeUnit<REAL> of_range(sigmas[3]);
    range = of_range.scale;
    unit = REAL(of_range.unit);
    slope = of_range.slope;
  }
};

#if !BACKWARD

template <bool inner>
__device__ inline void filter(const Field& x, const Field& guide, const Scales& scales, const Block& block,
                              int64_t depth, int64_t height, int64_t width, REAL* output, REAL* normaliser) {
  const int64_t column = block.x + threadIdx.x, line = block.y + threadIdx.y;
  if (!inner && (column >= width || line >= height)) return;
  REAL xk[OUTPUTS], zk[OUTPUTS], total[OUTPUTS], weights[OUTPUTS];
#pragma unroll
  for (int q = 0; q < OUTPUTS; ++q) {
    const bool inside = inner || block.z + q < depth;
    xk[q] = inside ? x(q + RADIUS_Z, 0, 0) : REAL(0);
    zk[q] = JOINT && inside ? guide(q + RADIUS_Z, 0, 0) : xk[q];
    total[q] = weights[q] = REAL(0);
  }
#pragma unroll 1
  for (int p = 0; p < kTileZ; ++p) {
    if (!inner && !within(block.z - RADIUS_Z + p, depth)) continue;
#pragma unroll 1
    for (int j = -RADIUS_Y; j <= RADIUS_Y; ++j) {
      if (!inner && !within(line + j, height)) continue;
#pragma unroll(2 * RADIUS_X + 1 <= 11 ? 2 * RADIUS_X + 1 : 1)
      for (int i = -RADIUS_X; i <= RADIUS_X; ++i) {
        if (!inner && !within(column + i, width)) continue;
        const REAL zn = guide(p, j, i), xn = JOINT ? x(p, j, i) : zn;
        const REAL flat = scales.y * REAL(j * j) + scales.x * REAL(i * i);
#pragma unroll
        for (int q = 0; q < OUTPUTS; ++q) {
          const int k = p - RADIUS_Z - q;
          if (k < -RADIUS_Z || k > RADIUS_Z) continue;
          const REAL d = zn - zk[q];
          const REAL r = d * scales.unit;
          const REAL weight = weight_of(r * r * scales.range + (flat + scales.z * REAL(k * k)));
          weights[q] += weight;
          total[q] += weight * (JOINT ? xn - xk[q] : d);
        }
      }
    }
  }
#pragma unroll
  for (int q = 0; q < OUTPUTS; ++q) {
    if (!inner && block.z + q >= depth) continue;
    const int64_t element = block.batch + ((block.z + q) * height + line) * width + column;
    output[element] = xk[q] + total[q] / weights[q];
    normaliser[element] = weights[q];
  }
}

extern "C" __global__ void __launch_bounds__(kThreads)
    bilateral_forward(const REAL* x, const REAL* guide, REAL* output, REAL* normaliser, const double* sigmas,
                      int64_t depth, int64_t height, int64_t width) {
  __shared__ REAL tiles[STAGED ? (1 + JOINT) * kTile : 1];
  const Block block = block_of(depth, height, width);
  const Field values = field_of(x, tiles, block, depth, height, width);
  const Field guides = JOINT ? field_of(guide, tiles + kTile, block, depth, height, width) : values;
  const Scales scales(sigmas);
  __syncthreads();
  if (is_inner(block, depth, height, width))
    filter<true>(values, guides, scales, block, depth, height, width, output, normaliser);
  else
    filter<false>(values, guides, scales, block, depth, height, width, output, normaliser);
}

#else

// sums: of weight S k^2, j^2, i^2 and r^2 over the thread's voxels.
template <bool inner>
__device__ inline void pull_back(const Field& x, const Field& guide, const Field& scaled, const Field& excess,
                                 const Scales& scales, const Block& block, int64_t depth, int64_t height, int64_t width,
                                 REAL* grad_x, REAL* grad_guide, REAL* sums) {
  const int64_t column = block.x + threadIdx.x, line = block.y + threadIdx.y;
  if (!inner && (column >= width || line >= height)) return;
  REAL xk[OUTPUTS], zk[OUTPUTS], gk[OUTPUTS], ek[OUTPUTS], direct[OUTPUTS], through[OUTPUTS], in_plane[OUTPUTS];
#pragma unroll
  for (int q = 0; q < OUTPUTS; ++q) {
    const bool inside = inner || block.z + q < depth;
    xk[q] = inside ? x(q + RADIUS_Z, 0, 0) : REAL(0);
    zk[q] = JOINT && inside ? guide(q + RADIUS_Z, 0, 0) : xk[q];
    gk[q] = inside ? scaled(q + RADIUS_Z, 0, 0) : REAL(0);
    ek[q] = inside ? excess(q + RADIUS_Z, 0, 0) : REAL(0);
    direct[q] = through[q] = REAL(0);
  }
#pragma unroll 1
  for (int p = 0; p < kTileZ; ++p) {
    if (!inner && !within(block.z - RADIUS_Z + p, depth)) continue;
#pragma unroll
    for (int q = 0; q < OUTPUTS; ++q) in_plane[q] = REAL(0);
#pragma unroll 1
    for (int j = -RADIUS_Y; j <= RADIUS_Y; ++j) {
      if (!inner && !within(line + j, height)) continue;
      REAL in_line = REAL(0);
#pragma unroll(2 * RADIUS_X + 1 <= 11 ? 2 * RADIUS_X + 1 : 1)
      for (int i = -RADIUS_X; i <= RADIUS_X; ++i) {
        if (!inner && !within(column + i, width)) continue;
        const REAL zn = guide(p, j, i), xn = JOINT ? x(p, j, i) : zn;
        const REAL gn = scaled(p, j, i), en = excess(p, j, i);
        const REAL flat = scales.y * REAL(j * j) + scales.x * REAL(i * i);
        REAL here = REAL(0);
#pragma unroll
        for (int q = 0; q < OUTPUTS; ++q) {
          const int k = p - RADIUS_Z - q;
          if (k < -RADIUS_Z || k > RADIUS_Z || (!inner && block.z + q >= depth)) continue;
          const REAL d = zn - zk[q];
          const REAL r = d * scales.unit;
          const REAL weight = weight_of(r * r * scales.range + (flat + scales.z * REAL(k * k)));
          const REAL pair = weight * ((JOINT ? xn - xk[q] : d) * (gk[q] - gn) - en - ek[q]);
          const REAL pull = pair * r;
          direct[q] += weight * gn;
          through[q] += pull;
          sums[3] += pull * r;
          in_plane[q] += pair;
          here += pair;
        }
        sums[2] += REAL(i * i) * here;
        in_line += here;
      }
      sums[1] += REAL(j * j) * in_line;
    }
#pragma unroll
    for (int q = 0; q < OUTPUTS; ++q) {
      const int k = p - RADIUS_Z - q;
      sums[0] += REAL(k * k) * in_plane[q];
    }
  }
#pragma unroll
  for (int q = 0; q < OUTPUTS; ++q) {
    if (!inner && block.z + q >= depth) continue;
    const int64_t element = block.batch + ((block.z + q) * height + line) * width + column;
    grad_x[element] = JOINT ? direct[q] : direct[q] + scales.slope * through[q];
    if (JOINT) grad_guide[element] = scales.slope * through[q];
  }
}

// The sum over the block's threads, in the same order every time; for thread 0.
__device__ inline double block_sum(double value, double* shared) {
  const int thread = threadIdx.y * kColumns + threadIdx.x;
  __syncthreads();
  shared[thread] = value;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (thread < half) shared[thread] += shared[thread + half];
  }
  return shared[thread];
}

// G and E of every voxel; grad_normaliser may be null.
extern "C" __global__ void __launch_bounds__(kThreads)
    bilateral_pull_back(const REAL* grad_output, const REAL* grad_normaliser, const REAL* x, const REAL* output,
                        const REAL* normaliser, REAL* scaled, REAL* excess, int64_t size) {
  const int64_t n = int64_t(blockIdx.x) * kThreads + threadIdx.y * kColumns + threadIdx.x;
  if (n >= size) return;
  const REAL of_normaliser = grad_normaliser ? grad_normaliser[n] : REAL(0);
  const PulledBack<REAL> voxel = pull_back_normalisation(grad_output[n], of_normaliser, x[n], output[n], normaliser[n]);
  scaled[n] = voxel.scaled;
  excess[n] = voxel.excess;
}

// parts: [blocks][4], each block's share of the sums.
extern "C" __global__ void __launch_bounds__(kThreads)
    bilateral_backward(const REAL* x, const REAL* guide, const REAL* scaled, const REAL* excess, REAL* grad_x,
                       REAL* grad_guide, double* parts, const double* sigmas, int64_t depth, int64_t height,
                       int64_t width) {
  __shared__ REAL tiles[STAGED ? (3 + JOINT) * kTile : 1];
  __shared__ double shared[kThreads];
  const Block block = block_of(depth, height, width);
  const Field values = field_of(x, tiles, block, depth, height, width);
  const Field gs = field_of(scaled, tiles + STAGED * kTile, block, depth, height, width);
  const Field es = field_of(excess, tiles + STAGED * 2 * kTile, block, depth, height, width);
  const Field guides = JOINT ? field_of(guide, tiles + STAGED * 3 * kTile, block, depth, height, width) : values;
  const Scales scales(sigmas);
  REAL sums[4] = {REAL(0), REAL(0), REAL(0), REAL(0)};
  __syncthreads();
  if (is_inner(block, depth, height, width))
    pull_back<true>(values, guides, gs, es, scales, block, depth, height, width, grad_x, grad_guide, sums);
  else
    pull_back<false>(values, guides, gs, es, scales, block, depth, height, width, grad_x, grad_guide, sums);
  for (int a = 0; a < 4; ++a) {
    const double total = block_sum(double(sums[a]), shared);
    if (threadIdx.x == 0 && threadIdx.y == 0) parts[4 * int64_t(blockIdx.x) + a] = total;
  }
}

// grads: z, y, x, range. One block.
extern "C" __global__ void __launch_bounds__(kThreads)
    bilateral_sigmas(const double* parts, int64_t blocks, const double* sigmas, double* grads) {
  __shared__ double shared[kThreads];
  for (int a = 0; a < 4; ++a) {
    double own = 0.0;
    for (int64_t block = threadIdx.y * kColumns + threadIdx.x; block < blocks; block += kThreads)
      own += parts[4 * block + a];
    const double total = block_sum(own, shared);
    if (threadIdx.x == 0 && threadIdx.y == 0) {
      const RangeUnit<REAL> of_range(sigmas[3]);
      grads[a] = a < 3 ? sigma_gradient(total, sigmas[a]) : range_gradient(total, sigmas[3], of_range.unit);
    }
  }
}

#endif
