// 2^e in vectors: e is split into a whole number, added to the exponent's bits, and a fraction for a polynomial.
#pragma once

#include <cstddef>

namespace sinograd {

// `magic` rounds to whole numbers when added and leaves them in the lowest bits. The coefficients are those of f, f^2,
// ... in 2^f on [-1/2, 1/2], with 1 as the constant, so that a voxel's weight for itself is exactly 1; relative errors
// 1.6e-7 and 6e-16, rounding included. Exponents below `lowest` count as minus infinity.
template <class T>
struct Exp2;

template <>
struct Exp2<float> {
  static constexpr float magic = 12582912.0f;  // 1.5 * 2^23
  static constexpr float lowest = -126.0f;
  static constexpr float coefficients[] = {0.6931470036506653f, 0.24022242426872253f, 0.05550733581185341f,
                                           0.009671512991189957f, 0.0013264723820611835f};
};

template <>
struct Exp2<double> {
  static constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double lowest = -1022.0;
  static constexpr double coefficients[] = {
      0.6931471805599462,     0.24022650695910075,    0.05550410866465167,   0.009618129107618665,   0.0013333558200794592,
      0.00015403530424776529, 1.5252672924850737e-05, 1.3215451633221434e-06, 1.0205905413765595e-07, 7.070977866508138e-09};
};

// 2^f for a fraction in [-1/2, 1/2].
template <class V>
inline V exp2_of_fraction(V f) {
  using E = Exp2<typename V::Scalar>;
  constexpr std::size_t count = sizeof(E::coefficients) / sizeof(E::coefficients[0]);
  V p = V::broadcast(E::coefficients[count - 1]);
  for (std::size_t i = count - 1; i-- > 0;) p = fma(p, f, V::broadcast(E::coefficients[i]));
  return fma(p, f, V::broadcast(1));
}

}  // namespace sinograd
