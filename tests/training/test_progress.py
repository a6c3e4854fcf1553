from __future__ import annotations

import io
import subprocess
import sys

from thinfile.training.progress import (
    BarProgress,
    LineProgress,
    SilentProgress,
    choose_progress,
)


def test_lines_are_written_at_the_start_now_and_then_and_at_the_end():
    stream = io.StringIO()
    progress = LineProgress(stream, every=0)
    progress.start(10, "fitting")
    progress.advance(4, auc=0.71234)
    progress.advance()
    progress.finish()
    progress.finish()
    lines = stream.getvalue().splitlines()
    assert lines[:3] == [
        "fitting: started",
        "fitting: 4 of 10, auc 0.7123",
        "fitting: 5 of 10, auc 0.7123",
    ]
    assert lines[3].startswith("fitting: 5 of 10 in ")
    assert len(lines) == 4


def test_lines_are_not_written_too_often():
    stream = io.StringIO()
    progress = LineProgress(stream, every=3600)
    progress.start(1000, "fitting")
    for _ in range(1000):
        progress.advance()
    assert stream.getvalue() == "fitting: started\n"


def test_the_bar_goes_to_standard_error_and_shows_what_was_measured(capsys):
    progress = BarProgress()
    progress.advance(1)
    progress.start(4, "fitting")
    progress.advance(4, auc=0.7)
    progress.finish()
    progress.finish()
    written = capsys.readouterr()
    assert written.out == ""
    assert "fitting" in written.err
    assert "4/4" in written.err
    assert "auc 0.7" in written.err


def test_the_kind_follows_the_terminal(monkeypatch):
    assert isinstance(choose_progress(shown=False), SilentProgress)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(choose_progress(), BarProgress)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert isinstance(choose_progress(), LineProgress)


def test_importing_it_brings_neither_rich_nor_torch():
    code = "import sys, thinfile.training.progress; print({'rich', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
