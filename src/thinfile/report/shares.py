"""Intervals of what alerts find, within what so many alerts can find."""

from __future__ import annotations

from thinfile.report.subject import Row, Subject
from thinfile.report.words import count, interval, percent


def n_alerts(subject: Subject) -> int:
    """Test rows that recall is measured at."""
    share = float(subject.result.settings["alerts"])
    return max(1, round(share * len(subject.result.test_y)))


def ceiling(subject: Subject, name: str) -> float:
    """The highest value that a measure can have on these test rows, with so many alerts."""
    n_events = int(subject.result.test_y.sum())
    if name == "recall":
        return min(1.0, n_alerts(subject) / max(1, n_events))
    if name == "precision":
        top = min(int(subject.result.settings["top"]), len(subject.result.test_y))
        return min(1.0, n_events / top)
    return 1.0


def share_interval(row: Row, name: str) -> str:
    """The interval of a measure with three decimals."""
    return interval(row[f"{name}_low"], row[f"{name}_high"])


def percents(subject: Subject, row: Row, name: str) -> str:
    """The interval of a measure in percent, and the most that is possible."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    most = ceiling(subject, name)
    return f"{percent(low)}…{percent(high)}" + (
        f"; {percent(most)} is the most possible" if most < 1 else ""
    )


def on_ceilings(subject: Subject) -> str:
    """What cuts the intervals of recall and precision; nothing where nothing does."""
    n_events = count(int(subject.result.test_y.sum()))
    most = {name: ceiling(subject, name) for name in ("recall", "precision")}
    top = count(subject.result.settings["top"])
    told = {
        "recall": f"{count(n_alerts(subject))} alerts can find at most {percent(most['recall'])} "
        f"of {n_events} frauds",
        "precision": f"at most {percent(most['precision'])} of {top} alerts can be frauds",
    }
    cut = " and ".join(words for name, words in told.items() if most[name] < 1)
    if not cut:
        return ""
    return (
        f" {cut[:1].upper()}{cut[1:]}: intervals, which come from test rows drawn again with more "
        "frauds or fewer, are cut there."
    )
