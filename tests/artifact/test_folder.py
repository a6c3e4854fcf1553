from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.artifact.fingerprint import fingerprint
from thinfile.artifact.folder import (
    choose_best,
    load,
    load_reference,
    save,
    save_version,
    versions,
)
from thinfile.artifact.manifest import FILE_NAME, make_manifest, read_manifest
from thinfile.artifact.values import from_json
from thinfile.baselines.logistic import LogisticClassifier
from thinfile.errors import ArtifactError, MissingPackageError
from thinfile.estimator import Estimator
from thinfile.methods import METHODS

Fitted = Callable[[str], Estimator]


@pytest.fixture
def saved(tmp_path: Path, fitted: Fitted, new_rows: pl.DataFrame) -> Path:
    model = fitted("logistic_pooled")
    return save(model, tmp_path / "model", metrics={"auc": 0.7}, reference=new_rows)


def rewrite(folder: Path, **changes: Any) -> None:
    """Change the manifest as somebody would who knows how its sum is made."""
    record = from_json((folder / FILE_NAME).read_text(encoding="utf-8"))
    files = {name: (folder / name).read_bytes() for name in record["files"]}
    kept = {key: value for key, value in record.items() if key not in ("files", "sha256")}
    (folder / FILE_NAME).write_bytes(make_manifest(kept | changes, files))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_scores_the_same_after_loading(
    name: str, tmp_path: Path, fitted: Fitted, new_rows: pl.DataFrame
) -> None:
    model = fitted(name)
    loaded = load(save(model, tmp_path / name))
    assert type(loaded) is type(model)
    expected = model.predict_proba(new_rows)
    np.testing.assert_allclose(loaded.predict_proba(new_rows), expected, atol=1e-6)
    np.testing.assert_array_equal(loaded.predict(new_rows), model.predict(new_rows))
    assert loaded.notes_ == model.notes_
    # JSON has no tuples; the rules of the arguments take a list as well.
    assert loaded.get_params() == {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in model.get_params().items()
    }
    again = load(save(loaded, tmp_path / "again"))
    np.testing.assert_allclose(again.predict_proba(new_rows), expected, atol=1e-6)


def test_a_fresh_process_scores_the_same(
    tmp_path: Path, fitted: Fitted, new_rows: pl.DataFrame
) -> None:
    names = ["boosted_pooled", "dan", "forest_source", "tradaboost"]
    for name in names:
        save(fitted(name), tmp_path / name)
    new_rows.write_parquet(tmp_path / "rows.parquet")
    script = (
        "import sys, polars as pl, numpy as np\n"
        "from thinfile.artifact.folder import load\n"
        "X = pl.read_parquet('rows.parquet')\n"
        "for name in sys.argv[1:]:\n"
        "    load(name).predict_proba(X)[:, 1].tofile(name + '.scores')\n"
    )
    subprocess.run([sys.executable, "-c", script, *names], cwd=tmp_path, check=True)
    for name in names:
        scores = np.fromfile(tmp_path / f"{name}.scores")
        expected = fitted(name).predict_proba(new_rows)[:, 1]
        np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_the_folder_holds_what_the_house_says(
    tmp_path: Path, fitted: Fitted, new_rows: pl.DataFrame
) -> None:
    folder = save(
        fitted("boosted_pooled"),
        tmp_path / "model",
        metrics={"auc": 0.71, "interval": (0.69, 0.73), "brier": float("nan")},
        reference=new_rows,
        fingerprint=fingerprint(new_rows),
    )
    names = {file.name for file in folder.iterdir()}
    assert names == {
        "manifest.json",
        "weights.safetensors",
        "trees.txt",
        "model.onnx",
        "reference.parquet",
        "card.md",
    }
    record = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    assert record["class"] == "thinfile.baselines.boosted:BoostedTreesClassifier"
    assert record["format"] == 1
    assert record["metrics"]["auc"] == 0.71
    assert record["fingerprint"]["rows"] == len(new_rows)
    assert set(record["files"]) == names - {"manifest.json"}
    assert record["onnx"]["inputs"]["town"] == "string"
    assert record["onnx"]["largest_difference"] < 1e-5
    assert record["arguments"]["schema"] == {
        "__schema__": fitted("boosted_pooled").schema_.to_dict()
    }
    assert np.isnan(read_manifest(folder)["metrics"]["brier"])
    card = (folder / "card.md").read_text(encoding="utf-8")
    for word in ("BoostedTreesClassifier", "| auc | 0.71 |", "## Limits", "rows: 500", "`town`"):
        assert word in card


def test_no_raw_value_lies_in_the_folder(saved: Path, new_rows: pl.DataFrame) -> None:
    content = b"".join(file.read_bytes() for file in saved.iterdir())
    assert new_rows["customer"][17].encode() not in content
    assert b"new 1" not in (saved / "manifest.json").read_bytes()


def test_a_given_card_is_taken(tmp_path: Path, fitted: Fitted) -> None:
    folder = save(fitted("logistic_source"), tmp_path / "model", card="# Ours\n")
    assert (folder / "card.md").read_text(encoding="utf-8") == "# Ours\n"
    assert load_reference(folder) is None


def test_a_random_generator_is_left_out(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(100, 2))
    model = LogisticClassifier(random_state=np.random.RandomState(0)).fit(X, X[:, 0] > 0)
    folder = save(model, tmp_path / "model")
    assert read_manifest(folder)["arguments_left_out"] == ["random_state"]
    assert load(folder).random_state is None
    assert load(folder).classes_.tolist() == [False, True]


# Versions -----------------------------------------------------------------------------------


def test_versions_lie_side_by_side_and_the_newest_is_loaded(
    tmp_path: Path, fitted: Fitted, new_rows: pl.DataFrame
) -> None:
    models = tmp_path / "run" / "models"
    first = save_version(fitted("logistic_source"), models)
    second = save_version(fitted("logistic_target"), models)
    assert versions(models) == [first, second]
    (models / "notes").mkdir()
    (models / ".20991231T000000Z-abc").mkdir()
    os.rename(first, models / "20200101T000000Z-10")
    os.rename(second, models / "20200101T000000Z-9")
    assert [each.name for each in versions(models)] == ["20200101T000000Z-9", "20200101T000000Z-10"]
    source = fitted("logistic_source").predict_proba(new_rows)
    np.testing.assert_allclose(load(models).predict_proba(new_rows), source)
    np.testing.assert_allclose(load(models.parent).predict_proba(new_rows), source)
    target = fitted("logistic_target").predict_proba(new_rows)
    np.testing.assert_allclose(load(models / "20200101T000000Z-9").predict_proba(new_rows), target)


def test_best_is_a_relative_link_that_can_be_moved(
    tmp_path: Path, fitted: Fitted, new_rows: pl.DataFrame
) -> None:
    run = tmp_path / "run"
    first = save_version(fitted("logistic_source"), run / "models")
    second = save_version(fitted("logistic_target"), run / "models")
    choose_best(second, run / "best")
    link = choose_best(first, run / "best")
    assert os.readlink(link) == f"models/{first.name}"
    os.rename(run, tmp_path / "elsewhere")
    expected = fitted("logistic_source").predict_proba(new_rows)
    for path in (tmp_path / "elsewhere" / "best", tmp_path / "elsewhere"):
        np.testing.assert_allclose(load(path).predict_proba(new_rows), expected)


def test_a_folder_that_exists_is_not_touched(saved: Path, fitted: Fitted) -> None:
    before = {file.name: file.read_bytes() for file in saved.iterdir()}
    with pytest.raises(ArtifactError, match="model: exists; name a folder that does not"):
        save(fitted("logistic_source"), saved)
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before
    assert [each.name for each in saved.parent.iterdir()] == ["model"]


# Damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["weights.safetensors", "card.md", "model.onnx", "manifest.json"])
def test_a_truncated_file_is_refused(name: str, saved: Path) -> None:
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtifactError, match=rf"{name}.*damaged") as caught:
        load(saved)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["weights.safetensors", "reference.parquet", "model.onnx"])
def test_a_changed_file_is_refused(name: str, saved: Path) -> None:
    content = bytearray((saved / name).read_bytes())
    content[-20] ^= 1
    (saved / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{name} is not the file that was saved"):
        load(saved)


def test_every_missing_file_is_named(saved: Path) -> None:
    (saved / "weights.safetensors").unlink()
    (saved / "card.md").unlink()
    with pytest.raises(ArtifactError, match=r"safetensors is missing; card\.md is missing"):
        load(saved)


def test_a_changed_manifest_is_refused(saved: Path) -> None:
    text = (saved / FILE_NAME).read_text(encoding="utf-8")
    (saved / FILE_NAME).write_text(text.replace('"auc": 0.7', '"auc": 0.9'), encoding="utf-8")
    with pytest.raises(ArtifactError, match="was changed after it was saved"):
        load(saved)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no JSON"),
        ("[]", "has no format version"),
        ("{}", "has no format version"),
        ('{"format": 2}', "has format 2, this thinfile .* reads up to 1: update thinfile"),
        ('{"format": 0}', "has the unknown format 0, must be 1"),
        ('{"format": "1"}', "has the unknown format '1', must be 1"),
        ('{"format": true}', "has the unknown format True"),
        ('{"format": 1, "class": 3}', "is damaged: arguments is missing; .*class is of type int"),
        ('{"format": NaN}', "is no JSON: NaN"),
        ("[" * 100_000, "is no JSON"),
        ('{"format": 1, "x": {"__schema__": 3}}', "manifest.json"),
    ],
)
def test_a_manifest_of_a_wrong_shape_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError, match=message):
        load(tmp_path)


@pytest.mark.parametrize("name", ["os:system", "subprocess:Popen", "thinfile.estimator:Estimator"])
def test_a_class_outside_the_registry_is_refused(name: str, saved: Path) -> None:
    rewrite(saved, **{"class": name})
    with pytest.raises(ArtifactError, match=f"the class '{name}' is none that this thinfile knows"):
        load(saved)


def test_a_file_name_cannot_leave_the_folder(saved: Path) -> None:
    record = json.loads((saved / FILE_NAME).read_text(encoding="utf-8"))
    record["files"]["../secret"] = {"bytes": 1, "sha256": ""}
    (saved / FILE_NAME).write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"the file name '\.\./secret'"):
        load(saved)


def test_arguments_and_state_that_do_not_fit_are_refused(saved: Path) -> None:
    rewrite(saved, arguments={"nonsense": 1})
    with pytest.raises(ArtifactError, match=r"its arguments do not fit: .*nonsense"):
        load(saved)
    rewrite(saved, arguments={}, state={})
    with pytest.raises(ArtifactError, match="its state does not fit"):
        load(saved)


def test_what_is_no_artifact_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"has no manifest\.json and no versions"):
        load(tmp_path)
    with pytest.raises(ArtifactError, match="no such folder"):
        load(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match="is not a folder"):
        load(tmp_path / "file")


def test_an_estimator_outside_the_registry_is_not_saved(tmp_path: Path) -> None:
    class Mine(LogisticClassifier):
        pass

    X = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(ArtifactError, match="Mine is not in the registry of methods"):
        save(Mine().fit(X, X[:, 0] > 0), tmp_path / "model")
    assert not any(tmp_path.iterdir())


# A full disk --------------------------------------------------------------------------------


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "run" / "models"
    n_synced = 0

    def full(descriptor: int) -> None:
        nonlocal n_synced
        n_synced += 1
        if n_synced == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArtifactError, match="cannot be written: No space left on device"):
        save_version(fitted("logistic_source"), models)
    assert not any(tmp_path.iterdir())


def test_a_disk_that_fills_while_writing_leaves_the_old_version_whole(
    tmp_path: Path, fitted: Fitted, new_rows: pl.DataFrame
) -> None:
    resource = pytest.importorskip("resource")
    old = save_version(fitted("logistic_source"), tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The system itself refuses the write: files may not pass 20 kB, the model is larger.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(ArtifactError, match="cannot be written: File too large"):
            save_version(fitted("boosted_pooled"), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == [old]
    expected = fitted("logistic_source").predict_proba(new_rows)
    np.testing.assert_allclose(load(tmp_path).predict_proba(new_rows), expected)


def test_a_crash_before_the_rename_leaves_the_old_version_whole(
    tmp_path: Path, fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = save_version(fitted("logistic_source"), tmp_path)

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", crash)
    with pytest.raises(KeyboardInterrupt):
        save_version(fitted("logistic_source"), tmp_path)
    assert list(tmp_path.iterdir()) == [old]


# Without onnx -------------------------------------------------------------------------------


def test_without_onnx_a_network_is_saved_and_a_forest_is_not(
    tmp_path: Path, fitted: Fitted, new_rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, forest = fitted("mlp"), fitted("forest_source")
    for package in ("onnx", "skl2onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    folder = save(model, tmp_path / "model", reference=new_rows)
    assert not (folder / "model.onnx").exists()
    assert "pip install 'thinfile[onnx]'" in read_manifest(folder)["onnx"]["reason"]
    expected = model.predict_proba(new_rows)
    np.testing.assert_allclose(load(folder).predict_proba(new_rows), expected, atol=1e-7)
    with pytest.raises(MissingPackageError, match=r"thinfile\[onnx\]"):
        save(forest, tmp_path / "forest")
    assert not (tmp_path / "forest").exists()


@pytest.mark.parametrize("inner", [".", "models", "deep/models"])
def test_a_file_in_place_of_the_folder_of_versions_is_refused(
    inner: str, tmp_path: Path, fitted: Fitted
) -> None:
    (tmp_path / "taken").write_text("a file")
    models = tmp_path / "taken" / inner
    with pytest.raises(ArtifactError, match="taken") as caught:
        save_version(fitted("logistic_source"), models)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["taken"]
    assert (tmp_path / "taken").read_text() == "a file"


def test_a_link_to_nowhere_in_place_of_the_folder_is_refused(
    tmp_path: Path, fitted: Fitted
) -> None:
    (tmp_path / "models").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match="is no folder"):
        save_version(fitted("logistic_source"), tmp_path / "models")
