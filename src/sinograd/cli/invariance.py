"""`sinograd invariance`: trained models and pairs of volumes in, one page out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from sinograd.cli.command import Option, command
from sinograd.cli.options import OUTPUT_GROUP, SHARED
from sinograd.workflows.invariance import report_invariance

_SAMPLES = "Samples"
_SIMILARITY = "Similarities"

OPTIONS = {
    **SHARED,
    "model": Option(
        Path,
        "A trained invertible network (task invariance-flow): its file, its run's folder, or a folder with several "
        "such runs, one for each denoiser.",
        metavar="MODEL",
        argument=True,
    ),
    "pairs": Option(Path, "A YAML file of pairs in HU, as for evaluate.", metavar="PAIRS", argument=True),
    "output": Option(
        Path, "The page; .html is added.", ("-o", "--output"), metavar="FILE", required=True, panel=OUTPUT_GROUP
    ),
    "twin": Option(
        Path, "A trained unconditional autoencoder: content similarities.", metavar="PATH", panel=_SIMILARITY
    ),
    "embedding": Option(Path, "A trained embedding: similarities in it.", metavar="PATH", panel=_SIMILARITY),
    "crops": Option(int, "How many crops.", metavar="N", more={"min": 2}, panel=_SAMPLES),
    "samples": Option(int, "Samples of each crop.", metavar="N", more={"min": 2}, panel=_SAMPLES),
    "seed": Option(int, "Of crops and samples.", metavar="N", more={"min": 0}, panel=_SAMPLES),
}


@command(OPTIONS, job=report_invariance)
def invariance(arguments: dict[str, Any], quiet: bool = False, json: bool = False) -> None:
    """Show what denoisers ignore: images that they take for the same."""
    result = report_invariance(**arguments, report=None if quiet or json else "bar")
    if json:
        from sinograd.cli.records import print_record

        print_record("invariance", _record(result))
    elif not quiet:
        _show(result)


def _record(result: Any) -> dict[str, Any]:
    """Numbers; null where they were not measured."""
    found = result.report
    names = {
        "difference": "mean_difference_hu",
        "content": "content_similarity",
        "learnt": "embedding_similarity",
        "own": "denoised_share",
        "shuffled": "shuffled_share",
        "prior": "prior_share",
    }

    def numbers(one: Any) -> dict[str, float | None]:
        values = {new: getattr(one, old) for old, new in names.items()}
        return {name: None if math.isnan(value) else value for name, value in values.items()}

    return {
        "page": str(result.page),
        "crops": len(found.crops),
        "samples": found.denoisers[0].samples.shape[1],
        "denoisers": {one.name: numbers(one) for one in found.denoisers},
    }


def _show(result: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    from sinograd.config.shown import printable
    from sinograd.invariance.report import HEADS, cells

    table = Table(box=None, pad_edge=False)
    for number, head in enumerate(HEADS):
        table.add_column(head, justify="right" if number else "left")
    for one in result.report.denoisers:
        table.add_row(*map(printable, cells(one)))
    console = Console(highlight=False)
    # A table wider than the terminal is broken by the terminal, not cut.
    needed = console.measure(table, options=console.options.update(width=1000)).maximum
    Console(highlight=False, width=max(console.width, needed)).print(table)
    console.print(printable(f"page: {result.page}"), markup=False, soft_wrap=True)
