"""A map of a table's rows: coded, laid out, with neighbours and columns to look into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.encode import Encoded
from thinfile.errors import DataError
from thinfile.frame import as_frame
from thinfile.latent_map.codes import (
    Coded,
    cardinalities,
    code_rows,
    model_sum,
    score_name,
    what_is_mapped,
)
from thinfile.latent_map.columns import as_typed
from thinfile.latent_map.layout import PERPLEXITY, Layout, lay_out
from thinfile.latent_map.marks import event_labels, ids_of, label_values, sample_rows
from thinfile.latent_map.neighbours import N_NEIGHBOURS, OriginalSpace, nearest_rows

MAX_ROWS = 100_000
"""Rows on a map unless another number is given."""

PLACED = "(placed)"
"""Column that tells rows placed on a map from those that it was made of."""


@dataclass(frozen=True)
class LatentMap:
    """A map of rows, with all that its page shows; n rows in each array.

    Attributes
    ----------
    layout : Layout
        Positions, and what places new rows.
    rows : ndarray of int64, shape (n,)
        Row numbers in the table that was mapped, from 0.
    ids : list of str or None
    label : ndarray of int8, shape (n,), or None
        1 for the event, 0 for none, -1 for no label.
    kept : float
        Share of the rows without an event that the map holds, in (0, 1].
    frame : polars.DataFrame
        Typed columns: those the model reads and the others of the table, the score last.
    roles : dict of str
        Role of each column: "feature", "label", "score" or "other".
    neighbours : ndarray of int32, shape (n, k)
        Rows of the map nearest in the space that the model reads, nearest first.
    distances : ndarray of float32, shape (n, k)
    encoded : Encoded
        What the model reads, for neighbours of new rows.
    cardinalities : list of int
    settings : dict
        JSON values: label, event, the label's two values, id, model, what was mapped, notes.
    """

    layout: Layout
    rows: npt.NDArray[np.int64]
    ids: list[str] | None
    label: npt.NDArray[np.int8] | None
    kept: float
    frame: pl.DataFrame
    roles: dict[str, str]
    neighbours: npt.NDArray[np.int32]
    distances: npt.NDArray[np.float32]
    encoded: Encoded
    cardinalities: list[int]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def positions(self) -> npt.NDArray[np.float32]:
        """Where the rows lie, shape (n, 2)."""
        return self.layout.positions

    @property
    def label_values(self) -> tuple[str, str]:
        """What the label says of rows without the event, and of those with it."""
        # A map that was kept before these were kept has none.
        other, event = self.settings.get("label_values") or ("no", "yes")
        return other, event


def build_map(
    model: Any,
    table: Any,
    *,
    label: str | None = None,
    event: str | None = None,
    id_column: str | None = None,
    max_rows: int = MAX_ROWS,
    random_state: int = 0,
    n_jobs: int = 1,
    **layout_options: Any,
) -> LatentMap:
    """Map the rows of a table as a fitted model sees them.

    Use it to look for islands of frauds and to see what they share. It is no test: an island may
    be chance, and rows that lie apart may be alike.

    Parameters
    ----------
    model
        Fitted estimator. Its codes are mapped where it has `transform`, else the columns as it
        reads them.
    table
        Raw rows, as the model takes them; other columns may be there too.
    label
        Column with the event: two values, empty or -1 for no label.
    event
        The label's value that is the event; needed for words other than 1, true or yes.
    id_column
        Column that names the rows.
    max_rows
        Larger tables are sampled: every event stays, of the others a random share.
    random_state
        Makes sample and layout repeatable.
    n_jobs
        Threads.
    **layout_options
        For :func:`lay_out`: method, perplexity, n_iter, max_laid_out.

    Raises
    ------
    DataError, ParameterError, MissingPackageError
        As `lay_out`; and if columns are missing.
    """
    frame = as_frame(table, name="table")
    _check_columns(frame, [label, id_column])
    labels = None if label is None else event_labels(frame[label], event)
    settings = {"label": label, "event": event, "id": id_column} | _told(model)
    if label is not None:
        settings["label_values"] = list(label_values(frame[label], event))
    rows, kept, notes = sample_rows(frame.height, labels, max_rows, random_state)
    frame = frame[rows]
    coded = code_rows(model, frame)
    layout = lay_out(coded.codes, random_state=random_state, n_jobs=n_jobs, **layout_options)
    shown, roles = _columns(model, frame, coded, label, id_column)
    neighbours, distances = _neighbours(coded.encoded, cardinalities(model), n_jobs)
    return LatentMap(
        layout=layout,
        rows=rows,
        ids=None if id_column is None else ids_of(frame[id_column]),
        label=None if labels is None else labels[rows],
        kept=kept,
        frame=shown,
        roles=roles,
        neighbours=neighbours,
        distances=distances,
        encoded=coded.encoded,
        cardinalities=cardinalities(model),
        settings=settings | {"notes": notes + _layout_notes(layout, layout_options)},
    )


def check_colour(colour: str, names: Sequence[str]) -> None:
    """Refuse a colour that is none of the columns of a map.

    Raises
    ------
    DataError
        With the first columns that there are.
    """
    if colour not in names:
        has = f"{', '.join(map(repr, names[:12]))}{', …' if len(names) > 12 else ''}"
        raise DataError(f"colour {colour!r} is no column of the map (it has {has})")


def colours_of(model: Any, table: pl.DataFrame, id_column: str | None) -> list[str]:
    """Names of the columns that a map of a table will have, before it is laid out."""
    features = set(model.schema_.features) if hasattr(model, "schema_") else set[str]()
    names = [
        series.name
        for series in table
        if series.name in features or (series.name != id_column and not series.dtype.is_nested())
    ]
    name = score_name(model)
    return names if name is None else [*names, name]


def place_on(existing: LatentMap, model: Any, table: Any, *, n_jobs: int = 1) -> LatentMap:
    """Place new rows on an existing map, which stays as it is.

    Parameters
    ----------
    existing
        The map.
    model
        The model that the map was made with.
    table
        Raw new rows. A label may be missing; then they have none.
    n_jobs
        Threads.

    Returns
    -------
    LatentMap
        The rows of the map and behind them the new ones, told apart by the column ``(placed)``.

    Raises
    ------
    DataError
        If it is another model than the map was made with, or a column is missing.
    """
    settings = existing.settings
    _check_model(model, settings)
    frame = as_frame(table, name="table")
    _check_columns(frame, [settings["id"]])
    space = OriginalSpace.of(existing.encoded, existing.cardinalities)
    coded = code_rows(model, frame, space=space)
    positions = existing.layout.place(coded.codes, n_jobs=n_jobs)
    layout = replace(existing.layout, positions=np.vstack([existing.positions, positions]))
    old, new = space.points(existing.encoded), space.points(coded.encoded)
    neighbours, distances = _neighbours_of_new(old, new, existing.neighbours.shape[1], n_jobs)
    label = settings["label"] if settings["label"] in frame.columns else None
    shown, _ = _columns(model, frame, coded, label, settings["id"])
    return replace(
        existing,
        layout=layout,
        rows=np.concatenate([existing.rows, np.arange(frame.height)]),
        ids=None if existing.ids is None else existing.ids + ids_of(frame[settings["id"]]),
        label=_joined_labels(existing, frame, label),
        frame=_joined_frames(existing.frame, shown),
        roles=existing.roles | {PLACED: "other"},
        neighbours=np.vstack([existing.neighbours, neighbours]),
        distances=np.vstack([existing.distances, distances]),
        encoded=Encoded(
            np.vstack([existing.encoded.numbers, coded.encoded.numbers]),
            np.vstack([existing.encoded.codes, coded.encoded.codes]),
        ),
    )


def _told(model: Any) -> dict[str, Any]:
    """What a map keeps of its model: enough to know it again."""
    name = type(model).__name__
    return {"model": name, "model_sum": model_sum(model), "what": what_is_mapped(model)}


def _columns(
    model: Any, frame: pl.DataFrame, coded: Coded, label: str | None, id_column: str | None
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Typed columns to show, and their roles."""
    parsed = coded.parsed.drop(label, strict=False) if label else coded.parsed
    others = [name for name in frame.columns if name not in parsed.columns and name != id_column]
    shown = parsed.with_columns(as_typed(frame[name]) for name in others)
    roles = dict.fromkeys(parsed.columns, "feature") | dict.fromkeys(others, "other")
    if label:
        roles[label] = "label"
    name = score_name(model)
    if coded.score is not None and name is not None:
        shown = shown.with_columns(pl.Series(name, coded.score))
        roles[name] = "score"
    return shown, roles


def _neighbours(
    encoded: Encoded, sizes: list[int], n_jobs: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    points = OriginalSpace.of(encoded, sizes).points(encoded)
    return nearest_rows(points, min(N_NEIGHBOURS, len(points) - 1), n_jobs=n_jobs)


def _neighbours_of_new(
    old: npt.NDArray[np.float32], new: npt.NDArray[np.float32], k: int, n_jobs: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Among old and new rows, each new row itself left out."""
    rows, distances = nearest_rows(np.vstack([old, new]), k + 1, queries=new, n_jobs=n_jobs)
    itself = rows == (len(old) + np.arange(len(new)))[:, None]
    # Among many equal rows a row may not find itself; then the farthest goes.
    itself[~itself.any(axis=1), -1] = True
    return rows[~itself].reshape(len(new), k), distances[~itself].reshape(len(new), k)


def _joined_labels(
    existing: LatentMap, frame: pl.DataFrame, label: str | None
) -> npt.NDArray[np.int8] | None:
    if existing.label is None:
        return None
    new = np.full(frame.height, -1, dtype=np.int8)
    if label is not None:
        new = event_labels(frame[label], existing.settings["event"])
    return np.concatenate([existing.label, new])


def _joined_frames(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    if PLACED not in old.columns:
        old = old.with_columns(pl.lit("map").alias(PLACED))
    new = new.with_columns(pl.lit("new").alias(PLACED))
    new = new.select(name for name in old.columns if name in new.columns)
    alike = [pl.col(name).cast(old.schema[name], strict=False) for name in new.columns]
    return pl.concat([old, new.select(alike)], how="diagonal")


def _layout_notes(layout: Layout, options: dict[str, Any]) -> list[str]:
    n_placed = len(layout.positions) - len(layout.laid_out)
    lowered = lowered_perplexity(layout, options.get("perplexity", PERPLEXITY))
    notes = [lowered] if lowered else []
    if n_placed:
        together = f"{len(layout.laid_out):,} rows were laid out together"
        notes.append(f"{together}, {n_placed:,} placed among them")
    return notes


def lowered_perplexity(layout: Layout, asked: float) -> str:
    """A note where a map has a lower perplexity than was asked for; else nothing."""
    if layout.method != "tsne" or layout.perplexity >= asked:
        return ""
    return (
        f"perplexity {asked:g} was lowered to {layout.perplexity:.3g}: "
        f"{len(layout.laid_out):,} rows laid out together allow no more"
    )


def _check_model(model: Any, settings: dict[str, Any]) -> None:
    name = type(model).__name__
    if name != settings["model"]:
        raise DataError(
            f"the map was made with {settings['model']}, the model given is a {name}: their codes "
            "do not mean the same"
        )
    if model_sum(model) != settings["model_sum"]:
        raise DataError(
            f"the map was made with another {name} than the one given: their codes do not mean "
            "the same"
        )


def _check_columns(frame: pl.DataFrame, names: list[str | None]) -> None:
    lacking = [name for name in names if name is not None and name not in frame.columns]
    if lacking:
        has = ", ".join(map(repr, frame.columns[:12]))
        raise DataError(f"the table lacks {', '.join(map(repr, lacking))} (it has {has})")
