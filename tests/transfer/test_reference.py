from __future__ import annotations

import numpy as np
import pytest

from thinfile.data.synthetic import make_transfer
from thinfile.errors import DataError
from thinfile.metrics.ranking import roc_auc
from thinfile.transfer.dan import DANClassifier
from thinfile.transfer.reference import TARGET, Study, _cross_fitted, run_reference

SMALL = {"max_epochs": 6, "widths": (8, 4), "batch_size": 128}


@pytest.fixture(scope="module")
def study():
    return _study(500, 400)


@pytest.fixture(scope="module")
def result(study):
    return run_reference(study, random_state=3, **SMALL)


def test_settings_are_those_of_the_study():
    settings = DANClassifier.reference().get_params()
    expected = {
        "widths": (256, 64),
        "activation": "sigmoid",
        "estimator": "biased",
        "n_kernels": 5,
        "layers": "last",
        "learning_rate": 0.005,
        "batch_size": 512,
        "max_epochs": 100,
        "ramp_steps": 1000,
        "patience": 15,
        "mmd_weight": 1.0,
        "width": None,
        "target_labels": "validation",
    }
    assert {name: settings[name] for name in expected} == expected


def test_the_target_is_split_70_to_30_by_class_and_70_are_hidden(study):
    n_events = int(study.target_y.sum())
    assert len(study.validation) == pytest.approx(0.3 * 400, abs=1)
    assert study.target_y[study.validation].sum() == round(0.3 * n_events)
    seen = study.y[study.domain == TARGET]
    np.testing.assert_array_equal(np.flatnonzero(seen != -1), study.validation)
    assert study.source_validation.height == 100
    assert study.table.height == 400 + 400


def test_watching_changes_no_bit_of_the_run(study, result):
    model = DANClassifier.reference(target_domain=TARGET, random_state=3, device="cpu", **SMALL)
    model.fit(study.table, study.y, domain=study.domain)
    aucs = [record["validation_auc"] for record in model.history_]
    assert aucs == [record["validation_auc"] for record in result.history]
    y = study.target_y[study.validation]
    score = model.predict_proba(study.target[study.validation])[:, 1]
    assert result.picked_on_test.auc == roc_auc(y, score) == max(aucs)


def test_hidden_labels_of_the_target_cannot_reach_the_run(study, result):
    flipped = study.target_y.copy()
    hidden = np.setdiff1d(np.arange(400), study.validation)
    flipped[hidden] = 1 - flipped[hidden]
    other = run_reference(_with_target_y(study, flipped), random_state=3, **SMALL)
    assert other.picked_on_test.auc == result.picked_on_test.auc
    assert other.picked_on_test.whole_auc != result.picked_on_test.whole_auc
    for one, two in zip(other.history, result.history, strict=True):
        assert {k: v for k, v in one.items() if "seconds" not in k} == {
            k: v for k, v in two.items() if "seconds" not in k
        }


def test_curves_are_kept(result):
    assert len(result.history) == result.n_checks
    curves = {"classification", "mmd", "total", "weight_mmd", "validation_auc", "validation_ks"}
    assert curves <= set(result.history[0])


def test_luck_is_the_gap_to_the_honest_choices(result):
    assert result.picked_on_test.auc >= result.picked_on_source.auc
    assert result.picked_on_test.auc >= result.last.auc
    assert result.luck["cross_fitted"] == result.picked_on_test.auc - result.cross_fitted.auc
    assert f"{result.luck['cross_fitted']:+.3f} comes from choosing" in str(result)


def test_cross_fitting_takes_the_luck_out_of_noise(study):
    """Scores that know nothing: the best of 100 looks good, and 0.5 is left when cross-fitted."""
    rng = np.random.default_rng(0)
    scores = rng.random((100, 400))
    rows = study.validation
    best = max(roc_auc(study.target_y[rows], score[rows]) for score in scores)
    assert best > 0.58
    assert _cross_fitted(study, scores, rng).auc == pytest.approx(0.5, abs=0.05)


def test_too_few_events_to_halve_are_refused():
    with pytest.raises(DataError, match="have 1 events and 9 others; halving them needs two"):
        run_reference(_study(200, 33, target_rate=0.1))


def _study(n_source, n_target, **arguments):
    made = make_transfer(n_source, n_target, 6, random_state=0, **arguments)
    return Study.split(
        made.source, made.target, made.label, n_source_validation=100, random_state=0
    )


def _with_target_y(study, target_y):
    from dataclasses import replace

    return replace(study, target_y=target_y)
