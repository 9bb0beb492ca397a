"""Numbers on a device, copied once. The meta device stands for a GPU."""

from __future__ import annotations

import pytest
import torch

from sinograd.ops import device_cache
from sinograd.ops.device_cache import DeviceCache, constants, on_device

META = torch.device("meta")
LIKE = torch.empty(0, device=META)


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "kept", type(constants.kept)())
    monkeypatch.setattr(constants, "captured", {})


def test_equal_numbers_are_copied_once() -> None:
    numbers = torch.rand(3, 4, dtype=torch.float64)
    first = on_device(numbers, LIKE)
    assert (first.device, first.dtype, first.shape) == (META, torch.float32, (3, 4))
    assert on_device(numbers.clone(), LIKE) is first
    assert on_device(numbers.T.contiguous().T, LIKE) is first
    assert on_device(numbers.view(4, 3), LIKE) is not first
    assert on_device(numbers, LIKE.double()) is not first
    numbers[0, 0] += 1
    assert on_device(numbers, LIKE) is not first


def test_on_the_cpu_nothing_is_kept() -> None:
    numbers = torch.rand(3)
    assert on_device(numbers, torch.empty(0)) is numbers
    assert on_device(numbers, torch.empty(0, dtype=torch.float64)).dtype == torch.float64
    assert not constants.kept


def test_gradients_flow() -> None:
    numbers = torch.rand(3, requires_grad=True)
    assert on_device(numbers, LIKE).grad_fn is not None
    with torch.no_grad():
        assert on_device(numbers, LIKE) is on_device(numbers.detach(), LIKE)


def test_copies_made_in_inference_mode_serve_training() -> None:
    numbers = torch.rand(3)
    with torch.inference_mode():
        copy = on_device(numbers, LIKE)
    assert on_device(numbers, LIKE) is copy and not copy.is_inference()


def test_the_oldest_make_room_by_size() -> None:
    cache = DeviceCache[torch.Tensor](100, "testing", lambda entry: entry, lambda entry: entry.nbytes)

    def find(key: bytes, count: int) -> torch.Tensor:
        return cache.find(key, META, lambda: torch.empty(count))

    first = find(b"a", 10)
    second = find(b"b", 10)
    assert find(b"a", 10) is first
    find(b"c", 10)
    assert [key for _, key in cache.kept] == [b"a", b"c"] and find(b"b", 10) is not second
    find(b"large", 1000)
    assert [key for _, key in cache.kept] == [b"large"]


def test_graphs_keep_theirs_and_want_a_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "size", 1)
    numbers = torch.rand(5)
    first = on_device(numbers, LIKE)
    with monkeypatch.context() as graph:
        graph.setattr(device_cache, "capturing", lambda device: True)
        with pytest.raises(RuntimeError, match="once before the capture of a CUDA graph begins: copying numbers"):
            on_device(numbers + 1, LIKE)
        assert on_device(numbers, LIKE) is first
    on_device(numbers + 1, LIKE)
    assert len(constants.kept) == 1 and on_device(numbers, LIKE) is first
