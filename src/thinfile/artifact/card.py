"""The model card that lies in an artifact: what the model is, for whoever has to answer for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thinfile.artifact.values import to_plain

TITLE = "# Model card: "


def make_card(estimator: Any, parts: Mapping[str, Any]) -> str:
    """Write a model card in Markdown from a fitted estimator and the parts of its manifest.

    Parameters
    ----------
    estimator
        Fitted.
    parts : mapping
        ``metrics`` (name to value) and ``fingerprint`` (as from
        :func:`thinfile.artifact.fingerprint.fingerprint`, or None).

    Returns
    -------
    str
        Sections: what, data, metrics, calibration, columns, limits, notes.
    """
    sections = {
        "What": _what(estimator),
        "Data": _data(parts["fingerprint"]),
        "Metrics": _metrics(parts["metrics"]),
        "Calibration": _calibration(estimator),
        "Columns": _columns(estimator),
        "Limits": _limits(estimator),
        "Notes": [f"- {note}" for note in estimator.notes_] or ["None."],
    }
    body = [f"## {name}\n\n" + "\n".join(lines) for name, lines in sections.items()]
    return "\n\n".join([TITLE + type(estimator).__name__, *body]) + "\n"


def _what(estimator: Any) -> list[str]:
    doc = (type(estimator).__doc__ or "").strip().splitlines()
    arguments = estimator.get_params(deep=False)
    shown = [
        f"- `{name}`: {value!r}" for name, value in sorted(arguments.items()) if name != "schema"
    ]
    return [*doc[:1], "", _gives(estimator), "", *shown]


def _gives(estimator: Any) -> str:
    if hasattr(estimator, "predict_proba"):
        event = estimator.classes_.tolist()[-1]
        if len(estimator.classes_) > 2:
            return f"It gives the probability of {len(estimator.classes_)} classes."
        return f"It gives the probability of the label {event!r}."
    roles = {"score_samples": "scores", "transform": "codes", "sample": "new rows"}
    given = [word for name, word in roles.items() if hasattr(estimator, name)]
    return f"It gives no probability, but {' and '.join(given)}."


def _data(record: Mapping[str, Any] | None) -> list[str]:
    if record is None:
        return ["No fingerprint of the training data was given when the model was saved."]
    lines = [f"- rows: {record.get('rows')}", f"- columns: {len(record.get('columns', ()))}"]
    for name in ("labelled", "events", "sha256"):
        if name in record:
            lines.append(f"- {name}: {record[name]}")
    return lines


def _metrics(metrics: Mapping[str, Any]) -> list[str]:
    if not metrics:
        return ["None were given when the model was saved."]
    rows = [f"| {name} | {_cell(value)} |" for name, value in metrics.items()]
    return ["| metric | value |", "| --- | --- |", *rows]


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(to_plain(value))


def _calibration(estimator: Any) -> list[str]:
    if not hasattr(estimator, "calibration_"):
        return ["It gives no probabilities."]
    slope, intercept = estimator.calibration_.slope, estimator.calibration_.intercept
    if (slope, intercept) == (1.0, 0.0):
        return ["The fitted probabilities are given as they are."]
    return [
        "The log-odds of the fitted model are corrected for the target: "
        f"{slope:.4g} · log-odds {intercept:+.4g}."
    ]


def _columns(estimator: Any) -> list[str]:
    if not hasattr(estimator, "schema_"):
        return ["It takes windows of several channels, not a table."]
    features = [c for c in estimator.schema_.columns if c.name in estimator.schema_.features]
    return [f"- `{column.name}`: {column.role}" for column in features]


def _limits(estimator: Any) -> list[str]:
    lines = [
        "- It was fitted for the population in its data; on another one its ranking and its "
        "level may be off. `thinfile score` reports the stability of each column (PSI).",
        "- A probability is an estimate for a group of like rows, not a statement about a person.",
    ]
    encoder = getattr(estimator, "encoder_", None)
    return lines + [f"- {note}" for note in getattr(encoder, "notes_", ())]
