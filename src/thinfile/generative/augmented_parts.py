"""The classifiers that can stand at the end of `AugmentedClassifier`, on encoded features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from thinfile.data.encode import Encoded
from thinfile.errors import ArtifactError
from thinfile.estimator import Estimator, FloatArray
from thinfile.schema.column import Column
from thinfile.schema.model import Schema
from thinfile.table_model import State
from thinfile.trees import (
    TreeSettings,
    fit_trees,
    predict_trees,
    tree_matrix,
    trees_from_text,
    trees_to_text,
)

Labels = npt.NDArray[np.int8]

_OWN_PACKAGE = "thinfile."


class InnerClassifier(Protocol):
    """What `AugmentedClassifier` asks of the classifier at its end."""

    def fit(self, features: Encoded, y: Labels, seed: int) -> None: ...

    def probability(self, features: Encoded) -> FloatArray: ...

    def state(self) -> State: ...

    def load(self, state: State) -> None: ...


class BoostedInner:
    """Boosted trees; codes are categories."""

    def __init__(self, settings: TreeSettings) -> None:
        self.settings = settings
        self.booster: lgb.Booster

    def fit(self, features: Encoded, y: Labels, seed: int) -> None:
        n_numbers, n_codes = features.numbers.shape[1], features.codes.shape[1]
        categories = range(n_numbers, n_numbers + n_codes)
        self.booster = fit_trees(
            tree_matrix(features), y, categories=categories, seed=seed, settings=self.settings
        )

    def probability(self, features: Encoded) -> FloatArray:
        return predict_trees(self.booster, tree_matrix(features))

    def state(self) -> State:
        return State(files={"trees.txt": trees_to_text(self.booster)})

    def load(self, state: State) -> None:
        self.booster = trees_from_text(state.files["trees.txt"])


class LogisticInner:
    """Logistic regression on standardised numbers and one column per code."""

    def __init__(self, C: float, cardinalities: Sequence[int]) -> None:
        self.C, self.cardinalities = C, tuple(cardinalities)

    def fit(self, features: Encoded, y: Labels, seed: int) -> None:
        x = self._wide(features)
        self.mean = x.mean(axis=0)
        spread = x.std(axis=0)
        self.scale = np.where(spread > 0, spread, 1.0)
        model = LogisticRegression(C=self.C, max_iter=1_000)
        model.fit((x - self.mean) / self.scale, y)
        self.coef, self.intercept = model.coef_[0], float(model.intercept_[0])

    def probability(self, features: Encoded) -> FloatArray:
        logit = (self._wide(features) - self.mean) / self.scale @ self.coef + self.intercept
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logit, -500, 500))), dtype=np.float64)

    def state(self) -> State:
        return State(
            values={"intercept": self.intercept},
            arrays={"mean": self.mean, "scale": self.scale, "coef": self.coef},
        )

    def load(self, state: State) -> None:
        self.mean, self.scale = state.arrays["mean"], state.arrays["scale"]
        self.coef, self.intercept = state.arrays["coef"], state.values["intercept"]

    def _wide(self, features: Encoded) -> FloatArray:
        parts = [features.numbers.astype(np.float64)]
        for place, size in enumerate(self.cardinalities):
            parts.append((features.codes[:, [place]] == np.arange(size)).astype(np.float64))
        return np.concatenate(parts, axis=1)


class EstimatorInner:
    """Any estimator of thinfile, on the features as a table: numbers, and codes as text."""

    def __init__(self, estimator: Estimator | None) -> None:
        self.estimator = estimator

    def fit(self, features: Encoded, y: Labels, seed: int) -> None:
        assert self.estimator is not None
        table = feature_table(features)
        names = table.columns
        n_numbers = features.numbers.shape[1]
        roles = ["number"] * n_numbers + ["category"] * (len(names) - n_numbers)
        columns = tuple(Column(n, role) for n, role in zip(names, roles, strict=True))
        fitted = clone(self.estimator).set_params(schema=Schema(columns))
        if fitted.get_params(deep=False).get("random_state") is None:
            fitted.set_params(random_state=seed)
        self.estimator = fitted.fit(table, y)

    def probability(self, features: Encoded) -> FloatArray:
        assert self.estimator is not None
        scores: FloatArray = self.estimator.predict_proba(feature_table(features))[:, 1]
        return scores

    def state(self) -> State:
        assert self.estimator is not None
        cls = type(self.estimator)
        arguments = self.estimator.get_params(deep=False)
        state = self.estimator.get_state()
        state.values["class"] = f"{cls.__module__}:{cls.__qualname__}"
        state.values["arguments"] = {k: v for k, v in arguments.items() if _is_plain(v)}
        return state

    def load(self, state: State) -> None:
        cls = _estimator_class(state.values["class"])
        self.estimator = cls(**state.values["arguments"]).set_state(state)


def feature_table(features: Encoded) -> pl.DataFrame:
    """Encoded features as a raw table."""
    numbers = {f"number_{i}": column for i, column in enumerate(features.numbers.T)}
    codes = {
        f"code_{i}": pl.Series(column).cast(pl.String) for i, column in enumerate(features.codes.T)
    }
    return pl.DataFrame({**{k: np.ascontiguousarray(v) for k, v in numbers.items()}, **codes})


def with_prefix(prefix: str, state: State) -> State:
    """A part's state under names of its own, to lie within another state."""
    return State(
        values={prefix: state.values},
        arrays={f"{prefix}.{name}": value for name, value in state.arrays.items()},
        files={f"{prefix}.{name}": value for name, value in state.files.items()},
    )


def without_prefix(prefix: str, state: State) -> State:
    """The part's state that `with_prefix` put there."""
    start = f"{prefix}."
    return State(
        values=dict(state.values[prefix]),
        arrays={k[len(start) :]: v for k, v in state.arrays.items() if k.startswith(start)},
        files={k[len(start) :]: v for k, v in state.files.items() if k.startswith(start)},
    )


def _estimator_class(path: str) -> type[Estimator]:
    """A class of thinfile by name; nothing else is ever imported for a saved model."""
    module, _, name = str(path).partition(":")
    if not module.startswith(_OWN_PACKAGE):
        raise ArtifactError(f"the inner classifier {path!r} is no class of thinfile")
    try:
        found = getattr(import_module(module), name, None)
    except ImportError:
        found = None
    if not (isinstance(found, type) and issubclass(found, Estimator)):
        raise ArtifactError(f"the inner classifier {path!r} is no estimator of thinfile")
    return found


def _is_plain(value: Any) -> bool:
    """Whether JSON can hold an argument; a schema has its own place in the state."""
    if isinstance(value, Mapping):
        return all(_is_plain(each) for each in value.values())
    if isinstance(value, list | tuple):
        return all(_is_plain(each) for each in value)
    return value is None or isinstance(value, bool | int | float | str)
