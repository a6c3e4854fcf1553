"""Random forest on the source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from thinfile import params
from thinfile.baselines.rows import training_rows
from thinfile.data.encode import Encoded
from thinfile.errors import MissingPackageError
from thinfile.estimator import Estimator, FloatArray, State, TrainingData
from thinfile.params import Rule
from thinfile.random_state import seed_from
from thinfile.trees import tree_matrix


class RandomForestOnSourceClassifier(Estimator):
    """Random forest on the source alone: what the published transfer study compared itself with.

    It is here as that study's own baseline. Boosted trees are the stronger choice.

    Parameters
    ----------
    n_trees : int ≥ 1
    min_leaf_rows : int ≥ 1
        Rows that a leaf must hold.
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile.

    Attributes
    ----------
    forest_ : sklearn.ensemble.RandomForestClassifier
        After `fit`; a loaded model scores through ONNX instead.

    References
    ----------
    Breiman: Random forests, Machine Learning 2001.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> model = RandomForestOnSourceClassifier(n_trees=5, random_state=0)
    >>> model.fit(X, (X[:, 0] > 0) * 1).predict(X).shape
    (200,)
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        "n_trees": params.integer(1),
        "min_leaf_rows": params.integer(1),
    }

    def __init__(
        self,
        *,
        n_trees: int = 200,
        min_leaf_rows: int = 10,
        schema: Any = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_trees = n_trees
        self.min_leaf_rows = min_leaf_rows
        self.schema = schema
        self.target_domain = target_domain
        self.target_rate = target_rate
        self.random_state = random_state

    def _fit(self, data: TrainingData) -> None:
        rows = training_rows(type(self).__name__, data, "source")
        self.forest_ = RandomForestClassifier(
            self.n_trees,
            min_samples_leaf=self.min_leaf_rows,
            random_state=seed_from(self.random_state),
            n_jobs=1,
        ).fit(tree_matrix(data.encoded)[rows], data.y[rows])

    def _probability(self, encoded: Encoded) -> FloatArray:
        x = tree_matrix(encoded)
        if hasattr(self, "forest_"):
            return np.asarray(self.forest_.predict_proba(x)[:, 1], dtype=np.float64)
        return np.asarray(self._session.run(None, {"x": x})[1][:, 1], dtype=np.float64)

    def _state(self) -> State:
        return State(files={"forest.onnx": self._onnx_bytes()})

    def _onnx_bytes(self) -> bytes:
        if not hasattr(self, "forest_"):
            return self._forest_onnx
        try:
            from skl2onnx import to_onnx
            from skl2onnx.common.data_types import FloatTensorType
        except ImportError as error:
            raise MissingPackageError("skl2onnx", "onnx", "saving a random forest") from error
        inputs = [("x", FloatTensorType([None, self.forest_.n_features_in_]))]
        model = to_onnx(self.forest_, initial_types=inputs, options={"zipmap": False})
        return bytes(model.SerializeToString())

    def _load(self, state: State) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingPackageError("onnxruntime", "onnx", "a saved random forest") from error
        self._forest_onnx = state.files["forest.onnx"]
        self._session = onnxruntime.InferenceSession(
            self._forest_onnx, providers=["CPUExecutionProvider"]
        )
