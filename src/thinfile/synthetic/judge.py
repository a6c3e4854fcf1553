"""The report on made rows as numbers: likeness, usefulness, privacy and what follows from them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from thinfile._version import __version__
from thinfile.frame import as_frame
from thinfile.schema.model import Schema
from thinfile.synthetic.condition import Condition, read_condition
from thinfile.synthetic.detection import MAX_ROWS as DETECTION_ROWS
from thinfile.synthetic.event import event_in
from thinfile.synthetic.fidelity import Fidelity, judge_fidelity
from thinfile.synthetic.pairs import MAX_ROWS as PAIR_ROWS
from thinfile.synthetic.privacy import MAX_QUERIES, Privacy, judge_privacy
from thinfile.synthetic.privacy import MAX_ROWS as NEIGHBOUR_ROWS
from thinfile.synthetic.sides import Sides, read_sides
from thinfile.synthetic.usefulness import Usefulness, judge_usefulness
from thinfile.synthetic.verdict import Verdict, reach_verdict


@dataclass(frozen=True)
class Judgement:
    """Everything that was found out about made rows.

    Attributes
    ----------
    what : str
        What was made, in words.
    sizes : dict
        Rows by side: made, real, holdout (of the kind that was made), and all of real and
        hold-out where the kind is a part of them.
    fidelity : Fidelity
    usefulness : Usefulness
    privacy : Privacy
    verdict : Verdict
    notes : list of str
        How the tables came about and what was measured on a sample.
    sides : Sides
        The typed tables, for pictures.
    seconds : float
        CPU seconds that the measurement took.
    """

    what: str
    sizes: dict[str, int]
    fidelity: Fidelity
    usefulness: Usefulness
    privacy: Privacy
    verdict: Verdict
    notes: list[str]
    sides: Sides = field(repr=False)
    seconds: float

    @property
    def unmeasured(self) -> list[str]:
        """What could not be measured, and why."""
        parts = (self.fidelity, self.usefulness, self.privacy)
        return [line for part in parts for line in part.unmeasured]

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain JSON values; what is not finite is None."""
        record = {
            "thinfile": __version__,
            "what": self.what,
            "rows": self.sizes,
            "verdict": self.verdict.to_dict(),
            "fidelity": self.fidelity.to_dict(),
            "usefulness": self.usefulness.to_dict(),
            "privacy": self.privacy.to_dict(),
            "unmeasured": self.unmeasured,
            "notes": self.notes,
            "cpu_seconds": self.seconds,
        }
        plain: dict[str, Any] = _plain(record)
        return plain

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)


def judge_synthetic(
    made: Any,
    real: Any,
    *,
    holdout: Any = None,
    label: str | None = None,
    event: str | None = None,
    where: str | Condition | None = None,
    schema: Schema | None = None,
    what: str = "made rows",
    notes: Sequence[str] = (),
    random_state: int = 0,
) -> Judgement:
    """Say how like the real rows made ones are, what they are good for and what they give away.

    Use it before made rows leave your hands, whoever made them: it takes tables, not models. It
    is no proof of privacy: it finds what these attacks find. For a guarantee the generator must
    have been trained under differential privacy.

    Parameters
    ----------
    made : table
        Made rows, raw, with columns named and written as in `real`.
    real : table
        The rows that the generator was trained on; of all kinds, see `where`.
    holdout : table, optional
        Real rows of the same population that no generator has seen: a random part of the table,
        laid aside before training. Without it usefulness and privacy can hardly be measured,
        which the result says.
    label : str, optional
        Column with two values that a model would be trained for.
    event : str, optional
        Its value that is the event, where that is not plain, as it is in 0/1, and `where` does
        not settle it as ``"status == 'stolen'"`` does.
    where : str or Condition, optional
        The kind that was made, such as ``"fraud == 1"``: likeness and privacy are measured
        against the real and hold-out rows of this kind, usefulness with all of them.
    schema : Schema, optional
        Of the columns; inferred from the real rows by default.
    what : str
        What was made, for the report's title.
    notes : sequence of str
        What else a reader should know, such as how the hold-out was made.
    random_state : int, default 0
        For the rows drawn where tables are large, and for the classifiers.

    Returns
    -------
    Judgement

    Raises
    ------
    DataError
        If a table has no rows or no common columns, or no row is of the kind.
    ParameterError
        If `where` cannot be read.

    Notes
    -----
    Cost grows linearly with the rows: classifiers get at most 10,000 rows of each side, nearest
    neighbours are looked for of at most 5,000 rows. 50,000 × 30 took 42 CPU-s on a busy machine.

    References
    ----------
    van Breugel et al., AISTATS 2023 (membership by density ratio); Lopez-Paz and Oquab, ICLR 2017
    (telling classifier); Esteban, Hyland and Rätsch 2017 (train on made, test on real).

    Examples
    --------
    >>> import numpy as np
    >>> import polars as pl
    >>> rng = np.random.default_rng(0)
    >>> def draw(n):
    ...     return pl.DataFrame({"age": rng.normal(40, 9, n).round(1), "sum": rng.normal(size=n)})
    >>> found = judge_synthetic(draw(300), draw(300), holdout=draw(300))
    >>> found.privacy.n_copies, found.verdict.risk in ("none found", "unsettled")
    (0, True)
    """
    started = time.process_time()
    tables = [as_frame(made, name="made"), as_frame(real, name="real")]
    other = None if holdout is None else as_frame(holdout, name="holdout")
    condition = read_condition(where) if isinstance(where, str) else where
    schema = Schema.infer(tables[1], label=label) if schema is None else schema
    kind = _of_kind(tables[1], condition, "real")
    other_kind = None if other is None else _of_kind(other, condition, "hold-out", may_lack=True)
    other_kind = None if other_kind is None or not other_kind.height else other_kind
    sides = read_sides(tables[0], kind, other_kind, schema, label)
    fidelity = judge_fidelity(sides, random_state=random_state)
    usefulness = judge_usefulness(
        *(tables[0], tables[1], other, schema, label),
        event=event or event_in(condition, label, tables[1]),
        random_state=random_state,
    )
    privacy = judge_privacy(sides, random_state=random_state)
    return Judgement(
        what=what,
        sizes=_sizes(sides, tables[1], other),
        fidelity=fidelity,
        usefulness=usefulness,
        privacy=privacy,
        verdict=reach_verdict(fidelity, usefulness, privacy),
        notes=[*notes, *_sampled(sides)],
        sides=sides,
        seconds=time.process_time() - started,
    )


def _of_kind(
    table: pl.DataFrame, condition: Condition | None, name: str, *, may_lack: bool = False
) -> pl.DataFrame:
    if condition is None:
        return table
    chosen = condition.mask(table) if may_lack else condition.check_any(table, f"{name} rows")
    return table.filter(chosen)


def _sizes(sides: Sides, real: pl.DataFrame, holdout: pl.DataFrame | None) -> dict[str, int]:
    return {
        "made": sides.made.height,
        "real": sides.real.height,
        "holdout": 0 if sides.holdout is None else sides.holdout.height,
        "real_of_all_kinds": real.height,
        "holdout_of_all_kinds": 0 if holdout is None else holdout.height,
        "columns": len(sides.columns),
    }


def _sampled(sides: Sides) -> list[str]:
    """What was measured on rows drawn at random, in words."""
    sizes = [side.height for side in (sides.real, sides.made, sides.holdout) if side is not None]
    limits = {
        f"Telling made from real rows: as many of each, at most {DETECTION_ROWS:,}": DETECTION_ROWS,
        f"Pairs of columns: at most {PAIR_ROWS:,} rows of each side": PAIR_ROWS,
        f"Nearest neighbours and attacks: at most {MAX_QUERIES:,} rows of a side": MAX_QUERIES,
        f"Rows that can be nearest neighbours: at most {NEIGHBOUR_ROWS:,} of a side": (
            NEIGHBOUR_ROWS
        ),
    }
    return [f"{text}, drawn at random." for text, limit in limits.items() if max(sizes) > limit]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
