"""Progress bars in a notebook, without further packages: HTML that is replaced as the work goes on."""

from __future__ import annotations

import html
import time
from dataclasses import dataclass, field
from typing import Any

from sinograd.workflows.durations import time_text

_SECONDS = 0.2  # between two drawings


@dataclass
class _Task:
    name: str
    total: float | None
    completed: float = 0
    count: str = ""
    start: float = field(default_factory=time.monotonic)
    end: float | None = None


class NotebookBars:
    """Stands in for `rich.progress.Progress`, which needs ipywidgets in notebooks."""

    def __init__(self) -> None:
        self._tasks: list[_Task] = []
        self._display: Any = None
        self._drawn = 0.0

    def start(self) -> None:
        """Make room in the cell's output."""
        from IPython.display import HTML, display

        self._display = display(HTML(""), display_id=True)

    def stop(self) -> None:
        """Draw the last state."""
        self._draw()

    def add_task(self, name: str, total: float | None = None, count: str = "") -> int:
        """A bar more; its number."""
        self._tasks.append(_Task(name, total, count=count))
        self._draw()
        return len(self._tasks) - 1

    def update(self, task: int, *, total: float | None = None, completed: float = 0, count: str | None = None) -> None:
        """How far it is."""
        bar = self._tasks[task]
        bar.total, bar.completed = total, completed
        bar.count = bar.count if count is None else count
        if total and completed >= total:
            bar.end = time.monotonic()
        if bar.end is not None or time.monotonic() - self._drawn > _SECONDS:
            self._draw()

    def _draw(self) -> None:
        from IPython.display import HTML

        self._drawn = time.monotonic()
        rows = "".join(_row(task) for task in self._tasks)
        self._display.update(HTML(f"<table>{rows}</table>"))


def _row(task: _Task) -> str:
    elapsed = (task.end or time.monotonic()) - task.start
    value = f'value="{task.completed:g}" max="{task.total:g}"' if task.total else ""
    cells = (
        html.escape(task.name),
        f"<progress {value}></progress>",
        html.escape(task.count),
        time_text(elapsed, task.completed, task.total),
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
