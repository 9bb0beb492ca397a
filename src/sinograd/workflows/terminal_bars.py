"""Progress bars of a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from sinograd.workflows.durations import time_text


class _Time(ProgressColumn):
    """Time that went by, and an estimate of what is left."""

    def render(self, task: Task) -> Text:
        """For example "8 s, 16 s left"."""
        elapsed = task.finished_time if task.finished else task.elapsed
        return Text(time_text(elapsed or 0.0, task.completed, task.total), style="progress.remaining")


class TerminalBars(Progress):
    """Rich's bars on stderr; lines of others are printed whole, above them."""

    def __init__(self) -> None:
        super().__init__(
            TextColumn("{task.description:<14}", markup=False),
            BarColumn(bar_width=40),
            TextColumn("{task.fields[count]:>14}", markup=False),
            _Time(),
            console=Console(stderr=True, highlight=False),
        )

    def print_line(self, text: str, style: str = "") -> None:
        """A line above the bars, which the terminal breaks where it is too long."""
        self.console.print(Text(text, style=style), soft_wrap=True)
