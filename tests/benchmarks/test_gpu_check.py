"""`make gpu-check` where there is no GPU: what it says, and that its measurements run (on the CPU, tiny)."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture
def load(project_root: Path, monkeypatch: pytest.MonkeyPatch):
    for folder in ("benchmarks", "benchmarks/gpu"):
        monkeypatch.syspath_prepend(project_root / folder)

    def load(name: str) -> ModuleType:
        return __import__(name)

    return load


def test_without_a_gpu_it_says_so_and_runs_nothing(
    load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert load("check").main(["--out", str(tmp_path)]) == 2
    assert "NO GPU, nothing was run: torch sees no GPU" in capsys.readouterr().out
    assert json.loads((tmp_path / "environment.json").read_text())["gpus"] == []
    assert {path.name for path in tmp_path.iterdir()} == {"check.log", "environment.json"}


def test_failed_tests_are_named(load, tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_text(
        '<testsuites><testsuite name="pytest" tests="3" failures="1" errors="0" skipped="1">'
        '<testcase classname="a.B" name="one"/><testcase classname="a.B" name="two"><failure/></testcase>'
        '<testcase classname="a.B" name="three"><skipped/></testcase></testsuite></testsuites>'
    )
    summary = load("check").summary_of_tests(report, 1, 2.34)
    assert summary == {
        "status": 1, "seconds": 2.3, "failed": ["a.B::two"], "tests": 3, "failures": 1, "errors": 0, "skipped": 1,
    }  # fmt: skip
    assert "none" in load("check").summary_of_tests(tmp_path / "no.xml", 124, 1.0)


def test_steps_end_when_time_is_up(load, tmp_path: Path) -> None:
    check = load("check").Check(tmp_path, seconds=60.0)
    assert check.run(["sleep", "30"], 1.2) == 124
    assert check.run(["true"], 60) == 0
    check.end = 0.0
    assert check.run(["true"], 60) == 124


def test_measurements_run(load, tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.json"
    assert load("measure").main(["--device", "cpu", "--size", "8", "--out", str(path)]) == 0
    results = json.loads(path.read_text())
    assert results["agreement, general-adjoint"]["relative_rms"] == 0
    assert {"fdk", "backprojection-adjoint", "general-backprojection-adjoint", "fan-fbp"} <= set(results)
    assert all(entry["ms"] > 0 for name, entry in results.items() if not name.startswith("agreement"))


def test_every_kernel_is_called(load) -> None:
    load("every_kernel").main("cpu")


def test_ceilings_compile(project_root: Path) -> None:
    core = pytest.importorskip("cuda.core", reason="needs cuda-core: pip install 'sinograd[cuda]'")
    text = (project_root / "benchmarks" / "gpu" / "ceilings.cu").read_text()
    code = core.Program(text, "c++", core.ProgramOptions(name="ceilings.cu", arch="sm_90", std="c++17")).compile(
        "cubin"
    )
    for kernel in ("shared_loads", "cached_loads", "products_float", "products_double"):
        assert f".text.{kernel}".encode() in bytes(code.code)
