// `Lanes`, the float32 vectors of the instruction set that is compiled for, where it has some.
#pragma once

#include <type_traits>

#if defined(__AVX512F__)
#include "lanes_avx512.h"
#elif defined(__AVX2__)
#include "lanes_avx2.h"
#endif

namespace sinograd {
namespace SINOGRAD_ISA {

// Whether there are vector loops for T.
template <class T>
#if defined(__AVX2__)
constexpr bool has_vectors = std::is_same_v<T, float>;
#else
constexpr bool has_vectors = false;
#endif

}  // namespace SINOGRAD_ISA
}  // namespace sinograd
