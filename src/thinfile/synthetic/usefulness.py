"""What the made rows are worth for training: alone, beside the real ones, tested on real rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile.data.encode import TableEncoder
from thinfile.data.labels import event_of, label_texts
from thinfile.errors import DataError
from thinfile.metrics.intervals import PairedBootstrap, paired_bootstrap
from thinfile.schema.column import FEATURE_ROLES
from thinfile.schema.model import Schema
from thinfile.synthetic.sides import common_schema
from thinfile.trees import fit_trees, predict_trees, tree_matrix

REAL, MADE, BOTH = "real rows", "made rows", "real and made rows"
IN_PLACE = "made rows in place of the real ones of their class"

MAX_TRAIN, MAX_TEST = 30_000, 50_000
"""Rows trained on (of the rarer class all, if there are fewer) and tested on."""

MIN_CLASS = 10
"""Rows of each class that training and test need."""

N_SEEDS, N_DRAWS = 3, 300

Labels = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Trained:
    """Boosted trees trained on one set of rows, tested on the real hold-out.

    Attributes
    ----------
    name : str
        What was trained on.
    n_rows, n_events : int
    auc, auc_low, auc_high, ap, ap_low, ap_high : float
        Mean over seeds with a 95% interval over seeds and test rows.
    auc_gap, ap_gap : tuple of float or None
        Difference to training on the real rows, paired: estimate, low, high.
    """

    name: str
    n_rows: int
    n_events: int
    auc: float
    auc_low: float
    auc_high: float
    ap: float
    ap_low: float
    ap_high: float
    auc_gap: tuple[float, float, float] | None
    ap_gap: tuple[float, float, float] | None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Usefulness:
    """What the made rows are worth for one label.

    Attributes
    ----------
    label, event : str or None
        The column, and the value that counts as the event.
    trained : list of Trained
        Real rows first; empty where nothing could be measured.
    n_test, n_test_events : int
    unmeasured : list of str
        What could not be measured, and why.
    """

    label: str | None
    event: str | None
    trained: list[Trained]
    n_test: int
    n_test_events: int
    unmeasured: list[str]

    @classmethod
    def nothing(cls, label: str | None, why: str) -> Usefulness:
        """Nothing could be measured."""
        return cls(label, None, [], 0, 0, [f"usefulness: {why}"])

    def get(self, name: str) -> Trained | None:
        """The training of that name, if it was done."""
        return next((each for each in self.trained if each.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return vars(self) | {"trained": [each.to_dict() for each in self.trained]}


def judge_usefulness(
    made: pl.DataFrame,
    real: pl.DataFrame,
    holdout: pl.DataFrame | None,
    schema: Schema,
    label: str | None,
    *,
    event: str | None = None,
    random_state: int = 0,
) -> Usefulness:
    """Train on made rows and test on real ones, beside training on real rows and on both.

    Parameters
    ----------
    made, real, holdout : polars.DataFrame
        Raw rows; `real` and `holdout` of all kinds, not only of the kind that was made.
    schema : Schema
    label : str or None
        Column with two values; rows without one are left out.
    event : str, optional
        The value that is the event; needed where it is not plain, as it is in 0/1.
    random_state : int
        For rows drawn and for the trees.

    Returns
    -------
    Usefulness
        With the reason where it could not be measured.

    References
    ----------
    Esteban, Hyland and Rätsch, "Real-valued (medical) time series generation with recurrent
    conditional GANs", 2017 (train on synthetic, test on real).
    """
    if label is None:
        return Usefulness.nothing(None, "there is no label column")
    if holdout is None:
        return Usefulness.nothing(label, "there are no hold-out rows to test on")
    try:
        task = _Task.read(made, real, holdout, schema, label, event, random_state)
    except DataError as error:
        return Usefulness.nothing(label, str(error))
    return task.run()


@dataclass(frozen=True)
class _Rows:
    """Typed rows and their labels."""

    frame: pl.DataFrame
    y: Labels

    def take(self, rows: npt.NDArray[Any]) -> _Rows:
        return _Rows(self.frame[rows], self.y[rows])

    def __add__(self, other: _Rows) -> _Rows:
        return _Rows(pl.concat([self.frame, other.frame]), np.concatenate([self.y, other.y]))


@dataclass(frozen=True)
class _Task:
    label: str
    event: str
    schema: Schema
    real: _Rows
    made: _Rows
    test: _Rows
    seed: int

    @classmethod
    def read(
        cls,
        made: pl.DataFrame,
        real: pl.DataFrame,
        holdout: pl.DataFrame,
        schema: Schema,
        label: str,
        event: str | None,
        seed: int,
    ) -> _Task:
        lacking = [
            name
            for name, table in (("made", made), ("real", real), ("hold-out", holdout))
            if label not in table.columns
        ]
        if lacking:
            raise DataError(f"the {' and '.join(lacking)} rows have no column {label!r}")
        judged = common_schema(schema, None, [made, real, holdout])
        kept = tuple(
            each for each in judged.columns if each.name != label and each.role in FEATURE_ROLES
        )
        judged = Schema(kept)
        tables = {"made": made, "real": real, "hold-out": holdout}
        texts = {name: _texts(table, label, name) for name, table in tables.items()}
        _check_two(label, texts["real"])
        event = event_of(real[label], label, event)
        classes = texts["real"].drop_nulls().unique().to_list()
        rows = [_rows(judged, table, texts[name], classes, event) for name, table in tables.items()]
        test = _drawn(rows[2], MAX_TEST, seed, keep_rare=False)
        task = cls(label, event, judged, _drawn(rows[1], MAX_TRAIN, seed), rows[0], test, seed)
        task.check()
        return task

    def check(self) -> None:
        faults = []
        for name, rows in (("real", self.real), ("hold-out", self.test)):
            n_events = int(rows.y.sum())
            if min(n_events, len(rows.y) - n_events) < MIN_CLASS:
                faults.append(f"{n_events} events among {len(rows.y)} {name} rows")
        if faults:
            raise DataError(f"{' and '.join(faults)}; {MIN_CLASS} of each class are needed")
        if not len(self.made.y):
            raise DataError(f"no made row has a label in {self.label!r}")

    def arms(self) -> dict[str, _Rows]:
        """What is trained on, by name."""
        classes = np.unique(self.made.y)
        both = self.real + _drawn(self.made, MAX_TRAIN, self.seed)
        if len(classes) == 2 and np.bincount(self.made.y, minlength=2).min() >= MIN_CLASS:
            made = _drawn(self.made, MAX_TRAIN, self.seed)
            return {REAL: self.real, MADE: made, BOTH: both}
        if len(classes) == 1:
            # Rows of one class alone train nothing: the real rows of the other class join them.
            others = self.real.take(np.flatnonzero(self.real.y != classes[0]))
            made = _drawn(self.made, MAX_TRAIN, self.seed)
            return {REAL: self.real, IN_PLACE: others + made, BOTH: both}
        return {REAL: self.real, BOTH: both}

    def run(self) -> Usefulness:
        encoder = TableEncoder(self.schema, scaling="none").fit(self.real.frame)
        n_numbers = len(encoder.number_names_)
        test = tree_matrix(encoder.transform(self.test.frame))
        arms = self.arms()
        scores = np.empty((len(arms), N_SEEDS, len(test)))
        for place, rows in enumerate(arms.values()):
            x = tree_matrix(encoder.transform(rows.frame))
            for number in range(N_SEEDS):
                trees = fit_trees(
                    x,
                    rows.y,
                    categories=range(n_numbers, x.shape[1]),
                    seed=self.seed + number,
                )
                scores[place, number] = predict_trees(trees, test)
        trained = self._trained(arms, scores)
        unmeasured = [] if len(arms) == 3 else [self._few_made()]
        n_events = int(self.test.y.sum())
        return Usefulness(self.label, self.event, trained, len(self.test.y), n_events, unmeasured)

    def _few_made(self) -> str:
        counts = np.bincount(self.made.y, minlength=2)
        return (
            f"training on made rows alone: {counts[1]} events among {counts.sum()} made rows; "
            f"{MIN_CLASS} of each class are needed"
        )

    def _trained(self, arms: dict[str, _Rows], scores: npt.NDArray[np.float64]) -> list[Trained]:
        found = {
            metric: paired_bootstrap(
                self.test.y, scores, metric=metric, n_draws=N_DRAWS, random_state=self.seed
            )
            for metric in ("auc", "ap")
        }
        return [
            Trained(
                name=name,
                n_rows=len(rows.y),
                n_events=int(rows.y.sum()),
                **_figures(found, place),
                auc_gap=_gap(found["auc"], place),
                ap_gap=_gap(found["ap"], place),
            )
            for place, (name, rows) in enumerate(arms.items())
        ]


def _figures(found: dict[str, PairedBootstrap], place: int) -> dict[str, float]:
    figures = {}
    for metric, each in found.items():
        figures[metric] = float(each.point[place])
        figures[f"{metric}_low"] = float(each.low[place])
        figures[f"{metric}_high"] = float(each.high[place])
    return figures


def _gap(found: PairedBootstrap, place: int) -> tuple[float, float, float] | None:
    if not place:
        return None
    gap = found.difference(place, 0)
    return gap.estimate, gap.low, gap.high


def _texts(table: pl.DataFrame, label: str, name: str) -> pl.Series:
    return label_texts(table[label], label, f"the {name} rows")


def _check_two(label: str, texts: pl.Series) -> None:
    values = texts.drop_nulls().unique().sort().to_list()
    if len(values) != 2:
        shown = ", ".join(map(repr, values[:5])) + (", …" if len(values) > 5 else "")
        raise DataError(
            f"the label {label!r} has {len(values)} values among the real rows ({shown}); it is "
            "measured for labels of two"
        )


def _rows(
    schema: Schema, table: pl.DataFrame, texts: pl.Series, classes: list[str], event: str
) -> _Rows:
    is_known = texts.is_in(classes).fill_null(False).to_numpy()
    kept = np.flatnonzero(is_known)
    y = (texts.to_numpy()[kept] == event).astype(np.int8)
    return _Rows(schema.parse(table[kept]).frame, y)


def _drawn(rows: _Rows, n: int, seed: int, *, keep_rare: bool = True) -> _Rows:
    """At most `n` rows at random; of the rarer class all, if `keep_rare` and it has fewer."""
    if len(rows.y) <= n:
        return rows
    rng = np.random.default_rng(seed)
    if not keep_rare:
        return rows.take(np.sort(rng.choice(len(rows.y), n, replace=False)))
    rare = int(rows.y.mean() < 0.5)
    few, many = np.flatnonzero(rows.y == rare), np.flatnonzero(rows.y != rare)
    few = few if len(few) <= n // 2 else rng.choice(few, n // 2, replace=False)
    many = rng.choice(many, min(len(many), n - len(few)), replace=False)
    return rows.take(np.sort(np.concatenate([few, many])))
