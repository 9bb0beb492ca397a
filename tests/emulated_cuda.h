// Enough of CUDA to run a kernel on one thread of a CPU, one block after the other. The threads of a block are fibers
// that take turns at __syncthreads(), so that shared memory and barriers mean what they mean on a GPU.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(...)

struct Index {
  unsigned x, y, z;
};
static Index threadIdx, blockIdx, blockDim, gridDim;

namespace emulated {

struct Fiber {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(1 << 16);
  Index index;
  bool done;
};

static bool backwards;  // threads of a block, and blocks, run from the last to the first
static ucontext_t scheduler;
static Fiber* running;
static void (*body)(void*);
static void* payload;

static void start() {
  body(payload);
  running->done = true;
  swapcontext(&running->context, &scheduler);
}

static void run_block(std::vector<Fiber>& fibers) {
  for (unsigned t = 0; t < fibers.size(); ++t) {
    Fiber& fiber = fibers[t];
    fiber.done = false;
    fiber.index = {t % blockDim.x, t / blockDim.x % blockDim.y, t / (blockDim.x * blockDim.y)};
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, start, 0);
  }
  for (bool any = true; any;) {
    any = false;
    for (unsigned t = 0; t < fibers.size(); ++t) {
      Fiber& fiber = fibers[backwards ? fibers.size() - 1 - t : t];
      if (fiber.done) continue;
      running = &fiber;
      threadIdx = fiber.index;
      swapcontext(&scheduler, &fiber.context);
      any = any || !fiber.done;
    }
  }
}

template <class... A, std::size_t... i>
void call(void (*kernel)(A...), void** arguments, std::index_sequence<i...>) {
  kernel(*static_cast<A*>(arguments[i])...);
}

// `arguments` point to values of the kernel's types, as for cuLaunchKernel.
template <class... A>
void launch(void (*kernel)(A...), unsigned blocks, unsigned x, unsigned y, void** arguments) {
  auto job = std::make_pair(kernel, arguments);
  payload = &job;
  body = [](void* data) {
    auto* job = static_cast<std::pair<void (*)(A...), void**>*>(data);
    call(job->first, job->second, std::index_sequence_for<A...>());
  };
  gridDim = {blocks, 1, 1};
  blockDim = {x, y, 1};
  std::vector<Fiber> fibers(x * y);
  for (unsigned b = 0; b < blocks; ++b) {
    blockIdx = {backwards ? blocks - 1 - b : b, 0, 0};
    run_block(fibers);
  }
}

extern "C" bool run_backwards(bool yes) { return backwards = yes; }

// The sizes of the arguments, and how many there are.
template <class... A>
int sizes(void (*)(A...), int* into) {
  const int all[] = {int(sizeof(A))...};
  std::memcpy(into, all, sizeof all);
  return int(sizeof...(A));
}

}  // namespace emulated

static void __syncthreads() {
  emulated::Fiber* self = emulated::running;
  swapcontext(&self->context, &emulated::scheduler);
  threadIdx = self->index;
}

#define EMULATED_KERNEL(name)                                                                            \
  extern "C" void launch_##name(unsigned blocks, unsigned x, unsigned y, void** arguments) {             \
    emulated::launch(name, blocks, x, y, arguments);                                                     \
  }                                                                                                      \
  extern "C" int sizes_##name(int* into) { return emulated::sizes(name, into); }
