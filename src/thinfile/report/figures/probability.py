"""Whether probabilities can be taken at their word: calibration and distribution."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

from thinfile.report.curves import CalibrationBins, calibration_bins, histogram
from thinfile.report.figures.figure import BASELINE, GREY, METHOD, SOLID, Figure, data
from thinfile.report.subject import FloatArray, Row, Subject
from thinfile.report.tables import calibration_table
from thinfile.report.words import count, percent

HEIGHT = 300


def calibration_figure(subject: Subject) -> Figure | None:
    """Observed against predicted rates of the chosen method, with counts."""
    runs = _runs_of_choice(subject)
    if not len(runs):
        return None
    bins = calibration_bins(subject.result.test_y, runs)
    far = int(((bins.predicted < bins.low) | (bins.predicted > bins.high)).sum())
    return Figure(
        "calibration",
        "Calibration of the chosen method",
        f"Observed against predicted event rate in {len(bins.predicted)} groups of equal size; "
        f"in {far} of them the prediction lies outside the interval of the observed rate.",
        _calibration_chart(_calibration_rows(bins)),
        "Test rows in groups of equal size by predicted probability. On the dashed line the "
        "prediction is right. Interval: Wilson, 95%.",
        size="half",
        table=calibration_table(bins),
        open_table=True,
    )


def _runs_of_choice(subject: Subject) -> FloatArray:
    return subject.runs(subject.choice or "")


def _calibration_rows(bins: CalibrationBins) -> list[Row]:
    return [
        {
            "predicted": predicted,
            "observed": observed,
            "low": low,
            "high": high,
            "counts": f"{count(n_events)} of {count(n_rows)}",
        }
        for predicted, observed, low, high, n_rows, n_events in zip(
            *vars(bins).values(), strict=True
        )
    ]


def _calibration_chart(rows: list[Row]) -> Any:
    end = max([r["high"] for r in rows] + [r["predicted"] for r in rows])
    axis = alt.Axis(format="~%", tickCount=5)
    x = alt.X("predicted:Q", title="Predicted event rate", axis=axis)
    title = "Observed event rate"
    base = alt.Chart(data(rows)).encode(x=x)
    diagonal = alt.Chart(
        data([{"predicted": 0, "observed": 0}, {"predicted": end, "observed": end}])
    )
    return alt.layer(
        diagonal.mark_line(color=GREY, strokeDash=[4, 3], strokeWidth=1).encode(
            x=x, y=alt.Y("observed:Q", title=title, axis=axis)
        ),
        base.mark_rule(color=METHOD, strokeWidth=2).encode(y="low:Q", y2="high:Q"),
        base.mark_line(color=METHOD, strokeWidth=1).encode(y="observed:Q"),
        base.mark_point(color=METHOD, filled=True, size=65, opacity=1).encode(
            y="observed:Q",
            tooltip=[
                alt.Tooltip("predicted:Q", title="Predicted", format=".1%"),
                alt.Tooltip("observed:Q", title="Observed", format=".1%"),
                alt.Tooltip("counts:N", title="Events of rows"),
            ],
        ),
    ).properties(height=HEIGHT)


def distribution_figures(subject: Subject) -> list[Figure]:
    """How the chosen method's probabilities are spread, by population and by class."""
    runs = _runs_of_choice(subject)
    if not len(runs):
        return []
    return [*_by_population(subject, runs), _by_class(subject, runs)]


def _by_population(subject: Subject, runs: FloatArray) -> list[Figure]:
    scores = subject.result.source_scores.get((subject.choice or "", subject.budget), np.empty(0))
    source = np.ravel(scores)
    source = source[np.isfinite(source)]
    if not len(source):
        return []
    samples = {"Target": runs.ravel(), "Source": source}
    return [
        Figure(
            "populations",
            "Probabilities by population",
            f"Mean predicted probability: {percent(runs.mean())} in the target, "
            f"{percent(source.mean())} in the source.",
            _distribution_chart(samples, [METHOD, BASELINE]),
            "Share of each population per step of probability; the last step holds all above.",
            size="half",
        )
    ]


def _by_class(subject: Subject, runs: FloatArray) -> Figure:
    is_event = subject.result.test_y == 1
    events, others = runs[:, is_event].ravel(), runs[:, ~is_event].ravel()
    return Figure(
        "classes",
        "Probabilities by outcome, target",
        f"Mean predicted probability of test rows: {percent(events.mean())} where the event came, "
        f"{percent(others.mean())} where it did not.",
        _distribution_chart({"No event": others, "Event": events}, [METHOD, BASELINE]),
        "Test rows of the target. The farther apart, the better the ranking.",
        size="half",
    )


def _distribution_chart(samples: dict[str, FloatArray], colours: list[str]) -> Any:
    edges, shares = histogram(samples)
    rows = [
        {"group": name, "low": low, "share": share}
        for name, own in zip(samples, shares, strict=True)
        # The last step is drawn to its end by a point of the same height.
        for low, share in zip(edges, [*own, own[-1]], strict=True)
    ]
    scale = alt.Scale(domain=list(samples), range=colours)
    dash = alt.Scale(domain=list(samples), range=[[1, 0], [5, 3]])
    base = alt.Chart(data(rows)).encode(
        x=alt.X("low:Q", title="Predicted probability", axis=alt.Axis(format="~%", tickCount=6)),
        color=alt.Color("group:N", scale=scale, legend=SOLID),
    )
    y = alt.Y("share:Q", title="Share of rows", axis=alt.Axis(format="~%", tickCount=5), stack=None)
    return alt.layer(
        base.mark_area(interpolate="step-after", opacity=0.12).encode(y=y),
        base.mark_line(interpolate="step-after").encode(
            y=y, strokeDash=alt.StrokeDash("group:N", scale=dash, legend=SOLID)
        ),
    ).properties(height=HEIGHT - 40)
