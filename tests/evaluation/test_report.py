"""Tables, files and the page of an evaluation."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from sinograd.datasets import PairedVolume
from sinograd.evaluation import (
    Disc,
    Method,
    Scores,
    evaluate,
    find_method,
    latex,
    protocol,
    rich_differences,
    rich_scores,
    save_report,
    summary_csv,
    write_results,
)


@pytest.fixture
def scores(pairs: list[PairedVolume]) -> Scores:
    """The input, a mean of 3 x 3 named by someone who likes markup, and an oracle."""
    pool = torch.nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    methods = [Method.of("mean_3</script>", lambda volume: pool(volume), 0), find_method("gaussian")]
    return evaluate(methods, pairs, protocol("ldct-benchmark"), samples=4, discs=[Disc(0, 0, 6)])


def test_terminal(scores: Scores) -> None:
    console = Console(width=200, file=io.StringIO())
    console.print(rich_scores(scores), rich_differences(scores, "input"))
    text = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    summary = scores.summary("gaussian", "psnr")
    assert f"{summary.mean:.2f} ± {summary.std:.2f}" in text and "gaussian*" in text and "RMSE (HU)" in text
    difference = scores.difference("gaussian", "input", "psnr")
    assert "gaussian - input" in text and f"{difference.difference.mean:+.2f} [" in text
    assert re.search(rf"PSNR .*{difference.t_test:.2g} +{difference.wilcoxon:.2g}", text)


def test_files(scores: Scores, tmp_path: Path) -> None:
    folder = write_results(scores, tmp_path / "results", options={"method": ["gaussian"]})
    names = {"volumes.csv", "summary.csv", "differences.csv", "curves.csv", "discs.csv"}
    names |= {"table.tex", "noise.tex", "report.html", "provenance.json"}
    assert {path.name for path in folder.iterdir()} == names
    with open(folder / "volumes.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 5 and float(rows[0]["psnr"]) == scores.rows[0].psnr and rows[-1]["realisation"] == "1"
    with open(folder / "summary.csv", newline="", encoding="utf-8") as file:
        summary = {(row["method"], row["metric"]): row for row in csv.DictReader(file)}
    assert float(summary["input", "rmse"]["std"]) == scores.summary("input", "rmse").std
    assert summary["gaussian", "ssim"]["oracle"] == "True" and summary["mean_3</script>", "psnr"]["parameters"] == "0"
    with open(folder / "differences.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 3 * 3
    record = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    assert record["options"] == {"method": ["gaussian"]} and record["protocol"]["protocol"].startswith("ldct-benchmark")
    with pytest.raises(FileExistsError, match=r"volumes\.csv already exists: use `force=True`"):
        write_results(scores, tmp_path / "results")
    write_results(scores, tmp_path / "results", force=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="a folder is expected"):
        write_results(scores, tmp_path / "file")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        write_results(scores, tmp_path / "a" / "b")


def test_latex(scores: Scores) -> None:
    text = latex(scores)
    assert text.count(r"\\") == 4 and r"mean\_3" in text and text.count(r"\textbf{") == 3
    assert r"$\pm$" in text and "gaussian*" in text and "±" not in re.sub(r"%.*", "", text)


def test_one_patient_has_no_deviation(pairs: list[PairedVolume]) -> None:
    scores = evaluate([find_method("gaussian")], pairs[:1], protocol("full-range"))
    assert "±" not in latex(scores).split("midrule")[1]
    assert next(csv.DictReader(io.StringIO(summary_csv(scores))))["std"] == "nan"
    Console(file=io.StringIO()).print(rich_differences(scores, "input"))


def decode(page: Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    text = page.read_text(encoding="utf-8")
    meta, data = (re.search(rf'id="{name}">(.*?)</script>', text, re.S) for name in ("meta", "data"))
    assert meta is not None and data is not None
    found = json.loads(meta[1])
    planes = []
    for sample, packed in zip(found["samples"], json.loads(data[1]), strict=True):
        codes = np.frombuffer(zlib.decompress(base64.b64decode(packed)), "<u2").reshape(-1, *sample["shape"])
        planes.append(sample["low"] + codes * sample["step"])
    return found, planes


def test_the_page_holds_the_slices(scores: Scores, tmp_path: Path) -> None:
    save_report(scores, tmp_path / "r.html", details={"pairs": "made <here>"})
    meta, planes = decode(tmp_path / "r.html")
    for sample, kept, found in zip(meta["samples"], scores.samples, planes, strict=True):
        want = torch.stack([kept.target, *kept.images.values()])
        np.testing.assert_allclose(found, want, atol=0.51 * sample["step"])
        assert sample["names"] == ["target", "input", "mean_3</script>", "gaussian"]
        y, x, side = sample["region"]
        assert 0 <= y <= 40 - side and 0 <= x <= 44 - side and side == 16
    windows = [sample["window"] for sample in meta["samples"]]
    assert windows == [[-150, 249]] * 3 + [[-1350, 149]]
    assert meta["rows"][2][0] == "gaussian*" and len(meta["differenceRows"]) == 3
    assert ["pairs", "made <here>"] in meta["details"]
    assert [row[0] for row in meta["noise"]["rows"]] == ["input", "mean_3</script>", "gaussian*"]
    assert meta["noise"]["rows"][0][1].startswith("39.99 ±") and "mean_3&lt;/script&gt;" in meta["noise"]["picture"]
    assert meta["discs"][0]["title"] == "Sharpness of the disc at (0, 0) mm, radius 6 mm"
    assert [row[0] for row in meta["discs"][0]["rows"]] == ["target", *(row[0] for row in meta["noise"]["rows"])]
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|\bsrc=|@import|url\(", text)
    assert text.count("</script>") == 3
    with pytest.raises(ValueError, match=r"must end in \.html"):
        save_report(scores, tmp_path / "r.txt")


def grey(browser: Any, name: str, row: float, column: float) -> int:
    return browser.execute_script(
        "const c = document.getElementById(arguments[0]);"
        "return c.getContext('2d').getImageData(arguments[2] * c.width, arguments[1] * c.height, 1, 1).data[0]",
        name, row, column,
    )  # fmt: skip


def test_in_a_browser(browser: Any, scores: Scores, tmp_path: Path) -> None:
    """The regions and differences that are drawn are those of the volumes, at first and after changes."""
    from selenium.webdriver.support.ui import WebDriverWait

    save_report(scores, tmp_path / "r.html")
    browser.get((tmp_path / "r.html").as_uri())
    WebDriverWait(browser, 20).until(lambda b: b.execute_script("return document.body.dataset.ready") == "yes")
    cells = browser.execute_script(
        "return [...document.querySelectorAll('#scores td:first-child')].map(c => c.textContent)"
    )
    assert cells == ["input", "mean_3</script>", "gaussian*"]
    texts = browser.execute_script("return [...document.querySelectorAll('#curves svg text')].map(t => t.textContent)")
    assert {"mean_3</script>", "noise power (HU² mm²)", "spatial frequency (1/mm)"} <= set(texts)

    def check(sample: int, low: float, high: float, reach: float, region: tuple[int, int, int]) -> None:
        kept, (top, left, side) = scores.samples[sample], region
        for row, column in ((1, 2), (side // 2, side - 2)):
            y, x = top + row, left + column
            where = ((row + 0.5) / side, (column + 0.5) / side)
            for plane, image in enumerate([kept.target, *kept.images.values()]):
                want = 255 * (float(image[y, x]) - low) / (high - low)
                assert grey(browser, f"image-{plane}", *where) == pytest.approx(min(255, max(0, want)), abs=1)
            found = float(kept.images["input"][y, x] - kept.target[y, x])
            want = 127.5 + 127.5 * found / reach
            assert grey(browser, "difference-1", *where) == pytest.approx(min(255, max(0, want)), abs=1)

    region = tuple(decode(tmp_path / "r.html")[0]["samples"][0]["region"])
    check(0, -150, 250, 150, region)
    # Whole slices of all methods, as wide as their columns, with bars that say what black and white mean.
    kept = scores.samples[0]
    y, x = next(
        at for at in ((2, 3), (37, 40)) if not all(0 <= a - b < region[2] for a, b in zip(at, region, strict=False))
    )
    for name, image in zip(("overview", "whole-1", "whole-2"), (kept.target, *kept.images.values()), strict=False):
        want = 255 * (float(image[y, x]) + 150) / 400
        found = grey(browser, name, (y + 0.5) / image.shape[0], (x + 0.5) / image.shape[1])
        assert found == pytest.approx(min(255, max(0, want)), abs=1), name
    bars = browser.execute_script("return [...document.querySelectorAll('#bars span[id]')].map(s => s.textContent)")
    assert bars == ["-150 HU", "249 HU", "-149.6 HU", "149.6 HU"]
    tops = browser.execute_script(
        "return [1, 2].map(n => document.getElementById('image-' + n).getBoundingClientRect().top)"
    )
    assert tops[0] == pytest.approx(tops[1], abs=1)
    browser.execute_script("show(-300, 100, 60); region = { y: 3, x: 5, size: 20 }; draw();")
    check(0, -300, 100, 60, (3, 5, 20))
    browser.execute_script("return choose(3)")
    region = tuple(decode(tmp_path / "r.html")[0]["samples"][3]["region"])
    check(3, -1350, 150, 562.5, region)
    assert [line for line in browser.get_log("browser") if "getImageData" not in line["message"]] == []
