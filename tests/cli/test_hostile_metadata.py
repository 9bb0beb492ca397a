"""What strangers write into files, on the terminal and in tables: shown, never obeyed."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from sinograd.config.shown import printable, shown, some
from sinograd.evaluation.tables import as_csv, escaped
from sinograd.geometry import Grid
from sinograd.io import write_scan, write_volume

EVIL = "bone\x1b[2J\x1b]0;owned\x07\x9b31m\u202eflac\r\n\tlast"


def test_the_terminal_gets_no_control_characters(sinograd: Any, tmp_path: Path, cone_scan: Any) -> None:
    path = tmp_path / "scan\x1b[31m.h5"
    cone_scan.metadata.update({"sample": EVIL, "key\x1b[2J": 1})
    write_scan(cone_scan, path)
    done = sinograd("info", path)
    assert done.exit_code == 0, done.output
    assert "\\x1b[2J\\x1b]0;owned\\x07\\x9b31m\\u202eflac" in done.output and "scan\\x1b[31m.h5" in done.output
    assert all(sign.isprintable() or sign == "\n" for sign in done.output)
    done = sinograd("reconstruct", tmp_path / "none\x1b[31m.h5", "-o", tmp_path / "out.h5")
    assert done.exit_code == 2 and "none\\x1b[31m.h5" in done.output and "\x1b" not in done.output


def test_warnings_are_one_line(sinograd: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["exchange/data"], file["exchange/theta"] = np.ones((3, 4, 5), np.float32), np.arange(3.0)
        file["measurement/sample/name"] = EVIL
    path.rename(tmp_path / "a\nb\x1b[1m.h5")
    done = sinograd("info", tmp_path / "a\nb\x1b[1m.h5")
    assert done.exit_code == 0 and "\x1b" not in done.output
    assert sum(line.startswith("warning: ") for line in done.output.splitlines()) == 2


def test_names_that_are_no_text(sinograd: Any, tmp_path: Path) -> None:
    done = sinograd("info", os.path.join(tmp_path, os.fsdecode(b"a\xff\xfe.h5")))
    assert done.exit_code == 2 and done.output == f"sinograd: error: {tmp_path}/a\\udcff\\udcfe.h5 does not exist\n"


def test_inputs_and_outputs_that_are_no_files(sinograd: Any, tmp_path: Path, cone_scan: Any) -> None:
    write_scan(cone_scan, tmp_path / "scan.h5")
    write_volume(torch.ones(3, 4, 5), tmp_path / "v.h5", Grid((3, 4, 5)), unit="1/mm")
    os.mkfifo(tmp_path / "pipe")
    for suffix in (".h5", ".yaml", ".pt", ".npy", ".png"):
        (tmp_path / f"pipe{suffix}").symlink_to(tmp_path / "pipe")
    cases: list[tuple[Any, ...]] = [
        ("info", "pipe"),
        ("info", "pipe.h5"),
        ("info", "pipe.pt"),
        ("info", "/dev/zero"),
        ("info", "scan.h5", "--geometry", "pipe.yaml"),
        ("info", "v.h5", "--picture", "pipe.png", "--force"),
        ("convert", "v.h5", "pipe.npy", "--force"),
        ("reconstruct", "scan.h5", "-o", "pipe.h5", "--force"),
        ("reconstruct", "scan.h5", "-o", "out.h5", "--config", "pipe.yaml"),
        ("denoise", "v.h5", "--model", "pipe.yaml", "-o", "out.h5"),
        ("train", "pipe.yaml"),
    ]
    for command, *words in cases:
        here = [tmp_path / word if "pipe" in word or word.endswith((".h5",)) else word for word in words]
        done = sinograd(command, *here)
        assert done.exit_code == 2, (command, words, done.output)
        assert "named pipe" in done.output or "device" in done.output or "no " in done.output, done.output
        assert len(done.output.strip().splitlines()) == 1


def test_images_elsewhere_need_the_option(sinograd: Any, tmp_path: Path, cone_scan: Any) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "flat.npy", np.full((1, 4, 5), 2.0, np.float32))
    np.save(tmp_path / "in" / "a.npy", np.ones((6, 4, 5), np.float32))
    cone_scan.geometry.save(tmp_path / "in" / "geometry.yaml")
    (tmp_path / "in" / "a.yaml").write_text("geometry: geometry.yaml\nkind: counts\nreference: ../flat.npy\n")
    done = sinograd("info", tmp_path / "in" / "a.npy")
    assert done.exit_code == 2
    assert "outside the folder of the file that names it; --allow-outside reads it all the same" in done.output
    done = sinograd("info", tmp_path / "in" / "a.npy", "--allow-outside")
    assert done.exit_code == 0 and "references" in done.output


def test_a_volume_does_not_say_which_files_are_written(sinograd: Any, tmp_path: Path, cone_scan: Any) -> None:
    """`--config volume.h5` takes the options that made it: not those that replace files."""
    write_scan(cone_scan, tmp_path / "scan.h5")
    (tmp_path / "picture.png").write_text("mine")
    options = {"voxel_mm": 0.5, "force": True, "preview": str(tmp_path / "picture.png"), "allow_outside": True}
    made = {"command": "sinograd reconstruct", "options": options}
    write_volume(torch.ones(3, 4, 5), tmp_path / "v.h5", Grid((3, 4, 5)), unit="1/mm", provenance=made)
    done = sinograd("reconstruct", tmp_path / "scan.h5", "-o", tmp_path / "out.h5", "--config", tmp_path / "v.h5")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "picture.png").read_text() == "mine" and (tmp_path / "out.h5").exists()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-a", "@SUM(A1)", "\tx", "\rx"])
def test_csv_cells_are_no_formulas(text: str) -> None:
    lines = as_csv([{"method": text, "rmse": -0.5, "note": "a,b\n"}])
    row = next(csv.DictReader(io.StringIO(lines)))
    assert row["method"].startswith("'") and row["rmse"] == "-0.5" and "\n" not in row["note"]


def test_latex_cells() -> None:
    """Signs of TeX by https://tug.ctan.org/info/short-math-guide and \\usepackage[T1]{fontenc}."""
    text = escaped(r"a_b\input{x} 5% & $y^2~# <|>")
    assert text == (
        r"a\_b\textbackslash{}input\{x\} 5\% \& \$y\textasciicircum{}2\textasciitilde{}\# "
        r"\textless{}\textbar{}\textgreater{}"
    )
    assert "\x1b" not in escaped("\x1b[2J")


def test_values_in_messages_are_short() -> None:
    deep: Any = []
    for _ in range(1000):
        deep = [deep]
    for value in ("x" * 10**6, list(range(10**6)), deep, 10**5000, {i: i for i in range(10**5)}, "\x1b"):
        assert len(shown(value)) <= 80 and "\x1b" not in shown(value)
    assert some(range(20)) == "0, 1, 2, 3, 4, 5, 6, 7 and 12 more" and some(["a", "b"]) == "a, b"
    assert printable("Knöchel µm") == "Knöchel µm" and printable("a\x00\x85\ud800") == "a\\x00\\x85\\ud800"
