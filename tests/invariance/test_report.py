"""The report and its command. Truth: sums in numpy, what a browser shows."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from sinograd.cli.app import app
from sinograd.datasets import PairedVolume
from sinograd.errors import InputError, UnitError
from sinograd.geometry import Grid
from sinograd.invariance import (
    Autoencoder,
    ConditionalFlow,
    ConditionalVAE,
    Embedding,
    Sampler,
    Spaces,
    analyse,
    known_denoiser,
    save_invariance,
    save_invariance_report,
)
from sinograd.io import write_volume

pytest.importorskip("FrEIA")


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slices(seed: int) -> torch.Tensor:
    return 200 * torch.randn(2, 72, 80, generator=generator(seed)) - 500


@pytest.fixture(scope="module")
def samplers() -> list[Sampler]:
    found = []
    for number, name in enumerate(("identity", "lesion-eraser", "constant")):
        vae = ConditionalVAE("small", generator=generator(number)).eval()
        flow = ConditionalFlow(64, 1, 64, 1, 8, 4, generator(number), 2).eval()
        found.append(Sampler(known_denoiser(name), vae, flow))
    return found


@pytest.fixture(scope="module")
def spaces() -> Spaces:
    twin = ConditionalVAE("small", False, generator=generator(7)).eval()
    return Spaces(Autoencoder(twin, None), Embedding("small", 8, generator=generator(8)).eval())


def test_numbers_of_a_report(samplers: list[Sampler], spaces: Spaces) -> None:
    pairs = [PairedVolume(f"p{i}", f"p{i}", (slices(i),), None, "HU") for i in range(2)]
    report = analyse(samplers, pairs, spaces, crops=3, samples=2, seed=4)
    assert report.x.shape == (3, 1, 64, 64) and [one.name for one in report.denoisers] == [
        "identity", "lesion-eraser", "constant",
    ]  # fmt: skip
    for name, x in zip(report.crops, report.x, strict=True):
        volume, index, top, left = (part.split()[-1] for part in name.split(", "))
        source = slices(int(volume[1:]))[int(index), int(top) : int(top) + 64, int(left) : int(left) + 64]
        assert torch.equal(x[0], source)
    first, _, constant = report.denoisers
    difference = np.abs(first.samples.numpy() - report.x.numpy()[:, None]).mean()
    assert first.difference == pytest.approx(difference, rel=1e-5) and -1 <= first.content <= 1
    assert torch.equal(first.samples, first.again) and math.isnan(constant.own)
    again = analyse(samplers, pairs, Spaces(), crops=3, samples=2, seed=4)
    assert torch.equal(again.denoisers[1].samples, report.denoisers[1].samples) and math.isnan(
        again.denoisers[0].content
    )


def test_what_does_not_fit(samplers: list[Sampler], spaces: Spaces) -> None:
    pair = PairedVolume("p", "p", (slices(0),), None, "HU")
    small = PairedVolume("p", "p", (slices(0)[:, :32],), None, "HU")
    in_mm = PairedVolume("p", "p", (slices(0),), None, "1/mm")
    conditional = Spaces(Autoencoder(samplers[0].vae, samplers[0].denoiser))
    paired = Sampler(known_denoiser("paired"), samplers[0].vae, samplers[0].flow)
    for words, call in (
        ("samplers: expected some", lambda: analyse([], [pair], Spaces())),
        ("pairs: expected at least one", lambda: analyse(samplers, [], Spaces())),
        ("expected slices of at least 64", lambda: analyse(samplers, [small], Spaces())),
        ("twin: expected an unconditional", lambda: analyse(samplers, [pair], conditional)),
        ("expected at least 2 of both, got 1 and 6", lambda: analyse(samplers, [pair], Spaces(), crops=1)),
        ("target: missing; the denoiser's images", lambda: analyse([paired], [pair], Spaces(), crops=2, samples=2)),
    ):
        with pytest.raises(InputError, match=words):
            call()
    with pytest.raises(UnitError, match="expected values in HU, the volume is in 1/mm"):
        analyse(samplers, [in_mm], Spaces())


@pytest.fixture
def files(samplers: list[Sampler], spaces: Spaces, tmp_path: Path) -> Path:
    for sampler in samplers[:2]:
        (tmp_path / "runs" / sampler.denoiser.name).mkdir(parents=True)
        save_invariance(sampler, tmp_path / "runs" / sampler.denoiser.name / "model.pt")
    assert spaces.twin is not None and spaces.embedding is not None
    save_invariance(spaces.twin, tmp_path / "twin.pt")
    save_invariance(spaces.embedding, tmp_path / "embedding.pt")
    write_volume(slices(3), tmp_path / "low.h5", Grid((2, 72, 80), 1.0), unit="HU")
    pairs = {"pairs": {"layout": "volumes", "unit": "HU", "files": [{"input": "low.h5"}]}}
    (tmp_path / "pairs.yaml").write_text(yaml.safe_dump(pairs))
    return tmp_path


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command(files: Path) -> None:
    pairs, page = files / "pairs.yaml", files / "x.html"
    more = ("--twin", files / "twin.pt", "--embedding", files / "embedding.pt", "--crops", "2", "--samples", "2")
    found = run("invariance", files / "runs", pairs, "-o", files / "report", *more)
    assert found.exit_code == 0 and (files / "report.html").is_file()
    assert all(words in found.stdout for words in ("identity", "lesion-eraser", "report.html"))
    few = ("--crops", "2", "--samples", "2", "--json")
    found = run("invariance", files / "runs" / "identity", pairs, "-o", files / "one.html", *few)
    record = json.loads(found.stdout)
    assert set(record["denoisers"]) == {"identity"} and record["page"].endswith("one.html")
    assert record["denoisers"]["identity"]["content_similarity"] is None
    for arguments, words in (
        ((files / "twin.pt", pairs, "-o", page), "expected the file of a trained sampler"),
        ((files / "none", pairs, "-o", page), "no model of invariances at"),
        ((files, pairs, "-o", page), "nor in its folders"),
        ((files / "runs", pairs, "-o", files / "report.html"), "exists"),
        ((files / "runs", pairs, "-o", page, "--twin", files / "embedding.pt"), "autoencoder"),
    ):
        found = run("invariance", *arguments)
        assert found.exit_code == 2 and words in " ".join(found.stderr.split())
        assert not page.exists()


def test_the_page_in_a_browser(samplers: list[Sampler], spaces: Spaces, tmp_path: Path, browser: Any) -> None:
    """Sliders choose crop and sample; canvases hold the values that the report has."""
    pairs = [PairedVolume("<b>p</b>", "p", (slices(0),), None, "HU")]
    report = analyse(samplers, pairs, spaces, crops=3, samples=2, seed=1)
    page = save_invariance_report(report, tmp_path / "report.html", details={"pairs": "</script><b>x"})
    assert "http" not in page.read_text(encoding="utf-8").replace("http-equiv", "")
    browser.get(page.as_uri())
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 60).until(lambda b: b.execute_script("return document.body.dataset.ready") == "yes")
    assert not browser.find_element("id", "error").text

    def grey(canvas: str) -> np.ndarray:
        context = f"document.getElementById('{canvas}').getContext('2d')"
        data = browser.execute_script(f"return Array.from({context}.getImageData(0, 0, 64, 64).data)")
        return np.array(data).reshape(64, 64, 4)[..., 0]

    def slide(name: str, value: int) -> None:
        change = "e.value = arguments[1]; e.dispatchEvent(new Event('input'))"
        browser.execute_script(f"const e = document.getElementById(arguments[0]); {change}", name, value)

    def expected(values: torch.Tensor) -> np.ndarray:
        return np.clip(255 * (values.round().numpy() + 600 + 750) / 1500, 0, 255)

    assert np.abs(grey("x-0") - expected(report.x[0, 0])).max() <= 1
    slide("crop", 2)
    slide("sample", 1)
    eraser = report.denoisers[1]
    assert np.abs(grey("x-0") - expected(report.x[2, 0])).max() <= 1
    assert np.abs(grey("sample-1") - expected(eraser.samples[2, 1, 0])).max() <= 1
    assert np.abs(grey("again-1") - expected(eraser.again[2, 1, 0])).max() <= 1
    assert "3 of 3: <b>p</b>, slice" in browser.find_element("id", "cropName").text
    slide("window", 50)
    assert len(np.unique(grey("x-0"))) > 1 and np.mean(np.isin(grey("x-0"), (0, 255))) > 0.7
    rows = browser.find_elements("css selector", "#summary tbody tr")
    assert [row.text.split()[0] for row in rows] == ["identity", "lesion-eraser", "constant"]
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
