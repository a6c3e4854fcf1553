"""How a purchase comparison is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from thinfile import params
from thinfile.errors import ParameterError
from thinfile.methods import names_of_group
from thinfile.params import check_params

PLANS = ("snapshots", "recipe", "literal-recipe")

_RULES = {
    "plan": params.one_of(*PLANS),
    "n_train_cuts": params.integer(1),
    "holdout_customers": params.real(0, 1, bounds="[)"),
    "n_seeds": params.integer(1),
    "n_jobs": params.optional(params.integer(1)),
    "random_state": params.integer(0),
    "max_rows": params.integer(100),
    "max_events": params.integer(1),
    "top": params.optional(params.integer(10)),
    "window_days": params.integer(1),
    "negatives_per_positive": params.integer(1),
    "max_shift": params.integer(0),
    "windows": params.sequence_of(params.integer(1)),
}


@dataclass(frozen=True)
class IntentOptions:
    """How a purchase comparison is made.

    Parameters
    ----------
    plan : {"snapshots", "recipe", "literal-recipe"}
        Which rows are trained on. "snapshots" takes every known customer at several cuts.
        "recipe" takes buyers at their feature day and as many customers without demand, seen at
        days drawn from those. "literal-recipe" lets the day depend on the label: it leaks, is
        flagged, and is there to show by how much.
    labels : sequence of int ≥ 10, optional
        Label budgets: how many labelled rows a method may see; all by default.
    n_train_cuts : int ≥ 1
        Instants that training customers are seen from; of the plan "snapshots".
    window_days, negatives_per_positive : int ≥ 1
        Of the recipes: days in which demand is looked for, and customers without it per buyer.
    max_shift : int ≥ 0
        Of the recipes: most purchases that are removed in copies of training rows.
    holdout_customers : float in [0, 1)
        Share of the customers that are in the test rows only.
    windows : sequence of int ≥ 1
        Days back that the aggregates count over.
    related : sequence of str, optional
        Categories that are related to the one predicted; found by lift by default.
    history_columns : sequence of str, optional
        Columns of the log that sequence models read; item, category, quantity and amount by
        default.
    static : sequence of str
        Columns that describe the customer.
    max_events : int ≥ 1
        Latest events of a customer that sequence models read.
    max_rows : int ≥ 100
        Rows of training, of validation and of test; of more, this many are drawn.
    top : int ≥ 10, optional
        Customers that precision and lift are measured for; a tenth of the test's by default. In
        a group the same share of it counts.
    methods : sequence of str, optional
        Names of the registry that need an event log; all of them by default.
    n_seeds, n_jobs, device, random_state, overrides
        As in a comparison of tables.
    """

    plan: str = "snapshots"
    labels: Sequence[int] | None = None
    n_train_cuts: int = 3
    window_days: int = 365
    negatives_per_positive: int = 1
    max_shift: int = 0
    holdout_customers: float = 0.0
    windows: Sequence[int] = (7, 30, 90, 365)
    related: Sequence[str] | None = None
    history_columns: Sequence[str] | None = None
    static: Sequence[str] = ()
    max_events: int = 100
    max_rows: int = 100_000
    top: int | None = None
    methods: Sequence[str] | None = None
    n_seeds: int = 3
    n_jobs: int | None = None
    device: str = "cpu"
    random_state: int = 0
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Methods to run, in the registry's order.

        Raises
        ------
        ParameterError
            If one is unknown, or is no method for event logs.
        """
        return names_of_group("intent", self.methods, self.overrides, "do not take an event log")

    def check(self) -> None:
        """Hold every option against its rule.

        Raises
        ------
        ParameterError
            With every fault.
        """
        given = {name: getattr(self, name) for name in _RULES}
        check_params("intent", given, _RULES)
        self._check_plan()
        few = [n for n in self.labels or () if n < 10]
        if few:
            raise ParameterError(f"intent: labels={few[0]} must be whole numbers ≥ 10")

    def _check_plan(self) -> None:
        """Refuse what the plan would silently ignore."""
        usual = IntentOptions()
        idle = {
            "snapshots": ("window_days", "negatives_per_positive", "max_shift"),
            "recipe": ("n_train_cuts",),
            "literal-recipe": ("n_train_cuts", "holdout_customers"),
        }[self.plan]
        given = [name for name in idle if getattr(self, name) != getattr(usual, name)]
        if given:
            raise ParameterError(
                f"intent: {', '.join(given)} have no effect with plan={self.plan!r}; leave them out"
            )
