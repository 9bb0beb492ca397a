"""Denoisers compared: methods applied to paired volumes by a named protocol, with intervals and tests.

Not imported with sinograd.
"""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.evaluation.discs import Disc, Sharpness
    from sinograd.evaluation.evaluate import evaluate
    from sinograd.evaluation.made_elsewhere import finished_volumes, from_scans
    from sinograd.evaluation.methods import Method, classical_names, find_method, unchanged
    from sinograd.evaluation.noise_tables import curves_csv, discs_csv, noise_latex, rich_edges, rich_noise
    from sinograd.evaluation.page import save_report
    from sinograd.evaluation.paired import PairedDifference, Summary, holm, paired_difference, summarise
    from sinograd.evaluation.pairs_file import read_pairs_file
    from sinograd.evaluation.protocols import PROTOCOLS, Protocol, SliceScores, protocol
    from sinograd.evaluation.report import check_results_folder, write_results
    from sinograd.evaluation.scores import MethodInfo, Row, Sample, Scores
    from sinograd.evaluation.spectra import Spectrum, mean_spectra
    from sinograd.evaluation.tables import (
        differences_csv,
        latex,
        rich_differences,
        rich_scores,
        summary_csv,
        table_notes,
        volumes_csv,
    )

__all__ = [
    "PROTOCOLS",
    "Disc",
    "Method",
    "MethodInfo",
    "PairedDifference",
    "Protocol",
    "Row",
    "Sample",
    "Scores",
    "Sharpness",
    "SliceScores",
    "Spectrum",
    "Summary",
    "check_results_folder",
    "classical_names",
    "curves_csv",
    "differences_csv",
    "discs_csv",
    "evaluate",
    "find_method",
    "finished_volumes",
    "from_scans",
    "holm",
    "latex",
    "mean_spectra",
    "noise_latex",
    "paired_difference",
    "protocol",
    "read_pairs_file",
    "rich_differences",
    "rich_edges",
    "rich_noise",
    "rich_scores",
    "save_report",
    "summarise",
    "summary_csv",
    "table_notes",
    "unchanged",
    "volumes_csv",
    "write_results",
]

attach(__name__)
