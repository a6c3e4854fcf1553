"""A fitted estimator as a folder, and back; nothing in the folder is ever executed."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from thinfile.artifact.atomic import cannot_write, point, write_folder
from thinfile.artifact.card import make_card
from thinfile.artifact.manifest import (
    FILE_NAME,
    make_manifest,
    read_contents,
    read_manifest,
)
from thinfile.artifact.onnx_check import checked_onnx
from thinfile.artifact.reference import Reference, reference_of
from thinfile.artifact.values import to_plain
from thinfile.errors import ArtifactError, ThinfileError, ThinfileWarning
from thinfile.estimator import Estimator, State
from thinfile.frame import as_frame
from thinfile.methods import METHODS, MODELS

WEIGHTS, ONNX, REFERENCE, CARD = "weights.safetensors", "model.onnx", "reference.parquet", "card.md"
_OWN_FILES = (WEIGHTS, ONNX, REFERENCE, CARD)
VERSION_NAME = re.compile(r"(\d{8}T\d{6}Z)(?:-(\d+))?")
"""Name of a version: when it was saved, in UTC, with a number where that was taken."""


def save(
    estimator: Any,
    folder: str | Path,
    *,
    metrics: Mapping[str, Any] | None = None,
    reference: Any = None,
    card: str | None = None,
    fingerprint: Mapping[str, Any] | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a fitted estimator as one folder, whole or not at all.

    Use it to hand a model on, to serve or to audit it. Use :func:`save_version` where models of
    one kind are to lie side by side.

    Parameters
    ----------
    estimator
        Fitted; of a class that the registry names, be it a classifier or not.
    folder
        Must not exist, or be empty. Its parents are made.
    metrics : mapping, optional
        Name to number, list or text; kept in the manifest and shown on the card.
    reference : table, optional
        For classifiers: raw rows of the population to be scored. Their binned distributions are
        kept for drift; the rows are not.
    card : str, optional
        The model card in Markdown. Without it, one is written from what is known.
    fingerprint : mapping, optional
        What :func:`thinfile.artifact.fingerprint.fingerprint` said of the training data.
    extra : mapping, optional
        Name of a JSON file to its content: what scoring needs beside the estimator, such as how
        an event log becomes its table. :func:`read_extra` reads it.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ArtifactError
        If the class is not in the registry, the folder exists, or the disk refuses.
    MissingPackageError
        If the estimator's own format needs a package that is not installed.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from thinfile.baselines.logistic import LogisticClassifier
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> folder = save(LogisticClassifier().fit(X, (X[:, 0] > 0) * 1), tempfile.mkdtemp() + "/m")
    >>> load(folder).predict(X[:2]).shape
    (2,)
    """
    folder = Path(folder)
    contents = _contents(estimator, metrics, reference, card, fingerprint, extra)
    try:
        write_folder(folder, contents)
    except FileExistsError as error:
        raise ArtifactError(f"{folder}: exists; name a folder that does not") from error
    except OSError as error:
        raise ArtifactError(cannot_write(folder, error)) from error
    return folder


def save_version(
    estimator: Any,
    models: str | Path,
    *,
    metrics: Mapping[str, Any] | None = None,
    reference: Any = None,
    card: str | None = None,
    fingerprint: Mapping[str, Any] | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a fitted estimator as a new version, ``models/<UTC time>``; the others stay.

    Parameters
    ----------
    estimator, metrics, reference, card, fingerprint, extra
        As for :func:`save`.
    models
        Folder of versions, such as ``runs/new-product/models``.

    Returns
    -------
    Path
        The folder of this version, such as ``models/20261121T021500Z``.

    Raises
    ------
    ArtifactError, MissingPackageError
        As for :func:`save`.
    """
    contents = _contents(estimator, metrics, reference, card, fingerprint, extra)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    number = 1
    while True:
        folder = Path(models) / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            write_folder(folder, contents)
            return folder
        except FileExistsError:
            number += 1
        except OSError as error:
            raise ArtifactError(cannot_write(folder, error)) from error


def choose_best(version: str | Path, link: str | Path) -> Path:
    """Point a relative symbolic link, such as ``runs/x/best``, to a version, in one step.

    Raises
    ------
    ArtifactError
        If the version is no artifact or the link cannot be written.
    """
    read_manifest(Path(version))
    point(Path(link), Path(version))
    return Path(link)


def load(path: str | Path) -> Any:
    """Read a fitted model from its folder: a classifier, detector, encoder or generator.

    Parameters
    ----------
    path
        An artifact; or a folder of versions, of which the newest is taken; or a run's folder
        with ``best`` or ``models`` in it.

    Returns
    -------
    Estimator, or another model of the registry
        Scores as the one that was saved; for more than that (fitting it further) fit anew.

    Raises
    ------
    ArtifactError
        If it is no artifact, of a newer format, damaged or changed, or of an unknown class.
    MissingPackageError
        If the estimator's own format needs a package that is not installed.
    """
    folder = find_artifact(path)
    manifest = read_manifest(folder)
    contents = read_contents(folder, manifest)
    estimator = _build(folder, manifest)
    try:
        return estimator.set_state(_state(manifest, contents))
    except ImportError:
        raise
    except (ThinfileError, SafetensorError, LookupError, TypeError, ValueError) as error:
        raise ArtifactError(f"{folder}: its state does not fit: {_line(error)}") from error


def load_classifier(path: str | Path) -> Estimator:
    """Read a fitted classifier from its folder, as :func:`load` does.

    Raises
    ------
    ArtifactError
        As :func:`load`, and if the model gives no probability.
    """
    model = load(path)
    if not isinstance(model, Estimator):
        raise ArtifactError(
            f"{path}: holds a model of class {type(model).__name__}, which gives no probability"
        )
    return model


def load_reference(path: str | Path) -> Reference | None:
    """The reference distributions of an artifact, or None where it has none."""
    folder = find_artifact(path)
    manifest = read_manifest(folder)
    if REFERENCE not in manifest["files"]:
        return None
    content = read_contents(folder, {"files": {REFERENCE: manifest["files"][REFERENCE]}})
    return Reference.from_frame(pl.read_parquet(io.BytesIO(content[REFERENCE])))


def read_extra(path: str | Path, name: str) -> bytes | None:
    """A file that was saved as `extra`, held against the manifest; None where there is none.

    Raises
    ------
    ArtifactError
        If `path` is no artifact, or the file is damaged or changed.
    """
    folder = find_artifact(path)
    manifest = read_manifest(folder)
    if name not in manifest.get("extra", ()):
        return None
    content: bytes = read_contents(folder, {"files": {name: manifest["files"][name]}})[name]
    return content


def find_artifact(path: str | Path) -> Path:
    """The folder of the artifact that `path` means; see :func:`load`."""
    path = Path(path)
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "no such folder"
        raise ArtifactError(f"{path}: {what}")
    if (path / FILE_NAME).exists():
        return path
    newest = versions(path)[-1:]
    if newest:
        return newest[0]
    for inner in ("best", "models"):
        if (path / inner).is_dir():
            return find_artifact(path / inner)
    raise ArtifactError(f"{path}: is no artifact: it has no {FILE_NAME} and no versions")


def versions(models: str | Path) -> list[Path]:
    """Versions in a folder, oldest first; other names in it are passed over."""
    found = []
    for each in Path(models).iterdir():
        match = VERSION_NAME.fullmatch(each.name)
        if match and each.is_dir():
            found.append((match[1], int(match[2] or 1), each))
    return [each for _, _, each in sorted(found)]


def _contents(
    estimator: Any,
    metrics: Mapping[str, Any] | None,
    reference: Any,
    card: str | None,
    fingerprint: Mapping[str, Any] | None,
    extra: Mapping[str, bytes] | None,
) -> dict[str, bytes]:
    """Every file of the artifact, the manifest last."""
    name = _class_name(estimator)
    state = estimator.get_state()
    sample = None if reference is None else as_frame(reference, name="reference")
    arguments, left_out = _arguments(estimator)
    with warnings.catch_warnings():
        # The rows of the reference were read before: what is wrong with them has been said.
        warnings.simplefilter("ignore", ThinfileWarning)
        onnx, onnx_content = checked_onnx(estimator, state, sample)
        usual = None if sample is None else reference_of(estimator, sample)
    parts = {
        "class": name,
        "arguments": arguments,
        "arguments_left_out": left_out,
        "state": state.values,
        "metrics": dict(metrics or {}),
        "fingerprint": None if fingerprint is None else dict(fingerprint),
        "onnx": onnx,
        "extra": sorted(extra or ()),
    }
    contents = {**state.files, **(extra or {})}
    if state.arrays:
        contents[WEIGHTS] = save_arrays({k: _contiguous(v) for k, v in state.arrays.items()})
    if onnx_content is not None:
        contents[ONNX] = onnx_content
    if usual is not None:
        contents[REFERENCE] = _parquet(usual.to_frame())
    contents[CARD] = (make_card(estimator, parts) if card is None else card).encode()
    return {**contents, FILE_NAME: make_manifest(parts, contents)}


def _class_name(estimator: Any) -> str:
    cls = type(estimator)
    name = f"{cls.__module__}:{cls.__qualname__}"
    if name not in _known_classes():
        raise ArtifactError(
            f"{cls.__name__} is not in the registry of methods: it could not be loaded again"
        )
    return name


def _known_classes() -> dict[str, Any]:
    known: list[Any] = [*METHODS.values(), *MODELS.values()]
    return {each.path: each for each in known}


def _arguments(estimator: Any) -> tuple[dict[str, Any], list[str]]:
    """Constructor arguments, and the names of those that JSON cannot hold."""
    kept, left_out = {}, []
    for name, value in estimator.get_params(deep=False).items():
        try:
            to_plain(value)
        except ArtifactError:
            # A random generator, say: what it was has no part in scoring.
            left_out.append(name)
        else:
            kept[name] = value
    return kept, left_out


def _build(folder: Path, manifest: Mapping[str, Any]) -> Any:
    method = _known_classes().get(manifest["class"])
    if method is None:
        raise ArtifactError(
            f"{folder}: the class {manifest['class']!r} is none that this thinfile knows"
        )
    try:
        return method.estimator_class()(**manifest["arguments"])
    except TypeError as error:
        raise ArtifactError(f"{folder}: its arguments do not fit: {_line(error)}") from error


def _state(manifest: Mapping[str, Any], contents: Mapping[str, bytes]) -> State:
    arrays = load_arrays(contents[WEIGHTS]) if WEIGHTS in contents else {}
    own = {*_OWN_FILES, *manifest.get("extra", ())}
    files = {name: content for name, content in contents.items() if name not in own}
    return State(values=manifest["state"], arrays=arrays, files=files)


def _contiguous(array: Any) -> Any:
    import numpy as np

    # NumPy gives a single number a dimension, and then it fits no network any more.
    return np.ascontiguousarray(array).reshape(np.shape(array))


def _parquet(frame: pl.DataFrame) -> bytes:
    content = io.BytesIO()
    frame.write_parquet(content)
    return content.getvalue()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
