// What a multiprocessor can do at most of what the kernels need: loads from shared memory and from the caches, aligned
// and not, and sums of products in both precisions. `out` keeps the compiler from leaving anything out.
constexpr int kLoads = 16;

extern "C" __global__ void __launch_bounds__(256) shared_loads(float* out, long long repeat, long long step) {
  __shared__ float tile[4096];
  for (int e = threadIdx.x; e < 4096; e += 256) tile[e] = e;
  __syncthreads();
  float sum = 0.0f;
  for (long long r = 0; r < repeat; ++r)
#pragma unroll
    for (int k = 0; k < kLoads; ++k) sum += tile[(threadIdx.x * step + 33 * k + r) & 4095];
  if (sum == -1.0f) out[0] = sum;
}

// Each block reads `window` elements of `data` again and again, `offset` elements from an aligned place.
extern "C" __global__ void __launch_bounds__(256)
    cached_loads(const float* data, float* out, long long repeat, long long window, long long offset, long long blocks) {
  const float* own = data + blockIdx.x % blocks * window + offset;
  float sum = 0.0f;
  for (long long r = 0; r < repeat; ++r)
    for (long long e = threadIdx.x; e + 256 * (kLoads - 1) < window; e += 256 * kLoads)
#pragma unroll
      for (int k = 0; k < kLoads; ++k) sum += own[e + 256 * k];
  if (sum == -1.0f) out[0] = sum;
}

template <class T>
__device__ void products(T* out, long long repeat) {
  T a[8];
  for (int k = 0; k < 8; ++k) a[k] = T(threadIdx.x + k);
  for (long long r = 0; r < repeat; ++r)
#pragma unroll
    for (int k = 0; k < 8; ++k) a[k] = a[k] * T(0.999) + T(0.5);
  T sum = 0;
  for (int k = 0; k < 8; ++k) sum += a[k];
  if (sum == T(-1)) out[0] = sum;
}

extern "C" __global__ void __launch_bounds__(256) products_float(float* out, long long repeat) { products(out, repeat); }
extern "C" __global__ void __launch_bounds__(256) products_double(double* out, long long repeat) { products(out, repeat); }
