"""Before any method is trained: how do the populations differ, and what follows from it?

Only labels that the training may see are passed in, and no test row is needed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.compare.advice import DISJOINT_AUC, Advice, advise, worst_actions
from thinfile.compare.base_rate import BaseRate, SourceModel, cross_fit_source, find_base_rate
from thinfile.compare.columns import ColumnReport, contrast, report_column, single_column_auc
from thinfile.compare.decomposition import Decomposition, Judged, can_decompose, decompose
from thinfile.compare.overlap import Overlap, Told, column_places, measure_overlap
from thinfile.data.encode import Encoded, TableEncoder
from thinfile.errors import DataError
from thinfile.random_state import RandomState, seed_from
from thinfile.schema.model import Schema
from thinfile.trees import tree_matrix

MAX_ROWS = 8000
"""Rows of each population that the classifiers see; more would change the third decimal."""

MMD_ROWS, MMD_PERMUTATIONS = 1000, 200

MIN_ROWS = 10
"""Rows that each population must have."""

Labels = npt.NDArray[np.int8]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Diagnosis:
    """How two populations differ and which methods must not be used on them.

    Attributes
    ----------
    source_name, target_name : str
    n_source, n_target : int
        Rows handed in.
    n_source_used, n_target_used : int
        Rows that the classifiers saw.
    overlap : Overlap
        How well the populations are told apart.
    columns : tuple of ColumnReport
        The column that tells most first.
    base_rate : BaseRate
        Prior shift: observed, and by two estimators.
    decomposition : Decomposition or None
        X-shift and Y|X-shift; None where the target has too few labels.
    advice : tuple of Advice
        Strong warnings first.
    findings : tuple of str
        The whole in plain sentences.
    """

    source_name: str
    target_name: str
    n_source: int
    n_target: int
    n_source_used: int
    n_target_used: int
    overlap: Overlap
    columns: tuple[ColumnReport, ...]
    base_rate: BaseRate
    decomposition: Decomposition | None
    advice: tuple[Advice, ...]
    findings: tuple[str, ...]

    def action(self, method: str) -> str | None:
        """What is advised of a method: "avoid", "caution" or None."""
        return worst_actions(self.advice).get(method)

    def reasons(self, method: str) -> list[str]:
        """Why, one sentence each."""
        return [each.reason for each in self.advice if each.method == method]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        record = {name: getattr(self, name) for name in _PLAIN}
        return {
            **record,
            "overlap": self.overlap.to_dict(),
            "columns": [column.to_dict() for column in self.columns],
            "base_rate": self.base_rate.to_dict(),
            "decomposition": self.decomposition and asdict(self.decomposition),
            "advice": [each.to_dict() for each in self.advice],
            "findings": list(self.findings),
        }


_PLAIN = ("source_name", "target_name", "n_source", "n_target", "n_source_used", "n_target_used")


@dataclass(frozen=True)
class _Sample:
    """The rows that the classifiers see: source rows first, then target rows."""

    frame: pl.DataFrame
    y: Labels
    is_target: npt.NDArray[np.bool_]


def diagnose(
    source: pl.DataFrame,
    target: pl.DataFrame,
    *,
    schema: Schema,
    y_source: npt.ArrayLike,
    y_target: npt.ArrayLike,
    random_state: RandomState = None,
    source_name: str = "source",
    target_name: str = "target",
    test_mmd: bool = False,
) -> Diagnosis:
    """Say how two populations differ, before any method is trained.

    Use it once per comparison, on rows and labels that training may see. Do not pass labels of
    test rows: the advice takes part in the choice of the method.

    Parameters
    ----------
    source, target : polars.DataFrame
        Raw tables with the schema's features, (n_source, columns) and (n_target, columns).
    schema
        How to read them.
    y_source, y_target : (n_source,) and (n_target,)
        1, 0, or -1 where the label is not there or may not be seen.
    random_state
        Makes it repeatable.
    source_name, target_name
        What the findings call them.
    test_mmd
        Also test equality of the distributions by MMD; loads torch.

    Returns
    -------
    Diagnosis

    Raises
    ------
    DataError
        If a population has fewer than 10 rows, or labels do not fit the rows.
    SchemaError
        If columns are missing.

    References
    ----------
    Rabanser, Günnemann, Lipton, "Failing loudly: an empirical study of methods for detecting
    dataset shift", NeurIPS 2019.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> tables = [pl.DataFrame({"x": rng.normal(at, 1, 300)}) for at in (0, 9)]
    >>> y = rng.integers(0, 2, 300)
    >>> found = diagnose(
    ...     *tables, schema=Schema.numeric(["x"]), y_source=y, y_target=y * 0 - 1, random_state=0
    ... )
    >>> found.overlap.auc > 0.95, found.action("dan"), found.action("boosted_pooled")
    (True, 'avoid', None)
    """
    seed = seed_from(random_state)
    old, new = schema.parse(source).frame, schema.parse(target).frame
    y_old, y_new = _labels("source", y_source, old), _labels("target", y_target, new)
    sample = _draw(old, new, y_old, y_new, seed)
    encoded, wide, places = _encode(schema, sample.frame)
    overlap, told = measure_overlap(encoded, wide, sample.is_target, places, seed=seed)
    if test_mmd:
        overlap = replace(overlap, mmd_p_value=_mmd_p_value(wide, sample.is_target, seed))
    columns = _report_columns(schema, old, new, encoded, sample, places, told)
    model = _source_model(encoded, sample, seed)
    base_rate = find_base_rate(y_old, y_new, model, seed=seed)
    parts = _decompose(model, sample, told, seed)
    advice = advise(overlap, base_rate, columns, parts, n_events=int((y_new == 1).sum()))
    return Diagnosis(
        source_name=source_name,
        target_name=target_name,
        n_source=old.height,
        n_target=new.height,
        n_source_used=int((~sample.is_target).sum()),
        n_target_used=int(sample.is_target.sum()),
        overlap=overlap,
        columns=columns,
        base_rate=base_rate,
        decomposition=parts,
        advice=advice,
        findings=tuple(_findings(overlap, columns, base_rate, parts)),
    )


def _labels(name: str, y: npt.ArrayLike, frame: pl.DataFrame) -> Labels:
    labels = np.asarray(y)
    if labels.shape != (frame.height,):
        raise DataError(f"{name}: {frame.height} rows and labels of the shape {labels.shape}")
    if frame.height < MIN_ROWS:
        raise DataError(f"{name}: {frame.height} rows; a diagnosis needs at least {MIN_ROWS}")
    wrong = ~np.isin(labels, (-1, 0, 1))
    if wrong.any():
        first = int(np.argmax(wrong))
        raise DataError(
            f"{name}: {int(wrong.sum())} labels are none of 1, 0 and -1 "
            f"(first: row {first}, {labels[first]})"
        )
    return labels.astype(np.int8)


def _draw(old: pl.DataFrame, new: pl.DataFrame, y_old: Labels, y_new: Labels, seed: int) -> _Sample:
    """At most MAX_ROWS of each, labelled rows first: they are the scarce ones."""
    generator = np.random.default_rng(seed)
    kept = [_some(y, generator) for y in (y_old, y_new)]
    frame = pl.concat([side[rows] for side, rows in zip((old, new), kept, strict=True)])
    y = np.concatenate([y_old[kept[0]], y_new[kept[1]]])
    return _Sample(frame, y, np.arange(len(y)) >= len(kept[0]))


def _some(y: Labels, generator: np.random.Generator) -> Rows:
    # A random key below 1 for labelled rows and above for the others, smallest first.
    key = generator.random(len(y)) + (y < 0)
    return np.sort(np.argsort(key)[:MAX_ROWS])


def _encode(
    schema: Schema, frame: pl.DataFrame
) -> tuple[Encoded, npt.NDArray[np.float32], dict[str, list[int]]]:
    """Rows for trees, the same on one scale for a line, and where each feature lies."""
    as_is = TableEncoder(schema, scaling="none")
    encoded = as_is.fit_transform(frame)
    scaled = TableEncoder(schema, max_categories=40)
    wide = scaled.one_hot(scaled.fit_transform(frame))
    return encoded, wide, column_places(as_is, schema.features)


def _report_columns(
    schema: Schema,
    old: pl.DataFrame,
    new: pl.DataFrame,
    encoded: Encoded,
    sample: _Sample,
    places: dict[str, list[int]],
    told: Told,
) -> tuple[ColumnReport, ...]:
    n_numbers = encoded.numbers.shape[1]
    parts: list[npt.NDArray[Any]] = [encoded.numbers[:, i] for i in range(n_numbers)]
    parts += [encoded.codes[:, i] for i in range(encoded.codes.shape[1])]
    at = np.arange(len(sample.y))
    halves = (at[::2], at[1::2])
    reports = []
    for name in schema.features:
        found = contrast(schema[name].role, old[name], new[name])
        aucs = [single_column_auc(parts[i], sample.is_target, halves) for i in places[name]]
        importance = float(told.gain[places[name]].sum())
        reports.append(
            report_column(name, found, auc=max(aucs, default=None), importance=importance)
        )
    return tuple(sorted(reports, key=lambda r: -(r.auc or 0.0)))


def _source_model(encoded: Encoded, sample: _Sample, seed: int) -> SourceModel | None:
    known = ~sample.is_target & (sample.y >= 0)
    x = tree_matrix(encoded)
    n_numbers = encoded.numbers.shape[1]
    return cross_fit_source(
        x[known],
        sample.y[known],
        x[sample.is_target],
        categories=range(n_numbers, x.shape[1]),
        seed=seed,
    )


def _decompose(
    model: SourceModel | None, sample: _Sample, told: Told, seed: int
) -> Decomposition | None:
    y = sample.y[sample.is_target]
    if model is None or not can_decompose(y):
        return None
    known = ~sample.is_target & (sample.y >= 0)
    share = told.is_target_probability
    old = Judged(model.y, model.source, share[known])
    new = Judged(y[y >= 0], model.target[y >= 0], share[sample.is_target][y >= 0])
    return decompose(old, new, random_state=seed)


def _mmd_p_value(
    wide: npt.NDArray[np.float32], is_target: npt.NDArray[np.bool_], seed: int
) -> float:
    from thinfile.nn.drift import mmd_permutation_test  # loads torch: only where it was asked for

    generator = np.random.default_rng(seed)
    sides = [wide[side] for side in (~is_target, is_target)]
    drawn = [side[generator.permutation(len(side))[:MMD_ROWS]] for side in sides]
    test = mmd_permutation_test(*drawn, n_permutations=MMD_PERMUTATIONS, random_state=seed)
    return float(test.p_value)


def _findings(
    overlap: Overlap,
    columns: tuple[ColumnReport, ...],
    base_rate: BaseRate,
    parts: Decomposition | None,
) -> list[str]:
    found = [
        f"Held-out rows of the two populations are told apart with AUC {overlap.auc:.3f} "
        f"({overlap.low:.3f}…{overlap.high:.3f}; 0.5 is not at all)."
    ]
    if overlap.auc_without_leading is not None and overlap.leading:
        names = ", ".join(repr(name) for name in overlap.leading)
        found.append(f"Without {names} it is {overlap.auc_without_leading:.3f}.")
    weights = (
        f"Under importance weights {overlap.effective_rows:.0f} effective source rows remain "
        f"({overlap.effective_share:.0%})"
    )
    if overlap.auc > DISJOINT_AUC:
        weights += ", which says little where the populations hardly overlap"
    found.append(f"{weights}.")
    found += [_sentence(column.finding) for column in columns if column.finding]
    found.append(_sentence(base_rate.sentence))
    if parts is not None:
        found.append(_sentence(parts.sentence))
    return found


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
