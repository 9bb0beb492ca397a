"""Tables of the documentation. Truth: the registries."""

from __future__ import annotations

import dataclasses
import runpy
from pathlib import Path

import pytest

from sinograd.choices import LOSSES, NETWORKS, TASKS
from sinograd.losses import loss_schema
from sinograd.training.models import network_model


def rows(page: Path, header: str) -> list[list[str]]:
    """The cells of the table with this first column."""
    lines = page.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {header} |")) + 2
    cells = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        cells.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    return cells


@pytest.fixture
def page(project_root: Path) -> Path:
    return project_root / "docs" / "howto" / "networks.md"


def test_the_table_of_networks(page: Path) -> None:
    """Names and order of the registry, parameters of the network itself, the default learning rate."""
    table = rows(page, "name")
    assert [row[0].strip("`") for row in table] == list(NETWORKS)
    for row in table:
        model = network_model(row[0].strip("`"), offset=0.0, scale=1.0)
        assert sum(p.numel() for p in model.build(0).parameters()) == int(row[2].replace(",", ""))
        assert model.learning_rates() == {"network": float(row[3])}


def test_the_table_of_losses(page: Path) -> None:
    table = rows(page, "loss")
    assert [row[0].strip("`") for row in table] == list(LOSSES)
    for name, _, options in table:
        fields = [field.name for field in dataclasses.fields(loss_schema(name.strip("`")))]
        assert [f"`{field}`" in options for field in fields] == [False] + [True] * (len(fields) - 1)


def test_every_task_has_an_example(page: Path) -> None:
    text = page.read_text(encoding="utf-8") + page.with_name("train.md").read_text(encoding="utf-8")
    for name in TASKS:
        assert f"task: {{name: {name}" in text


def test_the_keys_of_a_training_file(project_root: Path) -> None:
    """The page is what the schema says, every key with its meaning: `python docs/training_keys.py` writes it."""
    script = runpy.run_path(str(project_root / "docs" / "training_keys.py"))
    assert (project_root / "docs" / "training-keys.md").read_text(encoding="utf-8") == script["page"]()
