"""What the networks for few labelled events share: draws by kind, the fit, a score per row.

A method says what its network is (`_build`), which terms the loss of a batch has (`_terms`), and
how a row's outputs become a score (`_row_score`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from thinfile import params
from thinfile.anomaly.calibrated import ScoreCalibration
from thinfile.anomaly.rows import DrawnBatches, FewLabels, few_labels
from thinfile.baselines.boosted_rest import FEW_LABEL_RULES
from thinfile.data.encode import SCALINGS, Encoded, TableEncoder
from thinfile.estimator import Estimator, FloatArray, State, TrainingData
from thinfile.nn.weights import get_weights, set_weights
from thinfile.params import Rule
from thinfile.training.batches import cap_batch
from thinfile.training.device import choose_device, lean_cpu, seeded
from thinfile.training.loop import train
from thinfile.training.optimizer import adam
from thinfile.training.phase import Phase

SCORING_ROWS = 65_536
STEPS_PER_EPOCH = 20
"""As in the DevNet paper: a pass is a number of updates, whatever the number of rows."""

SCORE_NETWORK_RULES: dict[str, Rule] = FEW_LABEL_RULES | {
    "widths": params.sequence_of(params.integer(1), min_length=1),
    "scaling": params.one_of(*(s for s in SCALINGS if s != "none")),
    "max_epochs": params.integer(1),
    "batch_size": params.integer(4),
    "learning_rate": params.real(0, bounds="()"),
    "weight_decay": params.real(0),
    "average": params.optional(params.real(0, 1, bounds="()")),
    "event_share": params.real(0, 1, bounds="()"),
    "genuine_share": params.real(0, 1),
}


class ScoreNetworkClassifier(Estimator):
    """Base of classifiers that are one network whose output is an anomaly score.

    Attributes
    ----------
    network_ : torch.nn.Module
    score_calibration_ : ScoreCalibration
        Between the score and the probability.
    """

    def anomaly_score(self, X: Any) -> FloatArray:
        """The network's own score, shape (n,): higher is more like the event."""
        check_is_fitted(self, "network_")
        return self._score(self._encode(X))

    def get_weights(self) -> dict[str, npt.NDArray[Any]]:
        """Every weight and running statistic of the network by name, as copies."""
        check_is_fitted(self, "network_")
        return get_weights(self.network_)

    def set_weights(self, weights: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Replace the weights by arrays of the same names and shapes.

        Raises
        ------
        ArtifactError
            If a name is missing or unknown, or a shape differs.
        """
        check_is_fitted(self, "encoder_")
        if not hasattr(self, "network_"):
            self.network_ = self._build().eval()
        set_weights(self.network_, weights)
        return self

    # What a method defines -------------------------------------------------------------------

    def _build(self) -> nn.Module:
        raise NotImplementedError

    def _prepare(self, numbers: torch.Tensor, codes: torch.Tensor) -> None:
        """What comes before training, on the rows that are trained on."""

    def _terms(self, batch: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        raise NotImplementedError

    def _row_score(self, numbers: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Score of each row, shape (rows,), higher for the event."""
        raise NotImplementedError

    # The fit ---------------------------------------------------------------------------------

    def _make_encoder(self) -> TableEncoder:
        return TableEncoder(self.schema_, scaling=self.scaling)

    def _fit(self, data: TrainingData) -> None:
        device = choose_device(self.device)
        with seeded(self.random_state, device) as seed, lean_cpu():
            kinds = few_labels(
                type(self).__name__, data, self.max_unlabelled, np.random.default_rng(seed)
            )
            rows = data.encoded.take(kinds.all)
            self.network_ = self._build().to(device)
            self._train(kinds, rows, device)
        self.network_.cpu().eval()
        scores, y = self._score(rows), kinds.labels
        known = y >= 0
        self.score_calibration_ = ScoreCalibration.fit(scores, scores[known], y[known])
        if self.score_calibration_.falls:
            self.notes_.append("labelled events do not score above the other labelled rows")

    def _train(self, kinds: FewLabels, rows: Encoded, device: torch.device) -> None:
        tensors = {
            "numbers": torch.from_numpy(rows.numbers).to(device),
            "codes": torch.from_numpy(rows.codes).to(device, torch.int64),
            "y": torch.from_numpy(kinds.labels).to(device, torch.float32),
        }
        self._prepare(tensors["numbers"], tensors["codes"])
        weight = kinds.draw_weight(self.event_share, self.genuine_share)
        size = cap_batch(self.batch_size, len(rows), self.notes_)
        batches = DrawnBatches(tensors, size, STEPS_PER_EPOCH, weight)
        trained = [p for p in self.network_.parameters() if p.requires_grad]
        phase = Phase(adam(trained, self.learning_rate, self.weight_decay), self._terms)
        history = train(
            self.network_, phase, batches, max_epochs=self.max_epochs, average=self.average
        )
        n_before = len(self.history_)
        self.history_ += [
            {**record, "epoch": int(record["epoch"] or 0) + n_before} for record in history
        ]

    # Scoring ---------------------------------------------------------------------------------

    def _score(self, encoded: Encoded) -> FloatArray:
        self.network_.eval()
        parts = []
        with lean_cpu(), torch.inference_mode():
            for start in range(0, len(encoded.numbers), SCORING_ROWS):
                part = slice(start, start + SCORING_ROWS)
                codes = torch.from_numpy(encoded.codes[part]).to(torch.int64)
                numbers = torch.from_numpy(encoded.numbers[part])
                parts.append(self._row_score(numbers, codes).double().numpy())
        return np.concatenate(parts) if parts else np.empty(0)

    def _probability(self, encoded: Encoded) -> FloatArray:
        return self.score_calibration_.apply(self._score(encoded))

    def _state(self) -> State:
        return State(
            values={"score_calibration": self.score_calibration_.to_values()},
            arrays=self.get_weights(),
        )

    def _load(self, state: State) -> None:
        self.network_ = self._build().eval()
        self.set_weights(state.arrays)
        self.score_calibration_ = ScoreCalibration(**state.values["score_calibration"])
