"""`OperatorContract`: what every linear operator must pass, whatever it computes and on whatever device.

A pytest class subclasses it, in this package or in another one:

    import torch
    from sinograd.testing import OperatorContract
    from my_package import Blur

    class TestBlur(OperatorContract):
        cases = {"tiny": (3, 4), "usual": (20, 30)}  # small ones first; left out: `make(None)`

        def make(self, case): return Blur(case)       # the operator
        def reference(self, operator, x): return slow_blur(x)  # its truth in float64, however slow

An operator is a `sinograd.LinearOperator`, or any `torch.nn.Module` with `operator(x)`, `operator.T`,
`operator.domain_shape` and `operator.range_shape` that takes float32 and float64. More that a class may say:

- `domain`, `range`: what its error messages call the two sides ("x" and "y" by default),
- `custom_ops(operator)`: the torch custom ops under it, with arguments; none by default,
- `tiny_cases`, `large_cases`: of so few elements that each can be tried; more than one thread's share. By default
  the first and the last of the cases.

Operators that differ in numbers only from one under the full contract subclass `ExactnessContract`. The option
`--device` of pytest, where a conftest.py adds it, says where to compute.
"""

from __future__ import annotations

import copy
import itertools
import pickle
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

DTYPES = (torch.float32, torch.float64)
SEEDS = range(7)

# |<Ax, y> - <x, A^T y>| / ||Ax * y||, and the distance to the reference relative to its size
ADJOINT_TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-13}
REFERENCE_TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-10}


def noise(shape: Sequence[int], seed: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers of mean zero: the same for every dtype, device and order of the tests."""
    values = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return values.to(device, dtype)


def distance(actual: Tensor, expected: Tensor) -> float:
    """Root mean square of the difference over that of what is expected."""
    actual, expected = actual.detach().double().cpu(), expected.detach().double().cpu()
    assert actual.shape == expected.shape
    assert expected.norm() > 0, "nothing to compare with"
    return ((actual - expected).norm() / expected.norm()).item()


def adjoint_error(operator: Any, seed: int, dtype: torch.dtype, device: torch.device) -> float:
    """|<Ax, y> - <x, A^T y>| / ||Ax * y||_2, summed in float64."""
    x = noise(operator.domain_shape, 2 * seed, dtype, device)
    y = noise(operator.range_shape, 2 * seed + 1, dtype, device)
    forward = operator(x).double() * y.double()
    backward = x.double() * operator.T(y).double()
    return ((forward.sum() - backward.sum()).abs() / forward.norm()).item()


def per_dtype(test: Any) -> Any:
    return pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])(test)


class ExactnessContract:
    """The numbers: adjoint, reference, bits and gradients."""

    seeds: Sequence[int] = SEEDS
    fast_gradcheck = False  # random directions in place of every entry
    cases: Mapping[str, Any] | None = None
    tiny_cases: Mapping[str, Any] | None = None
    large_cases: Mapping[str, Any] | None = None

    def make(self, case: Any) -> Any:
        raise NotImplementedError("a contract says how to make its operator")

    def reference(self, operator: Any, x: Tensor) -> Tensor:
        raise NotImplementedError("a contract says what its operator computes")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Parametrizes with the cases of the class, where it has any."""
        if not self.cases:
            return
        labels = [*self.cases]
        tiny = self.tiny_cases or {labels[0]: self.cases[labels[0]]}
        large = self.large_cases or {labels[-1]: self.cases[labels[-1]]}
        for name, cases in (("case", self.cases), ("tiny_case", tiny), ("large_case", large)):
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, [*cases.values()], ids=[*cases])

    @pytest.fixture
    def case(self) -> Any:
        return None

    @pytest.fixture
    def tiny_case(self) -> Any:
        return None

    @pytest.fixture
    def large_case(self) -> Any:
        return None

    @pytest.fixture
    def device(self, pytestconfig: pytest.Config) -> torch.device:
        return torch.device(str(pytestconfig.getoption("--device", default="cpu")))

    @pytest.fixture
    def operator(self, case: Any) -> Any:
        return self.make(case)

    @pytest.fixture
    def tiny_operator(self, tiny_case: Any) -> Any:
        return self.make(tiny_case)

    @pytest.fixture
    def large_operator(self, large_case: Any) -> Any:
        return self.make(large_case)

    @pytest.fixture
    def threads(self) -> Iterator[None]:
        before = torch.get_num_threads()
        yield
        torch.set_num_threads(before)

    @per_dtype
    def test_adjoint(self, operator: Any, dtype: torch.dtype, device: torch.device) -> None:
        errors = [adjoint_error(operator, seed, dtype, device) for seed in self.seeds]
        assert statistics.median(errors) <= ADJOINT_TOLERANCE[dtype]

    def test_reference(self, operator: Any, device: torch.device) -> None:
        expected = self.reference(operator, noise(operator.domain_shape, 0, torch.float64, torch.device("cpu")))
        for dtype in DTYPES:
            actual = operator(noise(operator.domain_shape, 0, dtype, device))
            assert (actual.dtype, actual.device.type) == (dtype, device.type)
            assert distance(actual, expected) <= REFERENCE_TOLERANCE[dtype]

    def test_precision_of_the_adjoint(self, operator: Any, device: torch.device) -> None:
        """The adjoint in float32 is that in float64, which `test_adjoint` ties to the reference."""
        exact = operator.T(noise(operator.range_shape, 1, torch.float64, device))
        actual = operator.T(noise(operator.range_shape, 1, torch.float32, device))
        assert distance(actual, exact) <= REFERENCE_TOLERANCE[torch.float32]

    def test_linear(self, operator: Any, device: torch.device) -> None:
        for one in (operator, operator.T):
            x, y = (noise(one.domain_shape, seed, torch.float64, device) for seed in (0, 1))
            assert distance(one(2.5 * x - 0.75 * y), 2.5 * one(x) - 0.75 * one(y)) <= 1e-13
            assert one(torch.zeros_like(x)).abs().max() == 0

    @per_dtype
    def test_same_bits_however_often_and_at_any_number_of_threads(
        self, large_operator: Any, threads: None, dtype: torch.dtype, device: torch.device
    ) -> None:
        for one in (large_operator, large_operator.T):
            x = noise(one.domain_shape, 0, dtype, device)
            kept = x.clone()
            results = []
            for count in (1, 2, 2, 3):
                torch.set_num_threads(count)
                results.append(one(x))
            assert all(torch.equal(results[0], other) for other in results[1:])
            assert torch.equal(x, kept)

    def test_gradients_are_the_adjoint_and_the_operator(self, operator: Any, device: torch.device) -> None:
        for one in (operator, operator.T):
            x = noise(one.domain_shape, 0, torch.float64, device).requires_grad_()
            y = noise(one.range_shape, 1, torch.float64, device).requires_grad_()
            (gradient,) = torch.autograd.grad(one(x), x, y, create_graph=True)
            assert torch.equal(gradient, one.T(y))
            (second,) = torch.autograd.grad(gradient, y, x)
            assert torch.equal(second, one(x))

    def test_gradcheck(self, tiny_operator: Any, device: torch.device) -> None:
        """Every derivative of first and second order against finite differences."""
        for one in (tiny_operator, tiny_operator.T):
            x = noise(one.domain_shape, 0, torch.float64, device).requires_grad_()
            assert torch.autograd.gradcheck(one, x, fast_mode=self.fast_gradcheck)
            assert torch.autograd.gradgradcheck(one, x, fast_mode=self.fast_gradcheck)

    def test_forward_mode(self, tiny_operator: Any, device: torch.device) -> None:
        """The tangent of a linear operator at t is the operator of t: by `torch.func`, by dual numbers, nested."""
        for one in (tiny_operator, tiny_operator.T):
            x, t = (noise(one.domain_shape, seed, torch.float64, device) for seed in (0, 1))
            value, tangent, *_ = torch.func.jvp(one, (x,), (t,))
            assert distance(value, one(x)) <= 1e-13
            assert distance(tangent, one(t)) <= 1e-13
            with forward_ad.dual_level():
                tangent = forward_ad.unpack_dual(one(forward_ad.make_dual(x, t))).tangent
            assert tangent is not None
            assert distance(tangent, one(t)) <= 1e-13

            def along(x: Tensor, one: Any = one, t: Tensor = t) -> Tensor:
                return torch.func.jvp(lambda x: one(x).square(), (x,), (t,))[1]

            assert distance(torch.func.jvp(along, (x,), (t,))[1], 2 * one(t).square()) <= 1e-13

    def test_transforms(self, tiny_operator: Any, device: torch.device) -> None:
        """Gradients, products with the Hessian and batches by `torch.func`."""
        for one in (tiny_operator, tiny_operator.T):
            batch = noise((3, *one.domain_shape), 0, torch.float64, device)
            gradient = torch.func.grad(lambda x, one=one: one(x).square().sum())
            expected = 2 * one.T(one(batch))
            assert distance(gradient(batch), expected) <= 1e-13
            assert distance(torch.func.vmap(gradient)(batch), expected) <= 1e-13
            assert distance(torch.func.vmap(one, 1)(batch.movedim(0, 1)), one(batch)) <= 1e-13
            assert (
                distance(torch.func.jvp(gradient, (batch,), (batch[:1].expand(batch.shape),))[1][2], expected[0])
                <= 1e-13
            )

    def test_matrix_of_the_adjoint_is_the_transpose(self, tiny_operator: Any, device: torch.device) -> None:
        """Entry by entry; nothing is hidden in a sum."""

        def matrix(one: Any) -> Tensor:
            size = torch.Size(one.domain_shape).numel()
            basis = torch.eye(size, dtype=torch.float64, device=device).reshape(size, *one.domain_shape)
            return one(basis).flatten(1).T

        forward, backward = matrix(tiny_operator), matrix(tiny_operator.T)
        assert (forward - backward.T).abs().max() <= 1e-15 * forward.abs().max()


class OperatorContract(ExactnessContract):
    """The numbers and the interface: batches, memory layouts, dtypes, messages, modules, tracing."""

    domain = "x"
    range = "y"

    def custom_ops(self, operator: Any) -> list[tuple[Any, tuple[Any, ...]]]:
        return []

    def test_custom_ops(self, tiny_operator: Any) -> None:
        """Torch's own checks: schema, autograd registration, shapes without data, tracing with dynamic shapes."""
        for op, arguments in self.custom_ops(tiny_operator):
            torch.library.opcheck(op, arguments)

    @pytest.mark.parametrize("batch", [(), (3,), (2, 3), (1, 1, 2), (0,), (2, 0)], ids=str)
    def test_batch(self, tiny_operator: Any, batch: tuple[int, ...], device: torch.device) -> None:
        """Leading dimensions are looped over."""
        for one in (tiny_operator, tiny_operator.T):
            x = noise((*batch, *one.domain_shape), 0, torch.float32, device)
            result = one(x)
            assert result.shape == (*batch, *one.range_shape)
            for index in itertools.product(*map(range, batch)):
                assert torch.equal(result[index], one(x[index]))

    def test_gradient_of_a_batch(self, tiny_operator: Any, device: torch.device) -> None:
        for one, batch in itertools.product((tiny_operator, tiny_operator.T), [(2, 3), (0,)]):
            x = noise((*batch, *one.domain_shape), 0, torch.float64, device).requires_grad_()
            y = noise((*batch, *one.range_shape), 1, torch.float64, device)
            (gradient,) = torch.autograd.grad(one(x), x, y)
            assert torch.equal(gradient, one.T(y))

    def test_not_contiguous(self, tiny_operator: Any, device: torch.device) -> None:
        for one in (tiny_operator, tiny_operator.T):
            x = noise((2, 2, *one.domain_shape), 0, torch.float32, device)
            expected = one(x)
            every = [*range(x.ndim)]
            for order in ([1, 0, *every[2:]], every[::-1]):
                back = [order.index(axis) for axis in every]
                permuted = x.permute(order).contiguous().permute(back)
                assert not permuted.is_contiguous()
                assert torch.equal(one(permuted), expected)
            wide = torch.stack([x, -x], dim=-1)[..., 0]
            assert torch.equal(one(wide), expected)
            constant = x[:1, :1, ..., :1].expand(x.shape)
            assert torch.equal(one(constant), one(constant.contiguous()))

    def test_gradients_without_memory_of_their_own(self, tiny_operator: Any, device: torch.device) -> None:
        """`.sum().backward()` hands back one number for all elements, `.mT` a transposed gradient."""
        for one in (tiny_operator, tiny_operator.T):
            x = noise((2, *one.domain_shape), 0, torch.float32, device).requires_grad_()
            ones = torch.ones(2, *one.range_shape, device=device)
            one(x).sum().backward()
            assert x.grad is not None
            assert torch.equal(x.grad, one.T(ones))
            y = noise(one.range_shape, 1, torch.float32, device)
            (gradient,) = torch.autograd.grad(one(x[0]).mT, x, y.mT.contiguous())
            assert torch.equal(gradient[0], one.T(y))

    def test_no_graph_is_kept_without_need(self, tiny_operator: Any, device: torch.device) -> None:
        x = noise(tiny_operator.domain_shape, 0, torch.float32, device)
        assert not tiny_operator(x).requires_grad
        with torch.no_grad():
            assert not tiny_operator(x.requires_grad_()).requires_grad
        assert tiny_operator(x).requires_grad
        with torch.inference_mode():
            assert torch.equal(tiny_operator(x.detach()), tiny_operator(x))

    @pytest.mark.parametrize(
        "dtype", [torch.int64, torch.float16, torch.bfloat16, torch.bool, torch.complex64], ids=str
    )
    def test_other_dtypes_are_refused(self, tiny_operator: Any, dtype: torch.dtype, device: torch.device) -> None:
        for one, name in self.sides(tiny_operator):
            with pytest.raises(TypeError, match=rf"{name}.*float32 or float64.*{str(dtype).removeprefix('torch.')}"):
                one(torch.zeros(one.domain_shape, dtype=dtype, device=device))

    def test_autocast_casts_to_float32(self, tiny_operator: Any, device: torch.device) -> None:
        for one, dtype in itertools.product(
            (tiny_operator, tiny_operator.T), (torch.float32, torch.bfloat16, torch.float16)
        ):
            x = noise(one.domain_shape, 0, dtype, device).requires_grad_()
            with torch.autocast(device.type, torch.bfloat16):
                result = one(x)
            assert result.dtype == torch.float32
            assert torch.equal(result, one(x.float()))
            result.sum().backward()
            assert x.grad is not None
            assert x.grad.dtype == dtype

    def test_wrong_shapes_name_the_argument(self, tiny_operator: Any, device: torch.device) -> None:
        for one, name in self.sides(tiny_operator):
            shape = one.domain_shape
            wrong = [(*shape[:axis], shape[axis] + 1, *shape[axis + 1 :]) for axis in range(len(shape))]
            for bad in [*wrong, (3, *wrong[0]), shape[1:], (), (0,)]:
                with pytest.raises(ValueError, match=name) as caught:
                    one(torch.zeros(bad, device=device))
                assert str(list(bad)) in str(caught.value)

    def test_what_is_no_tensor_is_refused(self, tiny_operator: Any) -> None:
        for one, name in self.sides(tiny_operator):
            with pytest.raises(TypeError, match=rf"{name}.*Tensor.*list"):
                one([1.0, 2.0])

    def test_transpose(self, tiny_operator: Any) -> None:
        adjoint = tiny_operator.T
        assert adjoint.T is tiny_operator
        assert (adjoint.domain_shape, adjoint.range_shape) == (
            tiny_operator.range_shape,
            tiny_operator.domain_shape,
        )

    def test_module(self, tiny_operator: Any, device: torch.device) -> None:
        """A layer without parameters, alone and in a sequence."""
        x = noise(tiny_operator.domain_shape, 0, torch.float32, device)
        assert isinstance(tiny_operator, nn.Module)
        assert isinstance(tiny_operator.T, nn.Module)
        assert not list(tiny_operator.parameters())
        both = nn.Sequential(tiny_operator, tiny_operator.T)
        assert torch.equal(both(x), tiny_operator.T(tiny_operator(x)))

    @pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
    def test_copies(self, tiny_operator: Any, how: Any, device: torch.device) -> None:
        for one in (tiny_operator, tiny_operator.T):
            twin = how(one)
            x = noise(one.domain_shape, 0, torch.float32, device)
            assert twin is not one
            assert repr(twin) == repr(one)
            assert torch.equal(twin(x), one(x))
            assert torch.equal(twin.T(one(x)), one.T(one(x)))

    def test_repr(self, tiny_operator: Any) -> None:
        assert repr(tiny_operator).startswith(f"{type(tiny_operator).__name__}(")
        assert repr(tiny_operator) in repr(tiny_operator.T).replace("\n  ", "\n")

    def test_compiles(self, tiny_operator: Any, device: torch.device) -> None:
        """Traced as one graph, forwards and backwards."""
        torch._dynamo.reset()
        for one in (tiny_operator, tiny_operator.T):
            compiled = torch.compile(lambda x, one=one: one(2 * x), fullgraph=True, backend="aot_eager")
            x = noise(one.domain_shape, 0, torch.float32, device).requires_grad_()
            y = noise(one.range_shape, 1, torch.float32, device)
            result = compiled(x)
            assert torch.equal(result, one(2 * x))
            (gradient,) = torch.autograd.grad(result, x, y)
            assert torch.equal(gradient, 2 * one.T(y))

    def sides(self, operator: Any) -> list[tuple[Any, str]]:
        """Operator and adjoint, with what each calls its argument."""
        return [(operator, self.domain), (operator.T, self.range)]
