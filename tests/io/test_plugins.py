"""Formats of other packages, through the entry points `sinograd.formats`. Truth: a distribution made here."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sinograd.choices import FORMAT_FACTS, SCAN_FORMATS, VOLUME_FORMATS
from sinograd.cli.app import app
from sinograd.data import Scan
from sinograd.errors import PluginWarning
from sinograd.io import read, scan_format, write_scan
from sinograd.registry import Registry

MODULE = '''
"""A format of one line, then the views as text; everything else is fixed."""

import numpy as np

from sinograd.data import Scan
from sinograd.geometry import FlatDetector, ParallelBeam
from sinograd.io.scans.format import ScanFormat
from sinograd.io.storage.atomic import replacing


class Lab(ScanFormat):
    HELP = "lab scan"
    suffixes = (".lab",)
    writes = True

    def matches(self, path, head):
        return head.startswith(b"LAB SCAN")

    def read(self, path, *, geometry=None, scale=1.0):
        values = np.loadtxt(path, skiprows=1).reshape(6, 4, 5) * scale
        return Scan(values, geometry or ParallelBeam(np.arange(6.0), FlatDetector((4, 5), 1.0)), file=path)

    def write(self, scan, path, *, force=False, progress=None):
        self.check(scan)
        with replacing(path, force=force) as temporary:
            np.savetxt(temporary, scan.load().flatten(1), header="LAB SCAN", comments="")
'''


def install(folder: Path, entry_points: str, modules: dict[str, str]) -> None:
    """What pip would leave of a package: modules, and its metadata with entry points."""
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    info = folder / "lab_formats-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-formats\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[sinograd.formats]\n{entry_points}\n")


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path of modules; the registries look for entry points anew, and forget them afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = {registry: dict(registry._entries) for registry in (SCAN_FORMATS, VOLUME_FORMATS)}
    for registry in before:
        registry._plugins = None
    yield folder
    for registry, entries in before.items():
        registry._plugins, registry._entries = None, entries
    for name in ("lab_formats", "broken_formats"):
        sys.modules.pop(name, None)


def test_a_format_of_another_package(plugins: Path, cone_scan: Scan, tmp_path: Path) -> None:
    """It is read by content, written by its suffix, has options, and the command knows it."""
    install(plugins, "lab = lab_formats:Lab", {"lab_formats": MODULE})
    assert "lab" in SCAN_FORMATS and "lab" not in VOLUME_FORMATS
    entry = SCAN_FORMATS.entry("lab")
    assert entry.plugin == "lab-formats" and entry.help == "lab scan" and entry.about["suffixes"] == (".lab",)
    write_scan(cone_scan, tmp_path / "a.lab")
    (tmp_path / "a.lab").rename(tmp_path / "a.txt")
    assert read(tmp_path / "a.txt").load().allclose(cone_scan.load())
    assert read(tmp_path / "a.txt", scale=2.0).load().allclose(2 * cone_scan.load())
    with pytest.raises(TypeError, match="lab scan has no option zoom; its options are scale"):
        read(tmp_path / "a.txt", zoom=2)
    for arguments in (("b.lab",), ("c.lab", "--to", "lab")):
        result = CliRunner().invoke(
            app, ["convert", str(tmp_path / "a.txt"), str(tmp_path / arguments[0]), *arguments[1:]]
        )
        assert result.exit_code == 0, result.output
        assert read(tmp_path / arguments[0]).load().allclose(cone_scan.load())
    assert scan_format("x.lab") == "lab"


def test_a_plugin_that_fails_to_import_is_a_warning_with_its_name(
    plugins: Path, cone_scan: Scan, tmp_path: Path
) -> None:
    install(plugins, "broken = broken_formats:Broken", {"broken_formats": "import no_such_module\n"})
    with pytest.warns(PluginWarning, match="'broken' of the package lab-formats is left out.*No module named 'no_such"):
        write_scan(cone_scan, tmp_path / "a.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # of the volume formats
        assert read(tmp_path / "a.h5").shape == (6, 4, 5)
    assert "broken" not in SCAN_FORMATS


def test_help_imports_no_plugin(plugins: Path) -> None:
    install(plugins, "broken = broken_formats:Broken", {"broken_formats": "raise RuntimeError\n"})
    assert [entry.name for entry in SCAN_FORMATS.entries(plugins=False)][:2] == ["hdf5-layout", "h5"]
    assert CliRunner().invoke(app, ["convert", "--help"]).exit_code == 0
    assert "broken_formats" not in sys.modules


def test_first_puts_a_format_before_all(cone_scan: Scan, tmp_path: Path) -> None:
    from sinograd.io.scans.sinograd_hdf5 import SinogradHdf5

    class Renaming(SinogradHdf5):
        def read(self, path: Path, **more: object) -> Scan:
            raise ValueError("it is me")

    write_scan(cone_scan, tmp_path / "a.h5")
    SCAN_FORMATS.add("own", Renaming, "own HDF5", suffixes=(".h5",), first=True)
    try:
        with pytest.raises(ValueError, match=r"a\.h5: it is me"):
            read(tmp_path / "a.h5")
    finally:
        SCAN_FORMATS.remove("own")
    assert read(tmp_path / "a.h5").shape == (6, 4, 5)


def test_a_registry_leaves_out_what_holds_something_else(plugins: Path) -> None:
    install(plugins, "lab = lab_formats:Lab", {"lab_formats": MODULE})
    scans: Registry[object] = Registry("format", "sinograd.formats", facts=FORMAT_FACTS, only={"holds": "scan"})
    volumes: Registry[object] = Registry("format", "sinograd.formats", facts=FORMAT_FACTS, only={"holds": "volume"})
    assert scans.names() == ("lab",) and volumes.names() == ()
