from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest

from thinfile.artifact.onnx_check import checked_onnx, onnx_inputs
from thinfile.artifact.onnx_encoding import add_encoding
from thinfile.artifact.onnx_export import export_onnx
from thinfile.artifact.onnx_graph import Graph
from thinfile.data.encode import TableEncoder
from thinfile.errors import ArtifactError, MissingPackageError
from thinfile.estimator import Estimator
from thinfile.methods import METHODS
from thinfile.schema.column import Column
from thinfile.schema.model import Schema
from thinfile.tabular.mlp import MLPClassifier


def run(content: bytes, feed: dict[str, Any]) -> Any:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, feed)[0]


IN_PYTHON_ONLY = (
    *("prior", "best_column", "bg_nbd", "deepfm", "deepfm_aggregates"),
    *("boosted_rest", "boosted_smote", "boosted_codes", "boosted_vae", "deep_sad", "devnet"),
    *("sgan", "isolation_forest", "ecod", "autoencoder_score", "vae_score"),
)
EXPORTED = [n for n, m in METHODS.items() if n not in IN_PYTHON_ONLY and "histories" not in m.needs]


@pytest.mark.parametrize("name", sorted(set(METHODS) - set(EXPORTED)))
def test_a_method_without_an_export_says_so(name: str, fitted: Callable[[str], Estimator]) -> None:
    with pytest.raises(ArtifactError, match="has no ONNX export"):
        export_onnx(fitted(name))


@pytest.mark.parametrize("name", EXPORTED)
def test_onnx_says_what_python_says(
    name: str, fitted: Callable[[str], Estimator], new_rows: pl.DataFrame
) -> None:
    model = fitted(name)
    exported = export_onnx(model)
    feed = onnx_inputs(model.schema_.parse(new_rows).frame, exported.inputs)
    found = run(exported.content, feed)
    assert found.shape == (len(new_rows),)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, model.predict_proba(new_rows)[:, 1], atol=1e-5)
    one = run(exported.content, {key: value[:1] for key, value in feed.items()})
    np.testing.assert_allclose(one, found[:1], atol=1e-6)


def test_inputs_are_the_columns_that_matter_by_type(fitted: Callable[[str], Estimator]) -> None:
    assert export_onnx(fitted("logistic_pooled")).inputs == {
        "income": "double",
        "age": "double",
        "rarely": "double",
        "grade": "double",
        "owner": "double",
        "town": "string",
        "job": "string",
        "opened": "int64",
        "stamp": "int64",
    }


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "leaky_relu", "silu", "gelu"])
@pytest.mark.parametrize("norm", [None, "batch", "layer"])
def test_every_activation_and_norm(activation: str, norm: str | None) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5))
    model = MLPClassifier(
        widths=(8, 4), activation=activation, norm=norm, max_epochs=2, random_state=0
    ).fit(X, (X[:, 0] > 0).astype(int))
    exported = export_onnx(model)
    rows = rng.normal(size=(50, 5)) * 2
    feed = {name: rows[:, [place]] for place, name in enumerate(exported.inputs)}
    expected = model.predict_proba(rows)[:, 1]
    np.testing.assert_allclose(run(exported.content, feed), expected, atol=1e-6)


@pytest.mark.parametrize("scaling", ["quantile", "standard", "none"])
def test_the_encoding_is_exact(
    scaling: str, fitted: Callable[[str], Estimator], new_rows: pl.DataFrame
) -> None:
    schema = fitted("mlp").schema_
    frame = schema.parse(new_rows).frame
    encoder = TableEncoder(schema, scaling=scaling).fit(frame[:300])
    graph = Graph()
    encoding = add_encoding(graph, encoder.to_state())
    codes = [graph.cast(code, "double") for code in encoding.codes]
    columns = graph.concat([graph.cast(n, "double") for n in encoding.numbers] + codes)
    flat = graph.add("Reshape", columns, graph.constant([-1], np.int64))
    found = run(graph.to_bytes(flat, "out"), onnx_inputs(frame, encoding.inputs))
    found = found.reshape(len(frame), -1)
    encoded = encoder.transform(frame)
    expected = np.concatenate([encoded.numbers, encoded.codes], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found[:, encoded.numbers.shape[1] :], encoded.codes)


def test_months_and_weekdays_over_two_centuries() -> None:
    days = np.arange("1899-01-01", "2105-01-01", dtype="datetime64[D]")
    frame = pl.DataFrame({"day": days.astype("datetime64[us]")})
    encoder = TableEncoder(Schema((Column("day", "date"),))).fit(frame)
    graph = Graph()
    encoding = add_encoding(graph, encoder.to_state())
    codes = graph.concat([graph.cast(code, "double") for code in encoding.codes])
    flat = graph.add("Reshape", codes, graph.constant([-1], np.int64))
    found = run(graph.to_bytes(flat, "out"), onnx_inputs(frame, encoding.inputs))
    np.testing.assert_array_equal(found.reshape(-1, 2), encoder.transform(frame).codes)


def test_a_column_may_have_any_name() -> None:
    names = ["probability", " 1", "ü/ö", "rows"]
    X = pl.DataFrame(np.random.default_rng(0).normal(size=(200, 4)), schema=names)
    model = METHODS["logistic_source"].build().fit(X, (X[" 1"] > 0).cast(int).to_numpy())
    exported = export_onnx(model)
    assert exported.output == "probability_"
    found = run(exported.content, {name: X[name].to_numpy().reshape(-1, 1) for name in names})
    np.testing.assert_allclose(found, model.predict_proba(X)[:, 1], atol=1e-9)


def test_an_unknown_class_is_refused() -> None:
    class Other(Estimator):
        pass

    with pytest.raises(ArtifactError, match="Other has no ONNX export"):
        export_onnx(Other())


def test_without_onnx_the_reason_is_kept(
    monkeypatch: pytest.MonkeyPatch, fitted: Callable[[str], Estimator]
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    model = fitted("mlp")
    with pytest.raises(MissingPackageError, match=r"pip install 'thinfile\[onnx\]'"):
        export_onnx(model)
    record, content = checked_onnx(model, model.get_state(), None)
    assert content is None
    assert "'onnx'" in record["reason"]


def test_an_export_that_differs_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, fitted: Callable[[str], Estimator], new_rows: pl.DataFrame
) -> None:
    model = fitted("logistic_pooled")
    state = model.get_state()
    record, content = checked_onnx(model, state, new_rows)
    assert content is not None
    assert record["largest_difference"] < 1e-6
    state.values["calibration"] = [1.0, 2.0]
    record, content = checked_onnx(model, state, new_rows)
    assert content is None
    assert "differs from the model" in record["reason"]
