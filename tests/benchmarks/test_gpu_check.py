"""`make gpu-check` where there is no GPU: what it says, and that its measurements run (on the CPU, tiny)."""

from __future__ import annotations

import json
import sys
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


def test_the_tests_are_there(load, project_root: Path) -> None:
    assert [name for name in load("check").TESTS if not (project_root / "tests" / name).is_file()] == []


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


def test_steps_are_interrupted_before_they_are_killed(load, tmp_path: Path) -> None:
    """So that pytest writes its report of what is done."""
    script = "import sys, time\ntry:\n    time.sleep(50)\nexcept KeyboardInterrupt:\n    open(sys.argv[1], 'w').close()"
    check = load("check").Check(tmp_path, seconds=60.0)
    assert check.run([sys.executable, "-c", script, tmp_path / "told"], 2.0) == 124
    assert (tmp_path / "told").exists()


def test_a_step_that_raises_leaves_the_others_to_run(
    load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check, ran = load("check"), []

    def step(name: str, result: bool):
        def run(_) -> bool:
            ran.append(name)
            return result or 1 / 0

        run.__name__ = name
        return run

    monkeypatch.setattr(check, "environment", lambda: {"gpus": [{"name": "H200"}]})
    for name, result in (("build", False), ("tests", False), ("benchmarks", True), ("sanitizer", True)):
        monkeypatch.setattr(check, name, step(name, result))
    assert check.main(["--out", str(tmp_path)]) == 1
    assert ran == ["build", "tests", "benchmarks", "sanitizer"]
    assert capsys.readouterr().out.splitlines()[1:] == [
        "build: ZeroDivisionError: division by zero",
        "tests: ZeroDivisionError: division by zero",
        "failed: build, tests",
    ]


def test_cases_that_raise_leave_the_others_to_be_measured(
    load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = load("measure")
    work_of, path = measure.work_of, tmp_path / "benchmarks.json"
    monkeypatch.setattr(measure, "cases", lambda size: [measure.CASES["fan-fbp"], measure.CASES["fdk"]])
    monkeypatch.setattr(
        measure, "work_of", lambda case, device: 1 / 0 if case.name == "fan-fbp" else work_of(case, device)
    )
    assert measure.main(["--device", "cpu", "--size", "8", "--out", str(path)]) == 1
    results = json.loads(path.read_text())
    assert results["fan-fbp"] == results["agreement, fan-fbp"] == {"error": "ZeroDivisionError: division by zero"}
    assert results["fdk"]["ms"] > 0


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
