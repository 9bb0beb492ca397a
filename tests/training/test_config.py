"""The schema of training runs. Truth: the values written down here and in the documentation."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from prose import blocks
from sinograd.config.schema import from_plain, to_plain
from sinograd.training import Config, ConfigError, config, load_config
from sinograd.training.config import as_config, config_hash, save_text
from sinograd.training.models import DualDomainModel
from sinograd.training.tasks import Noise2Void

STACK = {"input": "low.h5", "target": "normal.h5"}


def test_the_defaults_are_the_papers() -> None:
    """Wagner et al., section II.D: start values 0.5 and 0.01, at most 5000 iterations; three filters, 1 + 2 filters."""
    plain = to_plain(Config())
    assert (plain["model"]["sigma_spatial"], plain["model"]["sigma_range"]) == (0.5, 0.01)
    assert (plain["model"]["filters"], plain["stop"]["max_steps"]) == (3, 5000)
    assert to_plain(Noise2Void()) == {"name": "noise2void", "fraction": 0.01, "neighborhood": 5, "loss": "mse"}
    dual = DualDomainModel()
    assert (dual.projection_filters, dual.image_filters) == (1, 2)


def test_a_configuration_survives_its_file(tmp_path: Path) -> None:
    given = from_plain(
        Config,
        {
            "task": {"name": "dual-domain", "row_margin": 3},
            "model": {"name": "dual-domain-bilateral", "sigma_spatial": [0.4, 0.5, 0.6], "image_scale": 2e-2},
            "data": {"training": [{**STACK, "region": {"z": [3, 9]}}], "validation": [STACK]},
            "stop": {"early_stopping": None},
            "output": "runs/one",
        },
    )
    (tmp_path / "a.yaml").write_text(save_text(given))
    loaded = load_config(tmp_path / "a.yaml")
    assert loaded.data is not None and loaded.data.training[0].input == tmp_path / "low.h5"
    assert loaded.output == tmp_path / "runs" / "one"
    (tmp_path / "b.yaml").write_text(save_text(loaded))
    assert load_config(tmp_path / "b.yaml") == loaded
    assert config_hash(loaded) == config_hash(given)  # wherever the files are
    assert config_hash(loaded) != config_hash(dataclasses.replace(loaded, seed=1))


def test_the_configuration_in_the_docstring() -> None:
    """What the module shows is the schema: every top-level key is there and each value is taken."""
    text = textwrap.dedent(re.findall(r"\n\n(    .*?)\n\n[^ ]", config.__doc__ or "", flags=re.DOTALL)[0])
    shown = yaml.safe_load(text)
    assert set(shown) == set(to_plain(Config()))
    as_config(shown)


def test_the_configurations_in_the_documentation(project_root: Path, tmp_path: Path) -> None:
    pages = [project_root / "docs" / "howto" / "train.md"]
    examples = [block for page in pages for block in blocks(page.read_text(encoding="utf-8"), "yaml")]
    assert len(examples) >= 3
    tasks = set()
    for example in examples:
        (tmp_path / "config.yaml").write_text(example)
        tasks.add(load_config(tmp_path / "config.yaml").task.name)
    assert tasks == {"supervised", "noise2void", "dual-domain"}


BAD: dict[str, tuple[Any, str]] = {
    "a name alone": ({"task": "supervised"}, "task: expected a mapping with name: supervised, noise2noise, noise2void"),
    "unknown task": (
        {"task": {"name": "n2v"}},
        "task.name: expected supervised, noise2noise, noise2void, dual-domain, wgan-vgg, dugan, "
        "invariance-vae, invariance-flow or invariance-embedding, got 'n2v'",
    ),
    "no name": (
        {"task": {"fraction": 0.1}},
        "task.name: missing, expected supervised, noise2noise, noise2void, dual-domain, wgan-vgg, dugan, "
        "invariance-vae, invariance-flow or invariance-embedding",
    ),
    "unknown key": ({"sed": 1}, "sed: unknown key (did you mean seed?), expected some of task, model, data"),
    "unknown key deep down": (
        {"stop": {"early_stopping": {"patiens": 3}}},
        "stop.early_stopping.patiens: unknown key (did you mean patience?), expected some of patience, min_change",
    ),
    "not whole": ({"model": {"name": "bilateral", "filters": 2.5}}, "model.filters: expected a whole number, got 2.5"),
    "true is no number": ({"seed": True}, "seed: expected a whole number, got True"),
    "not a number": (
        {"optimizer": {"learning_rates": {"spatial": "fast"}}},
        "optimizer.learning_rates.spatial: expected a number, got 'fast'",
    ),
    "not positive": (
        {"model": {"name": "bilateral", "sigma_spatial": [0.5, -1, 1]}},
        "model.sigma_spatial: expected positive numbers, got [0.5, -1, 1]",
    ),
    "not finite": (
        {"model": {"name": "bilateral", "sigma_range": float("nan")}},
        "model.sigma_range: expected auto or paper or a positive number, got nan",
    ),
    "too many": (
        {"model": {"name": "bilateral", "sigma_spatial": [0.5, 0.5]}},
        "model.sigma_spatial: expected one number or 3, got 2",
    ),
    "even window": (
        {"model": {"name": "bilateral", "window": 4}},
        "model.window: expected odd, positive widths, got 4",
    ),
    "another scale": (
        {"model": {"name": "bilateral", "input_scale": "max"}},
        "model.input_scale: expected auto or a positive number, got 'max'",
    ),
    "backwards": (
        {"data": {"training": [{**STACK, "region": {"y": [5, 2]}}]}},
        "data.training[0].region.y: expected two whole numbers, first and end, with 0 <= first < end or null",
    ),
    "no stack": ({"data": {"training": []}}, "data.training: expected a list that is not empty, got []"),
    "no input": ({"data": {"training": [{"target": "a.h5"}]}}, "data.training[0].input: missing, expected the path"),
    "no target": (
        {"data": {"training": [STACK], "validation": [{"input": "a.h5"}]}},
        "data.validation[0].target: missing, the task supervised needs one",
    ),
    "fraction": (
        {"task": {"name": "noise2void", "fraction": 0.9}},
        "task.fraction: expected a fraction above 0 and at",
    ),
    "neighborhood": ({"task": {"name": "noise2void", "neighborhood": 4}}, "task.neighborhood: expected an odd number"),
    "another model": (
        {"task": {"name": "dual-domain"}},
        "model.name: expected dual-domain-bilateral or dual-domain for the task dual-domain, got bilateral",
    ),
    "another group": (
        {"optimizer": {"learning_rates": {"all": 0.1}}},
        "optimizer.learning_rates.all: the model bilateral has no such parameter group, expected some of range",
    ),
    "no filter": (
        {
            "task": {"name": "dual-domain"},
            "model": {"name": "dual-domain-bilateral", "projection_filters": 0, "image_filters": 0},
        },
        "model: expected at least one filter, got projection_filters: 0 and image_filters: 0",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_name_the_key(name: str, tmp_path: Path) -> None:
    """In a mapping, and in a file, whose name comes first."""
    data, words = BAD[name]
    with pytest.raises(ConfigError, match="^" + re.escape(words)):
        as_config(data)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError, match="^" + re.escape(f"{tmp_path / 'config.yaml'}: {words}")):
        load_config(tmp_path / "config.yaml")


def test_objects_are_checked_as_files_are() -> None:
    with pytest.raises(ConfigError, match=r"^stop\.max_steps: expected a whole number, got 1\.5"):
        as_config(Config(stop=config.Stop(max_steps=1.5)))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["- a\n- b\n", "seed: [1\n", "just text", "\xff"])
def test_files_that_are_no_configuration(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        load_config(tmp_path / "config.yaml")


def test_numbers_as_people_write_them(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("optimizer: {learning_rates: {spatial: 1e-3}}\n")
    assert load_config(tmp_path / "config.yaml").optimizer.learning_rates == {"spatial": 1e-3}
