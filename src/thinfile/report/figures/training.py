"""How each network was trained: its losses, the weights of their terms, its validation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import altair as alt

from thinfile.report.figures.figure import PLAIN, Figure, data, palette
from thinfile.report.subject import Row, Subject, is_number
from thinfile.report.words import listing, three

WIDTH, HEIGHT = 250, 95
PLACES = ("epoch", "round", "step")
NOT_LOSSES = {*PLACES, "seconds", "cpu_seconds", "terms", "metrics", "stage"}
MAIN_LOSSES = ("total", "classification")
MAX_POINTS = 150
TERM_NAMES = {
    "mmd": "MMD",
    "mk_mmd": "MK-MMD",
    "coral": "CORAL",
    "l2_sp": "L2-SP",
    "auc": "AUC",
    "ks": "KS",
}


def training_figures(subject: Subject) -> list[Figure]:
    """One figure for each method whose history was kept at the verdict's budget."""
    order = [row["method"] for row in [*subject.board, *subject.failed]]
    figures = []
    for name in order:
        records = _records(subject.result.histories.get((name, subject.budget)))
        if len(records) > 1:
            figures.append(_figure(subject.title(name), name, records))
    # Figures of the same height stand side by side.
    return sorted(figures, key=lambda figure: -len(figure.chart.vconcat))


def history_figure(
    history: Any, title: str, *, name: str = "model", without: Collection[str] = ()
) -> Figure | None:
    """Losses and checks of one network's `history_`; None where there are fewer than two records.

    Parameters
    ----------
    history
        List of records, or an object or mapping that holds one.
    title, name : str
        What the network is called, in words and within the page.
    without : collection of str
        Values of the records that are drawn elsewhere.
    """
    records = [
        {key: value for key, value in record.items() if key not in without}
        for record in _records(history)
    ]
    figure = _figure(title, name, records) if len(records) > 1 else None
    return figure if figure is not None and figure.chart.vconcat else None


def _records(history: Any) -> list[Row]:
    """Flat records, whether a history is a list, or an object or mapping that holds one."""
    if isinstance(history, Mapping):
        history = history.get("records")
    rows = [flat_record(record) for record in history or []]
    step = -(-len(rows) // MAX_POINTS) or 1
    return rows[::step] if rows[-1:] == rows[::step][-1:] else [*rows[::step], rows[-1]]


def flat_record(record: Mapping[str, Any]) -> Row:
    """A record of a history with its losses and metrics beside its other values."""
    row = dict(record)
    for part in ("terms", "metrics"):
        if isinstance(row.get(part), Mapping):
            row.update(row.pop(part))
    return row


def _figure(title: str, name: str, records: list[Row]) -> Figure:
    keys = list(dict.fromkeys(key for record in records for key in record))
    checks = [key for key in keys if key.startswith("validation_")]
    weights = [key for key in keys if key.startswith("weight_") or key == "alpha"]
    rows = [key for key in keys if key.endswith("_rows")]
    losses = [key for key in keys if _is_loss(key) and key not in (*checks, *weights, *rows)]
    place = _place(records)
    shown = {
        "Loss": [key for key in MAIN_LOSSES if key in losses],
        "Other terms": [key for key in losses if key not in MAIN_LOSSES],
        "Rows": rows,
        "Weight λ": weights,
        "Validation": checks,
    }
    drawn = {title: _rows(records, keys, place) for title, keys in shown.items()}
    drawn = {title: values for title, values in drawn.items() if values}
    panels = [
        _panel(values, title, _axis_title(place), is_last=title == [*drawn][-1])
        for title, values in drawn.items()
    ]
    return Figure(
        f"training-{name.replace('_', '-')}",
        title,
        _alt(title, records, losses, checks),
        alt.vconcat(*panels, spacing=8).resolve_scale(
            color="independent", strokeDash="independent"
        ),
        size="small",
        fixed=True,
    )


def _is_loss(key: str) -> bool:
    return key not in NOT_LOSSES and not key.startswith("learning_rate")


def _rows(records: Sequence[Row], keys: Sequence[str], place: str) -> list[Row]:
    return [
        {"at": record.get(place, k + 1), "name": _name(key), "value": record.get(key)}
        for key in keys
        for k, record in enumerate(records)
        if is_number(record.get(key))
    ]


def _panel(rows: list[Row], title: str, place: str, *, is_last: bool) -> Any:
    colour, dash = palette(list(dict.fromkeys(row["name"] for row in rows)))
    base = alt.Chart(data(rows)).encode(
        x=alt.X(
            "at:Q",
            title=place if is_last else None,
            axis=alt.Axis(tickCount=5, tickMinStep=1, format="d"),
        ),
        y=alt.Y(
            "value:Q",
            title=title,
            scale=alt.Scale(zero=title != "Validation"),
            axis=alt.Axis(tickCount=4, labelExpr=PLAIN, minExtent=38),
        ),
        color=alt.Color("name:N", scale=colour, legend=alt.Legend(orient="top", columns=3)),
        strokeDash=alt.StrokeDash("name:N", scale=dash, legend=alt.Legend(orient="top", columns=3)),
        tooltip=[
            "name:N",
            alt.Tooltip("at:Q", title=place),
            alt.Tooltip("value:Q", format=".4f"),
        ],
    )
    mark = base.mark_line(strokeWidth=1.8, clip=True)
    return mark.properties(width=WIDTH, height=HEIGHT)


def _place(records: Sequence[Row]) -> str:
    """What tells the records apart along the axis: a GAN has many checks in one epoch."""
    for key in PLACES:
        values = [record.get(key) for record in records]
        if all(map(is_number, values)) and len(set(values)) == len(values):
            return key
    return ""


def _axis_title(place: str) -> str:
    return (place or "check").capitalize()


def _name(key: str) -> str:
    bare = key.removeprefix("validation_").removeprefix("weight_")
    return TERM_NAMES.get(bare, bare.replace("_", " "))


def _alt(title: str, records: list[Row], losses: Sequence[str], checks: Sequence[str]) -> str:
    moves = [_move(records, key) for key in [*losses, *checks]]
    return f"Training of {title} over {len(records)} checks: {listing([m for m in moves if m])}."


def _move(records: list[Row], key: str) -> str:
    values = [record[key] for record in records if is_number(record.get(key))]
    return f"{_name(key)} from {three(values[0])} to {three(values[-1])}" if values else ""
