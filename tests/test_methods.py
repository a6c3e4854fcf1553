from __future__ import annotations

import ast
import inspect
import re

import pytest

from thinfile.errors import ParameterError
from thinfile.estimator import Estimator
from thinfile.methods import (
    EVENT_NEEDS,
    GROUPS,
    METHODS,
    MODELS,
    ONE_TABLE,
    SOURCE,
    TARGET_LABELS,
    UNLABELLED,
    Method,
    Model,
    get_method,
)

FAMILIES = {"baseline", "tabular", "sequence", "transfer", "generative", "anomaly"}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_a_line_of_the_registry_is_complete(method: Method) -> None:
    assert re.fullmatch(r"[a-z][a-z_]*", method.name)
    assert method.family in FAMILIES
    assert method.title
    assert method.summary
    assert not method.summary.endswith(".")
    assert method.needs
    needs = {
        "transfer": {SOURCE, TARGET_LABELS, UNLABELLED},
        "intent": EVENT_NEEDS,
        "fraud": {ONE_TABLE},
    }
    assert set(needs) == set(GROUPS)
    assert method.needs <= needs[method.group]
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


def test_only_baselines_on_the_source_and_detectors_do_not_use_target_labels() -> None:
    for method in METHODS.values():
        without = method.name.endswith("_source") or "detector" in method.params
        assert method.uses_target_labels != without
        if not method.uses_target_labels:
            assert TARGET_LABELS not in method.needs


def test_an_unknown_name_is_refused_with_those_like_it() -> None:
    end = r"; `thinfile methods` lists them all$"
    for name, said in (
        ("magic", "is no method" + end),
        (
            "boosted_smoot",
            "is no method; near it: boosted_smote, boosted_rest, boosted_source" + end,
        ),
        ("vae", "is no method; near it: vae_score, boosted_vae" + end),
        ("", "is no method" + end),
    ):
        with pytest.raises(ParameterError, match=f"method='{name}' {said}"):
            get_method(name)
    with pytest.raises(ParameterError, match="near it: logistic" + end):
        get_method("logistics", ["logistic", "boosted"])
    with pytest.raises(
        ParameterError, match=r"mlp has no argument 'depth', 'n_tree'; it has .*dropout"
    ):
        METHODS["mlp"].build(depth=1, n_tree=2)


ROLE = {"detector": "score_samples", "encoder": "transform", "generator": "sample"}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_a_model_can_do_what_its_roles_say(model: Model) -> None:
    made = model.estimator_class()
    assert model.roles
    assert model.name not in METHODS
    assert all(hasattr(made, ROLE[role]) for role in model.roles)
    assert re.search(r"\d{4}", model.paper), "a paper has a year"
    assert not model.summary.endswith(".")
