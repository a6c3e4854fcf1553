"""Does the test only repeat what was seen in training: the same customer with the same item?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from thinfile.compare.probes.coding import Code, Codes, Tables, pair
from thinfile.compare.probes.finding import Finding
from thinfile.compare.probes.strength import (
    Labels,
    Strength,
    Values,
    some_of_each,
    strength,
    two_classes,
)

PROBE = "pair memory"
LIMIT = 0.9
SURE = 0.85
MIN_SEEN = 0.8
"""AUC that "seen positive in training: yes or no" must reach by itself."""


def probe_memory(tables: Tables, codes: dict[str, Code]) -> list[Finding]:
    """Each key or pair of keys that is a dictionary of the answers, or the strongest of all.

    A row scores by whether its values were seen positive in training; among those alike in that,
    by how often each value alone was positive. No model is fitted.

    Parameters
    ----------
    tables
        Rows of both tables.
    codes
        The keys by column name.
    """
    if not codes or not (two_classes(tables.y_train) and two_classes(tables.y_test)):
        return []
    rows = some_of_each(tables.y_test)
    tables = replace(tables, test=tables.test[rows.tolist()], y_test=tables.y_test[rows])
    codes = {name: replace(code, test=code.test[rows]) for name, code in codes.items()}
    subjects: list[tuple[str, ...]] = [(name,) for name in codes]
    subjects += list(combinations(codes, 2))
    found = {names: _look_up(tables, [codes[name] for name in names]) for names in subjects}
    leaks = [names for names, (known, seen) in found.items() if _is_leak(known, seen)]
    if leaks:
        leaks = _apart(sorted(leaks, key=lambda names: -found[names][0].auc))
        return [_flagged(tables, names, [codes[n] for n in names], found[names]) for names in leaks]
    best = max(found, key=lambda names: found[names][1])
    known, seen = found[best]
    words = (
        f"Looking up whether {_joined(best)} was seen positive in training gives AUC {seen:.3f}, "
        f"the most of {len(found)} keys and pairs."
    )
    return [Finding(PROBE, " × ".join(best), known.auc, LIMIT, False, words)]


def seen_positive(train: Codes, y_train: Labels, test: Codes) -> npt.NDArray[np.bool_]:
    """Whether each test value was seen with label 1 in training."""
    return np.isin(test, np.unique(train[y_train == 1]))


def look_up(tables: Tables, parts: Sequence[Code]) -> tuple[npt.NDArray[np.bool_], Values]:
    """What a dictionary of the training answers says of each test row.

    Returns
    -------
    seen : (n_test,)
        Whether the values together were seen positive.
    score : (n_test,)
        The same, with how often each value alone was positive among those that are alike.
    """
    joint = pair(parts)
    seen = seen_positive(joint.train, tables.y_train, joint.test)
    popularity = np.mean([_popularity(each, tables.y_train) for each in parts], axis=0)
    return seen, 2.0 * seen + popularity


def _popularity(code: Code, y: Labels) -> Values:
    n_rows = np.bincount(code.train, minlength=code.n)
    n_events = np.bincount(code.train, weights=y, minlength=code.n)
    popularity: Values = ((n_events + y.mean()) / (n_rows + 1))[code.test]
    return popularity


def _look_up(tables: Tables, parts: Sequence[Code]) -> tuple[Strength, float]:
    """Strength of the look-up, and the AUC of "seen positive: yes or no"."""
    is_seen, score = look_up(tables, parts)
    seen = strength(tables.y_test, is_seen.astype(np.float64), either=False)
    if seen.auc <= MIN_SEEN:
        return seen, seen.auc
    return strength(tables.y_test, score, either=False), seen.auc


def _apart(leaks: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Leaks without those that share a key with a stronger one: they say it once more."""
    kept: list[tuple[str, ...]] = []
    for names in leaks:
        if not any(set(names) & set(stronger) for stronger in kept):
            kept.append(names)
    return kept


def _is_leak(known: Strength, seen: float) -> bool:
    return known.auc > LIMIT and known.low > SURE and seen > MIN_SEEN


def _flagged(
    tables: Tables,
    names: tuple[str, ...],
    parts: Sequence[Code],
    found: tuple[Strength, float],
) -> Finding:
    joint = pair(parts)
    seen = seen_positive(joint.train, tables.y_train, joint.test)
    events, others = (seen[tables.y_test == label].mean() for label in (1, 0))
    words = (
        f"A list of the training answers by {_joined(names)} scores AUC {found[0].auc:.3f} without "
        f"any model: {events:.0%} of the test's positives repeat one that was positive in "
        f"training, {others:.0%} of the others do. The figures measure memory, not foresight."
    )
    return Finding(PROBE, " × ".join(names), found[0].auc, LIMIT, True, words)


def _joined(names: Sequence[str]) -> str:
    return " and ".join(repr(name) for name in names)
