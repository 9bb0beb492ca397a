// Transposed copies, 16 by 16 floats in registers, so that every cache line is read once and written whole: planes of a
// volume often lie a power of two apart, where lines that are met a second time have left the caches.
#include "transposition.h"

#include <cstdint>

#include "isa_table.h"
#include "transpose.h"
#if defined(__AVX512F__)
#include "square_avx512.h"
#elif defined(__AVX2__)
#include "square_avx2.h"
#endif

namespace sinograd {
namespace SINOGRAD_ISA {
namespace {

#if defined(__AVX2__)
void copy(const float* source, int64_t source_stride, float* target, int64_t target_stride, int64_t rows,
          int64_t columns) {
  transpose_squares(source, source_stride, target, target_stride, rows, columns, [&](const float* from, float* to) {
    Square square;
    square.read(from, source_stride);
    square.write(to, target_stride);
  });
}
#endif

template <class T>
void copy(const T* source, int64_t source_stride, T* target, int64_t target_stride, int64_t rows, int64_t columns) {
  transpose(source, source_stride, target, target_stride, rows, columns);
}

}  // namespace

extern const Transposition<float> kFloatTransposition = {copy};
extern const Transposition<double> kDoubleTransposition = {copy};

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
