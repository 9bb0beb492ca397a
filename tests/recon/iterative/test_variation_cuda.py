"""Total variation's CUDA kernels: run by an emulator, compiled by NVRTC. Truth: the kernels of the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from emulated_cuda import Emulator
from sinograd.recon import tv_denoise
from sinograd.recon.iterative import variation_cuda
from sinograd.recon.iterative.total_variation import TotalVariation
from sinograd.testing.operator_contract import DTYPES, distance

AGREEMENT = {torch.float32: 1e-6, torch.float64: 1e-14}

# Shape with its batch, spacing: more and fewer voxels than a block, axes of one voxel, batches.
CASES: dict[str, tuple[tuple[int, ...], tuple[float, ...]]] = {
    "rows": ((2, 3, 300), (1.0,)),
    "images": ((3, 19, 70), (1.0, 2.0)),
    "volume": ((5, 9, 33), (2.0, 1.0, 1.5)),
    "volumes": ((2, 2, 3, 4, 5), (1.0, 1.0, 1.0)),
    "axes of one voxel": ((1, 8, 1), (1.0, 1.0, 1.0)),
}


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    return Emulator(tmp_path_factory.mktemp("emulated"))


class Problem:
    """Images, a dual that is a gradient's (0 at the ends), and what lies ahead of it."""

    def __init__(self, name: str, dtype: torch.dtype) -> None:
        shape, spacing = CASES[name]
        self.variation = TotalVariation(spacing)
        generator = torch.Generator().manual_seed(3)
        draw = lambda *n: torch.randn(n, generator=generator, dtype=torch.float64).to(dtype)  # noqa: E731
        self.x = draw(*shape)
        self.dual, self.ahead = (self._ended(draw(len(spacing), *shape)) for _ in range(2))
        self.layout = self.variation._layout(self.x)

    def _ended(self, field: Tensor) -> Tensor:
        for axis in range(len(field)):
            field[axis].narrow(axis - len(field), -1, 1).zero_()
        return field


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
class TestEmulated:
    @pytest.fixture(autouse=True)
    def use(self, emulator: Emulator, backwards: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """The emulator launches, and memory from `torch.empty` is full of NaN."""
        monkeypatch.setattr(variation_cuda, "launch", emulator.launch)
        emulator.backwards = backwards
        torch.use_deterministic_algorithms(True)
        yield
        torch.use_deterministic_algorithms(False)
        emulator.backwards = False

    def test_value(self, name: str, dtype: torch.dtype) -> None:
        problem = Problem(name, dtype)
        for smoothing in (0.0, 0.3):
            found = variation_cuda.value(problem.x, problem.layout, smoothing)
            expected = problem.variation.value(problem.x, smoothing).flatten()
            assert found.dtype == torch.float64 and distance(found, expected) <= AGREEMENT[dtype]

    def test_descend(self, name: str, dtype: torch.dtype) -> None:
        """Into another image, and in place."""
        problem = Problem(name, dtype)
        bounds = (-0.9, 1.1)
        expected = problem.variation.descend(problem.x, problem.dual, 0.7, torch.empty_like(problem.x), bounds)
        for out in (torch.empty_like(problem.x), problem.x):
            variation_cuda.descend(problem.x, problem.dual, out, problem.layout, 0.7, bounds)
            assert distance(out, expected) <= AGREEMENT[dtype]

    def test_ascend(self, name: str, dtype: torch.dtype) -> None:
        """From ahead with momentum; and from the dual itself, without."""
        found, wanted = Problem(name, dtype), Problem(name, dtype)
        variation_cuda.ascend(found.x, found.dual, found.ahead, found.layout, 0.3, 0.8, 0.4)
        wanted.variation.ascend_(wanted.dual, wanted.x, 0.3, 0.8, wanted.ahead, 0.4)
        assert distance(found.dual, wanted.dual) <= AGREEMENT[dtype]
        assert distance(found.ahead, wanted.ahead) <= AGREEMENT[dtype]
        variation_cuda.ascend(found.x, found.dual, found.dual, found.layout, 0.3, 0.8, 0.0)
        wanted.variation.ascend_(wanted.dual, wanted.x, 0.3, 0.8)
        assert distance(found.dual, wanted.dual) <= AGREEMENT[dtype]


def test_numbers_that_are_not(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN stays within bounds, as on the CPU."""
    monkeypatch.setattr(variation_cuda, "launch", emulator.launch)
    problem, out = Problem("images", torch.float32), torch.empty(3, 19, 70)
    problem.x[0, 4, 5] = torch.nan
    variation_cuda.descend(problem.x, problem.dual, out, problem.layout, 0.7, (-0.9, 1.1))
    assert out.isnan().nonzero().tolist() == [[0, 4, 5]]


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"])
def test_compiles_for_every_generation(arch: str) -> None:
    """NVRTC needs no GPU for that."""
    pytest.importorskip("cuda.core", reason="needs cuda-core: pip install 'sinograd[cuda]'")
    for name, dtype in (("rows", torch.float64), ("images", torch.float32), ("volume", torch.float32)):
        problem = Problem(name, dtype)
        program, _, _ = variation_cuda._grid(problem.x, problem.layout)
        code = program.compile(arch)
        assert all(f".text.variation_{part}".encode() in bytes(code.code) for part in ("value", "ascend", "descend"))


@pytest.mark.parametrize("name", CASES)
def test_on_a_gpu(name: str, device: torch.device) -> None:
    if device.type != "cuda":
        pytest.skip("needs a GPU: pytest --device cuda")
    problem = Problem(name, torch.float32)
    found = tv_denoise(problem.x.to(device), 0.4, spacing=problem.variation.factors, iterations=20)
    expected = tv_denoise(problem.x, 0.4, spacing=problem.variation.factors, iterations=20)
    assert distance(found.cpu(), expected) <= 1e-5
    assert torch.equal(problem.variation.value(found), problem.variation.value(found))
