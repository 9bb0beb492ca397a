"""What a cell of a notebook shows: a static picture, and a page in a frame where the reader's program runs pages."""

from __future__ import annotations

import html
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.data.html_repr import data_url
from sinograd.errors import InputError
from sinograd.io.storage.atomic import check_destination, replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Display:
    """A picture, and a page that moves.

    A notebook shows both at the end of a cell; where no scripts run (GitHub, a printed notebook) the picture stays.

    Attributes:
        png: the picture.
        page: HTML of a page that needs no server and no network; None: the picture alone.
        caption: what opens the page, in words.
        height: of the page's frame, CSS pixels.
        text: what a terminal shows.
    """

    png: bytes
    page: str | None
    caption: str
    height: int
    text: str

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write the picture (.png) or the page (.html).

        Raises InputError for another suffix, or .html where there is no page; FileExistsError when the file exists and
        `force` is not set.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in (".png", ".html") or (suffix == ".html" and self.page is None):
            ends = ".png" if self.page is None else ".png or .html"
            raise InputError(f"cannot write the display {path}: its name must end in {ends}")
        data = self.png if suffix == ".png" else (self.page or "").encode()
        path = check_destination(path, force=force, needed=len(data))
        with replacing(path, force=force) as temporary:
            temporary.write_bytes(data)

    def __repr__(self) -> str:
        return f"<{self.text}>"

    def _repr_png_(self) -> bytes:
        return self.png

    def _repr_html_(self) -> str:
        picture = f'<img alt="{html.escape(self.text)}" src="{data_url(self.png)}" style="max-width:100%">'
        if self.page is None:
            return picture
        frame = (
            f'<iframe srcdoc="{html.escape(self.page)}" sandbox="allow-scripts" loading="lazy" '
            f'style="width:100%;height:{self.height}px;border:0"></iframe>'
        )
        return f"{picture}<details><summary>{html.escape(self.caption)}</summary>{frame}</details>"


def figure_png(figure: Figure) -> bytes:
    """A figure as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    stream = io.BytesIO()
    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_png(stream, metadata={"Software": "sinograd"})
    return stream.getvalue()
