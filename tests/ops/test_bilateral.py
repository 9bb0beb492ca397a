"""The bilateral filter against a double loop, other libraries, exact limits and finite differences."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from skimage.restoration import denoise_bilateral
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from bilateral_cases import AGREEMENT, CPU, EVERY_CASE, GUIDED, TOLERANCE, Problem, error
from sinograd import _native
from sinograd.ops import bilateral_filter, joint_bilateral_filter
from sinograd.ops.bilateral_kernels import bilateral, bilateral_backward
from sinograd.ops.bilateral_reference import bilateral_backward_reference, bilateral_reference, pull_back_normalisation
from sinograd.testing.operator_contract import noise, per_dtype


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
