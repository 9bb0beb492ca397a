"""Whether the files of a job can be written, checked before its work starts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

from sinograd.errors import InputError
from sinograd.files.inputs import check_output


def check_inputs_stay(inputs: Iterable[Path | None], outputs: Mapping[str, Path | None], words: str) -> None:
    """InputError when writing one of `outputs` would replace an input, or a folder that holds one, or another output.

    What else the job has read by now (`sinograd.files.inputs`) counts as an input, too.

    outputs: by the name of the argument; words: what the error says of it ("is the scan itself").
    """
    read = [path for path in inputs if path is not None and path.exists()]
    written = {name: path for name, path in outputs.items() if path is not None}
    for name, path in written.items():
        place = path.resolve()
        for source in read:
            same = path.exists() and path.samefile(source)
            if same or place == source.resolve() or place in source.resolve().parents:
                raise InputError(f"cannot write {path}: {name} {words}")
        check_output(path, name)
    for (first, one), (second, other) in combinations(written.items(), 2):
        if _meet(one, other):
            raise InputError(
                f"cannot write {other}: {second} and {first} ({one}) would be one file, or one in the other"
            )


def volume_outputs(output: Path | None, **others: Path | None) -> dict[str, Path | None]:
    """The outputs of a job by their names, with all files that the volume's format writes."""
    outputs = {"`output`": output}
    if output is not None and output.suffix.lower() in (".npy", ".raw"):
        outputs["the .yaml beside `output`"] = output.with_suffix(".yaml")
    return outputs | {f"`{name}`": path for name, path in others.items()}


def _meet(one: Path, other: Path) -> bool:
    """Whether two outputs are the same, under one name or two, or one lies in the other."""
    first, second = (Path(os.path.realpath(path)) for path in (one, other))
    if first == second or first in second.parents or second in first.parents:
        return True
    return one.exists() and other.exists() and one.samefile(other)


def is_folder(source: Path | None) -> bool:
    """Whether an input is a folder, so that an output may be one whose name has a dot."""
    return source is not None and source.is_dir()
