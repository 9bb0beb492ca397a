// Python bindings: every operator adds into an array that the caller gives. Arguments are checked for what memory
// safety needs; messages for people come from sinograd.ops.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <stdexcept>

#include "instruction_set.h"
#include "operators.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace sinograd {
namespace {

template <class T>
using Input = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
template <class T>
using Output = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

// An interrupt (Ctrl-C) becomes a Python exception between two blocks of views.
void raise_interrupts() {
  nb::gil_scoped_acquire lock;
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
}

bool is_planar(const std::string& name) { return name.find("planar") != std::string::npos; }

// Slices [k][y][x] and [k][view][column], k being z and the row.
bool is_stack(const std::string& name) { return name.find("stack") != std::string::npos; }

// `volume_first`: the input is a volume and the output projections, or the other way round.
template <class T, class Function>
void bind(nb::module_& m, const std::string& name, Function op, bool volume_first, bool voxel_driven) {
  const bool planar = is_planar(name), stacked = is_stack(name);
  m.def(
      name.c_str(),
      [=](Input<T> input, Output<T> output, Input<double> views, std::array<int64_t, 2> detector,
          std::array<int64_t, 3> shape, std::array<double, 3> spacing, std::array<double, 3> centre, bool curved,
          bool divergent, int weighting) {
        const Grid grid{{shape[0], spacing[0], centre[0]}, {shape[1], spacing[1], centre[1]}, {shape[2], spacing[2], centre[2]}};
        const size_t voxels = size_t((planar ? 1 : shape[0]) * shape[1] * shape[2]);
        const size_t pixels = size_t((planar ? 1 : detector[0]) * detector[1]);
        const size_t doubles = voxel_driven ? kViewDoubles : (curved ? 15 : 12);
        const size_t count = views.size() / doubles;
        if (views.size() != count * doubles) throw std::invalid_argument("views: wrong number of elements");
        if (input.size() != (volume_first ? voxels : count * pixels)) throw std::invalid_argument("input: wrong number of elements");
        if (output.size() != (volume_first ? count * pixels : voxels)) throw std::invalid_argument("output: wrong number of elements");
        if (voxels == 0 || pixels == 0 || count == 0) return;
        const int64_t view_stride = (stacked ? 1 : detector[0]) * detector[1];
        const int64_t row_stride = (stacked ? int64_t(count) : 1) * detector[1];
        const Views view{views.data(), int64_t(count), curved, divergent, Weighting(weighting), view_stride, row_stride, stacked};
        nb::gil_scoped_release unlock;
        op(input.data(), output.data(), view, DetectorShape{detector[0], detector[1]}, grid, raise_interrupts);
      },
      "input"_a.noconvert(), "output"_a.noconvert(), "views"_a.noconvert(), "detector"_a, "shape"_a, "spacing"_a,
      "centre"_a, "curved"_a, "divergent"_a, "weighting"_a);
}

// The four operators of one kind, under the names Python knows them by.
template <class T>
void bind_pairs(nb::module_& m, const std::string& kind, const OperatorPairs<T>& (*pairs)()) {
  bind<T>(m, "backproject_" + kind, [=](auto... a) { pairs().backproject(a...); }, false, true);
  bind<T>(m, "backproject_" + kind + "_adjoint", [=](auto... a) { pairs().backproject_adjoint(a...); }, true, true);
  bind<T>(m, "joseph_" + kind, [=](auto... a) { pairs().joseph(a...); }, true, false);
  bind<T>(m, "joseph_" + kind + "_adjoint", [=](auto... a) { pairs().joseph_adjoint(a...); }, false, false);
}

template <class T>
void bind_all(nb::module_& m) {
  bind_pairs<T>(m, "axial", axial_operators<T>);
  bind_pairs<T>(m, "general", general_operators<T>);
  bind_pairs<T>(m, "planar", planar_operators<T>);
  bind_pairs<T>(m, "stack", axial_operators<T>);
}

}  // namespace
}  // namespace sinograd

NB_MODULE(_native, m) {
  using namespace sinograd;
  m.def("source_hash", [] { return SINOGRAD_SOURCE_HASH; },
        "SHA-256 over the native sources that this module was built from.");
  m.def("instruction_sets", &instruction_sets, "Instruction sets that this machine runs, the best last.");
  m.def("instruction_set", &instruction_set, "The instruction set in use; SINOGRAD_SIMD forces one.");
  bind_all<float>(m);
  bind_all<double>(m);
}
