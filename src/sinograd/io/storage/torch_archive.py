"""PyTorch archives: checked as ZIP files before torch reads them, and read as plain data.

torch takes the size of a weight from the archive's own description and reads that many bytes, wherever these lie; so
weights are read through a map of the file, whose ends torch knows, and copied.
"""

from __future__ import annotations

import argparse
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sinograd.data.memory import check_memory
from sinograd.errors import ConfigError, FormatError, InputError, OutOfMemory, SinogradError

_MOST_ENTRIES = 20_000
_LARGEST_PICKLE = 8 << 20  # bytes
_MOST_VALUES, _DEEPEST = 1_000_000, 100
_REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)


def read_archive(path: Path) -> Any:
    """What an archive holds: mappings, lists, texts, numbers and tensors in memory.

    Raises:
        InputError: no archive, packed or repeated entries, what is no plain data, too many values; does not name the
            file.
        OutOfMemory: more weights than memory.
    """
    try:
        _check_entries(path)
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):  # of ldct-benchmark
            warnings.simplefilter("ignore")
            content = torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
    except SinogradError:
        raise
    except Exception as error:  # whatever damaged bytes lead to
        raise InputError(f"it is damaged or no PyTorch archive of plain data: {_first_line(error)[:300]}") from error
    return _copied(content, 2 * path.stat().st_size)


def read_weights(path: Path) -> Any:
    """What a file of torchvision's weights holds: an archive, or a pickle as older versions of torch wrote it.

    Raises:
        FormatError: it is damaged or no such file; names the file. OutOfMemory: more weights than memory.
    """
    try:
        if zipfile.is_zipfile(path):
            return read_archive(path)
        check_memory(2 * path.stat().st_size, str(path))
        return torch.load(path, map_location="cpu", weights_only=True)
    except OutOfMemory:
        raise
    except Exception as error:  # whatever damaged bytes lead to
        raise FormatError(f"{path} is damaged or no file of PyTorch weights: {_first_line(error)[:200]}") from error


def read_checkpoint(path: Path) -> Any:
    """A checkpoint of a training run with all that Lightning puts there; InputError, which names it, for others."""
    try:
        _check_entries(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except OutOfMemory:
        raise
    except Exception as error:  # whatever damaged bytes lead to
        raise InputError(f"{path} is damaged or no checkpoint of sinograd: {_first_line(error)[:300]}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def check_weight(name: str, value: Any, expected: Tensor) -> None:
    """ConfigError unless a value is finite numbers, of the shape of the expected weight and of its kind."""
    shape = list(expected.shape)
    if not isinstance(value, Tensor) or list(value.shape) != shape:
        came = list(value.shape) if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise ConfigError(f"state_dict.{name}: expected weights {shape}, got {came}")
    kinds, words = (_REAL, "real") if expected.is_floating_point() else (_WHOLE, "whole")
    if value.dtype not in kinds or not is_plain(value):
        layout = str(value.layout).removeprefix("torch.")
        raise ConfigError(
            f"state_dict.{name}: expected {words} numbers in memory, got {str(value.dtype).removeprefix('torch.')}, "
            f"{layout}, on {value.device}"
        )
    if not bool(torch.isfinite(value).all()):
        raise ConfigError(f"state_dict.{name}: expected finite weights, got NaN or infinite ones")


def is_plain(value: Tensor) -> bool:
    """Whether a tensor is dense numbers in memory: not sparse, quantised, nested, or more numbers than there
    are bytes for."""
    return (
        type(value) in (Tensor, torch.nn.Parameter)
        and value.layout == torch.strided
        and not value.is_quantized
        and not value.is_nested
        and value.device.type == "cpu"
        and value.nbytes <= value.untyped_storage().nbytes()
    )


def _check_entries(path: Path) -> None:
    """InputError for archives that torch does not write: with packed, repeated or too many entries."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if len(entries) > _MOST_ENTRIES:
        raise InputError(f"it holds {len(entries):,} entries, at most {_MOST_ENTRIES:,} are read")
    if len({entry.filename for entry in entries}) < len(entries):
        raise InputError("it is no PyTorch archive: two entries have one name")
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size for entry in entries):
        raise InputError("it is no PyTorch archive: its entries are packed")
    total, length = sum(entry.file_size for entry in entries), path.stat().st_size
    if total > length:
        raise InputError(f"it is damaged or no PyTorch archive: its entries have {total:,} bytes, the file {length:,}")
    for entry in entries:
        if entry.filename.endswith(".pkl") and entry.file_size > _LARGEST_PICKLE:
            raise InputError(f"its description has {entry.file_size:,} bytes, at most {_LARGEST_PICKLE:,} are read")
    check_memory(2 * length, str(path))


def _copied(content: Any, most_bytes: int) -> Any:
    """The content with dense tensors copied out of the map; others stay, and are refused where they are used."""
    left, sizes = [_MOST_VALUES], 0
    copies: dict[int, Tensor] = {}

    def copied(value: Any, depth: int) -> Any:
        nonlocal sizes
        left[0] -= 1
        if depth > _DEEPEST or left[0] < 0:
            raise InputError(f"it holds more than {_MOST_VALUES:,} values, or more than {_DEEPEST} levels")
        if isinstance(value, Tensor):
            if id(value) not in copies and is_plain(value):
                sizes += value.nbytes
                if sizes > most_bytes:
                    raise InputError(f"its weights have {sizes:,} bytes, twice as many as the file")
                copies[id(value)] = value.detach().clone()
            return copies.get(id(value), value)
        if isinstance(value, argparse.Namespace):
            return argparse.Namespace(**copied({str(key): held for key, held in vars(value).items()}, depth + 1))
        if isinstance(value, Mapping):
            return {key: copied(held, depth + 1) for key, held in value.items()}
        return [copied(held, depth + 1) for held in value] if isinstance(value, list | tuple | set) else value

    return copied(content, 0)
