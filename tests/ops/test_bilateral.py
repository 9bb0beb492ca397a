"""The bilateral filter against a double loop, other libraries, exact limits and finite differences."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from skimage.restoration import denoise_bilateral
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from contract import DTYPES, noise, per_dtype
from sinograd import _native
from sinograd.ops import bilateral_filter, joint_bilateral_filter
from sinograd.ops.bilateral_kernels import bilateral, bilateral_backward
from sinograd.ops.bilateral_reference import bilateral_backward_reference, bilateral_reference, pull_back_normalisation

CPU = torch.device("cpu")
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
AGREEMENT = {torch.float32: 2e-6, torch.float64: 1e-13}  # of two ways to compute the same

# shape, window, spatial sigmas: images and volumes, batches, windows that reach beyond the volume, single voxels
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]]] = {
    "volume": ((4, 6, 19), (5, 5, 5), (1.1, 0.7, 0.9)),
    "image": ((9, 35), (5, 5), (0.8, 1.3)),
    "batch of volumes": ((2, 1, 3, 4, 5), (3, 5, 7), (0.5, 1.0, 2.0)),
    "batch of images": ((3, 5, 17), (7, 3), (1.5, 0.4)),
    "smaller than the window": ((2, 3, 1), (5, 5, 5), (1.0, 1.0, 1.0)),
    "one voxel": ((1, 1, 1), (5, 5, 5), (0.5, 0.5, 0.5)),
    "no neighbours along two axes": ((3, 4, 21), (1, 1, 9), (1.0, 1.0, 2.0)),
    "one column": ((7, 1), (5, 1), (0.9, 0.6)),
}
EVERY_CASE = pytest.mark.parametrize("name", CASES)
GUIDED = pytest.mark.parametrize("guided", [False, True], ids=["plain", "joint"])


class Problem:
    """Tensors of a case in one dtype: input, guide, sigmas, and a gradient to pull back."""

    def __init__(self, name: str, guided: bool, dtype: torch.dtype, sigma_range: float = 0.7) -> None:
        self.shape, self.window, spatial = CASES[name]
        self.x = noise(self.shape, 0, dtype, CPU).requires_grad_()
        self.guide = noise(self.shape, 1, dtype, CPU).requires_grad_() if guided else None
        self.spatial = torch.tensor(spatial, dtype=dtype, requires_grad=True)
        self.range = torch.tensor(sigma_range, dtype=dtype, requires_grad=True)
        self.gradient = noise(self.shape, 2, dtype, CPU)

    @property
    def leaves(self) -> list[Tensor]:
        return [t for t in (self.x, self.guide, self.spatial, self.range) if t is not None]

    def run(self, *leaves: Tensor) -> Tensor:
        """The filter of these tensors, or of its own."""
        x, *guide, spatial, of_range = leaves or self.leaves
        function: Callable[..., Tensor] = joint_bilateral_filter if guide else bilateral_filter
        return function(x, *guide, spatial, of_range, window=self.window)

    def everything(self) -> list[Tensor]:
        """Result and gradients."""
        result = self.run()
        return [result.detach(), *torch.autograd.grad(result, self.leaves, self.gradient)]


def double_loop(x: np.ndarray, guide: np.ndarray, spatial: Sequence[float], sigma: float, window: Sequence[int]) -> Any:
    """Equations 1 to 4, voxel by voxel, neighbour by neighbour."""
    ndim = len(window)
    lead, shape = x.shape[: x.ndim - ndim], x.shape[x.ndim - ndim :]
    result = np.empty_like(x)
    for batch in itertools.product(*map(range, lead)):
        for k in itertools.product(*map(range, shape)):
            total = weights = 0.0
            for offset in itertools.product(*(range(-(w // 2), w // 2 + 1) for w in window)):
                n = tuple(a + b for a, b in zip(k, offset, strict=True))
                if not all(0 <= a < size for a, size in zip(n, shape, strict=True)):
                    continue
                distance = sum((o / s) ** 2 for o, s in zip(offset, spatial, strict=True))
                difference = (guide[(*batch, *n)] - guide[(*batch, *k)]) / sigma
                weight = math.exp(-(distance + difference**2) / 2)
                total += weight * x[(*batch, *n)]
                weights += weight
            result[(*batch, *k)] = total / weights
    return result


def error(actual: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    actual, expected = actual.detach().double(), expected.detach().double()
    assert actual.shape == expected.shape
    return ((actual - expected).abs().max() / expected.abs().max()).item() if expected.numel() else 0.0


@EVERY_CASE
@GUIDED
@per_dtype
def test_equals_a_double_loop(name: str, guided: bool, dtype: torch.dtype) -> None:
    problem = Problem(name, guided, dtype)
    guide = problem.x if problem.guide is None else problem.guide
    arrays = [t.detach().double().numpy() for t in (problem.x, guide, problem.spatial)]
    expected = double_loop(*arrays, problem.range.item(), problem.window)
    result = problem.run()
    assert result.dtype == dtype
    assert error(result, torch.from_numpy(expected)) <= TOLERANCE[dtype]


@pytest.mark.parametrize("sigma_range", [1e-3, 0.05, 3.0, 1e3])
@per_dtype
def test_equals_a_double_loop_for_narrow_and_wide_ranges(sigma_range: float, dtype: torch.dtype) -> None:
    """Values around 1000, as in Hounsfield units, lose nothing to their size."""
    x = noise((3, 5, 20), 3, dtype, CPU) + 1000
    expected = double_loop(x.double().numpy(), x.double().numpy(), [0.9] * 3, sigma_range, [5, 5, 5])
    result = bilateral_filter(x, [0.9] * 3, sigma_range, window=5)
    assert (result - torch.from_numpy(expected)).abs().max() <= 1.5e-7 * 1000 if dtype == torch.float32 else 1e-12


class TestInstructionSets:
    """Every version of the kernels, at lengths of rows around the widths of their vectors."""

    @pytest.fixture(params=_native.instruction_sets())
    def use(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setenv("SINOGRAD_SIMD", request.param)
        assert _native.instruction_set() == request.param
        return request.param

    @GUIDED
    @per_dtype
    def test_results_and_gradients_equal_the_reference(self, use: str, guided: bool, dtype: torch.dtype) -> None:
        """In float64 from the same numbers: the result, the gradients to input and guide, and to every sigma."""
        for window, widths in (((3, 5, 5), (1, 2, 4, 7, 8, 9, 15, 16, 17, 20, 33, 70)), ((1, 3, 7), (3, 5, 35))):
            for columns in widths:
                x, guide, gradient = (noise((2, 2, 3, columns), seed, dtype, CPU) for seed in range(3))
                of_normaliser = noise(x.shape, 3, dtype, CPU)
                sigmas = torch.tensor([0.6, 1.1, 0.9], dtype=dtype), torch.tensor(0.8, dtype=dtype)
                other = guide if guided else None
                output, normaliser = bilateral(x, other, *sigmas, window)
                grads = bilateral_backward(gradient, of_normaliser, x, other, *sigmas, output, normaliser, window)
                exact = [t.double() for t in (x, guide if guided else x, *sigmas)]
                exact_output, exact_normaliser = bilateral_reference(*exact, window)
                pulled = pull_back_normalisation(
                    gradient.double(), of_normaliser.double(), exact[0], exact_output, exact_normaliser
                )
                grad_x, grad_guide, *expected = bilateral_backward_reference(*exact, *pulled, window)
                assert error(output, exact_output) <= AGREEMENT[dtype]
                assert error(normaliser, exact_normaliser) <= AGREEMENT[dtype]
                assert error(grads[0], grad_x if guided else grad_x + grad_guide) <= AGREEMENT[dtype]
                if guided:
                    assert error(grads[1], grad_guide) <= AGREEMENT[dtype] or columns == 1
                size = max(t.abs().max() for t in pulled) * x.numel() ** 0.5  # sums cancel
                for actual, want in zip(grads[2:], expected, strict=True):
                    assert (actual.double() - want).abs().max() <= AGREEMENT[dtype] * size

    @per_dtype
    def test_weights_from_one_to_nothing(self, use: str, dtype: torch.dtype) -> None:
        """One neighbour at a time, so that the normaliser shows its weight: 1 + exp(-d^2 / 2)."""
        d = torch.linspace(0, 40, 4001, dtype=torch.float64)
        pairs = torch.stack([torch.zeros_like(d), d], dim=-1).to(dtype)[:, None]  # [..., 1, 2]
        _, normaliser = bilateral(pairs, None, torch.full((2,), 1e9, dtype=dtype), torch.ones((), dtype=dtype), (1, 3))
        exact = torch.exp(-(pairs[:, 0, 1].double() ** 2) / 2)
        assert ((normaliser[:, 0, 0].double() - 1) - exact).abs().max() <= 2 * torch.finfo(dtype).eps
        assert (normaliser[d == 0] == 2).all()
        # the same weight, multiplied by something large, where it is too small to be seen beside 1
        small = d.to(dtype) > 5
        big = torch.stack([torch.zeros_like(d), torch.full_like(d, 1e30)], dim=-1).to(dtype)[:, None]
        result, _ = bilateral(big, pairs, torch.full((2,), 1e9, dtype=dtype), torch.ones((), dtype=dtype), (1, 3))
        weight = result[:, 0, 0].double() / 1e30
        lowest = 2.0 ** (-126 if dtype == torch.float32 else -1022)
        kept = small & (exact > 1.01 * lowest)
        assert ((weight - exact / (1 + exact)) / exact)[kept].abs().max() <= (3e-5 if dtype == torch.float32 else 1e-12)
        assert (weight[exact < 0.99 * lowest] == 0).all()


class TestOthers:
    """What other libraries and simpler filters make of the same image."""

    def test_scikit_image(self) -> None:
        """Range weights alone: the spatial ones of scikit-image 0.26 are one element off (`-win_size // 2`).

        It looks weights up in a table and pads with zeros, so that the middle is compared.
        """
        image = torch.rand(24, 31, dtype=torch.float64)
        expected = denoise_bilateral(image.numpy(), win_size=5, sigma_color=0.2, sigma_spatial=1e9, bins=100_000)
        result = bilateral_filter(image, [1e9, 1e9], 0.2, window=5)
        inside = (slice(2, -2), slice(2, -2))
        assert np.abs(result.numpy() - expected)[inside].max() <= 1e-5

    def test_simple_itk(self) -> None:
        """Its window reaches 2.5 standard deviations, its range weights end at 4 and come from a table."""
        itk = pytest.importorskip("SimpleITK", reason="needs SimpleITK to compare with")
        image = torch.rand(12, 13, 14, dtype=torch.float64)
        theirs = itk.BilateralImageFilter()
        theirs.SetDomainSigma(1.1)
        theirs.SetRangeSigma(0.2)
        theirs.SetNumberOfRangeGaussianSamples(10_000)
        expected = itk.GetArrayFromImage(theirs.Execute(itk.GetImageFromArray(image.numpy())))
        result = bilateral_filter(image, [1.1] * 3, 0.2, window=7)
        inside = (slice(3, -3),) * 3
        assert np.abs(result.numpy() - expected)[inside].max() <= 3e-4

    def test_a_wide_range_is_a_gaussian_filter(self) -> None:
        x = noise((7, 8, 30), 0, torch.float64, CPU)
        sigmas = (0.7, 1.0, 1.4)

        def smoothed(volume: np.ndarray) -> np.ndarray:
            for axis, sigma in enumerate(sigmas):
                taps = np.exp(-(np.arange(-2, 3) ** 2) / 2 / sigma**2)
                volume = correlate1d(volume, taps, axis=axis, mode="constant")
            return volume

        expected = smoothed(x.numpy()) / smoothed(np.ones(x.shape))
        result = bilateral_filter(x, sigmas, 1e8, window=5)
        assert np.abs(result.numpy() - expected).max() <= 1e-13

    @per_dtype
    def test_a_narrow_range_and_narrow_kernels_change_nothing(self, dtype: torch.dtype) -> None:
        x = noise((5, 6, 40), 0, dtype, CPU)
        for sigmas in (([1.0] * 3, 1e-6), ([1e-3] * 3, 1.0), ([1e-20] * 3, 1e-20), ([1.0] * 3, 1e-30)):
            y = x.clone().requires_grad_()
            result = bilateral_filter(y, *sigmas)
            assert torch.equal(result, x)
            result.sum().backward()
            assert torch.equal(y.grad, torch.ones_like(x))

    @per_dtype
    def test_what_is_constant_stays_so_exactly(self, dtype: torch.dtype) -> None:
        x = torch.full((3, 5, 33), 0.1, dtype=dtype)
        assert torch.equal(bilateral_filter(x, [0.5, 1.0, 2.0], 0.3), x)
        assert torch.equal(joint_bilateral_filter(x, torch.randn_like(x), [0.5, 1.0, 2.0], 0.3), x)

    @per_dtype
    def test_an_edge_is_kept(self, dtype: torch.dtype) -> None:
        x = torch.cat([torch.zeros(8, 20, dtype=dtype), torch.ones(8, 20, dtype=dtype)], dim=1)
        assert (bilateral_filter(x, [2.0, 2.0], 0.05) - x).abs().max() <= 1e-80

    def test_a_volume_is_not_an_image(self) -> None:
        """Two entries of sigma filter every slice by itself, three the volume."""
        x = noise((4, 9, 20), 0, torch.float64, CPU)
        slices = bilateral_filter(x, [0.8, 0.8], 1.0)
        assert torch.equal(slices, torch.stack([bilateral_filter(slice_, [0.8, 0.8], 1.0) for slice_ in x]))
        assert torch.equal(slices, bilateral_filter(x, [0.5, 0.8, 0.8], 1.0, window=(1, 5, 5)))
        assert not torch.allclose(slices, bilateral_filter(x, [0.8, 0.8, 0.8], 1.0))

    @per_dtype
    def test_joint_filter_of_itself_is_the_filter(self, dtype: torch.dtype) -> None:
        plain, joint = (Problem("volume", guided, dtype) for guided in (False, True))
        joint.guide = joint.x.detach().clone().requires_grad_()
        result, grad_x, *grad_sigmas = plain.everything()
        other, *parts = joint.everything()
        assert error(other, result) <= AGREEMENT[dtype]
        assert error(parts[0] + parts[1], grad_x) <= AGREEMENT[dtype]
        assert all(error(a, b) <= 10 * AGREEMENT[dtype] for a, b in zip(parts[2:], grad_sigmas, strict=True))


class TestGradients:
    @EVERY_CASE
    @GUIDED
    def test_gradcheck(self, name: str, guided: bool) -> None:
        problem = Problem(name, guided, torch.float64)
        assert gradcheck(problem.run, problem.leaves, fast_mode=problem.x.numel() > 70)

    def test_gradcheck_of_result_and_normaliser(self) -> None:
        problem = Problem("batch of images", True, torch.float64)
        assert gradcheck(lambda *leaves: bilateral(*leaves, problem.window), problem.leaves, fast_mode=True)

    @EVERY_CASE
    @GUIDED
    @per_dtype
    def test_equal_those_of_the_reference(self, name: str, guided: bool, dtype: torch.dtype) -> None:
        """Which autograd derives from equations 1 to 4, in float64."""
        problem, exact = Problem(name, guided, dtype), Problem(name, guided, torch.float64)
        for leaf, same in zip(exact.leaves, problem.leaves, strict=True):
            leaf.data.copy_(same.data)
        guide = exact.x if exact.guide is None else exact.guide
        expected, _ = bilateral_reference(exact.x, guide, exact.spatial, exact.range, exact.window)
        grads = torch.autograd.grad(expected, exact.leaves, problem.gradient.double())
        for actual, want in zip(problem.everything(), (expected, *grads), strict=True):
            assert (actual - want).abs().max() <= TOLERANCE[dtype] * max(want.abs().max().item(), 0.1)

    @GUIDED
    def test_second_derivatives(self, guided: bool) -> None:
        """Of result and normaliser, against finite differences of the first."""
        x = noise((2, 2, 3), 0, torch.float64, CPU).requires_grad_()
        guide = noise(x.shape, 1, torch.float64, CPU).requires_grad_() if guided else None
        sigmas = [torch.tensor(s, dtype=torch.float64, requires_grad=True) for s in ([0.9, 1.2], 0.8)]
        leaves = [t for t in (x, guide, *sigmas) if t is not None]

        def both(*leaves: Tensor) -> tuple[Tensor, Tensor]:
            x, *guide, spatial, of_range = leaves
            return bilateral(x, guide[0] if guide else None, spatial, of_range, (3, 3))

        assert gradgradcheck(both, leaves, fast_mode=True)
        assert gradgradcheck(lambda *leaves: both(*leaves)[0], leaves)

    def test_third_derivatives_are_refused(self) -> None:
        x = noise((4, 5), 0, torch.float64, CPU).requires_grad_()
        (first,) = torch.autograd.grad(bilateral_filter(x, [0.5, 0.5], 1.0).sum(), x, create_graph=True)
        with pytest.raises(RuntimeError, match="differentiated twice, not three times"):
            torch.autograd.grad(first.square().sum(), x, create_graph=True)

    def test_only_what_is_needed_is_kept(self) -> None:
        """Input, result, normaliser and the sigmas; the guide where there is one."""
        for guided, volumes in ((False, 3), (True, 4)):
            problem = Problem("volume", guided, torch.float32)
            kept: list[Tensor] = []

            def keep(tensor: Tensor, kept: list[Tensor] = kept) -> Tensor:
                kept.append(tensor)
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                problem.run()
            assert sorted(tensor.numel() for tensor in kept) == [1, 3, *[problem.x.numel()] * volumes]

    def test_gradients_reach_only_what_asks_for_them(self) -> None:
        problem = Problem("volume", True, torch.float32)
        for leaf in problem.leaves:
            (alone,) = torch.autograd.grad(
                problem.run(*(t if t is leaf else t.detach() for t in problem.leaves)).sum(), leaf
            )
            (together,) = torch.autograd.grad(problem.run().sum(), leaf)
            assert torch.equal(alone, together)


class TestTensors:
    """Layouts, dtypes, batches, threads, tracing."""

    @GUIDED
    @per_dtype
    def test_same_bits_however_often_and_at_any_number_of_threads(self, guided: bool, dtype: torch.dtype) -> None:
        before = torch.get_num_threads()
        problem = Problem("volume", guided, dtype)
        problem.x = noise((3, 9, 23, 40), 0, dtype, CPU).requires_grad_()
        problem.guide = noise(problem.x.shape, 1, dtype, CPU).requires_grad_() if guided else None
        problem.gradient = noise(problem.x.shape, 2, dtype, CPU)
        try:
            results = []
            for count in (1, 2, 2, 3):
                torch.set_num_threads(count)
                results.append(problem.everything())
        finally:
            torch.set_num_threads(before)
        for other in results[1:]:
            assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))

    def test_not_contiguous(self) -> None:
        problem = Problem("volume", True, torch.float32)
        assert problem.guide is not None
        x = noise((2, 3, *problem.shape), 0, torch.float32, CPU)
        guide, gradient = torch.randn_like(x), torch.randn_like(x)

        def everything(x: Tensor, guide: Tensor, gradient: Tensor) -> list[Tensor]:
            leaves = [x, guide, problem.spatial, problem.range]
            leaves = [leaf.detach().requires_grad_() for leaf in leaves]
            result = problem.run(*leaves)
            return [result, *torch.autograd.grad(result, leaves, gradient)]

        expected = everything(x, guide, gradient)
        for order in ((1, 0, 2, 3, 4), (4, 3, 2, 1, 0), (0, 1, 3, 4, 2)):
            back = [order.index(axis) for axis in range(5)]
            permuted = [t.permute(order).contiguous().permute(back) for t in (x, guide, gradient)]
            assert not permuted[0].is_contiguous()
            assert all(torch.equal(a, b) for a, b in zip(everything(*permuted), expected, strict=True))
        strided = [torch.stack([t, -t], dim=-1)[..., 0] for t in (x, guide, gradient)]
        assert all(torch.equal(a, b) for a, b in zip(everything(*strided), expected, strict=True))
        channel = [torch.stack([t, -t], dim=1)[:, 0] for t in (x, guide, gradient)]
        assert all(torch.equal(a, b) for a, b in zip(everything(*channel), expected, strict=True))

    def test_expanded_input_and_gradient(self) -> None:
        x = noise((5, 20), 0, torch.float32, CPU)
        same = bilateral_filter(x.expand(3, 5, 20), [0.8, 0.8], 0.5)
        assert torch.equal(same, bilateral_filter(x, [0.8, 0.8], 0.5).expand(3, 5, 20))
        first, second = (x.clone().requires_grad_() for _ in range(2))
        bilateral_filter(first, [0.8, 0.8], 0.5).sum().backward()
        bilateral_filter(second, [0.8, 0.8], 0.5).backward(torch.ones_like(x))
        assert torch.equal(first.grad, second.grad)

    @pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,), (2, 0)], ids=str)
    def test_batch(self, batch: tuple[int, ...]) -> None:
        x, guide = (noise((*batch, 3, 4, 20), seed, torch.float32, CPU) for seed in (0, 1))
        spatial = torch.tensor([0.5, 1.0, 0.7], requires_grad=True)
        result = joint_bilateral_filter(x.requires_grad_(), guide, spatial, 0.6)
        assert result.shape == x.shape
        for index in itertools.product(*map(range, batch)):
            assert torch.equal(result[index], joint_bilateral_filter(x[index], guide[index], spatial, 0.6))
        result.sum().backward()
        assert x.grad.shape == x.shape
        assert spatial.grad.abs().max() > 0 or 0 in batch

    def test_empty_volume(self) -> None:
        x = torch.empty(2, 0, 5, requires_grad=True)
        result = bilateral_filter(x, [0.5, 0.5], 1.0)
        assert result.shape == x.shape
        result.sum().backward()
        assert x.grad.shape == x.shape

    def test_input_and_sigmas_of_different_precision(self) -> None:
        """The layers' parameters may stay float32 while a volume is float64."""
        x = noise((5, 20), 0, torch.float64, CPU)
        sigmas = [torch.tensor(s, requires_grad=True) for s in ([0.5, 0.8], 0.3)]
        result = bilateral_filter(x, *sigmas)
        assert result.dtype == torch.float64
        assert torch.equal(result, bilateral_filter(x, *(s.double() for s in sigmas)))
        result.sum().backward()
        assert all(s.grad.dtype == torch.float32 for s in sigmas)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_autocast_casts_to_float32(self, dtype: torch.dtype) -> None:
        x = torch.rand(5, 20).to(dtype).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            result = bilateral_filter(x, [0.5, 0.5], 0.3)
            joint = joint_bilateral_filter(x, x.detach(), [0.5, 0.5], 0.3)
        assert result.dtype == joint.dtype == torch.float32
        assert torch.equal(result, bilateral_filter(x.float(), [0.5, 0.5], 0.3))
        result.sum().backward()
        assert x.grad.dtype == dtype

    def test_no_graph_is_kept_without_need(self) -> None:
        x = torch.rand(5, 20)
        assert not bilateral_filter(x, [0.5, 0.5], 0.3).requires_grad
        with torch.inference_mode():
            bilateral_filter(x, torch.tensor([0.5, 0.5]), torch.tensor(0.3))

    @GUIDED
    def test_custom_ops(self, guided: bool) -> None:
        problem = Problem("batch of volumes", guided, torch.float32)
        tensors = problem.x, problem.guide, problem.spatial, problem.range
        torch.library.opcheck(bilateral, (*tensors, problem.window))
        still = [None if t is None else t.detach() for t in tensors]
        output, normaliser = bilateral(*still, problem.window)  # type: ignore[arg-type]
        gradient = torch.randn_like(output)
        for of_normaliser in (None, torch.randn_like(output)):
            arguments = gradient, of_normaliser, *still, output, normaliser, problem.window
            torch.library.opcheck(bilateral_backward, arguments)

    def test_compiles(self) -> None:
        """As one graph, forwards and backwards, where the window is given."""
        torch._dynamo.reset()
        problem = Problem("volume", True, torch.float32)
        compiled = torch.compile(lambda *leaves: problem.run(*leaves) * 2, fullgraph=True, backend="aot_eager")
        result = compiled(*problem.leaves)
        assert torch.equal(result, problem.run() * 2)
        grads = torch.autograd.grad(result, problem.leaves, problem.gradient)
        expected = torch.autograd.grad(problem.run() * 2, problem.leaves, problem.gradient)
        assert all(torch.equal(a, b) for a, b in zip(grads, expected, strict=True))

    def test_nan_spoils_its_neighbourhood_and_no_more(self) -> None:
        for dtype, bad in itertools.product(DTYPES, (math.nan, math.inf)):
            x = noise((9, 40), 0, dtype, CPU)
            clean = bilateral_filter(x, [0.9, 0.9], 0.8)
            hurt = x.clone()
            hurt[4, 20] = bad
            near = torch.zeros(x.shape, dtype=torch.bool)
            near[2:7, 18:23] = True
            result = bilateral_filter(hurt, [0.9, 0.9], 0.8)
            joint = joint_bilateral_filter(x, hurt, [0.9, 0.9], 0.8)
            assert torch.equal(result[~near], clean[~near])
            assert torch.equal(joint[~near], clean[~near])
            if math.isnan(bad):
                assert result[near].isnan().all()
                assert joint[near].isnan().all()


class TestWindow:
    def test_none_is_five_standard_deviations(self) -> None:
        x = noise((9, 30), 0, torch.float64, CPU)
        wide = torch.tensor([0.3, 1.3], dtype=torch.float64)
        assert torch.equal(bilateral_filter(x, wide, 1.0), bilateral_filter(x, wide, 1.0, window=(5, 7)))
        assert not torch.equal(bilateral_filter(x, wide, 1.0), bilateral_filter(x, wide, 1.0, window=5))

    def test_what_is_beyond_the_volume_costs_and_changes_nothing(self) -> None:
        x = noise((3, 30), 0, torch.float64, CPU)
        assert torch.equal(
            bilateral_filter(x, [9.0, 0.5], 1.0, window=(100_001, 5)),
            bilateral_filter(x, [9.0, 0.5], 1.0, window=(5, 5)),
        )

    def test_a_window_that_would_never_end_is_refused(self) -> None:
        x = torch.zeros(1, 600, 600)
        with pytest.raises(ValueError, match=r"window: 1 x 1501 x 1501 looks at 1437601 neighbours.*1048576"):
            bilateral_filter(x, [0.1, 300.0, 300.0], 1.0, window=(1, 1501, 1501))
        with pytest.raises(ValueError, match=r"window.*sigma_spatial is that large"):
            bilateral_filter(x, [0.1, 300.0, 300.0], 1.0)


class TestBadInput:
    """Clear words before a kernel runs."""

    @pytest.fixture(params=[False, True], ids=["plain", "joint"])
    def run(self, request: pytest.FixtureRequest) -> Iterator[Callable[..., Tensor]]:
        def run(x: Any, *arguments: Any, **options: Any) -> Tensor:
            return (
                joint_bilateral_filter(x, x, *arguments, **options)
                if request.param
                else bilateral_filter(x, *arguments, **options)
            )

        return run

    @pytest.mark.parametrize("value", [0.0, -0.5, math.nan, math.inf])
    def test_sigmas(self, run: Callable[..., Tensor], value: float) -> None:
        x = torch.zeros(3, 4, 5)
        for window in (None, 5):
            for spatial in ([0.5, value, 0.5], torch.tensor([0.5, 0.5, value])):
                with pytest.raises(ValueError, match=r"sigma_spatial: expected positive, finite values, got \[0.5, "):
                    run(x, spatial, 0.1, window=window)
            for of_range in (value, torch.tensor(value)):
                with pytest.raises(ValueError, match=r"sigma_range: expected a positive, finite value, got"):
                    run(x, [0.5, 0.5, 0.5], of_range, window=window)

    @pytest.mark.parametrize("spatial", [0.5, [0.5], [0.5] * 4, [[0.5, 0.5]], []])
    def test_wrong_numbers_of_sigmas(self, run: Callable[..., Tensor], spatial: Any) -> None:
        with pytest.raises(ValueError, match=r"sigma_spatial: expected 3 entries \(z, y, x\) or 2"):
            run(torch.zeros(3, 4, 5), spatial, 0.1)
        with pytest.raises(ValueError, match=r"sigma_range: expected one number, got shape \[2\]"):
            run(torch.zeros(3, 4, 5), [0.5] * 3, [0.1, 0.2])

    @pytest.mark.parametrize("window", [4, 0, -3, (5, 4, 5), (5, 5), (5, 5, 5, 5), (5.0, 5, 5), 5.0, True, "5"])
    def test_windows(self, run: Callable[..., Tensor], window: Any) -> None:
        with pytest.raises(ValueError, match=r"window: expected (odd|one width)"):
            run(torch.zeros(3, 4, 5), [0.5] * 3, 0.1, window=window)

    @pytest.mark.parametrize("dtype", [torch.int64, torch.float16, torch.bfloat16, torch.bool, torch.complex64])
    def test_dtypes(self, run: Callable[..., Tensor], dtype: torch.dtype) -> None:
        with pytest.raises(TypeError, match=rf"x: expected dtype float32 or float64, got {str(dtype)[6:]}"):
            run(torch.zeros(3, 4, 5, dtype=dtype), [0.5] * 3, 0.1)
        with pytest.raises(TypeError, match=rf"sigma_range: expected dtype float32 or float64, got {str(dtype)[6:]}"):
            run(torch.zeros(3, 4, 5), [0.5] * 3, torch.ones((), dtype=dtype))

    def test_dimensions_and_types(self, run: Callable[..., Tensor]) -> None:
        with pytest.raises(ValueError, match=r"x: expected at least 3 dimensions, got shape \[4, 5\]"):
            run(torch.zeros(4, 5), [0.5] * 3, 0.1)
        with pytest.raises(TypeError, match=r"x: expected a torch\.Tensor, got list"):
            run([[1.0]], [0.5] * 2, 0.1)

    def test_devices(self, run: Callable[..., Tensor]) -> None:
        with pytest.raises(ValueError, match=r"x: expected a tensor on the CPU or CUDA, got one on meta"):
            run(torch.zeros(3, 4, 5, device="meta"), [0.5] * 3, 0.1)
        with pytest.raises(ValueError, match=r"sigma_range: expected it on the device of x, cpu, got meta"):
            run(torch.zeros(3, 4, 5), [0.5] * 3, torch.zeros((), device="meta"))

    def test_guides(self) -> None:
        x = torch.zeros(3, 4, 5)
        with pytest.raises(ValueError, match=r"guide \[3, 4, 6\] does not match x \[3, 4, 5\]"):
            joint_bilateral_filter(x, torch.zeros(3, 4, 6), [0.5] * 3, 0.1)
        with pytest.raises(TypeError, match=r"guide: expected the dtype of x, float32, got float64"):
            joint_bilateral_filter(x, x.double(), [0.5] * 3, 0.1)
        with pytest.raises(TypeError, match=r"guide: expected a torch\.Tensor, got NoneType"):
            joint_bilateral_filter(x, None, [0.5] * 3, 0.1)  # type: ignore[arg-type]
