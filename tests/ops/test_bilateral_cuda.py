"""The bilateral filter's CUDA kernels without a GPU: run by an emulator, compiled by NVRTC, launched on paper."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from emulated_cuda import Emulator
from sinograd.ops import bilateral_cuda
from sinograd.ops.bilateral_kernels import (
    bilateral,
    bilateral_backward,
    bilateral_backward_on_gpu,
    bilateral_on_gpu,
)
from sinograd.ops.bilateral_reference import Filtered
from sinograd.ops.window import Layout
from sinograd.testing.operator_contract import DTYPES, distance, noise

CPU = torch.device("cpu")
AGREEMENT = {torch.float32: 1e-6, torch.float64: 1e-13}

# shape, window, guided, dtype: inner blocks and borders, batches, images, windows beyond the volume
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], bool, torch.dtype]] = {
    "volume": ((8, 25, 70), (5, 5, 5), False, torch.float32),
    "volume, joint": ((5, 12, 41), (3, 5, 3), True, torch.float64),
    "batch of volumes": ((2, 1, 3, 9, 34), (3, 3, 5), False, torch.float64),
    "batch of images": ((3, 19, 67), (5, 3), True, torch.float32),
    "smaller than the window": ((2, 3, 1), (5, 5, 5), False, torch.float64),
}


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    return Emulator(tmp_path_factory.mktemp("emulated"))


class Problem:
    """Tensors of a case, and what the CPU kernels make of them."""

    def __init__(self, name: str) -> None:
        shape, self.window, guided, dtype = CASES[name]
        self.x, guide, self.gradient, self.of_normaliser = (noise(shape, seed, dtype, CPU) for seed in range(4))
        self.guide = guide if guided else None
        ndim = len(self.window)
        self.sigmas = torch.tensor([0.6, 1.1, 0.9][-ndim:], dtype=dtype), torch.tensor(0.8, dtype=dtype)
        self.layout = Layout.of(self.x, self.window)

    def expected(self, of_normaliser: Tensor | None) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        results = bilateral(self.x, self.guide, *self.sigmas, self.window)
        tensors = self.gradient, of_normaliser, self.x, self.guide, *self.sigmas, *results
        return results, bilateral_backward(*tensors, self.window)

    def actual(self, of_normaliser: Tensor | None) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        results = bilateral_on_gpu(self.x, self.guide, *self.sigmas, self.window)
        tensors = self.gradient, of_normaliser, self.x, self.guide, *self.sigmas, *results
        return results, bilateral_backward_on_gpu(*tensors, self.window)


class TestEmulated:
    @pytest.fixture(autouse=True)
    def use(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """The emulator launches, and memory from `torch.empty` is full of NaN."""
        monkeypatch.setattr(bilateral_cuda, "launch", emulator.launch)
        torch.use_deterministic_algorithms(True)
        assert torch.empty(3).isnan().all()
        yield
        torch.use_deterministic_algorithms(False)

    @pytest.mark.parametrize("name", CASES)
    def test_equals_the_kernels_of_the_cpu(self, name: str) -> None:
        """Result, normaliser and every gradient."""
        problem = Problem(name)
        for of_normaliser in (None, problem.of_normaliser):
            for wanted, got in zip(problem.expected(of_normaliser), problem.actual(of_normaliser), strict=True):
                for expected, actual in zip(wanted, got, strict=True):
                    assert actual.shape == expected.shape
                    assert actual.dtype == expected.dtype
                    if expected.norm() > 0:
                        assert (
                            distance(actual, expected) <= (10 if expected.numel() < 4 else 1) * AGREEMENT[actual.dtype]
                        )

    @pytest.mark.parametrize("name", ["volume, joint", "batch of images"])
    def test_without_staging(self, name: str, monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
        """Windows too large for shared memory are read where they lie: the same bits."""
        problem = Problem(name)
        staged = problem.actual(None)
        monkeypatch.setattr(bilateral_cuda, "SHARED_BYTES", 0)
        assert dict(bilateral_cuda.grid_of(problem.layout, problem.x.dtype, True, True).program.macros)["STAGED"] == "0"
        for wanted, got in zip(staged, problem.actual(None), strict=True):
            assert all(distance(a, b) <= 1e-7 for a, b in zip(got, wanted, strict=True))

    def test_not_contiguous(self) -> None:
        problem, other = Problem("batch of images"), Problem("batch of images")
        other.x, other.gradient = (t.mT.contiguous().mT for t in (problem.x, problem.gradient))
        assert not other.x.is_contiguous()
        for one, two in zip(problem.actual(None), other.actual(None), strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))

    def test_same_bits_every_time(self) -> None:
        problem = Problem("volume")
        first, second = problem.actual(None), problem.actual(None)
        for one, other in zip(first, second, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))

    def test_nothing_to_do_launches_nothing(self, emulator: Emulator) -> None:
        x, sigmas = torch.empty(0, 4, 5), (torch.full((2,), 0.5), torch.tensor(0.1))
        before = len(emulator.launched)
        layout = Layout.of(x, (5, 5))
        results = bilateral_cuda.forward(x, None, *sigmas, layout)
        grads = bilateral_cuda.backward(x, None, Filtered(x, None, *sigmas, *results), layout)
        assert [g.shape for g in grads] == [x.shape, (0,), (2,), ()]
        assert grads[2].abs().max() == 0
        assert len(emulator.launched) == before


class TestGrid:
    """Which program runs in how many blocks."""

    @staticmethod
    def grid(shape: tuple[int, ...], window: tuple[int, ...], dtype: torch.dtype, joint: bool, backward: bool) -> Any:
        return bilateral_cuda.grid_of(Layout.of(torch.empty(shape, device="meta"), window), dtype, joint, backward)

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("joint", [False, True])
    @pytest.mark.parametrize("backward", [False, True])
    @pytest.mark.parametrize("window", [(5, 5, 5), (1, 1, 1), (11, 11, 11), (51, 51, 51), (5, 5)])
    def test_blocks_cover_the_volume_and_tiles_fit(
        self, window: tuple[int, ...], backward: bool, joint: bool, dtype: torch.dtype
    ) -> None:
        shape = (2, 30, 70, 100)
        grid = self.grid(shape, window, dtype, joint, backward)
        macros = dict(grid.program.macros)
        rows, outputs, staged = (int(macros[name]) for name in ("ROWS", "OUTPUTS", "STAGED"))
        assert grid.threads == (32, rows)
        depth = 30 if len(window) == 3 else 1
        assert grid.blocks == 60 // depth * math.ceil(depth / outputs) * math.ceil(70 / rows) * 4
        assert outputs == 1 or depth > 1
        radii = [int(macros[f"RADIUS_{axis}"]) for axis in "ZYX"]
        assert radii == [0] * (3 - len(window)) + [w // 2 for w in window][-3:]
        assert (macros["REAL"], macros["JOINT"], macros["BACKWARD"]) == (
            "float" if dtype == torch.float32 else "double",
            str(int(joint)),
            str(int(backward)),
        )
        tile = math.prod(n + 2 * r for n, r in zip((outputs, rows, 32), radii, strict=True))
        arrays = (3 if backward else 1) + joint
        used = arrays * tile * dtype.itemsize + (8 * 32 * rows if backward else 0)
        assert used <= 48 * 1024 or not staged
        assert staged or max(window) > 5

    def test_the_papers_window_is_staged_four_deep(self) -> None:
        for backward in (False, True):
            macros = dict(self.grid((21, 512, 512), (5, 5, 5), torch.float32, False, backward).program.macros)
            assert (macros["STAGED"], macros["OUTPUTS"], macros["ROWS"]) == ("1", "4", "8")

    def test_windows_are_cut_to_the_volume(self) -> None:
        macros = dict(self.grid((2, 512, 512), (5, 5, 5), torch.float32, False, False).program.macros)
        assert macros["RADIUS_Z"] == "1"

    def test_equal_filters_share_a_program(self) -> None:
        small, large = (self.grid(shape, (5, 5, 5), torch.float32, False, True) for shape in ((9, 9, 9), (99, 50, 60)))
        assert small.program == large.program
        assert hash(small.program) == hash(large.program)
        others = [
            self.grid((9, 9, 9), (5, 5, 7), torch.float32, False, True),
            self.grid((9, 9, 9), (5, 5, 5), torch.float64, False, True),
            self.grid((9, 9, 9), (5, 5, 5), torch.float32, True, True),
            self.grid((9, 9, 9), (5, 5, 5), torch.float32, False, False),
        ]
        assert len({grid.program for grid in (small, *others)}) == 5


@pytest.mark.parametrize(
    ("arch", "dtype", "joint"),
    [
        ("sm_75", torch.float32, False),
        ("sm_80", torch.float64, True),
        ("sm_90", torch.float32, True),
        ("sm_100", torch.float32, False),
        ("sm_120", torch.float64, False),
    ],
)
def test_compiles_for_every_generation(arch: str, dtype: torch.dtype, joint: bool) -> None:
    """NVRTC needs no GPU for that. The kernels are in the code, under their names."""
    pytest.importorskip("cuda.core", reason="needs cuda-core: pip install 'sinograd[cuda]'")
    layout = Layout.of(torch.empty(9, 30, 40, device="meta"), (5, 5, 5))
    for backward, names in (
        (False, ["bilateral_forward"]),
        (True, ["bilateral_pull_back", "bilateral_backward", "bilateral_sigmas"]),
    ):
        code = bilateral_cuda.grid_of(layout, dtype, joint, backward).program.compile(arch)
        assert code.code_type == "cubin"
        assert all(f".text.{name}".encode() in bytes(code.code) for name in names)


def test_the_operators_know_the_device() -> None:
    for name in ("bilateral", "bilateral_backward"):
        assert torch._C._dispatch_has_kernel_for_dispatch_key(f"sinograd::{name}", "CUDA")


class TestOnGpu:
    """What only a GPU can show: `pytest --device cuda`."""

    @pytest.fixture(autouse=True)
    def gpu(self, device: torch.device) -> torch.device:
        if device.type != "cuda":
            pytest.skip("needs a GPU: pytest --device cuda")
        return device

    @staticmethod
    def everything(problem: Problem, device: torch.device) -> list[Tensor]:
        """Result and gradients through autograd, whose threads are new to the device."""
        x, guide, gradient, *sigmas = (
            None if t is None else t.to(device) for t in (problem.x, problem.guide, problem.gradient, *problem.sigmas)
        )
        leaves = [t.requires_grad_() for t in (x, guide, *sigmas) if t is not None]
        result, _ = bilateral(x, guide, *sigmas, problem.window)  # type: ignore[arg-type]
        return [t.cpu() for t in (result.detach(), *torch.autograd.grad(result, leaves, gradient))]

    @pytest.mark.parametrize("name", CASES)
    def test_equals_the_cpu(self, name: str, gpu: torch.device) -> None:
        problem = Problem(name)
        for actual, expected in zip(self.everything(problem, gpu), self.everything(problem, CPU), strict=True):
            sums = 10 if expected.numel() < 4 else 1
            assert distance(actual, expected) <= sums * AGREEMENT[actual.dtype]

    def test_same_bits_on_another_stream(self, gpu: torch.device) -> None:
        problem = Problem("volume")
        expected = self.everything(problem, gpu)
        with torch.cuda.stream(torch.cuda.Stream(gpu)):
            actual = self.everything(problem, gpu)
        assert all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))

    def test_nothing_waits_for_the_device(self, gpu: torch.device) -> None:
        problem = Problem("volume")
        x, *sigmas = (t.to(gpu).requires_grad_() for t in (problem.x, *problem.sigmas))
        gradient = problem.gradient.to(gpu)
        for mode in ("default", "error"):  # once to compile
            torch.cuda.set_sync_debug_mode(mode)
            try:
                bilateral(x, None, *sigmas, problem.window)[0].backward(gradient)
            finally:
                torch.cuda.set_sync_debug_mode("default")

    def test_captured_in_a_graph(self, gpu: torch.device) -> None:
        problem = Problem("volume")
        x, *sigmas = (t.to(gpu) for t in (problem.x, *problem.sigmas))
        expected, _ = bilateral(x, None, *sigmas, problem.window)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured, _ = bilateral(x, None, *sigmas, problem.window)
        captured.zero_()
        graph.replay()
        assert torch.equal(captured, expected)
