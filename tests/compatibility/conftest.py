from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from compatibility.numbers_of import EXPECTED, FILES


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The same sums as 0.1.0's."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy of the files, whose YAML files name each other there."""
    folder = tmp_path / "files"
    shutil.copytree(FILES, folder)
    for path in folder.rglob("*.yaml"):
        path.write_text(path.read_text().replace(EXPECTED["folder"], str(folder)))
    return folder
