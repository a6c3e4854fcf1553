"""The end-to-end fraud system: codes as features, generated frauds, and any classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from thinfile import params
from thinfile.data.encode import Encoded
from thinfile.data.mixed import MixedEncoder
from thinfile.errors import DataError
from thinfile.estimator import Estimator, FloatArray, State, TrainingData
from thinfile.generative.augmented_parts import (
    BoostedInner,
    EstimatorInner,
    InnerClassifier,
    LogisticInner,
    with_prefix,
    without_prefix,
)
from thinfile.generative.smote import SMOTE
from thinfile.generative.table_gan import TableGAN
from thinfile.generative.vae import VAE
from thinfile.generative.vae_bank import LABEL
from thinfile.generative.vae_rows import VAERows
from thinfile.params import Rule
from thinfile.random_state import seed_from
from thinfile.table_model import TableData
from thinfile.trees import TreeSettings

MIN_FRAUDS = 2
GAN_STEPS = 400
"""Steps of the GAN: some seconds, as long as the VAE takes."""
MIN_OWN_ROWS = 4
"""Frauds that a network of their own needs; below that, rows like them are drawn instead."""

Rows = npt.NDArray[np.intp]


class AugmentedClassifier(Estimator):
    """A VAE's codes as features, generated frauds as rows, and a classifier on both.

    The VAE learns from all rows, labelled or not; the classifier from the labelled ones and the
    generated frauds. Use it where labelled frauds are some dozen and unlabelled rows are many,
    and only after comparing it with its classifier alone (``generator=None, codes=False``):
    measured on card transactions, see the benchmark, generated frauds are no sure gain.

    Parameters
    ----------
    generator : {"vae", "smote", "gan", None}
        Where more frauds come from.
    codes : bool
        Whether the VAE's codes become features.
    classifier : {"boosted", "logistic"} or Estimator
        What learns in the end. An estimator gets the features as a table of numbers and texts.
    n_generated : float ≥ 0
        Share of frauds, real and generated, among the training rows that is aimed at, relative
        to the genuine ones: 0.5 makes half as many frauds as there are genuine rows.
    draw : {"like", "label", "class"}
        How the VAE makes frauds. like: variations of the labelled frauds. label: from a VAE that
        is told the label. class: from a VAE of the frauds alone.
    max_unlabelled : int ≥ 0
        Unlabelled rows that the VAE is trained on at most, a random sample.
    latent_size, widths, max_epochs, batch_size
        Of the VAE, as in :class:`thinfile.generative.vae.VAE`.
    n_neighbours : int ≥ 1
        Of SMOTE.
    n_trees, n_leaves, learning_rate, min_leaf_rows
        As in :class:`thinfile.trees.TreeSettings`.
    C : float > 0
        Inverse of the logistic regression's penalty.
    schema, target_domain, target_rate, random_state
        As in every estimator of thinfile.

    Attributes
    ----------
    vae_ : VAE or None
        The one whose codes are features.
    classifier_ : InnerClassifier
    n_generated_ : int
        Frauds that were made.

    References
    ----------
    Fiore et al.: Using generative adversarial networks for improving classification effectiveness
    in credit card fraud detection, Information Sciences 2019. Chawla et al.: SMOTE, JAIR 2002.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 4))
    >>> y = np.where(np.arange(300) < 100, X[:, 0] > 1, -1)
    >>> model = AugmentedClassifier(max_epochs=2, n_trees=5, random_state=0).fit(X, y)
    >>> model.predict_proba(X).shape
    (300, 2)
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        "generator": params.one_of("vae", "smote", "gan", None),
        "codes": params.boolean(),
        "classifier": params.either(
            params.one_of("boosted", "logistic"), params.instance(Estimator)
        ),
        "n_generated": params.real(0),
        "draw": params.one_of("like", "label", "class"),
        "max_unlabelled": params.integer(0),
        "latent_size": params.either(params.one_of("auto"), params.integer(1)),
        "widths": params.sequence_of(params.integer(1), min_length=1),
        "max_epochs": params.integer(1),
        "batch_size": params.integer(2),
        "n_neighbours": params.integer(1),
        "n_trees": params.integer(1),
        "n_leaves": params.integer(2),
        "learning_rate": params.real(0, bounds="()"),
        "min_leaf_rows": params.integer(1),
        "C": params.real(0, bounds="()"),
    }

    def __init__(
        self,
        *,
        generator: str | None = "vae",
        codes: bool = True,
        classifier: Any = "boosted",
        n_generated: float = 0.5,
        draw: str = "like",
        max_unlabelled: int = 20_000,
        latent_size: int | str = "auto",
        widths: Sequence[int] = (64,),
        max_epochs: int = 20,
        batch_size: int = 256,
        n_neighbours: int = 5,
        n_trees: int = 150,
        n_leaves: int = 15,
        learning_rate: float = 0.05,
        min_leaf_rows: int = 20,
        C: float = 0.1,
        schema: Any = None,
        target_domain: Any = None,
        target_rate: float | str | None = "auto",
        random_state: Any = None,
    ) -> None:
        self.generator = generator
        self.codes = codes
        self.classifier = classifier
        self.n_generated = n_generated
        self.draw = draw
        self.max_unlabelled = max_unlabelled
        self.latent_size = latent_size
        self.widths = widths
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.n_neighbours = n_neighbours
        self.n_trees = n_trees
        self.n_leaves = n_leaves
        self.learning_rate = learning_rate
        self.min_leaf_rows = min_leaf_rows
        self.C = C
        self.schema = schema
        self.target_domain = target_domain
        self.target_rate = target_rate
        self.random_state = random_state

    def _make_encoder(self) -> MixedEncoder:
        return MixedEncoder(self.schema_, scaling="quantile")

    def _load_encoder(self, state: State) -> MixedEncoder:
        return MixedEncoder.from_state(state.values["encoder"])

    def _fit_encoder(self, rows: Any) -> tuple[Encoded, pl.DataFrame]:
        encoded, parsed = super()._fit_encoder(rows)
        self._parsed = parsed
        return encoded, parsed

    # The fit ---------------------------------------------------------------------------------

    def _fit(self, data: TrainingData) -> None:
        parsed, self._parsed = self._parsed, pl.DataFrame()
        frauds = np.flatnonzero(data.y == 1)
        if len(frauds) < MIN_FRAUDS:
            raise DataError(
                f"AugmentedClassifier: y holds {len(frauds)} labelled fraud(s), at least "
                f"{MIN_FRAUDS} are needed"
            )
        self.notes_ += self.encoder_.notes_
        seed = seed_from(self.random_state)
        rng = np.random.default_rng(seed)
        table = TableData(data.encoded, parsed, data.y)
        chosen = self._seen_rows(data, rng)
        needs_vae = self.codes or (self.generator == "vae" and self.draw == "like")
        self.vae_ = self._fit_vae(table, chosen, seed, condition=None) if needs_vae else None
        made = self._more_frauds(table, chosen, seed)
        self.n_generated_ = made.height
        labelled = np.flatnonzero(data.is_labelled)
        training, y = data.encoded.take(labelled), data.y[labelled]
        if made.height:
            training = _joined(training, self.encoder_.transform(made))
            y = np.concatenate([y, np.ones(made.height, dtype=np.int8)])
        self.classifier_: InnerClassifier = self._make_classifier()
        self.classifier_.fit(self._features(training), y, seed)
        # The generated frauds have raised the odds; this takes it back.
        self._shift = float(np.log(len(frauds) / (len(frauds) + made.height)))

    def _seen_rows(self, data: TrainingData, rng: np.random.Generator) -> Rows:
        """All labelled rows, and a sample of the others."""
        unlabelled = np.flatnonzero(~data.is_labelled)
        if len(unlabelled) > self.max_unlabelled:
            self.notes_.append(
                f"the VAE saw a random {self.max_unlabelled} of {len(unlabelled)} unlabelled rows"
            )
            unlabelled = rng.permutation(unlabelled)[: self.max_unlabelled]
        return np.sort(np.concatenate([np.flatnonzero(data.is_labelled), unlabelled]))

    def _fit_vae(self, table: TableData, rows: Rows, seed: int, *, condition: str | None) -> VAE:
        vae = VAE(
            latent_size=self.latent_size,
            widths=self.widths,
            max_epochs=self.max_epochs,
            batch_size=self.batch_size,
            condition=condition,
            n_importance_samples=1,
            random_state=seed,
            device="cpu",
        )
        y = None if condition is None or table.y is None else table.y[rows]
        part = TableData(table.encoded.take(rows), table.parsed[rows], y)
        vae.fit_encoded(part, self.schema_, self.encoder_)
        self.history_ += vae.history_
        self.notes_ += [f"VAE: {each}" for each in vae.notes_ if each not in self.notes_]
        return vae

    def _more_frauds(self, table: TableData, chosen: Rows, seed: int) -> pl.DataFrame:
        assert table.y is not None
        frauds, n_genuine = np.flatnonzero(table.y == 1), int((table.y == 0).sum())
        n = round(self.n_generated * n_genuine) - len(frauds)
        if self.generator is None or n < 1:
            return table.parsed[:0]
        try:
            return self._draw_frauds(table, chosen, frauds, n, seed)
        except DataError as error:
            self.notes_.append(f"no frauds were generated: {error}")
            return table.parsed[:0]

    def _draw_frauds(
        self, table: TableData, chosen: Rows, frauds: Rows, n: int, seed: int
    ) -> pl.DataFrame:
        own = table.parsed[frauds]
        if self.generator == "smote":
            smote = SMOTE(n_neighbours=self.n_neighbours, schema=self.schema_, random_state=seed)
            made: pl.DataFrame = smote.fit(own).sample(n, random_state=seed)
            return made
        if self.generator == "gan":
            return self._gan_frauds(table, chosen, n, seed)
        if self.draw == "label":
            told = self._fit_vae(table, chosen, seed, condition=LABEL)
            made = told.sample(n, label=1, random_state=seed)
        elif self.draw == "class" and len(frauds) >= MIN_OWN_ROWS:
            made = self._fit_vae(table, frauds, seed, condition=None).sample(n, random_state=seed)
        else:
            vae = self.vae_ or self._fit_vae(table, chosen, seed, condition=None)
            made = vae.sample_like(own, n, random_state=seed)
        return made

    def _gan_frauds(self, table: TableData, chosen: Rows, n: int, seed: int) -> pl.DataFrame:
        assert table.y is not None
        gan = TableGAN(max_steps=GAN_STEPS, schema=self.schema_, random_state=seed)
        gan.fit(table.parsed[chosen], table.y[chosen])
        made: pl.DataFrame = gan.sample(n, label=1, random_state=seed)
        return made

    # Scoring ---------------------------------------------------------------------------------

    def _features(self, encoded: Encoded) -> Encoded:
        if not self.codes or self.vae_ is None:
            return encoded
        rows = VAERows(self.vae_.network_, self.vae_.layout_, self.encoder_)
        return Encoded(np.hstack([encoded.numbers, rows.statistics(encoded)[0]]), encoded.codes)

    def _make_classifier(self) -> InnerClassifier:
        if self.classifier == "boosted":
            return BoostedInner(
                TreeSettings(self.n_trees, self.n_leaves, self.learning_rate, self.min_leaf_rows)
            )
        if self.classifier == "logistic":
            return LogisticInner(self.C, self.encoder_.cardinalities_)
        return EstimatorInner(self.classifier)

    def _probability(self, encoded: Encoded) -> FloatArray:
        raw = self.classifier_.probability(self._features(encoded))
        odds = np.exp(self._shift) * raw / np.maximum(1.0 - raw, 1e-15)
        return np.asarray(odds / (1.0 + odds), dtype=np.float64)

    def _state(self) -> State:
        state = with_prefix("classifier", self.classifier_.state())
        kind = self.classifier if isinstance(self.classifier, str) else "estimator"
        state.values |= {"kind": kind, "shift": self._shift, "n_generated": self.n_generated_}
        if self.vae_ is not None:
            vae = with_prefix("vae", self.vae_.get_state())
            state.values |= vae.values
            state.arrays |= vae.arrays
        return state

    def _load(self, state: State) -> None:
        self._shift, self.n_generated_ = state.values["shift"], state.values["n_generated"]
        if state.values["kind"] == "estimator":
            self.classifier_ = EstimatorInner(None)
        else:
            self.classifier_ = self._make_classifier()
        self.classifier_.load(without_prefix("classifier", state))
        self.vae_ = None
        if "vae" in state.values:
            self.vae_ = VAE(latent_size=self.latent_size, widths=self.widths)
            self.vae_.set_state(without_prefix("vae", state))


def _joined(first: Encoded, second: Encoded) -> Encoded:
    return Encoded(
        np.vstack([first.numbers, second.numbers]), np.vstack([first.codes, second.codes])
    )
