"""The README against the code: its examples run, its commands parse, its links lead somewhere."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
import torch

import sinograd as sg
from prose import check_command_lines, commands
from sinograd.choices import SCAN_FORMATS
from test_page_examples import run_page

PICTURE_BYTES = 300_000
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md", "experiments/README.md")


@pytest.fixture(scope="module")
def readme(project_root: Path) -> str:
    return (project_root / "README.md").read_text(encoding="utf-8")


def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python and commands, in order, with smaller arrays. Truth: the phantom that was projected."""
    monkeypatch.chdir(tmp_path)
    names = run_page("README.md", tmp_path)
    volume, reconstruction = names["volume"], names["reconstruction"]
    error = (reconstruction - volume)[11:21].square().mean().sqrt()
    assert error < 0.1 * volume.max()
    assert names["layer"].taps.grad.abs().max() > 0
    saved = sg.read_volume(tmp_path / "volume.tif")
    saved, grid = saved.values, saved.grid
    assert grid.equals(names["grid"])
    torch.testing.assert_close(saved, names["again"].values, rtol=0, atol=0)
    assert {"scan.h5", "volume.tif", "slices.png"} <= {path.name for path in tmp_path.iterdir()}


def test_the_names_exist(readme: str) -> None:
    for name in set(re.findall(r"\bsg\.(\w+)", readme)):
        assert hasattr(sg, name), name


def test_command_lines_parse(readme: str) -> None:
    assert check_command_lines(readme) >= 6


def test_make_targets_exist(readme: str, project_root: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (project_root / "Makefile").read_text(), flags=re.MULTILINE)
    named = {found for line in commands(readme) for found in re.findall(r"\bmake ([a-z-]+)", line)}
    assert {"demo", "test"} <= named <= set(targets)


def test_links_lead_somewhere(project_root: Path) -> None:
    """Of the README and the other pages beside the documentation; mkdocs checks those of the documentation."""
    pictures = []
    for page in PAGES:
        for link in re.findall(r"\]\(([^)\s]+)\)", (project_root / page).read_text(encoding="utf-8")):
            if not link.startswith("https://"):
                path = (project_root / page).parent / link
                assert path.is_file(), f"{page}: {link}"
                pictures += [path] if path.suffix == ".png" else []
    assert len(pictures) >= 2
    assert all(path.stat().st_size < PICTURE_BYTES for path in pictures)


def test_the_number_of_scan_formats(readme: str) -> None:
    names = ("Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve", "Thirteen")
    assert f"{names[len(SCAN_FORMATS) - 7]} scan formats" in readme


def test_it_is_short(readme: str) -> None:
    assert len(readme.splitlines()) <= 140


def test_it_lists_every_howto(readme: str, project_root: Path) -> None:
    pages = {f"docs/howto/{path.name}" for path in (project_root / "docs" / "howto").glob("*.md")}
    table = readme.split("## I want to ...")[1].split("\n## ")[0]
    assert set(re.findall(r"\((docs/howto/[^)]+)\)", table)) == pages


def test_the_scores_are_those_of_the_experiment(readme: str, project_root: Path) -> None:
    """PSNR in the README, and the table in experiments/README.md, from results.json of the quick profile."""
    results = json.loads((project_root / "experiments/bone_xrm/results/quick/results.json").read_text("utf-8"))
    scores = {(row["method"], row["metric"]): row for row in results["summary"] if row["reference"] == "clean"}
    bullet = next(part for part in readme.split("\n- ") if part.startswith("**Denoisers"))
    for method in ("low-dose", "one-filter", "dual-domain"):
        assert f"{scores[method, 'psnr']['mean']:.1f}" in bullet
    table = (project_root / "experiments" / "README.md").read_text(encoding="utf-8")
    for method in {method for method, _ in scores}:
        psnr, ssim = scores[method, "psnr"], scores[method, "ssim"]
        row = f"{psnr['mean']:.2f} ± {psnr['std']:.2f} | {ssim['mean']:.3f} ± {ssim['std']:.3f} |"
        assert row in table, method


def test_the_drawing_of_the_conventions(project_root: Path, tmp_path: Path) -> None:
    """Its script still fits the geometries it draws."""
    script = runpy.run_path(str(project_root / "docs" / "draw_conventions.py"))
    script["main"](tmp_path / "conventions.png")
    assert (tmp_path / "conventions.png").read_bytes().startswith(b"\x89PNG")
