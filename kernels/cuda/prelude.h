// What the shared headers take from the standard library, which NVRTC comes without. Read before any other source.
#pragma once

#ifdef __CUDACC_RTC__

using int32_t = int;
using uint32_t = unsigned int;
using int64_t = long long;
using uint64_t = unsigned long long;

namespace std {

using ::atan2;
using ::cos;
using ::fabs;
using ::floor;
using ::hypot;
using ::llrint;
using ::sin;
using ::sqrt;

template <class T, T v>
struct integral_constant {
  static constexpr T value = v;
  constexpr operator T() const { return v; }
  constexpr T operator()() const { return v; }
};

template <bool choice, class A, class B>
struct conditional {
  using type = A;
};
template <class A, class B>
struct conditional<false, A, B> {
  using type = B;
};
template <bool choice, class A, class B>
using conditional_t = typename conditional<choice, A, B>::type;

}  // namespace std

#endif
