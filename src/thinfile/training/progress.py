"""Telling the user how far a long job is: a bar, plain lines, or nothing."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Progress(Protocol):
    """What a long job tells: it starts, gets on, and ends."""

    def start(self, total: int, text: str) -> None:
        """Begin a job of ``total`` units."""

    def advance(self, n: int = 1, **metrics: float) -> None:
        """Note that ``n`` more units are done, and what was last measured."""

    def finish(self) -> None:
        """End the job, also one that was cut short. A second call does nothing."""


class SilentProgress:
    """Say nothing."""

    def start(self, total: int, text: str) -> None:
        """Say nothing."""

    def advance(self, n: int = 1, **metrics: float) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Say nothing."""


class LineProgress:
    """Write plain lines, for logs and files: one at the start, one now and then, one at the end.

    Parameters
    ----------
    stream : text stream, optional
        Where to write; standard error by default.
    every : float, default 10.0
        Seconds between two lines, at least.
    """

    def __init__(self, stream: TextIO | None = None, every: float = 10.0) -> None:
        self._stream = stream
        self._every = every
        self._running = False

    def start(self, total: int, text: str) -> None:
        """Write the name of the job."""
        self._total, self._text, self._n_done = total, text, 0
        self._metrics: dict[str, float] = {}
        self._began = self._last = time.monotonic()
        self._running = True
        self._write("started")

    def advance(self, n: int = 1, **metrics: float) -> None:
        """Write a line, if the last one is old enough."""
        self._n_done += n
        self._metrics.update(metrics)
        if time.monotonic() - self._last >= self._every:
            self._last = time.monotonic()
            self._write(f"{self._n_done} of {self._total}{_in_words(self._metrics)}")

    def finish(self) -> None:
        """Write how far the job came and how long it took."""
        if self._running:
            self._running = False
            seconds = time.monotonic() - self._began
            done = f"{self._n_done} of {self._total} in {seconds:.1f} s"
            self._write(done + _in_words(self._metrics))

    def _write(self, line: str) -> None:
        print(f"{self._text}: {line}", file=self._stream or sys.stderr, flush=True)


class BarProgress:
    """Draw a bar with the time that is left, for terminals."""

    def __init__(self) -> None:
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def start(self, total: int, text: str) -> None:
        """Draw the empty bar."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=Console(stderr=True),
            refresh_per_second=4,
        )
        self._task = self._bar.add_task(text, total=total, metrics="")
        self._bar.start()

    def advance(self, n: int = 1, **metrics: float) -> None:
        """Lengthen the bar."""
        if self._bar is None or self._task is None:
            return
        self._bar.advance(self._task, n)
        if metrics:
            self._bar.update(self._task, metrics=_in_words(metrics).lstrip(", "))

    def finish(self) -> None:
        """Leave the bar as it is and give the terminal back."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def choose_progress(shown: bool = True) -> Progress:
    """Return a bar on a terminal, plain lines elsewhere, and silence if nothing is to be shown.

    Examples
    --------
    >>> progress = choose_progress(shown=False)
    >>> progress.start(100, "fitting")
    >>> progress.advance(50, auc=0.71)
    >>> progress.finish()
    """
    if not shown:
        return SilentProgress()
    return BarProgress() if sys.stderr.isatty() else LineProgress()


def _in_words(metrics: dict[str, float]) -> str:
    return "".join(f", {name} {value:.4g}" for name, value in metrics.items())
