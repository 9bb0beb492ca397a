"""Memory of a server that many threads read for."""

from __future__ import annotations

import ctypes

_ARENAS, _MMAP_THRESHOLD = -8, -3  # M_ARENA_MAX and M_MMAP_THRESHOLD of mallopt(3)
_FEW, _LARGE = 2, 1 << 20


def give_memory_back() -> bool:
    """Let the C library keep few pools of freed memory, and none of blocks of a megabyte and more.

    glibc keeps a pool for each thread, and blocks of up to 32 MB in them: half a gigabyte after a minute of clicks in a
    volume of 2048^3. False where it is another library, which has no such switches.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return bool(mallopt(_ARENAS, _FEW)) and bool(mallopt(_MMAP_THRESHOLD, _LARGE))
