// Enough of CUDA to run a kernel on one thread of a CPU, one block after the other. The threads of a block are fibers
// that take turns at __syncthreads(), so that shared memory and barriers mean what they mean on a GPU.
#pragma once

#include <setjmp.h>
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

// A thread. Its context is entered once a launch; after that `_setjmp` and `_longjmp` switch, without system calls.
struct Fiber {
  ucontext_t context;
  jmp_buf place;
  std::vector<char> stack = std::vector<char>(1 << 16);
  Index index;
  bool started, done;
};

static bool backwards;  // threads of a block, and blocks, run from the last to the first
static jmp_buf scheduler;
static std::vector<Fiber> fibers;
static unsigned threads;
static Fiber* running;
static void (*body)(void*);
static void* payload;

static void pause() {
  if (!_setjmp(running->place)) _longjmp(scheduler, 1);
}

// One block after the other.
static void live() {
  while (true) {
    body(payload);
    running->done = true;
    pause();
  }
}

static void resume(Fiber& fiber) {
  running = &fiber;
  threadIdx = fiber.index;
  if (_setjmp(scheduler)) return;
  if (fiber.started) _longjmp(fiber.place, 1);
  fiber.started = true;
  setcontext(&fiber.context);
}

// Stacks are kept from launch to launch.
static void prepare(unsigned count) {
  fibers.resize(count > fibers.size() ? count : fibers.size());
  threads = count;
  for (unsigned t = 0; t < count; ++t) {
    Fiber& fiber = fibers[t];
    fiber.started = false;
    fiber.index = {t % blockDim.x, t / blockDim.x % blockDim.y, t / (blockDim.x * blockDim.y)};
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, live, 0);
  }
}

static void run_block() {
  for (unsigned t = 0; t < threads; ++t) fibers[t].done = false;
  for (bool any = true; any;) {
    any = false;
    for (unsigned t = 0; t < threads; ++t) {
      Fiber& fiber = fibers[backwards ? threads - 1 - t : t];
      if (fiber.done) continue;
      resume(fiber);
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
  prepare(x * y);
  for (unsigned b = 0; b < blocks; ++b) {
    blockIdx = {backwards ? blocks - 1 - b : b, 0, 0};
    run_block();
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

static void __syncthreads() { emulated::pause(); }

#define EMULATED_KERNEL(name)                                                                            \
  extern "C" void launch_##name(unsigned blocks, unsigned x, unsigned y, void** arguments) {             \
    emulated::launch(name, blocks, x, y, arguments);                                                     \
  }                                                                                                      \
  extern "C" int sizes_##name(int* into) { return emulated::sizes(name, into); }
