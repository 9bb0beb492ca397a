"""What only a GPU can show of the projectors: `pytest --device cuda`. Their contract runs there as well."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest
import torch
from torch import Tensor

from sinograd import FDK, Backprojection, ConeBeam, FanBeam, FlatDetector, Grid, XRayTransform, fdk, full_scan
from sinograd.phantoms import shepp_logan_3d
from sinograd.testing.operator_contract import DTYPES, distance, noise

CPU = torch.device("cpu")
AGREEMENT = {torch.float32: 1e-6, torch.float64: 1e-11}


@pytest.fixture(autouse=True)
def gpu(device: torch.device) -> torch.device:
    if device.type != "cuda":
        pytest.skip("needs a GPU: pytest --device cuda")
    return torch.device("cuda", torch.cuda.current_device()) if device.index is None else device


def cone(views: int = 24, **options: Any) -> tuple[ConeBeam, Grid]:
    """Case A of the benchmarks, smaller."""
    detector = FlatDetector((64, 64), 6.4)
    orbit: dict[str, Any] = dict(source_to_origin=1000, source_to_detector=1500, angles=full_scan(views))
    return ConeBeam.circular(**orbit, detector=detector, **options), Grid((64, 64, 64), 4.0)


def fan() -> tuple[FanBeam, Grid]:
    geometry = FanBeam.circular(
        source_to_origin=1000, source_to_detector=1500, angles=full_scan(24), detector=FlatDetector(64, 6.4)
    )
    return geometry, Grid((64, 64), 4.0)


def pairs(geometry: Any, grid: Grid) -> list[Any]:
    weighting = "fdk" if geometry.divergent else "none"
    both = XRayTransform(geometry, grid), Backprojection(geometry, grid, weighting)
    return [one for operator in both for one in (operator, operator.T)]


def test_every_scan_as_on_the_cpu(every_case: list[Any], gpu: torch.device) -> None:
    for case in every_case:
        for one in pairs(*case):
            for dtype in DTYPES:
                x = noise(one.domain_shape, 0, dtype, CPU)
                expected = one(x)
                if expected.norm() > 0:
                    assert distance(one(x.to(gpu)), expected) <= 2 * AGREEMENT[dtype], case


@pytest.mark.parametrize("turn", [{}, {"tilt": math.radians(2)}], ids=["axial", "general"])
def test_phantom_as_on_the_cpu(turn: dict[str, float], gpu: torch.device) -> None:
    geometry, grid = cone(**turn)
    phantom = shepp_logan_3d(radius=115.0)
    volume, projections = phantom.voxelize(grid), phantom.project(geometry)
    for one in pairs(geometry, grid):
        x = (
            volume
            if tuple(one.domain_shape) == grid.shape and one.domain_shape != geometry.projection_shape
            else projections
        )
        assert distance(one(x.to(gpu)), one(x)) <= 1e-6
    assert distance(fdk(projections.to(gpu), geometry, grid), fdk(projections, geometry, grid)) <= 1e-6


def test_gradients_of_fdk_as_on_the_cpu(gpu: torch.device) -> None:
    """By threads of autograd, which are new to the device."""
    geometry, grid = cone(views=12)
    projections = noise(geometry.projection_shape, 0, torch.float64, CPU)
    gradient = noise(grid.shape, 1, torch.float64, CPU)
    results = []
    for device in (CPU, gpu):
        layer = FDK(geometry, grid, trainable=("taps", "weights")).double().to(device)
        x = projections.to(device).requires_grad_()
        layer(x).backward(gradient.to(device))
        results.append([t.grad for t in (x, *layer.parameters())])
    assert all(distance(actual, expected) <= 1e-11 for expected, actual in zip(*results, strict=True))


@pytest.mark.parametrize("scan", [cone, lambda: cone(tilt=0.05), fan], ids=["axial", "general", "planar"])
class TestStreams:
    def test_same_bits_on_another_stream(self, scan: Any, gpu: torch.device) -> None:
        for one in pairs(*scan()):
            x = noise(one.domain_shape, 0, torch.float32, gpu)
            expected = one(x)
            stream = torch.cuda.Stream(gpu)
            stream.wait_stream(torch.cuda.current_stream(gpu))
            with torch.cuda.stream(stream):
                actual = one(x)
            stream.synchronize()
            assert torch.equal(actual, expected)

    def test_work_waits_for_what_its_stream_does(self, scan: Any, gpu: torch.device) -> None:
        """A kernel on another stream would read the zeros that were there before."""
        stream = torch.cuda.Stream(gpu)
        for one in pairs(*scan()):
            values = noise(one.domain_shape, 0, torch.float32, gpu)
            expected, x = one(values), torch.zeros_like(values)
            torch.cuda.synchronize(gpu)
            with torch.cuda.stream(stream):
                torch.cuda._sleep(20_000_000)
                x.copy_(values)
                actual = one(x)
            stream.synchronize()
            assert torch.equal(actual, expected)

    def test_nothing_waits_for_the_device_the_second_time(self, scan: Any, gpu: torch.device) -> None:
        for one in pairs(*scan()):
            x = noise(one.domain_shape, 0, torch.float32, gpu)
            for mode in ("default", "error"):
                torch.cuda.set_sync_debug_mode(mode)
                try:
                    one(x)
                finally:
                    torch.cuda.set_sync_debug_mode("default")

    def test_captured_in_a_graph(self, scan: Any, gpu: torch.device) -> None:
        for one in pairs(*scan()):
            x = noise(one.domain_shape, 0, torch.float32, gpu)
            other = noise(one.domain_shape, 1, torch.float32, gpu)
            expected, expected_other = one(x), one(other)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                captured = one(x)
            for values, result in ((x.clone(), expected), (other, expected_other)):
                x.copy_(values)
                graph.replay()
                assert torch.equal(captured, result)


def test_capture_without_a_first_call_says_so(gpu: torch.device) -> None:
    geometry, grid = cone(views=7)
    operator, x = XRayTransform(geometry, grid), torch.rand(grid.shape, device=gpu)
    graph = torch.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match="run the same call once before the capture"), torch.cuda.graph(graph):
        operator(x)


class TestFdk:
    """`fdk` as a whole: in a graph, and of tensors in host memory."""

    @pytest.mark.parametrize(
        "options", [{}, {"tilt": 0.05}, {"truncation": "ellipse"}], ids=["axial", "turned", "continued"]
    )
    def test_captured_in_a_graph(self, options: dict[str, Any], gpu: torch.device) -> None:
        truncation = options.get("truncation", "none")
        geometry, grid = cone(views=12, **{name: value for name, value in options.items() if name != "truncation"})
        x = noise(geometry.projection_shape, 0, torch.float32, gpu).abs()
        other = noise(geometry.projection_shape, 1, torch.float32, gpu).abs()
        expected, expected_other = (fdk(p, geometry, grid, truncation=truncation) for p in (x, other))
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = fdk(x, geometry, grid, truncation=truncation)
        for values, result in ((x.clone(), expected), (other, expected_other)):
            x.copy_(values)
            graph.replay()
            assert torch.equal(captured, result)

    def test_host_memory_whole_and_in_slabs(self, gpu: torch.device) -> None:
        geometry, grid = cone(views=48)
        projections = noise(geometry.projection_shape, 0, torch.float32, CPU)
        expected = fdk(projections, geometry, grid)
        for memory in (None, 1_200_000):
            result = fdk(projections, geometry, grid, device=gpu, memory=memory)
            assert result.device == CPU and distance(result, expected) <= 2e-6

    def test_slabs_stay_within_the_memory(self, gpu: torch.device) -> None:
        """Tensors alone; what torch keeps for later is not counted."""
        geometry, grid = cone(views=48)
        projections = noise(geometry.projection_shape, 0, torch.float32, CPU)
        memory = 1_200_000
        fdk(projections, geometry, grid, device=gpu, memory=memory)
        before = torch.cuda.memory_allocated(gpu)
        torch.cuda.reset_peak_memory_stats(gpu)
        fdk(projections, geometry, grid, device=gpu, memory=memory)
        assert torch.cuda.max_memory_allocated(gpu) - before <= memory

    def test_gradients_of_tensors_in_host_memory(self, gpu: torch.device) -> None:
        geometry, grid = cone(views=12)
        results = []
        for device in (None, gpu):
            x = noise(geometry.projection_shape, 0, torch.float64, CPU).requires_grad_()
            fdk(x, geometry, grid, device=device).square().sum().backward()
            results.append(x.grad)
        assert distance(results[1], results[0]) <= 1e-11


def test_many_threads(gpu: torch.device) -> None:
    geometry, grid = cone()
    operator, results = XRayTransform(geometry, grid), {}
    x = noise(grid.shape, 0, torch.float32, gpu)
    torch.cuda.synchronize(gpu)

    def project(number: int) -> None:
        results[number] = operator.T(operator(x)).cpu()

    threads = [threading.Thread(target=project, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(torch.equal(results[0], other) for other in results.values())


def test_every_gpu() -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    geometry, grid = cone()
    results: list[Tensor] = []
    for index in range(torch.cuda.device_count()):
        x = noise(grid.shape, 0, torch.float32, torch.device("cuda", index)).requires_grad_()
        result = XRayTransform(geometry, grid)(x)
        result.sum().backward()
        assert x.grad is not None
        results.append(torch.cat([result.detach().flatten(), x.grad.flatten()]).cpu())
    assert all(torch.equal(results[0], other) for other in results)


def test_more_than_two_to_the_31_elements(gpu: torch.device) -> None:
    """Offsets of volumes have 64 bits: the last corner of a large volume, and a volume that is no more than that."""
    free, _ = torch.cuda.mem_get_info(gpu)
    if free < 40 << 30:
        pytest.skip("needs 40 GiB of memory on the GPU")
    shape = (1300, 1300, 1300)
    center = [-(n - 8) / 2 for n in shape]
    geometry = ConeBeam.circular(
        source_to_origin=4000, source_to_detector=6000, angles=[0.3], detector=FlatDetector((64, 64), 60.0)
    )
    large, small = (
        Backprojection(geometry, Grid(shape), "fdk"),
        Backprojection(geometry, Grid((8, 8, 8), 1.0, center), "fdk"),
    )
    projections = noise(geometry.projection_shape, 0, torch.float32, gpu)
    assert distance(large(projections)[:8, :8, :8], small(projections)) <= 1e-5
    opposite = Backprojection(geometry, Grid((8, 8, 8), 1.0, [-c for c in center]), "fdk")
    assert distance(large(projections)[-8:, -8:, -8:], opposite(projections)) <= 1e-5
