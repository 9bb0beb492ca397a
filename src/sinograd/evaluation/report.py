"""The files that an evaluation leaves in a folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sinograd.data import make_provenance
from sinograd.errors import MissingFileError, NotAFolderError
from sinograd.evaluation.noise_tables import curves_csv, discs_csv, noise_latex
from sinograd.evaluation.page import save_report
from sinograd.evaluation.scores import Scores
from sinograd.evaluation.tables import differences_csv, latex, summary_csv, volumes_csv
from sinograd.files.commit import settle
from sinograd.io.storage.atomic import check_destination, replacing_results

FILES = {
    "volumes.csv": volumes_csv,
    "summary.csv": summary_csv,
    "differences.csv": differences_csv,
    "curves.csv": curves_csv,
    "discs.csv": discs_csv,
    "table.tex": latex,
    "noise.tex": noise_latex,
}
PAGE, PROVENANCE = "report.html", "provenance.json"
RESULTS = (*FILES, PAGE, PROVENANCE)


def check_results_folder(folder: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Check, before a long computation, that `write_results` can write there; raises like it."""
    path = Path(folder)
    if not path.exists():
        if not path.parent.is_dir():
            raise MissingFileError(f"cannot write {path}: the folder {path.parent} does not exist")
        return path
    if not path.is_dir():
        raise NotAFolderError(f"cannot write {path}: it is a file, a folder is expected")
    settle(path)
    for name in RESULTS:
        check_destination(path / name, force=force)
    return path


def write_results(
    scores: Scores,
    folder: str | os.PathLike[str],
    *,
    title: str = "Denoisers compared",
    options: Mapping[str, Any] | None = None,
    details: Mapping[str, str] | None = None,
    force: bool = False,
) -> Path:
    """Write all tables and the page to a folder, which is made.

    volumes.csv: each volume's scores; summary.csv: mean, deviation and interval over patients, times and sizes;
    differences.csv: each pair of methods; curves.csv: noise power spectra and task transfer functions; discs.csv: the
    sharpness of discs, empty without any; table.tex, noise.tex: LaTeX; report.html: tables, slices and curves;
    provenance.json: software, `options`, time. All of them appear together, or none.

    Raises FileNotFoundError where the folder's folder is missing, NotADirectoryError where a file is in the way,
    FileExistsError where a result exists and `force` is not set.
    """
    path = check_results_folder(folder, force=force)
    record = make_provenance("sinograd evaluate", options, protocol=scores.protocol.details(), device=scores.device)
    with replacing_results(path, RESULTS, force=force) as made:
        for name, text in FILES.items():
            (made / name).write_text(text(scores), encoding="utf-8")
        save_report(scores, made / PAGE, title=title, details=details)
        (made / PROVENANCE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path
