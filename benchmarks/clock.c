/* Prints the processor's clock in GHz: a chain of dependent multiplications (3 cycles each) and exclusive ors (1). */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv) {
  const uint64_t steps = 1000000; /* about a millisecond: some attempts meet no other process */
  uint64_t x = (uint64_t)argc, factor = 2 * (uint64_t)argc + 1;
  double best = 1e9;
  (void)argv;
  for (int attempt = 0; attempt < 300; ++attempt) {
    const double start = now();
    for (uint64_t i = 0; i < steps; ++i) x = (x * factor) ^ i;
    const double seconds = now() - start;
    if (seconds < best) best = seconds;
  }
  fprintf(stderr, "%llu\n", (unsigned long long)x);
  printf("%.3f\n", 4.0 * (double)steps / best * 1e-9);
  return 0;
}
