"""Model files that are made to harm: each ends in one line, before layers are built or memory is taken."""

from __future__ import annotations

import os
import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from sinograd.errors import SinogradError
from sinograd.models import NetworkDenoiser, load_model, read_model, save_model
from sinograd.networks.dncnn import DnCNN


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    """What the file of a small network holds."""
    save_model(NetworkDenoiser(DnCNN(3, 2), 0.0, 1.0), tmp_path / "good.pt")
    return torch.load(tmp_path / "good.pt", weights_only=True)


def refused(path: Path, words: str) -> str:
    start = time.process_time()
    with pytest.raises((SinogradError, FileNotFoundError), match=words) as caught:
        load_model(path)
    assert time.process_time() - start < 5
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700
    return str(caught.value)


WEIGHT = torch.ones(2, 1, 3, 3)
WRONG: dict[str, tuple[Any, str]] = {
    "sparse": (WEIGHT.to_sparse(), "expected real numbers in memory, got float32, sparse_coo"),
    "complex": (WEIGHT.to(torch.complex64), "expected real numbers in memory, got complex64"),
    "int8": (WEIGHT.to(torch.int8), "expected real numbers in memory, got int8"),
    "bool": (WEIGHT.bool(), "got bool"),
    "float8": (WEIGHT.to(torch.float8_e4m3fn), "got float8_e4m3fn"),
    "meta": (torch.empty(2, 1, 3, 3, device="meta"), "on meta"),
    "nan": (WEIGHT * float("nan"), "expected finite weights, got NaN"),
    "half nan": ((WEIGHT * float("inf")).half(), "expected finite weights"),
    "text": ("x\x1b", "got a str"),
    "list": ([[1.0]], "got a list"),
    "scalar": (torch.tensor(1.0), r"got \[\]"),
    "other shape": (torch.ones(2, 1, 3, 4), r"expected weights \[2, 1, 3, 3\], got \[2, 1, 3, 4\]"),
    "one number for 10^12": (torch.ones(1).expand(10**6, 10**6), r"got \[1000000, 1000000\]"),
}


@pytest.mark.parametrize("name", WRONG)
def test_weights_of_other_kinds(tmp_path: Path, content: dict[str, Any], name: str) -> None:
    value, words = WRONG[name]
    content["state_dict"]["first.weight"] = value
    torch.save(content, tmp_path / "bad.pt")
    message = refused(tmp_path / "bad.pt", rf"bad\.pt: state_dict\.first\.weight: .*{words}")
    assert "\x1b" not in message


def test_quantised_weights(tmp_path: Path, content: dict[str, Any]) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content["state_dict"]["first.weight"] = torch.quantize_per_tensor(WEIGHT, 0.1, 0, torch.qint8)
        torch.save(content, tmp_path / "bad.pt")
    refused(tmp_path / "bad.pt", r"bad\.pt: .*(qint8|damaged or no PyTorch archive)")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": 3, "channels": 10**6}, r"expected weights \[1000000, 1, 3, 3\], got \[2, 1, 3, 3\]"),
        ({"layers": 10**9, "channels": 2}, "the network has more weights than the"),
        ({"layers": 10**9, "channels": 10**6}, "the network has more weights than the"),
        ({"layers": 3, "channels": 10**18}, "does not take"),
        ({"layers": 3, "channels": 10**400}, "does not take"),
        ({"layers": 3.5, "channels": "x"}, "does not take"),
        ({"layers": [3] * 10_000}, "does not take"),
    ],
)
def test_networks_that_are_larger_than_their_file(
    tmp_path: Path, content: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    """10^6 channels would be 36 GB, were they built first."""
    content["model"]["options"] = options
    torch.save(content, tmp_path / "bad.pt")
    refused(tmp_path / "bad.pt", rf"bad\.pt: (model\.options|state_dict).*{words}")


def rewritten(source: Path, target: Path, change: Any, method: int = zipfile.ZIP_STORED) -> None:
    """A copy of an archive with other bytes in its entries."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", method) as new:
        for info in old.infolist():
            for name, data in change(info.filename, old.read(info)):
                new.writestr(name, data)


def test_weights_that_say_to_be_larger_than_their_bytes(tmp_path: Path, content: dict[str, Any]) -> None:
    """torch (2.13) reads as many bytes as the description says, beyond those of the entry."""
    torch.save(
        {**content, "state_dict": {**content["state_dict"], "first.weight": torch.ones(123_457)}}, tmp_path / "a"
    )

    def cut(name: str, data: bytes) -> list[tuple[str, bytes]]:
        return [(name, data[:64] if len(data) == 4 * 123_457 else data)]

    rewritten(tmp_path / "a", tmp_path / "bad.pt", cut)
    refused(tmp_path / "bad.pt", r"bad\.pt: it is damaged or no PyTorch archive")


def test_packed_and_repeated_entries(tmp_path: Path, content: dict[str, Any]) -> None:
    def bloated(name: str, data: bytes) -> list[tuple[str, bytes]]:
        return [(name, bytes(300 << 20) if name.endswith("/0") else data)]

    rewritten(tmp_path / "good.pt", tmp_path / "bad.pt", bloated, zipfile.ZIP_DEFLATED)
    refused(tmp_path / "bad.pt", "its entries are packed")
    many = lambda name, data: [(f"{name}{i}", b"") for i in range(2000)]  # noqa: E731
    rewritten(tmp_path / "good.pt", tmp_path / "bad.pt", many)
    refused(tmp_path / "bad.pt", "at most 20,000 are read|no PyTorch archive")
    (tmp_path / "bad.pt").write_bytes(b"PK\x03\x04" + bytes(100))
    refused(tmp_path / "bad.pt", r"bad\.pt: it is damaged or no PyTorch archive")


class _Runs:
    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


def test_nothing_is_executed(tmp_path: Path, content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def poisoned(name: str, data: bytes) -> list[tuple[str, bytes]]:
        return [(name, pickle.dumps(_Runs()) if name.endswith(".pkl") else data)]

    rewritten(tmp_path / "good.pt", tmp_path / "bad.pt", poisoned)
    refused(tmp_path / "bad.pt", r"bad\.pt: it is damaged or no PyTorch archive of plain data")
    assert not (tmp_path / "ran").exists()


def test_lists_of_lists_of_lists(tmp_path: Path, content: dict[str, Any]) -> None:
    """10^10 values behind a hundred of them, which `info` would print."""
    bomb: Any = "x"
    for _ in range(10):
        bomb = [bomb] * 10
    content["trained_on"] = {"bomb": bomb}
    torch.save(content, tmp_path / "bad.pt")
    refused(tmp_path / "bad.pt", "it holds more than 1,000,000 values")
    nest: Any = []
    for _ in range(300):
        nest = [nest]
    content["trained_on"] = {"nest": nest}
    torch.save(content, tmp_path / "bad.pt")
    refused(tmp_path / "bad.pt", "more than 100 levels")


@pytest.mark.parametrize(
    "text",
    [
        "format: [a]",
        "format: sinograd-model\nversion: 1\nmodel: {name: [a]}",
        "format: sinograd-model\nversion: 1\nmodel: {name: {a: b}}",
        "format: sinograd-model\nversion: 1.5\nmodel: {name: bilateral, filters: []}",
        "format: sinograd-model\nversion: 99\nmodel: {name: bilateral, filters: []}",
        "format: sinograd-model\nversion: 1\nmodel: {name: bilateral, filters: [{dimensions: 3}]}",
        "format: sinograd-model\nversion: 1\n"
        "model: {name: bilateral, filters: [{dimensions: 3, sigma_spatial: [1e400, 1, 1], sigma_range: 1}]}",
        "format: sinograd-model\nversion: 1\n"
        "model: {name: bilateral, filters: [{dimensions: 3, sigma_spatial: [1, 1], sigma_range: 1}]}",
        "format: sinograd-model\nversion: 1\n"
        f"model: {{name: bilateral, filters: [{{dimensions: 3, sigma_spatial: [1, 1, 1], sigma_range: {'9' * 300}}}]}}",
        "format: sinograd-model\nversion: 1\nmodel: {name: dual-domain-bilateral, projection_filters: 3}",
        "? {a: b}\n: c",
        "",
        "- 1",
    ],
)
def test_yaml_of_wrong_types(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    refused(tmp_path / "bad.yaml", r"bad\.yaml")


def test_pipes_and_devices_are_not_opened(tmp_path: Path) -> None:
    for name in ("a.pt", "a.yaml", "model.yaml"):
        os.mkfifo(tmp_path / name)
        refused(tmp_path / name, "is a named pipe")
    refused(tmp_path, r"model\.yaml is a named pipe")
    with pytest.raises(SinogradError, match="is a device"):
        read_model("/dev/zero")
