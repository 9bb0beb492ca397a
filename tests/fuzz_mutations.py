"""How the fuzzer damages a file: bytes, words of text, values of YAML, JSON, HDF5 and DICOM; each from a seed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

NUMBERS = ("0", "-1", "1e999", "nan", "inf", "9" * 30, "9" * 400, "1e308", "-1e-320", "0.5", "4294967295", "1000000000")
TEXTS = (
    "", "x", "true", "null", "[", "{a: ", "[[1, 2], 3]", "{a: {b: c}}", "'", '"', "\t", "\0",
    "\x1b[2J\x1b]0;title\x07", "\u202e",
    "!!set {a}", "!!float ''", "!!bool x", "!!binary YQ==", "!!timestamp x", "!!python/object:os.system {}", "&a [*a]",
    "2001-01-01", "=1+1", "%s%s%n", "$\\frac{", "<script>", "&x;", "a" * 1500,
)  # fmt: skip
NAMES = (
    "../secret.h5", "../secret.npy", "../secret.tif", "../secret.raw", "../secret.yaml", "../pipe", "../secret",
    "/etc/passwd", "/dev/zero", "/proc/self/mem", "C:\\\\data\\\\a.tif", "LIST", "a%03d.raw 1 5 1", "../*", "**/*", "~",
    ".", "..",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, "", "x\x1b[2J", [], {}, [1, [2, 3]], {"a": {"b": [1]}}, -1, 0, 0.5, 10**9, 10**30, 1e308, float("nan"),
    float("inf"), [1e308] * 5, list(range(5)), *NAMES,
)  # fmt: skip
WORDS = (0, 1, 2, 63, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFA, 0xFFFFFFFE, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF)


def damage(rng: random.Random, file: Path, others: list[bytes]) -> str:
    """Damage a file in one to four ways; the ways, for the report."""
    done = []
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        ways = _ways(file)
        way = rng.choices([way for way, _ in ways], [weight for _, weight in ways])[0]
        try:
            way(rng, file, others)
        except Exception as error:  # a structure that is damaged already
            done.append(f"{way.__name__}: {type(error).__name__}")
        else:
            done.append(way.__name__)
    return ", ".join(done)


Way = Callable[[random.Random, Path, list[bytes]], None]


def _ways(file: Path) -> list[tuple[Way, int]]:
    head = file.read_bytes()[:4096]
    ways: list[tuple[Way, int]] = [(damage_bytes, 4), (damage_words, 3), (splice, 1)]
    text = sum(32 <= byte < 127 or byte in (9, 10, 13) for byte in head) > 0.9 * len(head)
    ways += [(damage_text, 8), (damage_lines, 3)] if text else [(damage_text, 2)]
    if file.suffix in (".yaml", ".json"):
        ways.append((damage_record, 10))
    if b"\x89HDF" in head:
        ways.append((damage_hdf5, 10))
    if file.suffix == ".dcm":
        ways.append((damage_dicom, 8))
    if file.suffix == ".pt":
        ways.append((damage_archive, 8))
    return ways


def damage_bytes(rng: random.Random, file: Path, others: list[bytes]) -> None:
    """Bits and bytes changed, runs cut, dropped, doubled or zeroed."""
    data = bytearray(file.read_bytes())
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        if not data:
            break
        at = rng.randrange(min(len(data), rng.choice((64, 400, 5000, 1 << 30))))
        kind = rng.randrange(8)
        if kind < 2:
            data[at] ^= 1 << rng.randrange(8)
        elif kind < 4:
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 4:
            del data[at : at + rng.randrange(1, 700)]
        elif kind == 5:
            length = rng.randrange(1, 300)
            data[at:at] = data[at : at + length] * rng.choice((1, 1, 50))
        elif kind == 6:
            length = rng.randrange(1, 100)
            data[at : at + length] = bytes(len(data[at : at + length]))
        elif rng.random() < 0.3:
            del data[at:]
    file.write_bytes(data)


def damage_words(rng: random.Random, file: Path, others: list[bytes]) -> None:
    """Whole numbers of 2, 4 or 8 bytes to extremes, in either order."""
    data = bytearray(file.read_bytes())
    for _ in range(rng.choice((1, 1, 3))):
        size = rng.choice((2, 4, 4, 8))
        reach = max(1, min(len(data), rng.choice((64, 600, 4000, 1 << 30))) - size)
        at = rng.randrange(reach) // 2 * 2
        value = rng.choice(WORDS) if rng.random() < 0.7 else rng.randrange(1 << 13)
        data[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, rng.choice(("little", "big")))
    file.write_bytes(data)


def splice(rng: random.Random, file: Path, others: list[bytes]) -> None:
    """A piece of another file, or the whole of it."""
    data, other = file.read_bytes(), rng.choice(others)
    at, start = rng.randrange(len(data) + 1), rng.randrange(len(other) + 1)
    if rng.random() < 0.15:
        file.write_bytes(other)
    else:
        file.write_bytes(data[:at] + other[start : start + rng.randrange(2000)] + data[at + rng.randrange(2000) :])


def damage_text(rng: random.Random, file: Path, others: list[bytes]) -> None:
    """A number or a word becomes another one: an extreme, a name of a file, a tag, control characters."""
    data = file.read_bytes()
    pattern = rb"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?" if rng.random() < 0.6 else rb"[A-Za-z_][\w.\\/ -]*"
    places = list(re.finditer(pattern, data[:200_000]))
    if not places:
        return
    place = rng.choice(places)
    new = rng.choice(NUMBERS if rng.random() < 0.5 else rng.choice((TEXTS, NAMES)))
    file.write_bytes(data[: place.start()] + new.encode() + data[place.end() :])


def damage_lines(rng: random.Random, file: Path, others: list[bytes]) -> None:
    """A line twice, away, elsewhere, or a thousand times."""
    lines = file.read_bytes().split(b"\n")
    at = rng.randrange(len(lines))
    kind = rng.randrange(5)
    if kind == 0:
        lines.insert(at, lines[at])
    elif kind == 1:
        del lines[at]
    elif kind == 2:
        lines.insert(rng.randrange(len(lines)), lines.pop(at))
    elif kind == 3:
        lines[at:at] = [lines[at]] * 1000
    else:
        lines[at:at] = [b"key%d: %d" % (i, i) for i in range(3000)]
    file.write_bytes(b"\n".join(lines))


def damage_record(rng: random.Random, file: Path, others: list[bytes]) -> None:
    """A value of YAML or JSON becomes another one of any type, or a key another name."""
    text = file.read_text(encoding="utf-8")
    record = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    places = list(_places(record))
    holder, key = rng.choice(places)
    if isinstance(holder, dict) and rng.random() < 0.15:
        holder[rng.choice(("x", "", 1, None, "geometry", "shape", "projections", "dark"))] = holder.pop(key)
    elif rng.random() < 0.2:
        holder[key] = _nested(rng)
    else:
        holder[key] = rng.choice(VALUES)
    text = json.dumps(record, default=str) if file.suffix == ".json" else yaml.safe_dump(record, allow_unicode=True)
    file.write_text(text, encoding="utf-8")


def _places(record: Any) -> Any:
    entries = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else ()
    for key, value in list(entries):
        yield record, key
        yield from _places(value)


def _nested(rng: random.Random) -> Any:
    value: Any = rng.choice(VALUES)
    for _ in range(rng.randrange(1, 60)):
        value = [value] if rng.random() < 0.5 else {"a": value}
    return value


def damage_hdf5(rng: random.Random, file: Path, others: list[bytes]) -> None:
    """A data set or group becomes a link, another type or shape; attributes too."""
    with h5py.File(file, "r+") as opened:
        names: list[str] = []
        opened.visit(names.append)
        names += [name for name in ("exchange/data", "format") if name in names]
        name = rng.choice(names)
        kind = rng.randrange(8)
        if kind == 0:
            attributes = opened[rng.choice(("/", name))].attrs
            key = rng.choice([*attributes, "units", "NX_class", "version", "MATLAB_class"])
            attributes[key] = rng.choice(("x\x1b[2J", "", -1, 1e308, np.zeros(50), np.bytes_(b"\xff"), [1, 2], "1/mm"))
            return
        if kind == 1:
            opened.move(name, f"{name}{rng.choice(('x', '/x', '_'))}")
            return
        del opened[name]
        if kind == 2:
            opened[name] = h5py.ExternalLink(rng.choice(NAMES), rng.choice(("/images", "/", name)))
        elif kind == 3:
            opened[name] = h5py.SoftLink(rng.choice((name, "/", "/nowhere", *names)))
        elif kind == 4:
            opened[name] = opened["/"] if rng.random() < 0.5 else opened[rng.choice([n for n in names if n in opened])]
        elif kind == 5:
            layout = h5py.VirtualLayout((5, 4, 5), "u2")
            layout[:] = h5py.VirtualSource(rng.choice(NAMES), rng.choice(("images", name)), (5, 4, 5))
            opened.create_virtual_dataset(name, layout)
        elif kind == 6:
            shape = rng.choice(((10**12,), (10**6, 10**6, 3), (5, 10**5, 10**5), (0, 4, 5), (10**9, 4, 5), ()))
            chunks = None if not shape or 0 in shape or rng.random() < 0.5 else tuple(min(n, 1000) for n in shape)
            opened.create_dataset(name, shape, rng.choice(("u2", "f8", "S10", "?", "c8")), chunks=chunks)
        else:
            value: Any = rng.choice(
                (1, "text", np.nan, [1, 2], np.zeros((5, 4, 5), "c8"), np.zeros(5, "S3"), h5py.Empty("f4"))
            )
            opened[name] = value


def damage_dicom(rng: random.Random, file: Path, others: list[bytes]) -> None:
    """A tag gets another value."""
    import warnings

    from pydicom import dcmread

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = dcmread(file, force=True)
        element = rng.choice([element for element in header if element.tag != 0x7FE00010])
        if rng.random() < 0.15:
            del header[element.tag]
        else:
            element.value = rng.choice((0, 1, 65535, "", "1e999", "x\x1b[2J", "-1", [1, 2, 3], None, "9" * 300))
        header.save_as(file, enforce_file_format=False)


def damage_archive(rng: random.Random, file: Path, others: list[bytes]) -> None:
    """A value of a network's file becomes another one, a weight one of another kind."""
    import torch

    content = torch.load(file, weights_only=True)
    if rng.random() < 0.5:
        name = rng.choice(list(content["state_dict"]))
        weight = content["state_dict"][name].float()
        content["state_dict"][name] = rng.choice(
            (weight.to_sparse(), weight * float("nan"), weight.to(torch.complex64), weight.to(torch.int8), weight[:1],
             weight.to("meta"), torch.ones(1).expand(10**6, 10**6), "x", None, weight.double(), weight.half())
        )  # fmt: skip
    else:
        places = [place for place in _places(content) if not isinstance(place[0][place[1]], torch.Tensor)]
        holder, key = rng.choice(places)
        holder[key] = rng.choice((*VALUES, 10**400, {"layers": 10**9}, {"layers": 3, "channels": 10**7}))
    torch.save(content, file)
