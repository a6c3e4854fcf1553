"""Who buys again, by BG/NBD: from how often and how recently, without a single label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from thinfile import params
from thinfile.baselines.bg_nbd_law import BGNBDParameters, fit_bg_nbd
from thinfile.baselines.first_purchase import FirstPurchase, fit_first_purchase
from thinfile.data.encode import Encoded, TableEncoder
from thinfile.errors import DataError
from thinfile.estimator import Estimator, FloatArray, State, TrainingData
from thinfile.params import Rule

OWN = ("own_repeat_purchases", "own_recency_weeks", "own_age_weeks")
STORE = ("any_repeat_purchases", "any_recency_weeks", "any_age_weeks")

BoolArray = npt.NDArray[np.bool_]
History = tuple[FloatArray, FloatArray, FloatArray]


class BGNBDClassifier(Estimator):
    """Probability of a purchase within the horizon, by the law of repeat buying.

    Use it where a purchase log is all there is: it needs no labels, so it is what few labels must
    beat. Do not use it where prices, seasons or anything but the customer's own rhythm decides.

    A customer who has bought the category is scored by BG/NBD of the category. Who never bought
    it is scored by BG/NBD of the whole store: so many visits are expected within the horizon, and
    the chance that one of them brings the first purchase of the category falls with the visits
    that brought none. So the second group comes after the first only as far as the probabilities
    say.

    `y` must hold two classes, as for every estimator, but no label changes what is fitted; all
    rows count, labelled or not. (With labels of a target *and* a source, ``target_rate="auto"``
    shifts the probabilities to the base rate of the target; None leaves them as they are.)

    Parameters
    ----------
    horizon_weeks : float > 0, default 13
        Length of the window in which a purchase counts, in weeks; that of the task.
    rank_by : {"probability", "purchases"}, default "probability"
        "probability": of at least one purchase, by the law. "purchases": 1 − exp(−E) of the
        expected number E of purchases, which ranks by E and is too high by itself; on CDNOW at 39
        weeks it ranks better (AUC 0.762 against 0.745), on Online Retail a little worse.
    repeat, recency, age : str
        Columns of the category: days with a purchase after the first, weeks from the first to the
        last, weeks from the first to now; null for who never bought it.
    store_repeat, store_recency, store_age : str
        The same for the whole store.
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile.

    Attributes
    ----------
    law_ : BGNBDParameters or None
        Of the category; None where the columns give none, and everybody gets the base rate.
    store_law_ : BGNBDParameters or None
        Of the whole store; without it who never bought gets half of the lowest probability.
    first_ : FirstPurchase or None
        How the first purchase of the category comes with visits of the store.

    Raises
    ------
    DataError
        If a column is named that is not among the numbers of the table. Where none of the default
        names is there, the first three numbers stand in, set to legal values, and `notes_` says so.

    References
    ----------
    Fader, Hardie, Lee: "Counting your customers" the easy way, Marketing Science 24(2), 2005.

    Examples
    --------
    >>> import polars as pl
    >>> X = pl.DataFrame(
    ...     {
    ...         "own_repeat_purchases": [0, 2, 1, 0, 4, 3],
    ...         "own_recency_weeks": [0.0, 30.4, 1.7, 0.0, 38.0, 12.5],
    ...         "own_age_weeks": [38.9, 38.9, 38.9, 37.2, 38.6, 38.1],
    ...     }
    ... )
    >>> model = BGNBDClassifier(horizon_weeks=39).fit(X, [0, 1, -1, -1, -1, -1])
    >>> int(model.predict_proba(X)[:, 1].argmax())
    4
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        "horizon_weeks": params.real(0, bounds="()"),
        "rank_by": params.one_of("probability", "purchases"),
        **{
            name: params.instance(str)
            for name in ("repeat", "recency", "age", "store_repeat", "store_recency", "store_age")
        },
    }

    def __init__(
        self,
        *,
        horizon_weeks: float = 13.0,
        rank_by: str = "probability",
        repeat: str = OWN[0],
        recency: str = OWN[1],
        age: str = OWN[2],
        store_repeat: str = STORE[0],
        store_recency: str = STORE[1],
        store_age: str = STORE[2],
        schema: Any = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        random_state: Any = None,
    ) -> None:
        self.horizon_weeks = horizon_weeks
        self.rank_by = rank_by
        self.repeat = repeat
        self.recency = recency
        self.age = age
        self.store_repeat = store_repeat
        self.store_recency = store_recency
        self.store_age = store_age
        self.schema = schema
        self.target_domain = target_domain
        self.target_rate = target_rate
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        """It does not learn from labels, and says so."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags

    def _make_encoder(self) -> TableEncoder:
        return TableEncoder(self.schema_, scaling="none")

    # Fitting -----------------------------------------------------------------------------------

    def _fit(self, data: TrainingData) -> None:
        self._own, self._store = self._choose_columns()
        self.law_ = self._fit_law(data.encoded, self._own, "category")
        self.store_law_ = self._fit_law(data.encoded, self._store, "store")
        self.first_ = self._fit_first(data.encoded)
        self._base_rate = float(data.y[data.is_labelled].mean())
        self._lowest = 0.5 * self._base_rate
        if self.law_ is None:
            self.notes_.append("no law of repeat buying: everybody gets the labels' base rate")
        elif self.store_law_ is None:
            own = self._law_probability(self.law_, data.encoded, self._own)
            self._lowest = 0.5 * float(np.nanmin(own))

    def _choose_columns(self) -> tuple[list[str], list[str]]:
        known = self.encoder_.number_names_
        own = [self.repeat, self.recency, self.age]
        store = [self.store_repeat, self.store_recency, self.store_age]
        lacking = [n for n in own + store if n not in known and n not in OWN + STORE]
        if lacking:
            raise DataError(
                f"{type(self).__name__}: no number column {', '.join(map(repr, lacking))} that "
                f"varies; there are {', '.join(map(repr, known[:12]))}"
            )
        if not set(own) & set(known):
            own = known[:3]
            names = ", ".join(map(repr, own))
            self.notes_.append(
                f"column {self.repeat!r} is not there: {names} stand in, set to legal values"
            )
        return _if_all(own, known), _if_all(store, known)

    def _fit_law(self, encoded: Encoded, columns: list[str], what: str) -> BGNBDParameters | None:
        history, bought = self._history(encoded, columns)
        x, last, now = (values[bought] for values in history)
        if not columns or not x.any():
            self.notes_.append(
                f"no law of the {what}: "
                + ("its columns are not there or do not vary" if not columns else "no repeat buyer")
            )
            return None
        return fit_bg_nbd(x, last, now)

    def _history(self, encoded: Encoded, columns: list[str]) -> tuple[History, BoolArray]:
        """Repeat, recency and age set to legal values, and where they are known."""
        if not columns:
            nothing = np.zeros(len(encoded))
            return (nothing, nothing, nothing), np.zeros(len(encoded), dtype=bool)
        places = [self.encoder_.number_names_.index(name) for name in columns]
        raw = encoded.numbers[:, places].astype(np.float64)
        bought: BoolArray = np.asarray(~np.isnan(raw).any(axis=1))
        raw = np.maximum(np.where(bought[:, None], raw, 0.0), 0.0)
        x: FloatArray = np.round(raw[:, 0])
        last: FloatArray = np.where(x > 0, raw[:, 1], 0.0)
        return (x, last, np.maximum(raw[:, 2], last)), bought

    def _fit_first(self, encoded: Encoded) -> FirstPurchase | None:
        """How the first purchase of the category comes with visits of the store."""
        if self.law_ is None or self.store_law_ is None:
            return None
        (_, _, own_age), bought = self._history(encoded, self._own)
        (x, last, now), visited = self._history(encoded, self._store)
        # Visits are taken as evenly spread between the first and the last.
        before = np.clip((now - own_age) / np.maximum(last, 1e-9), 0.0, 1.0)
        visits = np.where(bought, 1.0 + x * before, 1.0 + x)
        return fit_first_purchase(visits[visited], bought[visited])

    # Scoring -----------------------------------------------------------------------------------

    def _probability(self, encoded: Encoded) -> FloatArray:
        if self.law_ is None:
            return np.full(len(encoded), self._base_rate)
        own = self._law_probability(self.law_, encoded, self._own)
        return np.asarray(np.where(np.isnan(own), self._newcomers(encoded), own))

    def _law_probability(
        self, law: BGNBDParameters, encoded: Encoded, columns: list[str]
    ) -> FloatArray:
        history, bought = self._history(encoded, columns)
        if self.rank_by == "purchases":
            chances = -np.expm1(-law.expected_purchases(*history, self.horizon_weeks))
        else:
            chances = law.probability_of_purchase(*history, self.horizon_weeks)
        return np.where(bought, chances, np.nan)

    def _newcomers(self, encoded: Encoded) -> FloatArray:
        """Probability of a first purchase for who never bought the category."""
        if self.store_law_ is None or self.first_ is None:
            return np.full(len(encoded), self._lowest)
        history, visited = self._history(encoded, self._store)
        further = self.store_law_.expected_purchases(*history, self.horizon_weeks)
        return np.where(visited, self.first_.probability(history[0] + 1.0, further), 0.0)

    # State -------------------------------------------------------------------------------------

    def _state(self) -> State:
        return State(
            values={
                "own": self._own,
                "store": self._store,
                "law": None if self.law_ is None else asdict(self.law_),
                "store_law": None if self.store_law_ is None else asdict(self.store_law_),
                "first": None if self.first_ is None else asdict(self.first_),
                "base_rate": self._base_rate,
                "lowest": self._lowest,
            }
        )

    def _load(self, state: State) -> None:
        values = state.values
        self._own, self._store = list(values["own"]), list(values["store"])
        self.law_, self.store_law_ = _law(values["law"]), _law(values["store_law"])
        first = values["first"]
        self.first_ = None if first is None else FirstPurchase(**first)
        self._base_rate, self._lowest = float(values["base_rate"]), float(values["lowest"])


def _if_all(columns: list[str], known: list[str]) -> list[str]:
    return list(columns) if len(columns) == 3 and set(columns) <= set(known) else []


def _law(values: Mapping[str, float] | None) -> BGNBDParameters | None:
    return None if values is None else BGNBDParameters(**values)
