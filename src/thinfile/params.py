"""Rules for constructor arguments: every fault of a call in one message.

scikit-learn's contract lets constructors only assign, so `fit` calls :func:`check_params`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from thinfile.errors import ParameterError

Rule = tuple[Callable[[Any], bool], str]
"""A test of a value and the sentence that states the rule."""


def integer(low: int | None = None, high: int | None = None) -> Rule:
    """A whole number (not a bool) between `low` and `high`, both included."""
    return (lambda v: _is_integer(v) and _within(v, low, high)), _bounds(
        "a whole number", low, high, "[]"
    )


def real(low: float | None = None, high: float | None = None, *, bounds: str = "[]") -> Rule:
    """A finite number between `low` and `high`; `bounds` as in "[)": is each end included?"""
    return (lambda v: _is_real(v) and _within(v, low, high, bounds)), _bounds(
        "a number", low, high, bounds
    )


def one_of(*values: Any) -> Rule:
    """One of the values named."""
    return (lambda v: any(v is o or (type(v) is type(o) and v == o) for o in values)), (
        "one of " + ", ".join(repr(v) for v in values)
    )


def boolean() -> Rule:
    """True or False."""
    return (lambda v: isinstance(v, bool) or type(v).__name__ in {"bool", "bool_"}), "True or False"


def optional(rule: Rule) -> Rule:
    """None, or what `rule` allows."""
    test, text = rule
    return (lambda v: v is None or test(v)), f"None or {text}"


def either(*rules: Rule) -> Rule:
    """What any of the rules allows."""
    return (lambda v: any(test(v) for test, _ in rules)), " or ".join(text for _, text in rules)


def sequence_of(rule: Rule, *, min_length: int = 0) -> Rule:
    """A list or tuple of at least `min_length` values that each keep `rule`."""
    test, text = rule
    return (
        lambda v: (
            isinstance(v, Sequence)
            and not isinstance(v, str)
            and len(v) >= min_length
            and all(test(item) for item in v)
        )
    ), f"a sequence of at least {min_length} values, each {text}"


def instance(*types: type) -> Rule:
    """An instance of one of the types."""
    return (lambda v: isinstance(v, types)), " or ".join(t.__name__ for t in types)


def anything() -> Rule:
    """No rule: the value is checked where it is used."""
    return (lambda v: True), "anything"


def random_state() -> Rule:
    """None, a whole number, or a NumPy generator, as in scikit-learn."""
    return (
        lambda v: v is None or _is_integer(v) or type(v).__name__ in {"RandomState", "Generator"}
    ), "None, a whole number or a numpy RandomState"


def check_params(owner: str, values: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    """Hold `values` against `rules`.

    Parameters
    ----------
    owner
        The class or function whose arguments these are; it opens the message.
    values
        Argument names and values.
    rules
        A rule for each name that has one.

    Raises
    ------
    ParameterError
        With every fault, each as ``name=value: must be rule``.
    """
    faults = [
        f"{name}={values[name]!r} must be {text}"
        for name, (test, text) in rules.items()
        if name in values and not test(values[name])
    ]
    if faults:
        raise ParameterError(f"{owner}: " + "; ".join(faults))


def _is_integer(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool) and _scalar(value)


def _is_real(value: Any) -> bool:
    if isinstance(value, bool) or not _scalar(value) or not hasattr(value, "__float__"):
        return False
    return math.isfinite(float(value))


def _scalar(value: Any) -> bool:
    return getattr(value, "ndim", 0) == 0


def _within(value: Any, low: float | None, high: float | None, bounds: str = "[]") -> bool:
    above = low is None or value > low or (bounds[0] == "[" and value == low)
    below = high is None or value < high or (bounds[1] == "]" and value == high)
    return above and below


def _bounds(kind: str, low: float | None, high: float | None, bounds: str) -> str:
    if low is None and high is None:
        return kind
    if high is None:
        return f"{kind} {'≥' if bounds[0] == '[' else '>'} {low}"
    if low is None:
        return f"{kind} {'≤' if bounds[1] == ']' else '<'} {high}"
    return f"{kind} in {bounds[0]}{low}, {high}{bounds[1]}"
