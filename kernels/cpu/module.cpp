// Python bindings: every operator adds into an array that the caller gives. Arguments are checked for what memory
// safety needs; messages for people come from sinograd.ops.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <stdexcept>

#include "bilateral.h"
#include "cone_parallel.h"
#include "instruction_set.h"
#include "operators.h"
#include "row_filter.h"
#include "total_variation.h"
#include "vector_gradients.h"

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
          bool divergent, int weighting, std::array<int64_t, 3> part) {
        const Grid grid{{shape[0], spacing[0], centre[0], part[0], part[1]}, {shape[1], spacing[1], centre[1]}, {shape[2], spacing[2], centre[2]}};
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
        op(input.data(), output.data(), view, DetectorShape{detector[0], detector[1], part[2]}, grid, raise_interrupts);
      },
      "input"_a.noconvert(), "output"_a.noconvert(), "views"_a.noconvert(), "detector"_a, "shape"_a, "spacing"_a,
      "centre"_a, "curved"_a, "divergent"_a, "weighting"_a, "part"_a = nb::make_tuple(0, 0, 0));
}

// The operators of one kind, under the names Python knows them by.
template <class T>
void bind_pairs(nb::module_& m, const std::string& kind, const OperatorPairs<T>& (*pairs)(), bool footprints) {
  bind<T>(m, "backproject_" + kind, [=](auto... a) { pairs().backproject(a...); }, false, true);
  bind<T>(m, "backproject_" + kind + "_adjoint", [=](auto... a) { pairs().backproject_adjoint(a...); }, true, true);
  bind<T>(m, "joseph_" + kind, [=](auto... a) { pairs().joseph(a...); }, true, false);
  bind<T>(m, "joseph_" + kind + "_adjoint", [=](auto... a) { pairs().joseph_adjoint(a...); }, false, false);
  if (!footprints) return;
  bind<T>(m, "footprint_" + kind, [=](auto... a) { pairs().footprint(a...); }, true, false);
  bind<T>(m, "footprint_" + kind + "_adjoint", [=](auto... a) { pairs().footprint_adjoint(a...); }, false, false);
}

// Derivatives of <projections, A volume> to the views, added to `result`.
template <class T>
void bind_gradient(nb::module_& m, const std::string& name, const VectorGradients<T>& (*gradients)(),
                   VectorGradient<T> VectorGradients<T>::*which, bool voxel_driven) {
  m.def(
      name.c_str(),
      [=](Input<T> volume, Input<T> projections, Output<double> result, Input<double> views,
          std::array<int64_t, 2> detector, std::array<int64_t, 3> shape, std::array<double, 3> spacing,
          std::array<double, 3> centre, bool curved, bool divergent, int weighting, bool planar) {
        const Grid grid{{shape[0], spacing[0], centre[0]}, {shape[1], spacing[1], centre[1]}, {shape[2], spacing[2], centre[2]}};
        const size_t doubles = voxel_driven ? kViewDoubles : (curved ? 15 : 12), count = views.size() / doubles;
        const size_t voxels = size_t(shape[0] * shape[1] * shape[2]), pixels = size_t(detector[0] * detector[1]);
        if (views.size() != count * doubles) throw std::invalid_argument("views: wrong number of elements");
        if (result.size() != views.size()) throw std::invalid_argument("result: wrong number of elements");
        if (volume.size() != voxels) throw std::invalid_argument("volume: wrong number of elements");
        if (projections.size() != count * pixels) throw std::invalid_argument("projections: wrong number of elements");
        if (voxels == 0 || pixels == 0 || count == 0) return;
        const Views view{views.data(), int64_t(count), curved, divergent, Weighting(weighting), detector[0] * detector[1], detector[1], false};
        nb::gil_scoped_release unlock;
        (gradients().*which)(volume.data(), projections.data(), result.data(), view,
                             DetectorShape{detector[0], detector[1]}, grid, planar, raise_interrupts);
      },
      "volume"_a.noconvert(), "projections"_a.noconvert(), "result"_a.noconvert(), "views"_a.noconvert(), "detector"_a,
      "shape"_a, "spacing"_a, "centre"_a, "curved"_a, "divergent"_a, "weighting"_a, "planar"_a);
}

BilateralFilter bilateral_filter(int64_t size, std::array<int64_t, 4> shape, std::array<int64_t, 3> window,
                                 std::array<double, 4> sigmas) {
  BilateralFilter filter{shape[0], {shape[1], shape[2], shape[3]}, {}, {sigmas[0], sigmas[1], sigmas[2]}, sigmas[3]};
  for (int a = 0; a < 3; ++a) {
    if (window[a] < 1 || window[a] % 2 == 0) throw std::invalid_argument("window: wrong width");
    filter.radius[a] = window[a] / 2;
  }
  if (size != shape[0] * shape[1] * shape[2] * shape[3]) throw std::invalid_argument("x: wrong number of elements");
  return filter;
}

// Shapes are batch, z, y, x; windows z, y, x; sigmas z, y, x, range.
template <class T>
void bind_bilateral(nb::module_& m) {
  m.def(
      "bilateral",
      [](Input<T> x, Input<T> guide, Output<T> output, Output<T> normaliser, std::array<int64_t, 4> shape,
         std::array<int64_t, 3> window, std::array<double, 4> sigmas) {
        const BilateralFilter filter = bilateral_filter(int64_t(x.size()), shape, window, sigmas);
        for (const size_t size : {guide.size(), output.size(), normaliser.size()})
          if (size != x.size()) throw std::invalid_argument("arrays: different numbers of elements");
        if (x.size() == 0) return;
        nb::gil_scoped_release unlock;
        bilateral_kernels<T>().forward(x.data(), guide.data(), output.data(), normaliser.data(), filter, raise_interrupts);
      },
      "x"_a.noconvert(), "guide"_a.noconvert(), "output"_a.noconvert(), "normaliser"_a.noconvert(), "shape"_a,
      "window"_a, "sigmas"_a);
  m.def(
      "bilateral_backward",
      [](Input<T> grad_output, Input<T> grad_normaliser, Input<T> x, Input<T> guide, Input<T> output,
         Input<T> normaliser, Output<T> grad_x, Output<T> grad_guide, std::array<int64_t, 4> shape,
         std::array<int64_t, 3> window, std::array<double, 4> sigmas) {
        const BilateralFilter filter = bilateral_filter(int64_t(x.size()), shape, window, sigmas);
        for (const size_t size : {grad_output.size(), guide.size(), output.size(), normaliser.size(), grad_x.size()})
          if (size != x.size()) throw std::invalid_argument("arrays: different numbers of elements");
        const bool joint = guide.data() != x.data(), of_normaliser = grad_normaliser.size() > 0;
        if (of_normaliser && grad_normaliser.size() != x.size()) throw std::invalid_argument("grad_normaliser: wrong number of elements");
        if (joint && grad_guide.size() != x.size()) throw std::invalid_argument("grad_guide: wrong number of elements");
        std::array<double, 4> grad_sigmas = {};
        if (x.size() == 0) return grad_sigmas;
        nb::gil_scoped_release unlock;
        bilateral_kernels<T>().backward(grad_output.data(), of_normaliser ? grad_normaliser.data() : nullptr, x.data(),
                                        guide.data(), output.data(), normaliser.data(), grad_x.data(),
                                        grad_guide.data(), grad_sigmas.data(), filter, raise_interrupts);
        return grad_sigmas;
      },
      "grad_output"_a.noconvert(), "grad_normaliser"_a.noconvert(), "x"_a.noconvert(), "guide"_a.noconvert(),
      "output"_a.noconvert(), "normaliser"_a.noconvert(), "grad_x"_a.noconvert(), "grad_guide"_a.noconvert(),
      "shape"_a, "window"_a, "sigmas"_a);
}

// Shapes are z, y, x; of projections half turns, views, rows, distances. `lattice`: nearest distance and spacing.
template <class T>
void bind_cone_parallel(nb::module_& m, const std::string& name, bool volume_first,
                        void (*op)(const T*, T*, const ConeParallelViews&, const Grid&, Interruption)) {
  m.def(
      name.c_str(),
      [=](Input<T> input, Output<T> output, Input<double> directions, Input<double> rays, Input<double> window,
          std::array<int64_t, 4> projections, std::array<double, 2> lattice, std::array<int64_t, 3> shape,
          std::array<double, 3> spacing, std::array<double, 3> centre) {
        const Grid grid{{shape[0], spacing[0], centre[0]}, {shape[1], spacing[1], centre[1]}, {shape[2], spacing[2], centre[2]}};
        const size_t voxels = size_t(shape[0] * shape[1] * shape[2]), views = size_t(projections[0] * projections[1]);
        const size_t pixels = views * size_t(projections[2] * projections[3]);
        if (directions.size() != views * 2) throw std::invalid_argument("directions: wrong number of elements");
        if (rays.size() != views * size_t(projections[3]) * kRayDoubles) throw std::invalid_argument("rays: wrong number of elements");
        if (window.size() != size_t(projections[2])) throw std::invalid_argument("window: wrong number of elements");
        if (input.size() != (volume_first ? voxels : pixels)) throw std::invalid_argument("input: wrong number of elements");
        if (output.size() != (volume_first ? pixels : voxels)) throw std::invalid_argument("output: wrong number of elements");
        if (projections[3] < 2) throw std::invalid_argument("rays: fewer than two distances");
        if (voxels == 0 || pixels == 0) return;
        const ConeParallelViews all{directions.data(), rays.data(), window.data(), projections[0], projections[1],
                                    projections[2], projections[3], lattice[0], lattice[1]};
        nb::gil_scoped_release unlock;
        op(input.data(), output.data(), all, grid, raise_interrupts);
      },
      "input"_a.noconvert(), "output"_a.noconvert(), "directions"_a.noconvert(), "rays"_a.noconvert(),
      "window"_a.noconvert(), "projections"_a, "lattice"_a, "shape"_a, "spacing"_a, "centre"_a);
}

// Shapes are batch, z, y, x; factors z, y, x. A field has `axes` components, of the last axes.
VariationImages variation_images(size_t size, std::array<int64_t, 4> shape, std::array<double, 3> factors, int64_t axes) {
  VariationImages images{shape[0], {shape[1], shape[2], shape[3]}, axes, {factors[0], factors[1], factors[2]}};
  if (axes < 1 || axes > 3) throw std::invalid_argument("axes: expected 1 to 3");
  if (shape[3] < 1 || size != size_t(images.voxels())) throw std::invalid_argument("x: wrong number of elements");
  return images;
}

template <class T>
void bind_variation(nb::module_& m) {
  m.def(
      "tv_descend",
      [](Input<T> b, Input<T> field, Output<T> out, std::array<int64_t, 4> shape, std::array<double, 3> factors,
         int64_t axes, T scale, std::array<T, 2> bounds) {
        const VariationImages images = variation_images(b.size(), shape, factors, axes);
        if (out.size() != b.size()) throw std::invalid_argument("out: wrong number of elements");
        if (field.size() != size_t(axes) * b.size()) throw std::invalid_argument("field: wrong number of elements");
        nb::gil_scoped_release unlock;
        variation_kernels<T>().descend(b.data(), field.data(), out.data(), images, scale, bounds[0], bounds[1]);
      },
      "b"_a.noconvert(), "field"_a.noconvert(), "out"_a.noconvert(), "shape"_a, "factors"_a, "axes"_a, "scale"_a,
      "bounds"_a);
  m.def(
      "tv_ascend",
      [](Input<T> x, Output<T> dual, Output<T> ahead, std::array<int64_t, 4> shape, std::array<double, 3> factors,
         int64_t axes, T step, T limit, T momentum) {
        const VariationImages images = variation_images(x.size(), shape, factors, axes);
        for (const size_t size : {dual.size(), ahead.size()})
          if (size != size_t(axes) * x.size()) throw std::invalid_argument("dual, ahead: wrong number of elements");
        nb::gil_scoped_release unlock;
        variation_kernels<T>().ascend(x.data(), dual.data(), ahead.data(), images, step, limit, momentum);
      },
      "x"_a.noconvert(), "dual"_a.noconvert(), "ahead"_a.noconvert(), "shape"_a, "factors"_a, "axes"_a, "step"_a,
      "limit"_a, "momentum"_a);
  m.def(
      "tv_value",
      [](Input<T> x, Output<double> sums, std::array<int64_t, 4> shape, std::array<double, 3> factors, int64_t axes,
         T smoothing) {
        const VariationImages images = variation_images(x.size(), shape, factors, axes);
        if (sums.size() != size_t(shape[0])) throw std::invalid_argument("sums: wrong number of elements");
        nb::gil_scoped_release unlock;
        variation_kernels<T>().value(x.data(), sums.data(), images, smoothing);
      },
      "x"_a.noconvert(), "sums"_a.noconvert(), "shape"_a, "factors"_a, "axes"_a, "smoothing"_a);
}

// The numbers of a `RowFilter`: samples before a row, columns of it, first sample that is kept, how many are.
template <class T>
RowFilter<T> row_filter(const Input<T>& roots, const Input<T>& response, std::array<int64_t, 4> numbers) {
  const auto [before, columns, first, kept] = numbers;
  const int64_t size = int64_t(roots.size()) / 2;
  int64_t rest = size / 2;
  for (const int64_t prime : {2, 3, 5})
    while (rest > 1 && rest % prime == 0) rest /= prime;
  if (size < 2 || size % 2 != 0 || rest != 1) throw std::invalid_argument("roots: wrong number of elements");
  if (int64_t(response.size()) != 2 * size) throw std::invalid_argument("response: wrong number of elements");
  if (before < 0 || columns < 1 || first < 0 || kept < 0 || before + columns > size || first + kept > size)
    throw std::invalid_argument("numbers: beyond the samples of a row");
  return {size, roots.data(), response.data(), before, columns, first, kept};
}

// Weights of `rows` rows a view; arrays without elements are none.
template <class T>
RowWeights<T> row_weights(const Input<T>& of_pixels, const Input<T>& of_columns, int64_t rows, int64_t columns) {
  if (of_pixels.size() != 0 && int64_t(of_pixels.size()) != rows * columns)
    throw std::invalid_argument("of_pixels: wrong number of elements");
  const int64_t views = int64_t(of_columns.size()) / columns;
  if (int64_t(of_columns.size()) != views * columns) throw std::invalid_argument("of_columns: wrong number of elements");
  return {of_pixels.size() ? of_pixels.data() : nullptr, views ? of_columns.data() : nullptr, rows, views};
}

template <class T>
void bind_row_filters(nb::module_& m) {
  m.def(
      "filter_rows",
      [](Input<T> rows, Output<T> output, Input<T> roots, Input<T> response, std::array<int64_t, 4> numbers,
         Input<T> of_pixels, Input<T> of_columns, int64_t rows_of_view) {
        const RowFilter<T> filter = row_filter<T>(roots, response, numbers);
        if (rows.size() == 0 || output.size() == 0) return;
        const int64_t count = int64_t(rows.size()) / filter.columns;
        if (rows_of_view < 1 || int64_t(rows.size()) != count * filter.columns) throw std::invalid_argument("rows: wrong number of elements");
        if (int64_t(output.size()) != count * filter.kept) throw std::invalid_argument("output: wrong number of elements");
        const RowWeights<T> weights = row_weights<T>(of_pixels, of_columns, rows_of_view, filter.columns);
        nb::gil_scoped_release unlock;
        row_filters<T>().rows(rows.data(), count, filter, weights, output.data());
      },
      "rows"_a.noconvert(), "output"_a.noconvert(), "roots"_a.noconvert(), "response"_a.noconvert(), "numbers"_a,
      "of_pixels"_a.noconvert(), "of_columns"_a.noconvert(), "rows_of_view"_a);
  m.def(
      "filter_images",
      [](Input<T> images, Output<T> output, Input<int32_t> places, Input<T> factors, std::array<int64_t, 5> shape,
         Input<T> roots, Input<T> response, std::array<int64_t, 4> numbers, Input<T> of_pixels, Input<T> of_columns) {
        const RowFilter<T> filter = row_filter<T>(roots, response, numbers);
        const auto [rows, held, real_columns, start, all] = shape;
        if (rows < 1 || held < 1 || real_columns < 1 || start < 0 || start + rows > all) throw std::invalid_argument("shape: wrong numbers");
        const int64_t taps = 4 * rows * filter.columns, image = held * real_columns, count = int64_t(images.size()) / image;
        if (int64_t(places.size()) != 2 * taps) throw std::invalid_argument("places: wrong number of elements");
        if (int64_t(factors.size()) != 2 * taps) throw std::invalid_argument("factors: wrong number of elements");
        for (int64_t i = 0; i < 2 * taps; ++i)
          if (places.data()[i] < 0 || places.data()[i] >= (i < taps ? held : real_columns))
            throw std::invalid_argument("places: beyond the images");
        if (int64_t(images.size()) != count * image) throw std::invalid_argument("images: wrong number of elements");
        if (int64_t(output.size()) != count * all * filter.kept) throw std::invalid_argument("output: wrong number of elements");
        if (images.size() == 0 || output.size() == 0) return;
        const RowWeights<T> weights = row_weights<T>(of_pixels, of_columns, rows, filter.columns);
        const PixelTaps<T> where{places.data(), places.data() + taps, factors.data(), factors.data() + taps,
                               rows,          filter.columns,       held,           real_columns,
                               start,         all};
        nb::gil_scoped_release unlock;
        row_filters<T>().images(images.data(), count, where, filter, weights, output.data());
      },
      "images"_a.noconvert(), "output"_a.noconvert(), "places"_a.noconvert(), "factors"_a.noconvert(), "shape"_a,
      "roots"_a.noconvert(), "response"_a.noconvert(), "numbers"_a, "of_pixels"_a.noconvert(), "of_columns"_a.noconvert());
}

template <class T>
void bind_all(nb::module_& m) {
  bind_row_filters<T>(m);
  bind_variation<T>(m);
  bind_bilateral<T>(m);
  bind_gradient<T>(m, "joseph_gradient", vector_gradients<T>, &VectorGradients<T>::joseph, false);
  bind_gradient<T>(m, "backprojection_gradient", vector_gradients<T>, &VectorGradients<T>::backproject, true);
  bind_cone_parallel<T>(m, "cone_parallel_backproject", false, cone_parallel_backproject<T>);
  bind_cone_parallel<T>(m, "cone_parallel_backproject_adjoint", true, cone_parallel_backproject_adjoint<T>);
  bind_pairs<T>(m, "axial", axial_operators<T>, true);
  bind_pairs<T>(m, "general", general_operators<T>, false);
  bind_pairs<T>(m, "planar", planar_operators<T>, true);
  bind_pairs<T>(m, "stack", axial_operators<T>, true);
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
