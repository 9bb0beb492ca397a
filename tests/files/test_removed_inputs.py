"""A file that was read and removed protects nothing: its number on the disk is soon that of another file."""

from __future__ import annotations

from pathlib import Path

import pytest

from sinograd.errors import InputError
from sinograd.files.inputs import check_output, inputs, noted


def test_a_new_file_with_the_number_of_a_removed_one(tmp_path: Path) -> None:
    read, output = tmp_path / "read.pt", tmp_path / "output.pt"
    read.write_bytes(b"weights")
    with inputs():
        noted(read)
        read.rename(output)  # what the system does with the number of a removed file
        check_output(output)
        read.write_bytes(b"another")
        check_output(output)


def test_a_second_name_of_an_input_is_still_refused(tmp_path: Path) -> None:
    read, output = tmp_path / "read.pt", tmp_path / "output.pt"
    read.write_bytes(b"weights")
    output.hardlink_to(read)
    with inputs():
        noted(read)
        with pytest.raises(InputError, match="it would replace what is being read"):
            check_output(output)
