"""How the bilateral filter is called: layouts, dtypes, batches, threads, tracing, windows, bad input."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from bilateral_cases import CPU, GUIDED, Problem
from sinograd.ops import bilateral_filter, joint_bilateral_filter
from sinograd.ops.bilateral_kernels import bilateral, bilateral_backward
from sinograd.testing.operator_contract import DTYPES, noise, per_dtype


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
