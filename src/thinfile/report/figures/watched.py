"""Average precision and F1 on labels held back, over the steps of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thinfile.report.figures.figure import Figure
from thinfile.report.figures.over_time import over_time_figure
from thinfile.report.figures.training import flat_record
from thinfile.report.subject import is_number

WATCHED = {"validation_ap": "Average precision", "validation_f1": "F1"}
"""What is followed over training steps, where a history has it."""

Curves = dict[str, dict[str, list[list[tuple[float, float]]]]]


def watched_figure(histories: Mapping[str, Any]) -> Figure | None:
    """One panel for each metric that a network followed; None where none did.

    Parameters
    ----------
    histories
        What a network is called, and its `history_`.
    """
    panels: Curves = {}
    for title, history in histories.items():
        records = [flat_record(record) for record in _records(history)]
        for key, metric in WATCHED.items():
            run = [(float(r["step"]), float(r[key])) for r in records if _has(r, key)]
            if len(run) > 1:
                panels.setdefault(metric, {})[title] = [run]
    if not panels:
        return None
    return over_time_figure(
        panels,
        name="watched",
        title="Followed on labels held back",
        caption="Measured during training on labelled rows that the scoring network had not seen.",
    )


def _records(history: Any) -> Sequence[Mapping[str, Any]]:
    if isinstance(history, Mapping):
        history = history.get("records")
    return list(history or [])


def _has(record: Mapping[str, Any], key: str) -> bool:
    return is_number(record.get(key)) and is_number(record.get("step"))
