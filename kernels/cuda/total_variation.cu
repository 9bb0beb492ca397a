// Total variation on a GPU: the functions of kernels/cpu/total_variation.h, a thread for each voxel, without atomics.
//
// Arrays are contiguous: images [batch][z][y][x], fields [axis][batch][z][y][x]. A block takes COLUMNS x ROWS voxels of
// one plane. Compiled for one kind of images:
//
//     REAL            float or double
//     AXES            how many a field has: the last ones
//     COLUMNS, ROWS   voxels of a block along x and y; their product is a power of two
constexpr int kThreads = COLUMNS * ROWS;

// Where a thread's voxel is, and where its neighbours are: the differences are 0 at the last voxel of an axis.
struct Voxel {
  bool inside;
  int64_t here, voxels;        // of all images, which is where the next component of a field starts
  int64_t next_z, next_y, next_x;
  bool any_before_z, any_before_y, any_before_x;
  int64_t plane, line;
};

__device__ inline Voxel voxel_of(int64_t batch, int64_t depth, int64_t height, int64_t width) {
  const int64_t across = (width + COLUMNS - 1) / COLUMNS, down = (height + ROWS - 1) / ROWS, number = blockIdx.x;
  const int64_t plane = number / (across * down), z = plane % depth;  // plane: of all images
  const int64_t y = number / across % down * ROWS + threadIdx.y, x = number % across * COLUMNS + threadIdx.x;
  const int64_t size = height * width;
  return {y < height && x < width, plane * size + y * width + x, batch * depth * size,
          z + 1 < depth ? size : 0, y + 1 < height ? width : 0, x + 1 < width ? 1 : 0,
          z > 0, y > 0, x > 0, size, width};
}

// The component of a field along an axis counted from the last one.
template <class Real>
__device__ inline Real* component(Real* field, const Voxel& voxel, int from_last) {
  return field + (AXES - 1 - from_last) * voxel.voxels + voxel.here;
}

__device__ inline REAL within(REAL value, REAL lower, REAL upper) {
  value = value < lower ? lower : value;  // NaN stays
  return value > upper ? upper : value;
}

// out = b + divergence(field) within bounds; the scales hold the factors of the differences. out may be b.
extern "C" __global__ void __launch_bounds__(kThreads)
    variation_descend(const REAL* b, const REAL* field, REAL* out, int64_t batch, int64_t depth, int64_t height,
                      int64_t width, REAL scale_z, REAL scale_y, REAL scale_x, REAL lower, REAL upper) {
  const Voxel voxel = voxel_of(batch, depth, height, width);
  if (!voxel.inside) return;
  const REAL* own = component(field, voxel, 0);
  REAL value = b[voxel.here] + scale_x * (voxel.any_before_x ? own[0] - own[-1] : own[0]);
  if constexpr (AXES > 1) {
    own = component(field, voxel, 1);
    value += scale_y * (voxel.any_before_y ? own[0] - own[-voxel.line] : own[0]);
  }
  if constexpr (AXES > 2) {
    own = component(field, voxel, 2);
    value += scale_z * (voxel.any_before_z ? own[0] - own[-voxel.plane] : own[0]);
  }
  out[voxel.here] = within(value, lower, upper);
}

// next = ahead + gradient(x), put back where it is longer than the limit; then ahead = next + momentum * (next - dual),
// dual = next. The steps hold the factors of the differences; without momentum `ahead` may be `dual`.
extern "C" __global__ void __launch_bounds__(kThreads)
    variation_ascend(const REAL* x, REAL* dual, REAL* ahead, int64_t batch, int64_t depth, int64_t height, int64_t width,
                     REAL step_z, REAL step_y, REAL step_x, REAL per_limit, REAL overshoot) {
  const Voxel voxel = voxel_of(batch, depth, height, width);
  if (!voxel.inside) return;
  const REAL* own = x + voxel.here;
  REAL next[AXES], square = 0;
  const int64_t to[3] = {voxel.next_x, voxel.next_y, voxel.next_z};
  const REAL steps[3] = {step_x, step_y, step_z};
#pragma unroll
  for (int axis = 0; axis < AXES; ++axis) {
    next[axis] = *component(ahead, voxel, axis) + steps[axis] * (own[to[axis]] - own[0]);
    square += next[axis] * next[axis];
  }
  const REAL length = std::sqrt(square) * per_limit, shrunk = 1 / (length > 1 ? length : REAL(1));
#pragma unroll
  for (int axis = 0; axis < AXES; ++axis) {
    REAL *before = component(dual, voxel, axis), *after = component(ahead, voxel, axis);
    const REAL old = *before, value = next[axis] * shrunk;
    *after = old + overshoot * (value - old);
    *before = value;
  }
}

// parts[block] = sum over its voxels of sqrt(|gradient|^2 + smoothing^2) - smoothing, in the same order every time.
extern "C" __global__ void __launch_bounds__(kThreads)
    variation_value(const REAL* x, double* parts, int64_t batch, int64_t depth, int64_t height, int64_t width,
                    REAL factor_z, REAL factor_y, REAL factor_x, REAL smoothing) {
  __shared__ double sums[kThreads];
  const Voxel voxel = voxel_of(batch, depth, height, width);
  const int thread = threadIdx.y * COLUMNS + threadIdx.x;
  double sum = 0;
  if (voxel.inside) {
    const REAL* own = x + voxel.here;
    const REAL dx = factor_x * (own[voxel.next_x] - own[0]);
    REAL square = smoothing * smoothing + dx * dx;
    if constexpr (AXES > 1) {
      const REAL dy = factor_y * (own[voxel.next_y] - own[0]);
      square += dy * dy;
    }
    if constexpr (AXES > 2) {
      const REAL dz = factor_z * (own[voxel.next_z] - own[0]);
      square += dz * dz;
    }
    sum = std::sqrt(square) - smoothing;
  }
  sums[thread] = sum;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (thread < half) sums[thread] += sums[thread + half];
    __syncthreads();
  }
  if (thread == 0) parts[blockIdx.x] = sums[0];
}
