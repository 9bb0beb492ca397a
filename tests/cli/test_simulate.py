"""`sinograd simulate`. Truth: phantoms projected directly, Poisson variances, the scans that were read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

import sinograd as sg
from sinograd.choices import PHANTOMS
from sinograd.data import Scan
from sinograd.geometry import load_geometry
from sinograd.io import read, read_volume, write_scan
from sinograd.phantoms.catalogue import facts, placed, resampled, scanned_by


def one_line(text: str) -> str:
    """The text of stderr, which must be one line without a traceback."""
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("sinograd: ")
    return lines[0]


def flat_scan(path: Path, **options: Any) -> Path:
    """100 views of 2,500 readings of the line integral 1."""
    geometry = sg.ConeBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=sg.full_scan(100), detector=sg.FlatDetector((50, 50), 0.3)
    )
    scan = Scan(torch.ones(geometry.projection_shape), geometry, {"sample": "slab"}, **options)
    write_scan(scan, path)
    return path


def test_lower_dose_of_a_scan(sinograd: Any, tmp_path: Path) -> None:
    """The noise has Yu's variance; geometry, grid and metadata stay, and the record says how it was made."""
    source = flat_scan(tmp_path / "scan.h5", grid=sg.Grid((4, 8, 8), 1.0))
    arguments = (source, "-o", tmp_path / "low.h5", "--dose", 0.1, "--photons", 2e4, "--seed", 3)
    result = sinograd("simulate", *arguments)
    assert result.exit_code == 0, result.output
    low, scan = read(tmp_path / "low.h5"), read(source)
    assert low.geometry.equals(scan.geometry) and low.grid is not None and low.grid.equals(sg.Grid((4, 8, 8), 1.0))
    assert low.metadata["sample"] == "slab" and low.metadata["photons"] == pytest.approx(2e3)
    assert low.metadata["readings_without_photons"] == 0
    variance = 0.9 / 0.1 * math.e / 2e4
    first = low.load()
    assert first.var().item() == pytest.approx(variance, rel=0.02)
    assert low.provenance["command"] == "sinograd simulate" and low.provenance["options"]["seed"] == 3
    assert "2000 per pixel and view, unattenuated (dose 0.1)" in result.stdout
    assert "0 of 250000 readings (0.00%) had no photons" in result.stdout

    again = sinograd("simulate", *arguments)
    assert again.exit_code == 2 and "already exists: use --force" in one_line(again.stderr)
    assert sinograd("simulate", *arguments, "--force", "--quiet").output == ""
    torch.testing.assert_close(read(tmp_path / "low.h5").load(), first, rtol=0, atol=0)
    assert sinograd("simulate", *arguments[:-1], 4, "--force").exit_code == 0
    assert not torch.equal(read(tmp_path / "low.h5").load(), first)


def test_starved_readings_are_reported(sinograd: Any, tmp_path: Path) -> None:
    source = flat_scan(tmp_path / "scan.h5")
    result = sinograd("simulate", source, "-o", tmp_path / "low.h5", "--dose", 0.01, "--photons", 200)
    assert result.exit_code == 0, result.output
    low = read(tmp_path / "low.h5")
    line = next(line for line in result.stdout.splitlines() if line.startswith("starved"))
    empty = int(line.split()[1])
    # a reading of 200 / e photons is thinned to a mean of 2 / e
    assert empty / 250_000 == pytest.approx(math.exp(-2 / math.e), abs=0.02)
    assert low.metadata["readings_without_photons"] == empty
    assert low.load().max().item() == pytest.approx(math.log(2 / 0.5), rel=1e-5)


@pytest.mark.parametrize("name", PHANTOMS)
def test_every_phantom_fits_its_scanner(name: str) -> None:
    """As wide as it claims to be, inside the field of view, and neither opaque nor invisible."""
    geometry = scanned_by(name, None, 6, None)
    assert geometry.projection_shape == (6, *facts(name)["detector"])
    made, width = placed(name, 0, geometry, None)
    assert width <= geometry.field_of_view
    projections = made.project(geometry)
    edges = projections[..., [0, -1]]
    assert edges.max() < 1e-6
    assert 0.03 < projections.max() < 20


def test_a_phantom_without_noise(sinograd: Any, tmp_path: Path) -> None:
    """The exact projections; its voxels beside them."""
    arguments = ("--views", 12, "--detector", "16,20", "--noiseless", "--truth", tmp_path / "truth.h5")
    grid = ("--voxel-mm", 20, "--shape", "4,10,12")
    result = sinograd("simulate", "ball", "-o", tmp_path / "ball.h5", *arguments, *grid)
    assert result.exit_code == 0, result.output
    scan = read(tmp_path / "ball.h5")
    width = 0.9 * scan.geometry.field_of_view
    ball = sg.Ellipsoids(0.02, width / 2)
    torch.testing.assert_close(scan.load(), ball.project(scan.geometry), rtol=1e-4, atol=1e-5)
    saved = read_volume(tmp_path / "truth.h5")
    truth, seen = saved.values, saved.grid
    assert scan.grid is not None and scan.grid.equals(seen) and seen.equals(sg.Grid((4, 10, 12), 20.0))
    torch.testing.assert_close(truth, ball.voxelize(seen))
    assert "starved" not in result.stdout


def test_a_phantom_in_a_scanner_of_two_dimensions(sinograd: Any, tmp_path: Path) -> None:
    """Photons by dose, electronic noise and a bowtie filter; compared with the noise that theory gives."""
    arguments = ("--scanner", "htc2022", "--views", 90, "--detector", 280, "--size-mm", 60, "--photons", 1e5)
    noise = ("--dose", 0.5, "--electronic-noise", 20, "--bowtie-mm", 30)
    clean, noisy = tmp_path / "clean.h5", tmp_path / "noisy.h5"
    assert sinograd("simulate", "ball", "-o", clean, *arguments, "--noiseless").exit_code == 0
    assert sinograd("simulate", "ball", "-o", noisy, *arguments, *noise).exit_code == 0
    exact = read(clean)
    assert exact.shape == (90, 280)
    counts = 5e4 * sg.bowtie_transmission(exact.geometry, 30) * (-exact.load().double()).exp()
    deviation = ((counts + 400) / counts.square()).sqrt()
    standardised = (read(noisy).load() - exact.load()) / deviation
    assert standardised.std().item() == pytest.approx(1, abs=0.02)


def test_a_folder_called_as_a_phantom(sinograd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ball").mkdir()
    result = sinograd("simulate", "ball", "-o", "out.h5", "--views", 4, "--detector", "8,8")
    assert result.exit_code == 0, result.output


def test_truncation_is_told(sinograd: Any, tmp_path: Path) -> None:
    arguments = ("--scanner", "htc2022", "--views", 4, "--detector", 30, "--size-mm", 100)
    result = sinograd("simulate", "ball", "-o", tmp_path / "scan.h5", *arguments)
    assert result.exit_code == 0
    warning = "warning: the phantom, 100 mm wide, does not fit into the field of view of 82.64 mm (--size-mm)"
    assert result.stderr.strip() == warning


def test_resampled_scanners_see_the_same() -> None:
    """Fewer views and elements over the same arc and detector; full turns stay full turns."""
    for name, views in (("siemens-definition-as", 100), ("c-arm", 50), ("zeiss-xradia-620", 99)):
        old = load_geometry(name)
        new = resampled(old, views, (8, 16))
        assert new.projection_shape == (views, 8, 16)
        assert new.field_of_view == pytest.approx(old.field_of_view) and new.detector.size == old.detector.size
        assert sg.coverage(new).missing == pytest.approx(sg.coverage(old).missing, abs=2e-3)
    short = sg.ConeBeam.short_scan(
        source_to_origin=60, source_to_detector=90, views=40, detector=sg.FlatDetector((4, 9), 1.0)
    )
    assert resampled(short, 20, None).equals(
        sg.ConeBeam.short_scan(source_to_origin=60, source_to_detector=90, views=20, detector=short.detector)
    )
    assert resampled(short, None, None).equals(short)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing", "-o", "out.h5"), "'nothing' is neither a file nor a phantom; the phantoms are abdomen, "),
        (("ball", "-o", "out.tif"), "out.tif: its name must end in .h5 or .hdf5"),
        (("ball", "-o", "there/out.h5"), "the folder there does not exist"),
        (("ball", "-o", "out.h5", "--dose", "0"), "--dose must be in (0, 1], got 0"),
        (("ball", "-o", "out.h5", "--dose", "nan"), "--dose must be in (0, 1], got nan"),
        (("ball", "-o", "out.h5", "--photons", "-5"), "--photons must be positive, got -5"),
        (("ball", "-o", "out.h5", "--electronic-noise", "-1"), "--electronic-noise must not be negative, got -1"),
        (("ball", "-o", "out.h5", "--size-mm", "0"), "--size-mm must be positive, got 0"),
        (("ball", "-o", "out.h5", "--views", "0"), "--views must be at least 1, got 0"),
        (("ball", "-o", "out.h5", "--detector", "5"), "--detector must have 2 numbers for this scanner, got 1"),
        (("ball", "-o", "out.h5", "--detector", "a,b"), "expected numbers with commas between them, got 'a,b'"),
        (("ball", "-o", "out.h5", "--scanner", "mri"), "no scanner named 'mri'"),
        (("ball", "-o", "out.h5", "--truth", "truth.png"), "truth.png"),
        (("scan.h5", "-o", "out.h5"), "--dose is missing: which fraction of the dose of scan.h5?"),
        (("scan.h5", "-o", "out.h5", "--dose", "0.1", "--views", "3", "--noiseless"), "--views, --noiseless: for "),
        (("scan.h5", "-o", "scan.h5", "--dose", "0.1", "--force"), "-o is the scan itself"),
        (("counts.h5", "-o", "out.h5", "--dose", "0.1"), "holds counts: only line integrals are made into a lower"),
        (("nan.h5", "-o", "out.h5", "--dose", "0.1"), "nan.h5: expected finite line integrals, got 1 NaN"),
    ],
)
def test_bad_input_is_one_line(
    sinograd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    source = read(flat_scan(tmp_path / "scan.h5"))
    write_scan(Scan(source.load(), source.geometry, kind="counts"), tmp_path / "counts.h5")
    broken = source.load().clone()
    broken[7, 3, 2] = math.nan
    write_scan(Scan(broken, source.geometry), tmp_path / "nan.h5")
    result = sinograd("simulate", *arguments)
    assert result.exit_code == 2, result.output
    assert message in one_line(result.stderr)
    assert not (tmp_path / "out.h5").exists()


def test_an_interrupt_leaves_nothing(sinograd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = flat_scan(tmp_path / "scan.h5")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sinograd.physics.low_dose", interrupted)
    result = sinograd("simulate", source, "-o", tmp_path / "low.h5", "--dose", 0.5)
    assert result.exit_code == 130
    assert "interrupted while simulating, after 0 of 100 views; no partial low.h5 was left" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"scan.h5"}


def simulated(sinograd: Any, path: Path, *more: Any) -> Path:
    """A scan of a ball with 40 photons, electronic noise and a bowtie filter in its metadata."""
    arguments = ("--scanner", "htc2022", "--views", 60, "--detector", 200, "--size-mm", 60, "--photons", 40, *more)
    assert sinograd("simulate", "ball", "-o", path, *arguments).exit_code == 0
    return path


def test_what_the_scan_states_is_used(sinograd: Any, tmp_path: Path) -> None:
    """As if its photons, noise and filter were options, to the bit; and again for the scan made of it."""
    source = simulated(sinograd, tmp_path / "scan.h5", "--electronic-noise", 2, "--bowtie-mm", 30)
    stated, options = tmp_path / "stated.h5", tmp_path / "options.h5"
    result = sinograd("simulate", source, "-o", stated, "--dose", 0.5)
    assert result.exit_code == 0 and result.stderr == ""
    words = "20 per pixel and view, unattenuated (dose 0.5), electronic noise 2, bowtie 30 mm; "
    assert words + "photons, electronic noise, bowtie as the scan states" in result.stdout
    same = ("--photons", 40, "--electronic-noise", 2, "--bowtie-mm", 30)
    result = sinograd("simulate", source, "-o", options, "--dose", 0.5, *same)
    assert result.exit_code == 0 and result.stderr == "" and "as the scan states" not in result.stdout
    first, second = read(stated), read(options)
    torch.testing.assert_close(first.load(), second.load(), rtol=0, atol=0)
    assert dict(first.metadata) == dict(second.metadata)
    assert (first.metadata["photons"], first.metadata["electronic_noise"], first.metadata["bowtie_mm"]) == (20, 2, 30)
    assert first.provenance["options"]["photons"] == 40
    again = sg.simulate(stated, dose=0.1)
    assert again.metadata["photons"] == pytest.approx(2) and again.metadata["dose"] == 0.1


def test_the_stated_dose_gives_the_noise_of_that_dose(sinograd: Any, tmp_path: Path) -> None:
    """Readings without photons: exp(-photons exp(-p)) of each reading, with the 40 photons of the file."""
    source = simulated(sinograd, tmp_path / "scan.h5")
    exact = tmp_path / "exact.h5"
    arguments = ("--scanner", "htc2022", "--views", 60, "--detector", 200, "--size-mm", 60, "--noiseless")
    assert sinograd("simulate", "ball", "-o", exact, *arguments).exit_code == 0
    low = sg.simulate(source, dose=0.05)
    right = (-2 * (-read(exact).load().double()).exp()).exp()
    spread = (right * (1 - right)).sum().sqrt().item()
    assert low.metadata["readings_without_photons"] == pytest.approx(right.sum().item(), abs=5 * spread)


def test_options_win_with_a_warning(sinograd: Any, tmp_path: Path) -> None:
    source = simulated(sinograd, tmp_path / "scan.h5", "--electronic-noise", 2, "--bowtie-mm", 30)
    arguments = ("--dose", 0.5, "--photons", 1e4, "--electronic-noise", 0, "--bowtie-mm", 0)
    result = sinograd("simulate", source, "-o", tmp_path / "low.h5", *arguments)
    assert result.exit_code == 0, result.output
    assert "scan.h5 states photons: 40; --photons is 10000 and is used instead" in result.stderr
    assert "states electronic_noise: 2; --electronic-noise is 0 and" in result.stderr
    assert "states bowtie_mm: 30; --bowtie-mm is 0 and" in result.stderr
    low = read(tmp_path / "low.h5")
    assert low.metadata["photons"] == 5000 and low.metadata["electronic_noise"] == 0
    assert "bowtie_mm" not in low.metadata
    with pytest.warns(sg.errors.ScanWarning, match="states bowtie_mm: 0; `bowtie_mm` is 25"):
        sg.simulate(tmp_path / "low.h5", dose=0.5, bowtie_mm=25)


@pytest.mark.parametrize("value", ["many", -5, 0, math.nan, [1, 2], True])
def test_photons_that_are_none_are_an_error(sinograd: Any, tmp_path: Path, value: Any) -> None:
    scan = read(flat_scan(tmp_path / "scan.h5"))
    scan = Scan(scan.load(), scan.geometry, {"photons": value})
    with pytest.raises(ValueError, match=r"states photons: .*, expected a positive number; `photons` replaces it"):
        sg.simulate(scan, dose=0.5)
    with pytest.warns(sg.errors.ScanWarning, match="states photons"):
        assert sg.simulate(scan, dose=0.5, photons=100).metadata["photons"] == 50


def test_a_noiseless_scan_has_no_noise_to_keep(sinograd: Any, tmp_path: Path) -> None:
    scan = sg.simulate("ball", scanner="htc2022", views=6, detector=30, size_mm=60, noiseless=True)
    with pytest.warns(sg.errors.ScanWarning, match="is noiseless: the noise of its own dose will be missing"):
        sg.simulate(scan, dose=0.5)


def test_a_reading_beyond_all_numbers(sinograd: Any, tmp_path: Path) -> None:
    scan = read(flat_scan(tmp_path / "good.h5"))
    values = scan.load().clone()
    values[3, 4, 5] = -1000
    write_scan(Scan(values, scan.geometry), tmp_path / "scan.h5")
    result = sinograd("simulate", tmp_path / "scan.h5", "-o", tmp_path / "low.h5", "--dose", 0.5)
    assert result.exit_code == 2 and not (tmp_path / "low.h5").exists()
    assert "-1000 with 100000 photons makes a reading of more than 1e+30 photons" in one_line(result.stderr)


def test_a_tube_hardens_a_cylinder_of_water_by_what_the_sum_over_its_bins_says(sinograd: Any, tmp_path: Path) -> None:
    """The middle ray of 200 mm of water, from a spectrum in a file; truth: the sum in numpy."""
    pytest.importorskip("xraydb", reason="needs the extra spectra")
    from sinograd.physics import attenuation

    (tmp_path / "beam.csv").write_text("keV,photons\n40,2\n60,3\n100,1\n")
    few = ("--views", 4, "--detector", "1,369", "--noiseless", "-o")
    result = sinograd("simulate", "water", "--spectrum", tmp_path / "beam.csv", *few, tmp_path / "water.h5")
    assert result.exit_code == 0, result.output
    signal = torch.tensor([2 * 40.0, 3 * 60.0, 1 * 100.0], dtype=torch.float64)
    mu = torch.from_numpy(attenuation("water", [40, 60, 100]))
    expected = -((signal * torch.exp(-200 * mu)).sum() / signal.sum()).log()
    scan = read(tmp_path / "water.h5")
    assert scan.load()[0, 0, 184].item() == pytest.approx(expected.item(), rel=1e-3)
    assert scan.metadata["mean_energy_kev"] == pytest.approx(360 / 6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("water", "--filter", "1 mm Al"), "--filter needs a --spectrum"),
        (("shepp-logan", "--spectrum", "80kV"), "shepp-logan has no materials"),
        (("water", "--spectrum", "80 apples"), "expected a tube voltage, as 80kV"),
        (("water", "--spectrum", "80kV", "--filter", "1 mm Alu"), "unknown material 'Alu'"),
        (("water", "--spectrum", "5kV"), "kv must be from 20 to 300"),
    ],
)
def test_spectra_that_cannot_be(sinograd: Any, tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    pytest.importorskip("spekpy", reason="needs the extra spectra")
    result = sinograd("simulate", *options, "--views", 4, "-o", tmp_path / "scan.h5")
    assert result.exit_code == 2 and message in one_line(result.stderr)
    assert not (tmp_path / "scan.h5").exists()
