from __future__ import annotations

import pickle

import pytest

from thinfile import errors
from thinfile.errors import MissingPackageError, ThinfileError


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ParameterError", ValueError),
        ("DataError", ValueError),
        ("SchemaError", ValueError),
        ("ArtifactError", ValueError),
        ("TrainingError", RuntimeError),
    ],
)
def test_every_error_is_caught_by_the_root_and_by_pythons_own(
    name: str, builtin: type[Exception]
) -> None:
    cls = getattr(errors, name)
    assert issubclass(cls, ThinfileError)
    assert issubclass(cls, builtin)
    # Errors of processes travel by pickle.
    assert str(pickle.loads(pickle.dumps(cls("a line")))) == "a line"


def test_a_missing_package_says_how_to_get_it() -> None:
    error = MissingPackageError("onnxruntime", "onnx", "a saved random forest")
    assert str(error) == (
        "a saved random forest needs the package 'onnxruntime': pip install 'thinfile[onnx]'"
    )
    assert isinstance(error, ImportError)
    assert isinstance(error, ThinfileError)
