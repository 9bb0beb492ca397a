"""Arrays that were read lately, up to a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np


class ArrayCache:
    """A least-recently-used cache of arrays; several threads may use it.

    Args:
        most_bytes: that all arrays together may have. A larger array is returned and not kept.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._held: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

    @property
    def nbytes(self) -> int:
        """Of all arrays."""
        with self._lock:
            return sum(array.nbytes for array in self._held.values())

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of a key, made if it is missing; threads that ask for the same one wait for the first."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._held:
                    self._held.move_to_end(key)
                    return self._held[key]
            try:
                array = make()
            finally:
                with self._lock:
                    self._making.pop(key, None)
            self._keep(key, array)
            return array

    def _keep(self, key: Hashable, array: np.ndarray) -> None:
        with self._lock:
            if array.nbytes > self.most_bytes:
                return
            self._held[key] = array
            while sum(kept.nbytes for kept in self._held.values()) > self.most_bytes:
                self._held.popitem(last=False)
