"""Tables of what is measured beside PSNR and SSIM, of other test sets, and of the amount of training data."""

from __future__ import annotations

from study import lacunae, rods
from study.config import Study
from study.markdown import plus_minus, table
from study.results import LOW, NORMAL, REFERENCES, Results

_NOISE = {"noise": "noise left", "frequency": "its mean frequency, 1/mm"}


def measured_sections(study: Study, results: Results) -> list[str]:
    """Those that the study has."""
    sections = [_measures(study, results)]
    if study.shifts:
        sections.append(_shifts(study, results))
    if study.sizes is not None:
        sections.append(_sizes(study, results))
    return sections


def _measures(study: Study, results: Results) -> str:
    scale = 1 if study.scale.unit == "HU" else 4
    digits = {"noise": scale, "frequency": 3 if study.scale.unit == "HU" else 1}
    heads = {name: f"{words}, {study.scale.unit}" if name == "noise" else words for name, words in _NOISE.items()}
    text = (
        "Noise is output minus noise-free reconstruction in the middle of the slices of the test phantoms, lost "
        "structure with it; its mean frequency falls where a method makes it blotchy. "
    )
    if study.lacunae is not None:
        for name, (places, words) in lacunae.COLUMNS.items():
            digits[name], heads[name] = places, words
        text += (
            f"Lacunae and canals are dark things (below {study.lacunae.threshold:g} 1/mm) of at least "
            f"{study.lacunae.smallest} voxels in the tube; the true ones are those of the noise-free reconstruction. "
        )
    if study.rods is not None:
        for name, (places, words) in rods.COLUMNS.items():
            digits[name], heads[name] = places, words
        text += (
            f"Resolution and contrast are those of a cylinder with rods of {study.rods.rod:g} mm radius and "
            f"{', '.join(f'{value:g}' for value in study.rods.values)} 1/mm in {study.rods.background:g} 1/mm, with "
            f"the methods of the first seed, {len(study.rods.seeds)} scans."
        )
    rows = []
    for name in (LOW, *(method.name for method in study.methods), NORMAL):
        cells = [plus_minus(results.measured(name, measure), places) for measure, places in digits.items()]
        rows.append([results.titles[name], *cells])
    return f"## Noise, lacunae, resolution, contrast\n{text.strip()}\n\n" + table(["", *heads.values()], rows)


def _shifts(study: Study, results: Results) -> str:
    rows = []
    for name in (LOW, *(method.name for method in study.methods)):
        cells = [plus_minus(results.summary(name, "clean", "psnr"), 2)]
        cells += [plus_minus(results.summary(name, "clean", "psnr", shift.name), 2) for shift in study.shifts]
        rows.append([results.titles[name], *cells])
    seeds = max(shift.seeds for shift in study.shifts)
    text = (
        "PSNR to the noise-free reconstruction, dB, on test phantoms that differ from what methods were trained on; "
        f"nothing is trained again. The study's own tests: all seeds; the others: the first {seeds}."
    )
    heads = ["", "as trained", *(shift.title for shift in study.shifts)]
    return f"## Other test data\n{text}\n\n" + table(heads, rows)


def _sizes(study: Study, results: Results) -> str:
    assert study.sizes is not None
    rows = []
    for like in study.sizes.methods:
        for count in study.sizes.counts:
            name = f"size-{count}-{like}"
            cells = []
            for reference in REFERENCES:
                for metric, digits in (("ssim", 4), ("psnr", 2)):
                    cells.append(plus_minus(results.summary(name, reference, metric), digits))
            rows.append([results.titles[like], f"{count}", *cells])
    heads = [f"{metric} to {words}" for words in REFERENCES.values() for metric in ("SSIM", "PSNR")]
    text = (
        "Trained on the first so many of the networks' training phantoms; filters see their stacks in turn, so that "
        f"each number of phantoms takes the same steps. Seeds {', '.join(map(str, study.sizes.seeds))}."
    )
    return f"## Amount of training data\n{text}\n\n" + table(["", "phantoms", *heads], rows)
