"""Were columns scaled with the help of the test rows?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from thinfile.compare.probes.coding import Tables, as_floats
from thinfile.compare.probes.finding import Finding

PROBE = "statistics of all rows"
EXACT = 1e-4
"""How near to 0 a mean and to 1 a spread must be to be no chance."""
MIN_ROWS = 50


def probe_statistics(tables: Tables) -> list[Finding]:
    """Columns that are standard scores over train and test rows together, but not over the train.

    Only this kind of fitting on test rows leaves traces in a plain table. Vocabularies and
    aggregates of event logs say themselves until when they were fitted; see ``probe_split``.
    """
    names = [name for name in tables.columns if tables.train[name].dtype.is_float()]
    if min(tables.train.height, tables.test.height) < MIN_ROWS or not names:
        return []
    found = [name for name in names if _over_all(tables, name)]
    if not found:
        words = (
            f"None of {len(names)} columns of numbers was scaled with the help of the test rows."
        )
        return [Finding(PROBE, "", None, None, False, words)]
    shown = ", ".join(repr(name) for name in found[:3])
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    words = (
        f"{'Columns' if len(found) > 1 else 'Column'} {shown}{more}: mean 0 and spread 1 over "
        "training and test rows together, so the scaling has seen the test rows. Scale by the "
        "training rows alone."
    )
    return [Finding(PROBE, found[0] + more, float(len(found)), 0.0, True, words)]


def _over_all(tables: Tables, name: str) -> bool:
    train, test = (as_floats(each[name]) for each in (tables.train, tables.test))
    return _is_standard(np.concatenate([train, test])) and not _is_standard(train)


def _is_standard(values: npt.NDArray[np.float64]) -> bool:
    known = values[~np.isnan(values)]
    if len(known) < MIN_ROWS or abs(known.mean()) > EXACT:
        return False
    return min(abs(float(known.std(ddof=d)) - 1) for d in (0, 1)) < EXACT
