"""A figure that notebooks show by themselves, with a wipe between its images below it."""

from __future__ import annotations

from matplotlib.figure import Figure

from sinograd.data.html_repr import data_url
from sinograd.view.display import figure_png


class ComparisonFigure(Figure):
    """What `show_comparison` gives.

    Attributes:
        wiped: HTML of the images one over another; empty: none.
    """

    wiped: str = ""

    def _repr_png_(self) -> bytes:
        return figure_png(self)

    def _repr_html_(self) -> str:
        return f'<img alt="images side by side" src="{data_url(figure_png(self))}" style="max-width:100%">{self.wiped}'
