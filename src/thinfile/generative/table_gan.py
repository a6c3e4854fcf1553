"""A GAN for tables of numbers and categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from sklearn.utils.validation import check_is_fitted

from thinfile import params
from thinfile.data.encode import Encoded
from thinfile.data.modes import ModeEncoder
from thinfile.data.row_hash import known, row_hashes
from thinfile.generative.adversarial import Run, make_run, whole_packs
from thinfile.generative.alike import CANDIDATES, choose_alike
from thinfile.generative.networks_state import PickledByState, get_both, set_both
from thinfile.generative.new_rows import draw_new
from thinfile.generative.realness import realness
from thinfile.generative.table_columns import TableColumns
from thinfile.generative.table_game import TableGame
from thinfile.generative.tricks import TABLE_TRICKS, trick_values
from thinfile.params import Rule
from thinfile.random_state import RandomState, seed_from
from thinfile.table_model import State, TableData, TableModel
from thinfile.training.device import lean_cpu, seeded

MEASURED_ROWS = 1500


class TableGAN(PickledByState, TableModel):
    """Conditional GAN on the columns of a table: makes new rows, also of a rare kind.

    Use it to make rows where several columns hang together in ways that a VAE blurs, or rows of a
    rare category. Do not use it on fewer than about a thousand rows, and do not expect a classifier
    to get better by made rows: measure it. Every fit is followed by a quality score, and ends with
    its best weights.

    Parameters
    ----------
    n_latent : int ≥ 1
        Width of z, the noise; above the number of columns is fine, as nothing is squeezed through.
    widths, discriminator_widths : sequence of int ≥ 1
        Hidden layers of the generator and the discriminator.
    dropout : float in [0, 1)
        Of the discriminator.
    tricks : mapping, sequence of names, or None
        Over the default (`TABLE_TRICKS`): see `thinfile.generative.tricks`. ``packing``
        is the pack of PacGAN, ``gradient_penalty`` its weight. `CTGAN_TRICKS` is the published
        form.
    max_modes, max_levels : int
        Most modes of a number; numbers of at most `max_levels` different values count as
        categories. See `ModeEncoder`.
    max_epochs, max_steps : int ≥ 1
        Whichever is reached first ends the training.
    batch_size : int ≥ 2
        Rows; brought down to a whole number of packs, and to the table's length.
    learning_rate, discriminator_rate : float > 0
        Of Adam (β 0.5 and 0.9); the second None: as the first.
    weight_decay : float ≥ 0
        Of the generator.
    n_discriminator_steps : int ≥ 1
        Updates of the discriminator for one of the generator.
    n_checks : int ≥ 1
        Times that quality, spread and duplicates are measured.
    patience : int ≥ 1
        Checks in a row with a sign of failure before the run counts as gone off.
    restore_best : bool
        End with the weights of the check with the best quality.
    schema, random_state
        As in every model of thinfile.

    Attributes
    ----------
    history_ : list of dict
        One record for each check: both losses, accuracies of the discriminator on real and made
        packs, ``quality``, ``told_apart``, ``distance``, ``spread`` and ``duplicates``.
    gone_off_ : str or None
        What went wrong, if the run went off; also in `notes_`.
    row_hashes_ : ndarray of uint64
        Of the training rows, none of which is ever emitted.

    Raises
    ------
    DataError
        The table has too few rows, or no column that varies.
    TrainingError
        A loss is not finite before the first check.

    References
    ----------
    Xu, Skoularidou, Cuesta-Infante and Veeramachaneni, "Modeling tabular data using conditional
    GAN", NeurIPS 2019. Lin, Khetan, Fanti and Oh, "PacGAN", NeurIPS 2018. Miyato, Kataoka, Koyama
    and Yoshida, "Spectral normalization for generative adversarial networks", ICLR 2018.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> table = pl.DataFrame({"job": rng.choice(["a", "b"], 400), "age": rng.normal(40, 9, 400)})
    >>> model = TableGAN(max_steps=20, n_checks=1, random_state=0).fit(table)
    >>> made = model.sample(5, where={"job": "b"}, random_state=1)
    >>> made.columns, made["job"].unique().to_list()
    (['job', 'age'], ['b'])
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        "n_latent": params.integer(1),
        "widths": params.sequence_of(params.integer(1), min_length=1),
        "discriminator_widths": params.sequence_of(params.integer(1), min_length=1),
        "dropout": params.real(0, 1, bounds="[)"),
        "max_modes": params.integer(1, 100),
        "max_levels": params.integer(2, 1000),
        "max_epochs": params.integer(1),
        "max_steps": params.integer(1),
        "batch_size": params.integer(2),
        "learning_rate": params.real(0, bounds="()"),
        "discriminator_rate": params.optional(params.real(0, bounds="()")),
        "weight_decay": params.real(0),
        "n_discriminator_steps": params.integer(1),
        "n_checks": params.integer(1),
        "patience": params.integer(1),
        "restore_best": params.boolean(),
    }

    def __init__(
        self,
        *,
        n_latent: int = 128,
        widths: Sequence[int] = (256, 256),
        discriminator_widths: Sequence[int] = (256, 256),
        dropout: float = 0.25,
        tricks: Mapping[str, Any] | Sequence[str] | None = None,
        max_modes: int = 10,
        max_levels: int = 20,
        max_epochs: int = 300,
        max_steps: int = 3000,
        batch_size: int = 500,
        learning_rate: float = 1e-3,
        discriminator_rate: float | None = None,
        weight_decay: float = 1e-6,
        n_discriminator_steps: int = 1,
        n_checks: int = 20,
        patience: int = 3,
        restore_best: bool = True,
        schema: Any = None,
        random_state: RandomState = None,
    ) -> None:
        self.n_latent = n_latent
        self.widths = widths
        self.discriminator_widths = discriminator_widths
        self.dropout = dropout
        self.tricks = tricks
        self.max_modes = max_modes
        self.max_levels = max_levels
        self.max_epochs = max_epochs
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.discriminator_rate = discriminator_rate
        self.weight_decay = weight_decay
        self.n_discriminator_steps = n_discriminator_steps
        self.n_checks = n_checks
        self.patience = patience
        self.restore_best = restore_best
        self.schema = schema
        self.random_state = random_state

    # Making rows -----------------------------------------------------------------------------

    def sample(
        self,
        n: int,
        *,
        where: Mapping[str, Any] | None = None,
        label: int | None = None,
        random_state: RandomState = None,
    ) -> pl.DataFrame:
        """Make rows, none of which is a training row.

        Parameters
        ----------
        n : int ≥ 1
        where : mapping, optional
            Values that columns must have: categories, booleans, numbers of few values.
        label : {0, 1}, optional
            The class, where `fit` was given y (``class_labels``).
        random_state
            Makes the rows repeatable.

        Returns
        -------
        polars.DataFrame
            Typed, in the schema's order; n rows.

        Raises
        ------
        DataError
            If a value cannot be asked for, or too few new rows can be made.
        """
        check_is_fitted(self, "row_hashes_")
        params.check_params(type(self).__name__, {"n": n}, {"n": params.integer(1)})
        wanted = self.columns_.wanted(where or {}, label, type(self).__name__)
        with seeded(random_state) as seed, lean_cpu():
            rng = np.random.default_rng(seed)

            def draw(n_rows: int) -> pl.DataFrame:
                return self._decode(self._ask(wanted, n_rows), seed_from(rng))

            return draw_new(draw, n, self.row_hashes_, owner=type(self).__name__)

    def sample_like(self, X: Any, n: int, *, random_state: RandomState = None) -> pl.DataFrame:
        """Make rows of the kind of the rows of X: variations of them.

        Ten times as many rows are made, each asked to have one category of a row of X; of these
        are kept the ones that look most like X.

        Parameters
        ----------
        X
            Table of one row or more, as at `fit`.
        n : int ≥ 1
        random_state
            Makes the rows repeatable.
        """
        check_is_fitted(self, "row_hashes_")
        params.check_params(type(self).__name__, {"n": n}, {"n": params.integer(1)})
        given = self._parse(X)
        codes = self.encoder_.transform(given).codes
        with seeded(random_state) as seed, lean_cpu():
            rng = np.random.default_rng(seed)

            def draw(n_rows: int) -> pl.DataFrame:
                n_made = max(200, CANDIDATES * n_rows)
                made = self._decode(self._ask_like(codes, n_made, rng), seed_from(rng))
                features = self.encoder_.features(made), self.encoder_.features(given)
                return made[choose_alike(*features, n_rows, seed_from(rng))]

            return draw_new(draw, n, self.row_hashes_, owner=type(self).__name__)

    def _ask(self, wanted: Mapping[int, int], n_rows: int) -> tuple[Encoded, dict[int, int]]:
        conditions = self.game_.conditions
        if not conditions.width:
            return self.game_.encoded(None, n_rows), dict(wanted)
        if not wanted:
            return self.game_.encoded(conditions.draw(n_rows, by="rows"), n_rows), {}
        # The rarest of the wanted codes is asked for, the others are waited for.
        positions = [conditions.position(column, code) for column, code in wanted.items()]
        rarest = min(positions, key=lambda p: int(conditions.rows_of(p)))
        asked = conditions.ask(torch.full((n_rows,), rarest))
        return self.game_.encoded(asked, n_rows), dict(wanted)

    def _ask_like(
        self, codes: npt.NDArray[np.int32], n_rows: int, rng: np.random.Generator
    ) -> tuple[Encoded, dict[int, int]]:
        conditions = self.game_.conditions
        columns = [k for k in range(codes.shape[1]) if conditions.has(self.columns_.place(k))]
        if not columns:
            return self._ask({}, n_rows)
        rows, places = rng.integers(len(codes), size=n_rows), rng.choice(columns, n_rows)
        flat = [
            conditions.position(self.columns_.place(int(k)), int(codes[row, k]))
            for row, k in zip(rows, places, strict=True)
        ]
        return self.game_.encoded(conditions.ask(torch.tensor(flat)), n_rows), {}

    def _decode(self, made: tuple[Encoded, dict[int, int]], seed: int) -> pl.DataFrame:
        encoded, wanted = made
        fits = np.ones(len(encoded), dtype=bool)
        for column, code in wanted.items():
            fits &= encoded.codes[:, column] == code
        return self._rows(encoded.take(fits), seed)

    def _rows(self, encoded: Encoded, seed: int) -> pl.DataFrame:
        known_to_encoder = self.columns_.without_label(encoded)
        rows: pl.DataFrame = self.encoder_.inverse(known_to_encoder, random_state=seed)
        return rows

    # The fit ---------------------------------------------------------------------------------

    def _make_encoder(self) -> ModeEncoder:
        return ModeEncoder(self.schema_, max_modes=self.max_modes, max_levels=self.max_levels)

    def _load_encoder(self, state: State) -> ModeEncoder:
        return ModeEncoder.from_state(state.values["encoder"])

    def _fit(self, data: TableData) -> None:
        tricks = trick_values(type(self).__name__, self.tricks, TABLE_TRICKS)
        n_rows = data.parsed.height
        batch_size = whole_packs(self, n_rows, tricks["packing"], "rows")
        self.notes_ += self.encoder_.notes_
        self.row_hashes_ = np.unique(row_hashes(data.parsed))
        with seeded(self.random_state) as seed, lean_cpu():
            told = data.y if tricks["class_labels"] else None
            labels: list[int] = [] if told is None else np.unique(told).tolist()
            self.columns_ = TableColumns(self.encoder_, labels if len(labels) > 1 else ())
            encoded = self.encoder_.transform(data.parsed, random_state=seed)
            encoded = self.columns_.with_label(encoded, data.y)
            self._build(tricks, self.columns_.count(encoded.codes))
            self.game_.give(encoded, batch_size)
            self.game_.measure = self._measure_beside(data.parsed, seed)
            run = self._run(tricks, n_rows, batch_size)
            history = run.play()
            self.game_.forget()
        self.history_ = list(history.records)
        self.gone_off_ = run.gone_off
        if run.gone_off:
            self.notes_.append(run.gone_off)

    def _run(self, tricks: Mapping[str, Any], n_rows: int, batch_size: int) -> Run:
        return make_run(
            self,
            self.game_,
            tricks,
            steps_per_epoch=-(-n_rows // batch_size),
            betas=(0.5, 0.9),
            weight_decay=self.weight_decay,
            natural=1 - len(self.row_hashes_) / n_rows,
        )

    def _build(self, tricks: Mapping[str, Any], counts: Sequence[npt.NDArray[np.int64]]) -> None:
        self.game_ = TableGame(
            len(self.encoder_.number_names_),
            self.columns_.cardinalities,
            self.columns_.conditions(counts),
            tricks,
            n_latent=self.n_latent,
            widths=self.widths,
            discriminator_widths=self.discriminator_widths,
            dropout=self.dropout,
        )

    def _measure_beside(self, parsed: pl.DataFrame, seed: int) -> Any:
        n_rows = min(MEASURED_ROWS, parsed.height)
        real = self.encoder_.features(parsed.sample(n_rows, seed=seed))

        def measure() -> dict[str, float]:
            encoded, _ = self._ask({}, n_rows)
            if not np.isfinite(encoded.numbers).all():
                return {"quality": np.nan}
            made = self._rows(encoded, seed)
            hashes = row_hashes(made)
            new, first = np.unique(hashes, return_index=True)
            repeats = np.ones(n_rows, dtype=bool)
            repeats[first[~known(new, self.row_hashes_)]] = False
            found = realness(real, self.encoder_.features(made), seed=seed)
            return found | {"duplicates": float(repeats.mean())}

        return measure

    # State -----------------------------------------------------------------------------------

    def _state(self) -> State:
        counts = [each.tolist() for each in self.game_.conditions.counts]
        values = {"labels": self.columns_.labels, "counts": counts, "gone_off": self.gone_off_}
        hashes = self.row_hashes_.view(np.int64)
        return State(values=values, arrays={"row_hashes": hashes, **get_both(self.game_)})

    def _load(self, state: State) -> None:
        values, arrays = state.values, dict(state.arrays)
        self.row_hashes_ = arrays.pop("row_hashes").view(np.uint64)
        self.gone_off_ = values["gone_off"]
        self.columns_ = TableColumns(self.encoder_, values["labels"])
        tricks = trick_values(type(self).__name__, self.tricks, TABLE_TRICKS)
        self._build(tricks, [np.asarray(each) for each in values["counts"]])
        set_both(self.game_, arrays)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit to the rows of a table.

        Parameters
        ----------
        X
            Table of n rows: pandas, polars or Arrow frame, or a 2-D array of numbers.
        y : array-like of shape (n,), optional
            1, 0, and -1, None or NaN for "no label": rows of a class can be asked for then.

        Raises
        ------
        ParameterError
            If constructor arguments break their rules.
        DataError
            If the table or the labels cannot be used.
        TrainingError
            If a loss is not finite before the first check.
        """
        trick_values(type(self).__name__, self.tricks, TABLE_TRICKS)
        return super().fit(X, y)
