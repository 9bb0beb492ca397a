"""The launch layer with nothing behind it: what a driver would be told, and in which order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from sinograd.ops.cuda import Program, kernel_launch, launch
from sinograd.ops.cuda.kernel_launch import pack

CPU = torch.device("cpu")


class TestArguments:
    def test_tensors_are_pointers_and_numbers_keep_their_types(self) -> None:
        x, empty = torch.rand(3, 4), torch.empty(0)
        values = pack((x, None, np.int64(7), np.float32(1.5), np.int32(-1), empty), CPU)
        assert values == [x.data_ptr(), 0, 7, 1.5, -1, empty.data_ptr()]
        assert [type(value) for value in values] == [int, int, np.int64, np.float32, np.int32, int]

    @pytest.mark.parametrize("number", [3, 1.5, True, "x", [1]])
    def test_python_numbers_are_refused(self, number: Any) -> None:
        """cuda.core would pass 1.5 as a double: a kernel that takes a float would read 0."""
        with pytest.raises(TypeError, match="argument 1: expected a tensor, a numpy number or None, got"):
            pack((torch.rand(2), number), CPU)

    def test_tensors_must_be_contiguous_and_on_the_device(self) -> None:
        with pytest.raises(ValueError, match=r"argument 0: expected a contiguous tensor on cpu, got strides \(1, 3\)"):
            pack((torch.rand(4, 3).T,), CPU)
        with pytest.raises(ValueError, match=r"argument 1: expected a contiguous .* on cpu, got strides .* on meta"):
            pack((torch.rand(2), torch.rand(2, device="meta")), CPU)


class Driver:
    """In the place of cuda.core and of torch's devices and streams: notes what is asked of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.stream = 11

    def core(self) -> Any:
        def device(index: int | None) -> Any:
            return SimpleNamespace(set_current=lambda: self.calls.append(("set_current", index)))

        def launch(stream: Any, config: Any, kernel: Any, *values: Any) -> None:
            self.calls.append(("launch", stream.__cuda_stream__(), config, kernel, values))

        return SimpleNamespace(Device=device, LaunchConfig=dict, launch=launch)

    @contextlib.contextmanager
    def guard(self, device: torch.device) -> Iterator[None]:
        self.calls.append(("enter", device))
        yield
        self.calls.append(("leave", device))

    def load(self, program: Program, arch: str, device: int | None) -> Any:
        self.calls.append(("load", program, arch, device))
        return SimpleNamespace(get_kernel=lambda name: name)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver()
    monkeypatch.setattr(kernel_launch, "cuda_core", driver.core)
    monkeypatch.setattr(kernel_launch, "load", driver.load)
    monkeypatch.setattr(torch.cuda, "device", driver.guard)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=driver.stream))
    return driver


def test_a_launch_makes_the_device_current_and_uses_the_stream_of_the_moment(driver: Driver) -> None:
    program, x = Program.of("k.cu", A=1), torch.rand(3)
    launch(program, "kernel", 5, (32, 8), x, np.int64(3))
    driver.stream = 12
    launch(program, "kernel", 1, (32, 8), x, np.int64(3))
    values = (x.data_ptr(), 3)
    assert driver.calls[:5] == [
        ("enter", CPU),
        ("load", program, "sm_90", None),
        ("set_current", None),
        ("launch", (0, 11), {"grid": 5, "block": (32, 8)}, "kernel", values),
        ("leave", CPU),
    ]
    assert driver.calls[8] == ("launch", (0, 12), {"grid": 1, "block": (32, 8)}, "kernel", values)


@pytest.mark.parametrize("blocks", [0, -1, 2**31])
def test_grids_that_a_gpu_cannot_run(driver: Driver, blocks: int) -> None:
    with pytest.raises(ValueError, match=f"kernel: expected 1 to 2147483647 blocks, got {blocks}"):
        launch(Program.of("k.cu"), "kernel", blocks, (32,), torch.rand(3))
    assert driver.calls == []
