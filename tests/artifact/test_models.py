"""Every model of the registry that is no classifier as a folder, and back."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.artifact.folder import load, load_classifier, save
from thinfile.cli.main import main
from thinfile.errors import ArtifactError
from thinfile.methods import MODELS

TINY: dict[str, Any] = {
    "widths": (8, 4),
    "discriminator_widths": (8, 4),
    "hidden": 6,
    "latent": 3,
    "latent_size": 2,
    "n_latent": 4,
    "max_epochs": 2,
    "max_steps": 6,
    "n_checks": 2,
    "batch_size": 32,
    "device": "cpu",
    "random_state": 0,
}
ROLES = {"detector": "score_samples", "encoder": "transform"}
every_model = pytest.mark.parametrize("name", MODELS)


@cache
def rows_of(name: str) -> Any:
    """A raw table with gaps, images, or windows of unequal length."""
    rng = np.random.default_rng(0)
    if name == "dcgan":
        return rng.integers(0, 256, (60, 6, 6), dtype=np.uint8)
    if name in ("lstm_autoencoder", "sequence_vae"):
        return [rng.normal(size=(length, 2)) for length in rng.integers(3, 8, 60)]
    return pl.DataFrame(
        {
            "amount": [None if i % 9 == 0 else v for i, v in enumerate(rng.lognormal(size=120))],
            "balance": rng.normal(size=120),
            "kind": rng.choice(["card", "cash", "cheque"], 120),
            "day": [str(np.datetime64("2020-01-01") + int(d)) for d in rng.integers(0, 900, 120)],
            "open": rng.random(120) < 0.4,
        }
    )


@cache
def fitted(name: str) -> Any:
    cls = MODELS[name].estimator_class()
    known = cls().get_params()
    model = cls(**{key: value for key, value in TINY.items() if key in known})
    return model.fit(rows_of(name))


def _as_json(arguments: dict[str, Any]) -> Any:
    """With lists for tuples, which JSON does not know."""
    return json.loads(json.dumps(arguments))


@every_model
def test_a_folder_gives_the_same_model(name, tmp_path):
    model = fitted(name)
    read = load(save(model, tmp_path / "model"))
    assert type(read) is type(model)
    assert _as_json(read.get_params()) == _as_json(model.get_params())
    for role in MODELS[name].roles & set(ROLES):
        expected = getattr(model, ROLES[role])(rows_of(name))
        np.testing.assert_array_equal(getattr(read, ROLES[role])(rows_of(name)), expected)
    if "detector" in MODELS[name].roles:
        np.testing.assert_array_equal(read.predict(rows_of(name)), model.predict(rows_of(name)))
    if "generator" in MODELS[name].roles:
        made, expected = (each.sample(8, random_state=1) for each in (read, model))
        if isinstance(expected, pl.DataFrame):
            assert made.equals(expected)
        else:
            np.testing.assert_array_equal(made, expected)


@every_model
def test_notes_and_history_come_back(name, tmp_path):
    model = fitted(name)
    read = load(save(model, tmp_path / "model"))
    assert read.notes_ == model.notes_
    assert read.history_ == model.history_


@every_model
def test_the_folder_holds_no_code_and_says_what_the_model_is(name, tmp_path):
    folder = save(fitted(name), tmp_path / "model")
    kinds = {path.suffix for path in folder.iterdir()}
    assert kinds <= {".json", ".safetensors", ".md"}
    assert "gives no probability" in (folder / "card.md").read_text()


@every_model
def test_it_is_no_classifier_and_score_says_so_in_one_line(name, tmp_path, capsys):
    folder, table = save(fitted(name), tmp_path / "model"), tmp_path / "rows.csv"
    table.write_text("amount\n1\n")
    kind = type(fitted(name)).__name__
    with pytest.raises(ArtifactError, match=f"class {kind}, which gives no probability"):
        load_classifier(folder)
    with pytest.raises(SystemExit) as stopped:
        main(["score", str(folder), str(table), "--out", str(tmp_path / "scores.csv")])
    assert stopped.value.code not in (0, None)
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert f"{folder}: holds a model of class {kind}, which gives no probability" in said[0]
    assert not (tmp_path / "scores.csv").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("autoencoder", "Autoencoder makes no rows: a generator is needed"),
        ("dcgan", "this DCGAN makes images, not rows of a table"),
        ("lstm_autoencoder", "LSTMAutoencoder makes no rows: a generator is needed"),
        ("sequence_vae", "SequenceVAE makes windows, not rows of a table"),
    ],
)
def test_generate_says_in_one_line_that_a_model_makes_no_tables(name, message, tmp_path, capsys):
    folder, out = save(fitted(name), tmp_path / "model"), tmp_path / "made.csv"
    with pytest.raises(SystemExit) as stopped:
        main(["generate", str(folder), "-n", "5", "--no-report", "--out", str(out)])
    assert stopped.value.code not in (0, None)
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert message in said[0]
    assert not out.exists()


@pytest.mark.parametrize("name", ["vae", "table_gan", "smote"])
def test_generate_takes_every_generator_of_tables(name, tmp_path):
    folder, out = save(fitted(name), tmp_path / "model"), tmp_path / "made.parquet"
    rows = tmp_path / "rows.parquet"
    rows_of(name).write_parquet(rows)
    given = ["--like", str(rows), "-n", "5", "--no-report", "--out", str(out)]
    with pytest.raises(SystemExit) as stopped:
        main(["generate", str(folder), *given])
    assert stopped.value.code == 0
    made = pl.read_parquet(out)
    assert made.schema == rows_of(name).schema
    assert made.height == 5
    assert not set(made.rows()) & set(rows_of(name).rows())
