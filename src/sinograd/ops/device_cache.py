"""What work needs beside its arrays, in the memory of the device and kept there from call to call.

Only the first call of its kind copies anything, so that later ones do not wait and can be captured in a CUDA graph.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

from sinograd.ops.cuda.program import WARM_UP, capturing
from sinograd.ops.derivatives import recorded

T = TypeVar("T")


class DeviceCache(Generic[T]):
    """The entries used last, found by a key; those that a CUDA graph has captured stay, as it reads them when replayed.

    Args:
        size: of all entries together; the newest stays whatever its size.
        what: words for what making an entry does.
        buffer: the tensor of an entry whose memory the whole entry lies in.
        size_of: the size of an entry.
    """

    def __init__(
        self, size: int, what: str, buffer: Callable[[T], Tensor], size_of: Callable[[T], int] = lambda entry: 1
    ) -> None:
        self.size, self._what, self._buffer, self._size_of = size, what, buffer, size_of
        self.kept: OrderedDict[tuple[str, bytes], T] = OrderedDict()
        self.captured: dict[tuple[str, bytes], T] = {}
        self._lock = threading.Lock()

    def find(self, key: bytes, device: torch.device, make: Callable[[], T]) -> T:
        """The entry of a key on the device, ready for its current stream.

        Raises:
            RuntimeError: a graph is being captured and the entry is new.
        """
        place = str(device), key
        recording = capturing(device)
        with self._lock:
            entry = self.kept[place] if place in self.kept else self.captured.get(place)
            if entry is None:
                if recording:
                    raise RuntimeError(WARM_UP.format(self._what))
                entry = make()
            if recording:
                self.captured[place] = entry
            elif device.type == "cuda":  # memory is not given to others before this stream is done with it
                self._buffer(entry).record_stream(torch.cuda.current_stream(device))
            self.kept[place] = entry
            self.kept.move_to_end(place)
            while len(self.kept) > 1 and sum(map(self._size_of, self.kept.values())) > self.size:
                self.kept.popitem(last=False)
        return entry


def _same(tensor: Tensor) -> Tensor:
    return tensor


constants: DeviceCache[Tensor] = DeviceCache(
    256 << 20, "copying numbers to the GPU", _same, lambda tensor: tensor.nbytes
)
"""Up to 256 MiB; found by their values."""


def on_device(numbers: Tensor, like: Tensor) -> Tensor:
    """Numbers with the device and dtype of another tensor, not to be written to.

    From the CPU to a GPU equal numbers are copied once and then kept. Numbers whose gradients are asked for are not.
    """
    if like.device.type == "cpu" or numbers.device.type != "cpu" or recorded(numbers):
        return numbers.to(like)
    host = numbers.detach().to(like.dtype).contiguous()
    digest = hashlib.blake2b(repr((*host.shape, host.dtype)).encode())
    digest.update(host.numpy().data)
    return constants.find(digest.digest(), like.device, lambda: _copied(host, like.device))


def _copied(host: Tensor, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # what is made inside cannot be kept for a backward pass
        return host.to(device)
