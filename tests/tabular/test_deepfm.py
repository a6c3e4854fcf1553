from __future__ import annotations

import warnings
from datetime import datetime, timedelta
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from thinfile.artifact.folder import load, save
from thinfile.artifact.score import score_file
from thinfile.errors import DataError, ParameterError, ThinfileWarning
from thinfile.methods import METHODS, Method
from thinfile.metrics.ranking import roc_auc
from thinfile.schema.column import Column
from thinfile.schema.model import Schema
from thinfile.tabular.deepfm import REFERENCE, DeepFMClassifier
from thinfile.training.touched_adam import TouchedAdam

RNG = np.random.default_rng(0)
N, N_USERS, N_ITEMS = 1200, 20, 12
USER, ITEM = RNG.integers(0, N_USERS, N), RNG.integers(0, N_ITEMS, N)
TASTE, KIND = RNG.normal(size=(N_USERS, 2)), RNG.normal(size=(N_ITEMS, 2))
TRUTH = ((TASTE[USER] * KIND[ITEM]).sum(1) > 0).astype(int)
START = datetime(2024, 1, 1)
X = pl.DataFrame(
    {
        "user": 2**53 + USER,
        "item": [f"item {i}" for i in ITEM],
        "price": RNG.lognormal(size=N).round(2),
        "tags": [[["new", "red"], ["old"], [], None][i % 4] for i in range(N)],
        "words": [["a|b", "b", "", None][i % 4] for i in range(N)],
        "at": [START + timedelta(hours=7 * i) for i in range(N)],
    }
)
IDS: dict[str, Any] = {"sparse": ("user",), "multi_valued": {"words": "|"}}


def build(**arguments: Any) -> DeepFMClassifier:
    settings = {"max_epochs": 2, "batch_size": 128, "widths": (8, 4), "random_state": 0}
    return DeepFMClassifier(**{**IDS, **settings, "device": "cpu", **arguments})


@pytest.fixture(scope="module")
def model() -> DeepFMClassifier:
    return build().fit(X, TRUTH)


def quick(**arguments: Any) -> DeepFMClassifier:
    return build(max_epochs=1, **arguments).fit(X[:300], TRUTH[:300])


# Learning ------------------------------------------------------------------------------------


def test_pairs_of_ids_are_learnt_that_no_sum_over_ids_can_tell() -> None:
    settings: dict[str, Any] = {
        "max_epochs": 15,
        "learning_rate": 0.05,
        "patience": None,
        "dim": 4,
        "deep": False,
    }
    table = X.select("user", "item")
    auc = {}
    for fm in (True, False):
        fitted = build(fm=fm, multi_valued=None, **settings).fit(table[:900], TRUTH[:900])
        auc[fm] = roc_auc(TRUTH[900:], fitted.predict_proba(table[900:])[:, 1])
    assert auc[True] > 0.9
    assert auc[False] < 0.75


@pytest.mark.parametrize(
    "parts", [c for n in (1, 2, 3) for c in combinations(("linear", "fm", "deep"), n)]
)
def test_each_part_adds_what_its_formula_says(parts: tuple[str, ...]) -> None:
    """Pair by pair and layer by layer, with numpy alone."""
    switches = {part: part in parts for part in ("linear", "fm", "deep")}
    fitted = quick(**switches, norm=None, target_rate=None, embedding_l2=0.0)
    fields, weights = fitted._encode(X[:20]), fitted.get_weights()
    starts = np.cumsum([0, *fitted.encoder_.cardinalities_, *fitted.encoder_.bag_cardinalities_])
    expected = [_logit(weights, fields, starts, switches, row) for row in range(20)]
    probability = fitted.predict_proba(X[:20])[:, 1]
    np.testing.assert_allclose(np.log(probability / (1 - probability)), expected, atol=1e-4)


def _logit(
    weights: dict[str, Any], fields: Any, starts: Any, switches: dict[str, bool], row: int
) -> float:
    table = weights["table.weight"].astype(np.float64)
    found = [table[start + code] for start, code in zip(starts, fields.codes[row], strict=False)]
    for start, bag in zip(starts[fields.codes.shape[1] :], fields.bags, strict=False):
        values = bag.values[bag.offsets[row] : bag.offsets[row + 1]]
        found.append(table[start + values].mean(0) if len(values) else np.zeros(table.shape[1]))
    numbers = fields.numbers[row].astype(np.float64)
    logit = float(weights["bias"][0])
    if switches["linear"]:
        logit += sum(v[0] for v in found) + float(numbers @ weights["slopes"])
    if switches["fm"]:
        vectors = [v[1:] for v in found]
        vectors += [x * f for x, f in zip(numbers, weights["number_factors"], strict=True)]
        logit += sum(float(a @ b) for a, b in combinations(vectors, 2))
    if switches["deep"]:
        value = np.concatenate([*(v[1:] for v in found), numbers])
        for name in sorted(n[:-7] for n in weights if n.startswith("body") and "weight" in n):
            value = np.maximum(weights[f"{name}.weight"] @ value + weights[f"{name}.bias"], 0)
        logit += float(weights["head.weight"][0] @ value + weights["head.bias"][0])
    return logit


def test_no_part_at_all_is_refused() -> None:
    with pytest.raises(ParameterError, match="linear, fm and deep are False"):
        build(linear=False, fm=False, deep=False).fit(X, TRUTH)


def test_every_fault_of_the_arguments_in_one_message() -> None:
    faults = {"dim": 0, "embedding_l2": -1, "precision": "half", "plateau_factor": 1.0}
    others = {"multi_valued": {"words": ""}, "time_fields": ("year",), "sparse": "user"}
    with pytest.raises(ParameterError) as caught:
        build(**faults, **others).fit(X, TRUTH)
    assert all(f"{name}=" in str(caught.value) for name in (*faults, *others))


def test_the_reference_has_the_settings_of_the_benchmark() -> None:
    reference = DeepFMClassifier.reference(dim=4, random_state=1)
    expected = {**REFERENCE, "dim": 4, "random_state": 1}
    assert {name: reference.get_params()[name] for name in expected} == expected


# Fields --------------------------------------------------------------------------------------


def test_columns_become_the_fields_that_the_schema_says(model: DeepFMClassifier) -> None:
    encoder = model.encoder_
    assert encoder.number_names_ == ["price", "at (days)"]
    parts = [f"at ({part})" for part in ("month", "day", "weekday", "hour")]
    assert encoder.code_names_ == ["user", "item", *parts]
    assert encoder.bag_names_ == ["tags", "words"]
    assert encoder.cardinalities_[:2] == [N_USERS + 2, N_ITEMS + 2]


def test_ids_that_differ_in_their_last_digit_score_differently(model: DeepFMClassifier) -> None:
    rows = pl.concat([X[:1]] * N_USERS).with_columns(user=2**53 + pl.int_range(N_USERS))
    assert len(set(model.predict_proba(rows)[:, 1].tolist())) == N_USERS


def test_a_fit_on_text_ids_is_the_fit_on_numbers(model: DeepFMClassifier) -> None:
    as_text = build().fit(X.with_columns(pl.col("user").cast(pl.String)), TRUTH)
    np.testing.assert_array_equal(as_text.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([-(2**63), -1, 2**31, 2**63 - 1]),
        pl.Series([2**64 - 1, 0, 1, 2], dtype=pl.UInt64),
        pl.Series([float("nan"), float("inf"), 1e300, None]),
        pl.Series(["", "💥", "x" * 100_000, None]),
        pl.Series([None] * 4, dtype=pl.Null),
        pl.Series([[1], [], None, [None, 2]]),
        pl.Series([True, None, False, True]),
        pl.Series([START] * 4),
    ],
)
def test_no_id_raises_when_scoring(model: DeepFMClassifier, values: pl.Series) -> None:
    for name in ("user", "item", "tags", "words"):
        rows = X[:4].with_columns(values.alias(name))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "column .* 2\\^53", ThinfileWarning)
            assert np.isfinite(model.predict_proba(rows)).all()


def test_hostile_values_in_training_do_not_stop_a_fit() -> None:
    n = 120
    table = pl.DataFrame(
        {
            "infinite": [float("inf") if i % 3 == 0 else float(i % 7) for i in range(n)],
            "not_a_number": [float("nan")] * n,
            "nones": [[None]] * n,
            "empty": pl.Series([[]] * n, dtype=pl.List(pl.String)),
            "gaps": [["a", None], [], None, ["b", ""]] * (n // 4),
            "huge": ["x" * 100_000 if i % 2 else "y" for i in range(n)],
            "lowest": [-(2**63) + i % 3 for i in range(n)],
        }
    )
    fitted = build(sparse=("lowest",), multi_valued=None).fit(table, TRUTH[:n])
    assert fitted.encoder_.code_names_ == ["huge", "lowest"]
    assert fitted.encoder_.cardinalities_ == [4, 5]
    assert fitted.encoder_.bag_names_ == ["gaps"]
    with pytest.warns(ThinfileWarning, match="'infinite': 40 of 120 rows are infinite"):
        assert np.isfinite(fitted.predict_proba(table)).all()


def test_ids_in_floats_that_cannot_hold_them_are_named(model: DeepFMClassifier) -> None:
    rows = X[:4].with_columns(pl.col("user").cast(pl.Float64))
    with pytest.warns(ThinfileWarning, match=r"'user': 4 of 4 ids are floats of 2\^53 or more"):
        model.predict_proba(rows)
    table = X[:300].with_columns(pl.col("user").cast(pl.Float64))
    assert any("'user': 300 of 300 ids are" in n for n in build().fit(table, TRUTH[:300]).notes_)


def test_pandas_and_mappings_with_lists_give_the_same_scores(model: DeepFMClassifier) -> None:
    expected = model.predict_proba(X[:50])
    np.testing.assert_array_equal(model.predict_proba(X[:50].to_dict(as_series=False)), expected)
    frame = X[:50].to_pandas()
    frame["tags"] = X["tags"][:50].to_list()
    np.testing.assert_array_equal(model.predict_proba(frame), expected)


def test_a_schema_of_the_user_keeps_its_missing_codes() -> None:
    columns = [Column("user", "id", missing=("-1",)), Column("price", "number")]
    table = X.select(pl.when(pl.col("price") > 1).then(pl.col("user")).otherwise(-1), "price")
    given = build(schema=Schema(tuple(columns)), multi_valued=None).fit(table, TRUTH)
    assert (given._encode(table).codes[:, 0] == 0).mean() == pytest.approx((X["price"] <= 1).mean())
    inferred = build(multi_valued=None).fit(table, TRUTH)
    assert (inferred._encode(table).codes[:, 0] > 0).all()


# What was never seen -------------------------------------------------------------------------


def test_the_share_of_unseen_values_is_told_for_each_field(model: DeepFMClassifier) -> None:
    rows = X[:4].with_columns(
        user=pl.Series([2**53, -1, 3, None]), tags=pl.Series([["red", "blue"], [], ["old"], None])
    )
    share = model.unseen_share(rows)
    others = [*model.encoder_.code_names_[1:], "words"]
    assert share == {"user": 2 / 3, "tags": 1 / 3} | dict.fromkeys(others, 0.0)
    assert model.unseen_share(X) == dict.fromkeys(share, 0.0)


def test_scoring_warns_where_most_values_were_never_seen(model: DeepFMClassifier) -> None:
    rows = X[:200].with_columns(item=pl.lit("fresh"))
    with pytest.warns(ThinfileWarning, match=r"column 'item': 200 of 200 values were not in"):
        model.predict_proba(rows)


def test_strict_refuses_and_names_column_count_row_and_value() -> None:
    strict = quick(strict=True)
    strict.predict_proba(X[:300])
    rows = X[:5].with_columns(item=pl.Series(["item 1", "x", None, "y", "item 2"]))
    message = r"column 'item': 2 of 4 values were not in the training rows \(first: row 1, 'x'\)"
    with pytest.raises(DataError, match=message):
        strict.predict_proba(rows)


def test_unseen_ids_score_as_the_average_id_where_no_rare_one_trained_their_code() -> None:
    fitted = build(min_count=1).fit(X, TRUTH)
    table = fitted.get_weights()["table.weight"]
    training, _ = fitted._split(fitted._read(X, TRUTH, None), np.random.default_rng(0))
    codes = fitted._encode(X).codes[training, 0]
    np.testing.assert_allclose(table[1], table[codes].mean(0), atol=1e-5)


def test_hashing_is_said_in_the_notes() -> None:
    fitted = quick(max_vocabulary=10)
    assert any("'user': 20 values are hashed to 10 codes" in note for note in fitted.notes_)
    assert fitted.encoder_.cardinalities_[0] == 12


# Time ----------------------------------------------------------------------------------------


def test_the_latest_rows_stop_training_and_time_is_no_feature() -> None:
    order = np.random.default_rng(1).permutation(N)
    table, y = X[order], TRUTH[order]
    fitted = build(time_column="at", validation_fraction=0.25).fit(table, y)
    training, validation = fitted._split(fitted._read(table, y, None), np.random.default_rng(0))
    assert fitted.n_validation_ == len(validation) == 300
    assert table["at"][training].max() < table["at"][validation].min()
    assert not [name for name in fitted.encoder_.code_names_ if name.startswith("at")]
    assert fitted.predict_proba(table.drop("at")[:3]).shape == (3, 2)
    best = max(record["validation_auc"] for record in fitted.history_)
    score = fitted.predict_proba(table[validation])[:, 1]
    assert roc_auc(y[validation], score) == pytest.approx(best, abs=1e-6)


def test_vocabularies_are_learnt_from_the_earlier_rows_alone() -> None:
    late = X.with_columns(
        item=pl.when(pl.int_range(N) >= 900).then(pl.lit("late")).otherwise("item")
    )
    settings = {"validation_fraction": 0.25, "min_count": 1}
    assert build(time_column="at", **settings).fit(late, TRUTH).unseen_share(late)["item"] == 0.25
    assert build(**settings).fit(late, TRUTH).unseen_share(late)["item"] == 0.0


def test_time_fields_that_are_asked_for_make_time_a_feature() -> None:
    fitted = quick(time_column="at", time_fields=("weekday", "hour"))
    names = [name for name in fitted.encoder_.code_names_ if name.startswith("at")]
    assert names == ["at (weekday)", "at (hour)"]
    assert "at (days)" not in fitted.encoder_.number_names_


def test_time_may_be_a_number_and_too_few_later_events_are_noted() -> None:
    table = X.with_columns(row_number=pl.int_range(N))
    assert build(time_column="row_number").fit(table, TRUTH).n_validation_ == N // 5
    y = (np.arange(N) < 40).astype(int)
    fitted = build(time_column="row_number").fit(table, y)
    assert fitted.n_validation_ == 0
    assert any("hold too few events" in note for note in fitted.notes_)


def test_a_table_with_nothing_but_time_is_refused() -> None:
    with pytest.raises(DataError, match="X has 1 columns, none of which is a feature"):
        build(time_column="at", sparse=(), multi_valued=None).fit(X.select("at"), TRUTH)


def test_an_unknown_time_column_is_named() -> None:
    with pytest.raises(DataError, match="time_column='when' is no column of X"):
        build(time_column="when").fit(X, TRUTH)


# Training ------------------------------------------------------------------------------------


def test_the_learning_rate_falls_where_the_auc_stays_flat() -> None:
    settings = {"max_epochs": 12, "patience": None, "plateau_patience": 1, "plateau_factor": 0.5}
    noise = np.random.default_rng(3).integers(0, 2, 300)
    fitted = build(**settings).fit(X[:300], noise)
    rates = [record["learning_rate"] for record in fitted.history_]
    assert rates[-1] < rates[0]
    assert {round(a / b, 3) for a, b in pairwise(rates)} <= {1.0, 2.0}


@pytest.mark.parametrize(
    ("n_rows", "size"), [(100, 32), (1_000, 100), (50_000, 256), (10**6, 1_000), (10**8, 4_096)]
)
def test_batches_follow_the_rows(n_rows: int, size: int) -> None:
    assert build(batch_size="auto")._batch_rows(n_rows) == size
    assert build(batch_size=77)._batch_rows(n_rows) == 77


def test_patience_ends_the_run() -> None:
    assert len(build(max_epochs=200, learning_rate=0.05, patience=2).fit(X, TRUTH).history_) < 60


def test_large_tables_are_trained_by_touched_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[type] = []
    original = DeepFMClassifier._optimizer

    def watched(self: DeepFMClassifier) -> torch.optim.Optimizer:
        used.append(type(original(self)))
        return original(self)

    monkeypatch.setattr(DeepFMClassifier, "_optimizer", watched)
    touched, dense = quick(touched_rows_above=0), quick()
    assert used == [TouchedAdam, torch.optim.Adam]
    # A first step of Adam is the same for every row that the batch has.
    assert touched.predict_proba(X[:50])[:, 1] == pytest.approx(
        dense.predict_proba(X[:50])[:, 1], abs=0.05
    )


def test_l2_on_the_table_shrinks_it_and_nothing_else_says_so() -> None:
    sizes = [
        float(np.linalg.norm(build(embedding_l2=l2).fit(X, TRUTH).get_weights()["table.weight"]))
        for l2 in (0.0, 10.0)
    ]
    assert sizes[1] < 0.8 * sizes[0]


def test_bfloat16_trains_to_much_the_same_scores() -> None:
    exact, coarse = quick(), quick(precision="bfloat16")
    difference = np.abs(exact.predict_proba(X[:300])[:, 1] - coarse.predict_proba(X[:300])[:, 1])
    assert 0 < difference.max() < 0.05
    assert {v.dtype.name for v in coarse.get_weights().values()} <= {"float32", "int64"}


# State ---------------------------------------------------------------------------------------


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "thinfile.tabular.deepfm:DeepFMClassifier"
    method = Method("deepfm_here", "DeepFM", "tabular", path, frozenset({"source"}), "", "")
    monkeypatch.setitem(METHODS, "deepfm_here", method)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("arguments", [{}, {"max_vocabulary": 10, "time_column": "at"}])
def test_an_artifact_scores_as_the_model_that_was_saved(
    tmp_path: Path, arguments: dict[str, Any]
) -> None:
    fitted = quick(**arguments)
    folder = save(fitted, tmp_path / "model", reference=X)
    assert not (folder / "model.onnx").exists()
    twin = load(folder)
    rows = X[:60].with_columns(
        item=pl.when(pl.int_range(60) < 5).then(pl.lit("?")).otherwise("item")
    )
    np.testing.assert_array_equal(twin.predict_proba(rows), fitted.predict_proba(rows))
    assert isinstance(twin, DeepFMClassifier)
    assert twin.unseen_share(rows) == fitted.unseen_share(rows)
    assert twin.notes_ == fitted.notes_


def test_a_file_with_lists_is_scored_as_the_table(tmp_path: Path, model: DeepFMClassifier) -> None:
    rows = X[:60].with_columns(user=pl.int_range(60) - 5)
    rows.write_parquet(tmp_path / "rows.parquet")
    score_file(model, tmp_path / "rows.parquet", tmp_path / "scores.parquet", batch_rows=25)
    scores = pl.read_parquet(tmp_path / "scores.parquet")["probability"].to_numpy()
    np.testing.assert_allclose(scores, model.predict_proba(rows)[:, 1], rtol=1e-6)


def test_vocabularies_are_arrays_and_not_json(model: DeepFMClassifier) -> None:
    state = model.get_state()
    assert "item 1" not in str(state.values["encoder"])
    assert b"item 1" in b"".join(value.tobytes() for value in state.arrays.values())
    assert not [name for name in model.get_weights() if "vocabulary" in name]
