"""How a job reports its progress and its warnings: the protocol, a silent report, and bars."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol

from sinograd.errors import InputTypeError, SinogradWarning


class Advance(Protocol):
    """Moves a stage on: steps done, steps in all, and words to show beside them."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Called after a step."""
        ...


class Report(Protocol):
    """What a job calls while it works; every method returns quickly and raises nothing."""

    def stage(self, name: str, total: int, unit: str = "views") -> Advance:
        """The stage `name` starts: `total` steps of `unit`; 0 where the number is not known."""
        ...

    def warning(self, text: str) -> None:
        """A warning was given; it is also raised as a Python warning and stored with the result."""
        ...


class Silent:
    """A report that shows nothing."""

    def stage(self, name: str, total: int, unit: str = "views") -> Advance:
        """Nothing is shown."""
        return lambda done, total, note="": None

    def warning(self, text: str) -> None:
        """Nothing is shown: the Python warning says it."""


_shown: list[Any] = []  # the bars that are drawn now, innermost last


def print_beside_bars(text: str, style: str = "") -> bool:
    """Print a line whole, above the bars that are drawn now; False, and nothing is printed, where there are none."""
    if not _shown or not hasattr(_shown[-1], "print_line"):
        return False
    _shown[-1].print_line(text, style)
    return True


class Bars:
    """Progress bars with the time left, in a terminal (on stderr) or a notebook; elsewhere a line every few seconds.

    Used as a context manager, so that the last bar is closed.
    """

    def __init__(self) -> None:
        self._unit, self._total = "views", 0
        self._bars: Any = _bars()
        self._task: Any = None

    def __enter__(self) -> Bars:
        self._bars.start()
        _shown.append(self._bars)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _shown.remove(self._bars)
        if kind is None:
            self._close()
        self._bars.stop()

    def stage(self, name: str, total: int, unit: str = "views") -> Advance:
        """The next bar."""
        self._close()
        self._unit, self._total = unit, total
        self._task = self._bars.add_task(name, total=total or None, count="")
        return self._advance

    def warning(self, text: str) -> None:
        """Nothing is shown: the Python warning says it."""

    def _advance(self, done: int, total: int, note: str = "") -> None:
        self._total = total
        self._bars.update(self._task, completed=done, total=total, count=f"{done}/{total} {self._unit}{note}")

    def _close(self) -> None:
        """A stage of unknown length is done."""
        if self._task is not None and self._total == 0:
            self._bars.update(self._task, total=1, completed=1)


class Position:
    """A report that remembers how far the work is, and passes everything on to another one."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._stage, self._unit, self._done, self._total = "starting", "views", 0, 0

    def stage(self, name: str, total: int, unit: str = "views") -> Advance:
        """Starts the stage there, too."""
        self._stage, self._unit, self._done, self._total = name, unit, 0, total
        self._advance_there = self._report.stage(name, total, unit)
        return self._advance

    def warning(self, text: str) -> None:
        """Passed on."""
        self._report.warning(text)

    def _advance(self, done: int, total: int, note: str = "") -> None:
        self._done, self._total = done, total
        self._advance_there(done, total, note)

    def __str__(self) -> str:
        """For example "while reconstructing, after 120 of 360 views"."""
        if self._total == 0:
            return f"while {self._stage}"
        return f"while {self._stage}, after {self._done} of {self._total} {self._unit}"


@contextmanager
def opened_report(report: Report | str | bool | None) -> Iterator[Report]:
    """The report that a caller names: None or False: silent; "bar" or True: bars; or an object of one's own."""
    if report is None or report is False:
        yield Silent()
    elif report is True or report == "bar":
        with Bars() as bars:
            yield bars
    elif callable(getattr(report, "stage", None)) and callable(getattr(report, "warning", None)):
        yield report  # pyright: ignore[reportReturnType]
    else:
        raise InputTypeError(
            f"`report`: expected None, True, 'bar' or an object with stage and warning, got {report!r}"
        )


@contextmanager
def recorded_warnings(record: list[str], report: Report) -> Iterator[None]:
    """Inside, warnings of the package are added to `record`, once each, and then given as Python warnings.

    The user's filters decide what becomes of them there; they are recorded whatever the filters say.
    """
    new: list[tuple[Any, ...]] = []

    def note(message: Warning | str, category: type[Warning], filename: str, line: int, *_: Any) -> None:
        text = str(message)
        if issubclass(category, SinogradWarning):
            if text in record:
                return
            record.append(text)
            report.warning(text)
        new.append((message, category, filename, line))

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", SinogradWarning)
            warnings.showwarning = note
            yield
    finally:
        for warning in new:
            warnings.warn_explicit(*warning)


def _in_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def _bars() -> Any:
    """Bars where they can be seen, else lines."""
    if _in_notebook():
        from sinograd.workflows.notebook_bars import NotebookBars

        return NotebookBars()
    if not sys.stderr.isatty():
        from sinograd.workflows.progress_lines import ProgressLines

        return ProgressLines()
    from sinograd.workflows.terminal_bars import TerminalBars

    return TerminalBars()
