"""Trained models as files. Truth: the filters they were made from, files written by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

import sinograd as sg
from sinograd.models import DualDomainBilateral, bilateral_stack, load_model, model_names, read_model, save_model
from sinograd.models import model_file as module

BY_HAND: dict[str, Any] = {
    "format": "sinograd-model",
    "version": 1,
    "model": {
        "name": "bilateral",
        "filters": [{"dimensions": 3, "sigma_spatial": [0.6, 0.5, 0.7], "sigma_range": 0.02, "input_scale": 0.05}],
    },
}


def stack() -> nn.Sequential:
    model = bilateral_stack(2, sigma_spatial=(0.6, 0.07, 1.7), sigma_range=0.0123, input_scale=0.05)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + 0.3 * torch.rand(parameter.shape))
    return model


def test_a_stack_survives_its_file(tmp_path: Path) -> None:
    model, volume = stack(), 0.05 * torch.rand(4, 9, 10)
    save_model(model, tmp_path / "a.yaml", description="for a test", trained_on={"task": "none"}, provenance={"a": [1]})
    loaded = load_model(tmp_path / "a.yaml")
    assert isinstance(loaded, nn.Sequential) and [type(layer) for layer in loaded] == [sg.BilateralFilter3d] * 2
    for key, value in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[key], value, rtol=3e-7, atol=0)
    torch.testing.assert_close(loaded(volume), model(volume), rtol=1e-5, atol=1e-7)
    saved = read_model(tmp_path / "a.yaml")
    assert (saved.description, saved.trained_on, saved.provenance) == ("for a test", {"task": "none"}, {"a": [1]})
    save_model(loaded, tmp_path / "b.yaml")
    assert read_model(tmp_path / "b.yaml").model == saved.model  # nothing drifts


def test_a_dual_domain_model_survives_its_file(tmp_path: Path) -> None:
    model = DualDomainBilateral(bilateral_stack(1, window=(5, 3, 7)), stack(), ramp_window="hann", cutoff=0.8)
    save_model(model, tmp_path / "a.yaml")
    loaded = load_model(tmp_path / "a.yaml")
    assert isinstance(loaded, DualDomainBilateral)
    assert (loaded.ramp_window, loaded.cutoff) == ("hann", 0.8)
    assert loaded.projection_filters[0].window == (5, 3, 7)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[key], value, rtol=3e-7, atol=0)


def test_a_file_by_hand(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(BY_HAND))
    layer = load_model(tmp_path / "a.yaml")[0]  # type: ignore[index]
    assert layer.sigma_spatial.tolist() == pytest.approx([0.6, 0.5, 0.7])
    assert layer.sigma_range.item() == pytest.approx(0.02)
    assert layer.input_scale.item() == pytest.approx(0.05)
    assert layer.window is None


def changed(**more: Any) -> dict[str, Any]:
    entry = {**BY_HAND["model"]["filters"][0], **more}
    return {**BY_HAND, "model": {"name": "bilateral", "filters": [entry]}}


BAD: dict[str, tuple[Any, str]] = {
    "no mapping": ([1], "it is no model file: expected format: sinograd-model, got None"),
    "another format": ({"format": "sinograd-scan"}, "it is no model file: expected format: sinograd-model, got 'sino"),
    "newer": ({**BY_HAND, "version": 2}, "version 2; this sinograd reads versions 1 to 1"),
    "no model": ({"format": "sinograd-model", "version": 1}, "model: missing, expected"),
    "another kind": (
        {**BY_HAND, "model": {"name": "red-cnn"}},
        "model.name: expected bilateral or dual-domain-bilateral, got 'red-cnn'",
    ),
    "no filter": (
        {**BY_HAND, "model": {"name": "bilateral", "filters": []}},
        "model.filters: expected at least one fil",
    ),
    "negative": (changed(sigma_range=-0.1), "model.filters[0].sigma_range: expected a positive number, got -0.1"),
    "two sigmas": (changed(sigma_spatial=[1.0, 1.0]), "sigma_spatial: expected one value or 3, got [1.0, 1.0]"),
    "even window": (changed(window=4), "window: expected odd, positive widths in voxels, got (4, 4, 4)"),
    "unknown key": (changed(sigma_rnge=1.0), "model.filters[0].sigma_rnge: unknown key (did you mean sigma_range?)"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name: str, tmp_path: Path) -> None:
    data, words = BAD[name]
    file = tmp_path / "a.yaml"
    file.write_text(yaml.safe_dump(data))
    with pytest.raises(ValueError, match="^" + re.escape(f"{file}: {words}")):
        load_model(file)


def test_names_paths_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is looked for among the shipped models, a folder holds model.yaml."""
    save_model(stack(), tmp_path / "model.yaml")
    assert read_model(tmp_path).model == read_model(tmp_path / "model.yaml").model
    monkeypatch.setattr(module, "_shipped", lambda: {"bone": tmp_path / "model.yaml"})
    assert model_names() == ["bone"]
    assert read_model("bone").model == read_model(tmp_path).model
    with pytest.raises(FileNotFoundError, match="no trained model named 'liver'; known: bone; or give the path"):
        load_model("liver")
    with pytest.raises(FileNotFoundError, match=r"no model file at .*other\.yaml"):
        load_model(tmp_path / "other.yaml")


def test_the_shipped_models_load() -> None:
    for name in model_names():
        saved = read_model(name)
        assert saved.description and saved.trained_on, name
        assert sum(parameter.numel() for parameter in saved.build().parameters()) > 0


def test_shipped_filters_for_hu_are_those_for_attenuation() -> None:
    """Converting, filtering and converting back is the same; each refuses the other's unit."""
    names = [name for name in model_names() if name.endswith("-hu")]
    assert names == [f"low-dose-ct-{name}-hu" for name in ("one-filter", "three-filters", "three-filters-n2v")]
    water = 0.0193
    hounsfield = 40 + 20 * torch.randn(3, 24, 24, generator=torch.Generator().manual_seed(0))
    hounsfield[:, 8:16, 8:16] = 300.0
    for name in names:
        with torch.no_grad():
            found = load_model(name)(hounsfield)
            other = load_model(name.removesuffix("-hu"))((hounsfield / 1000 + 1) * water)
        torch.testing.assert_close(found, (other / water - 1) * 1000, rtol=0, atol=2e-3)
        assert float((found - hounsfield).std()) > 5.0
        units = [read_model(each).trained_on["unit"] for each in (name, name.removesuffix("-hu"))]
        assert units == ["HU", "1/mm"]


def test_saving(tmp_path: Path) -> None:
    save_model(stack(), tmp_path / "a.yaml")
    before = (tmp_path / "a.yaml").read_text()
    with pytest.raises(FileExistsError, match="already exists: use `force=True`"):
        save_model(stack(), tmp_path / "a.yaml")
    assert (tmp_path / "a.yaml").read_text() == before
    save_model(stack(), tmp_path / "a.yaml", force=True)
    with pytest.raises(TypeError, match=r"expected a torch\.nn\.Module, got a? ?function"):
        save_model(stack, tmp_path / "b.pt")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"the file of a network ends in \.pt"):
        save_model(nn.Linear(2, 2), tmp_path / "b.yaml")
    with pytest.raises(ValueError, match=r"ends in \.yaml or \.yml"):
        save_model(stack(), tmp_path / "b.pt")
    with pytest.raises(FileNotFoundError, match=r"the folder .* does not exist"):
        save_model(stack(), tmp_path / "no" / "b.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


def test_stacks() -> None:
    assert sum(p.numel() for p in bilateral_stack(3).parameters()) == 12
    assert sum(p.numel() for p in bilateral_stack(2, dimensions=2).parameters()) == 6
    with pytest.raises(ValueError, match="filters: expected at least 1, got 0"):
        bilateral_stack(0)
    with pytest.raises(ValueError, match="dimensions: expected 2 or 3, got 4"):
        bilateral_stack(1, dimensions=4)
