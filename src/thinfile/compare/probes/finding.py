"""What a leak probe found, in words that a marketing manager understands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

MAX_NAMED = 3
"""Leaks that a headline names; the others are counted."""


@dataclass(frozen=True)
class Finding:
    """The answer of one probe.

    Attributes
    ----------
    probe : str
        Which question was asked, such as "single column".
    subject : str
        What it was asked of: a column, a pair of columns, the plan. "" where it is all of them.
    value : float or None
        The figure measured; None where nothing could be measured.
    limit : float or None
        The figure above which it is taken for a leak; None where the answer is yes or no.
    flagged : bool
        True where the probe takes it for a leak.
    words : str
        The same in a sentence.

    Examples
    --------
    >>> Finding("single column", "status", 0.999, 0.95, True, "column 'status' knows it.").flagged
    True
    """

    probe: str
    subject: str
    value: float | None
    limit: float | None
    flagged: bool
    words: str

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Finding:
        """Read what :meth:`to_dict` wrote."""
        return cls(**record)


def leak_headline(findings: Iterable[Finding]) -> str | None:
    """Words for the top of a report and for the exit message; None where nothing is flagged.

    Examples
    --------
    >>> leak_headline([Finding("label", "bad2", 1.0, 0.995, True, "Column 'bad2' is the label.")])
    "Leak suspected, do not trust the figures: Column 'bad2' is the label."
    """
    flagged = [found.words for found in findings if found.flagged]
    if not flagged:
        return None
    more = len(flagged) - MAX_NAMED
    words = " ".join(flagged[:MAX_NAMED])
    return f"Leak suspected, do not trust the figures: {words}" + (
        f" And {more} more." if more > 0 else ""
    )
