from __future__ import annotations

import ast
import inspect
import re

import pytest

from thinfile.errors import ParameterError
from thinfile.estimator import Estimator
from thinfile.methods import (
    EVENT_NEEDS,
    METHODS,
    SOURCE,
    TARGET_LABELS,
    UNLABELLED,
    Method,
    get_method,
)

FAMILIES = {"baseline", "tabular", "sequence", "transfer"}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_a_line_of_the_registry_is_complete(method: Method) -> None:
    assert re.fullmatch(r"[a-z][a-z_]*", method.name)
    assert method.family in FAMILIES
    assert method.title
    assert method.summary
    assert not method.summary.endswith(".")
    assert method.needs
    is_of_tables = method.needs <= {SOURCE, TARGET_LABELS, UNLABELLED}
    assert is_of_tables or method.needs <= EVENT_NEEDS
    assert method.needs_events != is_of_tables
    assert re.search(r"\d{4}", method.paper), "a paper has a year"


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_a_method_is_built_from_its_line(method: Method) -> None:
    model = method.build(target_domain="new", random_state=3)
    assert isinstance(model, Estimator)
    assert type(model) is method.estimator_class()
    arguments = model.get_params()
    assert arguments["random_state"] == 3
    assert {name: arguments[name] for name in method.params} == dict(method.params)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_documented_defaults_are_those_of_the_signature(method: Method) -> None:
    made = method.estimator_class()
    signature = inspect.signature(made).parameters
    documented = re.findall(r"^(\w+) : .*, default (.+)$", inspect.getdoc(made) or "", re.M)
    for name, value in documented:
        assert ast.literal_eval(value) == signature[name].default, name


def test_names_and_titles_are_unlike() -> None:
    assert len({method.title for method in METHODS.values()}) == len(METHODS)
    assert [method.name for method in METHODS.values()] == list(METHODS)


def test_what_is_built_may_be_changed() -> None:
    assert METHODS["boosted_source"].build(rows="target").get_params()["rows"] == "target"


def test_only_baselines_on_the_source_do_not_use_target_labels() -> None:
    for method in METHODS.values():
        assert method.uses_target_labels != (method.name.endswith("_source"))
        if not method.uses_target_labels:
            assert TARGET_LABELS not in method.needs


def test_unknown_names_are_refused_with_those_there_are() -> None:
    with pytest.raises(
        ParameterError, match=r"method='magic' must be one of boosted_source, .*dan"
    ):
        get_method("magic")
    with pytest.raises(
        ParameterError, match=r"mlp has no argument 'depth', 'n_tree'; it has .*dropout"
    ):
        METHODS["mlp"].build(depth=1, n_tree=2)
