// Copies between the layouts of tensors and of the kernels by vectors. Compiled once per instruction set.
#pragma once

#include <cstdint>

namespace sinograd {

template <class T>
struct Transposition {
  // target[j * target_stride + i] = source[i * source_stride + j] for i < rows, j < columns.
  void (*copy)(const T* source, int64_t source_stride, T* target, int64_t target_stride, int64_t rows, int64_t columns);
};

// The functions for the instruction set in use (see instruction_set.h).
template <class T>
const Transposition<T>& transposition();

}  // namespace sinograd
