"""Maps that were never laid out but look like it, and a browser to look at them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest

from thinfile.data.encode import Encoded
from thinfile.latent_map.build import LatentMap
from thinfile.latent_map.layout import Layout
from thinfile.latent_map.neighbours import nearest_rows

HOSTILE = '</script><img src=x onerror="alert(1)">'


def _load_browser() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "thinfile_browser", Path(__file__).with_name("browser.py")
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


BROWSER = _load_browser()


def fake_map(n_rows: int = 900, *, kept: float = 1.0, seed: int = 0) -> LatentMap:
    """Three islands, one of frauds; columns of every kind, text that is out for mischief."""
    rng = np.random.default_rng(seed)
    island = rng.choice(3, n_rows, p=[0.6, 0.3, 0.1])
    centres = np.array([[-20.0, 0.0], [15.0, 12.0], [14.0, -16.0]])
    positions = (centres[island] + rng.normal(0, 3.5, (n_rows, 2))).astype(np.float32)
    fraud = (rng.random(n_rows) < np.array([0.01, 0.02, 0.7])[island]).astype(np.int8)
    fraud[rng.random(n_rows) < 0.05] = -1
    space = np.c_[positions, rng.normal(size=n_rows)].astype(np.float32)
    neighbours, distances = nearest_rows(space, 10)
    return LatentMap(
        layout=Layout(positions, space, np.arange(n_rows), "tsne", 30.0, seed),
        rows=np.arange(n_rows) * 2,
        ids=[f"t{row}" for row in range(n_rows - 1)] + [HOSTILE],
        label=fraud,
        kept=kept,
        frame=_columns(island, rng),
        roles=dict.fromkeys(("amount", "hour", "kind", HOSTILE, "day"), "feature")
        | {"fraud": "label", "(probability)": "score"},
        neighbours=neighbours,
        distances=distances,
        encoded=Encoded(space, np.zeros((n_rows, 0), dtype=np.int32)),
        cardinalities=[],
        settings={
            "label": "fraud",
            "event": None,
            "id": "id",
            "model": "Fake",
            "what": f"the codes of {HOSTILE}",
            "notes": [f"a note & {HOSTILE}"],
        },
    )


def _columns(island: np.ndarray, rng: np.random.Generator) -> pl.DataFrame:
    n_rows = len(island)
    amount = rng.lognormal(1 + island, 0.5)
    kind = rng.choice([HOSTILE, "shop", "web, far", 'say "a"'], n_rows, p=[0.1, 0.5, 0.2, 0.2])
    return pl.DataFrame(
        {
            "amount": np.where(rng.random(n_rows) < 0.03, np.nan, amount),
            "hour": rng.integers(0, 24, n_rows),
            "kind": np.where(island == 2, "web, far", kind),
            HOSTILE: rng.normal(size=n_rows),
            "day": [date(2024, 1, 1) + timedelta(days=int(d)) for d in rng.integers(0, 90, n_rows)],
            "elsewhere": rng.normal(size=n_rows),
            "fraud": (island == 2) * 1,
            "(probability)": rng.random(n_rows),
        }
    ).with_columns(kind=pl.when(pl.int_range(n_rows) % 70 == 3).then(None).otherwise("kind"))


@pytest.fixture(scope="session")
def faked() -> LatentMap:
    return fake_map()


def _browser(*flags: str) -> Iterator[Any]:
    if BROWSER.find_browser() is None:
        pytest.skip(f"none of {', '.join(BROWSER.NAMES)} is on the PATH")
    with BROWSER.browsing(*flags) as found:
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    yield from _browser(*BROWSER.WITH_GL)


@pytest.fixture(scope="session")
def flat_browser() -> Iterator[Any]:
    yield from _browser(*BROWSER.WITHOUT_GL)


@pytest.fixture(scope="session")
def make_map() -> Any:
    return fake_map
