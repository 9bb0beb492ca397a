"""The report of an analysis: table, CSV, JSON and a page with pictures."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from sinograd.data.html_repr import data_url
from sinograd.data.provenance import to_json
from sinograd.morphometry.analysis import BoneAnalysis
from sinograd.morphometry.pictures import MapPicture

_UNITS = {"1": "", "mg/cm3": "mg/cm\N{SUPERSCRIPT THREE}", "mm2": "mm\N{SUPERSCRIPT TWO}"}
_UNITS |= {"mm3": "mm\N{SUPERSCRIPT THREE}", "1/mm3": "1/mm\N{SUPERSCRIPT THREE}"}


def rows(analysis: BoneAnalysis) -> list[tuple[str, str, str]]:
    """Symbol, value with unit and name of each measure, as text."""
    return [(m.symbol, number_text(m.value, m.unit), m.name) for m in analysis.measures]


def number_text(value: float, unit: str) -> str:
    """Five digits with the unit; "none" for what is not defined."""
    if math.isnan(value):
        return "none"
    return f"{value:.5g} {_UNITS.get(unit, unit)}".strip()


def notes(analysis: BoneAnalysis, region: int) -> list[str]:
    """What a reader has to know: how bone was found, and what has no value. region: its voxels."""
    found = [f"bone: at least {analysis.threshold:g} mg/cm\N{SUPERSCRIPT THREE}"]
    if analysis.diameter is not None:
        found.append(f"maps: spheres of {analysis.diameter:g} mm, softness {analysis.softness:g} mg/cm3")
    found += [f"{name}: {count} of {region} voxels have no value" for name, count in analysis.empty.items() if count]
    undefined = [m.symbol for m in analysis.measures if math.isnan(m.value)]
    if undefined:
        found.append(f"not defined in this region: {', '.join(undefined)}")
    if analysis.capped:
        found.append(
            f"{analysis.capped} voxels of marrow are in spaces wider than {analysis.largest_mm:g} mm and count as that"
        )
    return found


def as_csv(analysis: BoneAnalysis) -> str:
    """Rows symbol, name, value, unit; an empty value where it is not defined."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["symbol", "name", "value", "unit"])
    for m in analysis.measures:
        writer.writerow([m.symbol, m.name, "" if math.isnan(m.value) else repr(m.value), m.unit])
    return text.getvalue()


def as_record(analysis: BoneAnalysis) -> dict[str, Any]:
    """Measures by symbol with value (null: not defined) and unit, settings and counts."""
    measures = {
        m.symbol: {"name": m.name, "value": None if math.isnan(m.value) else m.value, "unit": m.unit}
        for m in analysis.measures
    }
    return {
        "measures": measures,
        "threshold": analysis.threshold,
        "softness": analysis.softness,
        "diameter_mm": analysis.diameter,
        "largest_mm": analysis.largest_mm,
        "empty": analysis.empty,
        "capped": analysis.capped,
    }


def as_json(analysis: BoneAnalysis, provenance: Mapping[str, Any]) -> str:
    """The record of an analysis with its provenance, as a file."""
    record = as_record(analysis) | {"provenance": provenance}
    return json.dumps(json.loads(to_json(record)), indent=1, ensure_ascii=False) + "\n"


def as_page(analysis: BoneAnalysis, title: str, remarks: Sequence[str], pictures: Sequence[MapPicture]) -> str:
    """One self-contained HTML page: the table, remarks, and a picture of each map."""
    head = resources.files("sinograd.view").joinpath("page_head.html").read_text(encoding="utf-8")
    table = "".join(
        f"<tr><td>{escape(symbol)}</td><td>{escape(value)}</td><td class=quiet>{escape(name)}</td></tr>"
        for symbol, value, name in rows(analysis)
    )
    lines = "".join(f"<p class=quiet>{escape(line)}</p>" for line in remarks)
    figures = "".join(_figure(picture) for picture in pictures)
    return (
        f"{head}<title>{escape(title)}</title>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n{lines}\n"
        f"<table cellpadding=4>{table}</table>\n{figures}\n</body>\n</html>\n"
    )


def _figure(picture: MapPicture) -> str:
    title = escape(picture.title)
    return f'<h2>{title}</h2><figure><img alt="{title}" src="{data_url(picture.png())}"></figure>'
