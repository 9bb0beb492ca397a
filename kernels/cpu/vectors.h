// The vectors of the instruction set that a source is compiled for: SINOGRAD_ISA::Floats and Doubles.
#pragma once

#if defined(__AVX512F__)
#include "vectors_avx512.h"
#elif defined(__AVX2__)
#include "vectors_avx2.h"
#else
#include "vectors_portable.h"
#endif
