from __future__ import annotations

import sys

import numpy as np
import pytest

from thinfile.errors import DataError, MissingPackageError, ParameterError
from thinfile.latent_map.layout import lay_out
from thinfile.latent_map.neighbours import nearest_rows

RNG = np.random.default_rng(0)
BLOBS = np.vstack([RNG.normal(at, 1.0, (80, 6)) for at in (-8, 0, 8)]).astype(np.float32)
KIND = np.repeat([0, 1, 2], 80)


@pytest.fixture(scope="module")
def layout():
    return lay_out(BLOBS, n_iter=150)


def test_islands_stay_apart(layout):
    rows, _ = nearest_rows(layout.positions, 5)
    assert (KIND[rows] == KIND[:, None]).mean() > 0.99


def test_neighbours_are_kept_better_than_by_chance(layout):
    near, on_map = (nearest_rows(points, 10)[0] for points in (BLOBS, layout.positions))
    kept = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(near, on_map, strict=True)])
    assert kept > 0.4


def test_a_seed_makes_it_repeatable_and_leaves_the_world_alone(layout):
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    again = lay_out(BLOBS, n_iter=150)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    assert (again.positions == layout.positions).all()


def test_more_rows_than_are_laid_out_are_placed():
    layout = lay_out(BLOBS, n_iter=100, max_laid_out=120)
    assert len(layout.laid_out) == 120 == len(layout.codes)
    assert np.isfinite(layout.positions).all()
    rows, _ = nearest_rows(layout.positions, 5)
    assert (KIND[rows] == KIND[:, None]).mean() > 0.98
    np.testing.assert_array_equal(layout.base, layout.positions[layout.laid_out])


def test_new_rows_lie_beside_their_like(layout):
    new = BLOBS + RNG.normal(0, 0.05, BLOBS.shape)
    places = layout.place(new)
    rows, _ = nearest_rows(layout.positions, 5, queries=places)
    assert (KIND[rows] == KIND[:, None]).mean() > 0.99
    assert layout.place(np.empty((0, 6))).shape == (0, 2)


@pytest.mark.parametrize("n_rows", [5, 6, 12, 40])
def test_few_rows_lower_the_perplexity(n_rows):
    layout = lay_out(BLOBS[:n_rows], n_iter=10)
    assert layout.perplexity == pytest.approx(min(30, (n_rows - 1) / 3))
    assert np.isfinite(layout.positions).all()


def test_equal_rows_do_no_harm():
    layout = lay_out(np.repeat(BLOBS[::24], 12, axis=0), n_iter=20)
    assert np.isfinite(layout.positions).all()


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (BLOBS[:4], "codes have 4 rows, a map needs at least 5"),
        (np.zeros((9, 2)), "codes are the same in all 9 rows: there is nothing to map"),
        (np.r_[BLOBS[:9], BLOBS[:1] * np.nan], r"1 of 10 rows are not finite \(first: row 9\)"),
        (np.r_[BLOBS[:9], BLOBS[:1] * np.inf], r"1 of 10 rows are not finite \(first: row 9\)"),
        (BLOBS[:, 0], r"codes have the shape \(240,\), it must be \(rows, dimensions\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in multiply")
def test_codes_that_cannot_be_mapped(codes, message):
    with pytest.raises(DataError, match=message):
        lay_out(codes)


def test_all_faults_of_the_arguments_at_once():
    with pytest.raises(ParameterError) as caught:
        lay_out(BLOBS, method="pca", perplexity=1, n_iter=-1, max_laid_out=2)
    assert str(caught.value) == (
        "lay_out: method='pca' must be one of 'tsne', 'umap'; perplexity=1 must be a number > 1; "
        "n_iter=-1 must be a whole number ≥ 0; max_laid_out=2 must be a whole number ≥ 5"
    )


def test_codes_of_another_model_are_refused(layout):
    with pytest.raises(DataError, match="codes have 3 dimensions, this map's have 6"):
        layout.place(BLOBS[:, :3])


@pytest.mark.parametrize(
    ("method", "module", "extra"), [("tsne", "openTSNE", "map"), ("umap", "umap", "umap")]
)
def test_a_missing_package_is_named_with_the_command(method, module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingPackageError, match=rf"pip install 'thinfile\[{extra}\]'"):
        lay_out(BLOBS, method=method)


def test_umap_where_it_is_installed():
    pytest.importorskip("umap", reason="umap-learn is not installed")
    layout = lay_out(BLOBS, method="umap")
    rows, _ = nearest_rows(layout.positions, 5)
    assert (KIND[rows] == KIND[:, None]).mean() > 0.98
    places = layout.place(BLOBS[:9])
    assert np.linalg.norm(places - layout.positions[:9], axis=1).max() < 5
