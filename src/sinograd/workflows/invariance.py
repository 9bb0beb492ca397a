"""The job of `sinograd invariance`: trained models and pairs of volumes in, one page out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sinograd.errors import MissingFileError
from sinograd.workflows.report import Report, opened_report

_SUFFIXES = (".html", ".htm")


@dataclass(frozen=True, eq=False)
class InvarianceResult:
    """The page's path, and the report with its numbers."""

    page: Path
    report: Any


def report_invariance(
    model: str | os.PathLike[str],
    pairs: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    twin: str | os.PathLike[str] | None = None,
    embedding: str | os.PathLike[str] | None = None,
    crops: int = 8,
    samples: int = 6,
    seed: int = 0,
    force: bool = False,
    report: Report | str | bool | None = None,
) -> InvarianceResult:
    """A page of what denoisers ignore.

    Args:
        model: the file of a trained invertible network, its run's folder, or a folder with several of these runs.
        pairs: a YAML file of paired volumes in HU; targets are needed only of denoisers that start from projections.
        output: name of the page; without a suffix it gets .html.
        twin: the file, or run, of a trained unconditional autoencoder, for content similarities.
        embedding: that of a trained embedding.
        crops, samples: how many crops, and samples of each.
        seed: of both.
        force: replace an existing page.
        report: shows progress; see `reconstruct`.

    Returns:
        The page's path, and the report with its numbers.

    Raises:
        FileError, InputError: files that are missing, damaged or of another kind, volumes that do not fit.
    """
    from sinograd.evaluation import read_pairs_file
    from sinograd.invariance.model_files import load_autoencoder, load_embedding, load_sampler
    from sinograd.invariance.report import Spaces, analyse, save_invariance_report
    from sinograd.view import check_page_path

    page = Path(output)
    page = page if page.suffix.lower() in _SUFFIXES else page.with_name(f"{page.name}.html")
    check_page_path(page, force=force)
    with opened_report(report) as shown:
        files = sampler_files(Path(model))
        samplers = [load_sampler(file) for file in files]
        spaces = Spaces(
            None if twin is None else load_autoencoder(twin), None if embedding is None else load_embedding(embedding)
        )
        volumes = read_pairs_file(pairs, shown.stage("reading", 0, "pairs"))
        stage = shown.stage("sampling", len(samplers), "denoisers")
        found = analyse(samplers, volumes, spaces, crops=crops, samples=samples, seed=seed, progress=stage)
        shown.stage("writing", 0)
        details = {"models": ", ".join(str(file) for file in files), "pairs": os.fspath(pairs), "seed": str(seed)}
        save_invariance_report(found, page, details=details, force=force)
    return InvarianceResult(page, found)


def sampler_files(path: Path) -> list[Path]:
    """The files of trained invertible networks at a path; MissingFileError, InputError where there is none."""
    if not path.is_dir():
        return [path]
    if (path / "model.pt").is_file():
        return [path / "model.pt"]
    found = sorted(path.glob("*/model.pt"))
    if not found:
        raise MissingFileError(f"model: no model.pt in {path}, nor in its folders: expected runs of invariance-flow")
    return found
