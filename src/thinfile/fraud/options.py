"""How a comparison for rare events is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from thinfile import params
from thinfile.errors import ParameterError
from thinfile.methods import names_of_group
from thinfile.params import check_params

ALL_LABELS = "all"
MIN_FRAUDS = 2
"""Labelled frauds without which no method can be fitted."""
USUAL_ALERTS, MIN_ALERTS = 0.001, 20
MIN_GENUINE, MAX_GENUINE, GENUINE_PER_FRAUD = 1_000, 5_000, 20

_RULES = {
    "genuine": params.optional(params.integer(10)),
    "test_share": params.real(0.05, 0.5),
    "alerts": params.optional(params.real(0, 0.5, bounds="(]")),
    "top": params.integer(1),
    "target_rate": params.optional(params.real(0, 1, bounds="()")),
    "n_seeds": params.integer(1),
    "n_evidence_seeds": params.integer(1),
    "n_jobs": params.optional(params.integer(1)),
    "random_state": params.integer(0),
    "max_test": params.integer(100),
    "max_unlabelled": params.integer(0),
}


@dataclass(frozen=True)
class FraudOptions:
    """How a comparison for rare events is made.

    Parameters
    ----------
    labels : sequence of int ≥ 2 or "all"
        Label budgets: how many labelled frauds (events) a method may see.
    genuine : int ≥ 10, optional
        Labelled genuine rows at each budget. By default 20 for each fraud, at least 1,000 and at
        most 5,000.
    time : str, optional
        Column to split by: the latest rows are tested. It is no feature then. Rows are split at
        random, by class, without it.
    ignore : sequence of str
        Columns that no model sees, such as one that is filled in when a fraud is known.
    test_share : float from 0.05 to 0.5
        Share of the rows that is tested.
    alerts : float in (0, 0.5], optional
        Share of the tested rows that can be looked into: recall is measured there. One in a
        thousand by default, or as many as make 20 alerts, as fewer are chance.
    top : int ≥ 1
        Alerts that precision is measured for.
    target_rate : float, optional
        Share of frauds that the business expects; that of the training part by default. It sets
        the level of the probabilities and not their order.
    methods : sequence of str, optional
        Names of the registry's group "fraud"; all of them by default.
    n_seeds : int ≥ 1
        Repetitions with other labels drawn.
    n_evidence_seeds : int ≥ 1
        Seeds for which labelled rows are scored out of fold, which the choice is made by. Three
        more fits for each.
    n_jobs, device, random_state, overrides
        As in a comparison of two populations.
    max_test : int ≥ 100
        Test rows; of more, all frauds and this many in all are drawn.
    max_unlabelled : int ≥ 0
        Training rows that a method gets without their label, drawn for each seed.
    """

    labels: Sequence[int | str] = (10, 50, 100)
    genuine: int | None = None
    time: str | None = None
    ignore: Sequence[str] = ()
    test_share: float = 0.2
    alerts: float | None = None
    top: int = 100
    target_rate: float | None = None
    methods: Sequence[str] | None = None
    n_seeds: int = 5
    n_evidence_seeds: int = 2
    n_jobs: int | None = None
    device: str = "cpu"
    random_state: int = 0
    max_test: int = 1_000_000
    max_unlabelled: int = 20_000
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Methods to run, in the registry's order.

        Raises
        ------
        ParameterError
            If one is unknown, or is no method for rare events.
        """
        return names_of_group(
            "fraud", self.methods, self.overrides, "do not take one table with rare events"
        )

    def check(self) -> None:
        """Hold every option against its rule.

        Raises
        ------
        ParameterError
            With every fault.
        """
        check_params("fraud", {name: getattr(self, name) for name in _RULES}, _RULES)
        wrong = [n for n in self.labels if n != ALL_LABELS and not _is_budget(n)]
        if wrong or not self.labels:
            raise ParameterError(
                f"fraud: labels={wrong[0] if wrong else ()!r} must be whole numbers of labelled "
                f"frauds ≥ {MIN_FRAUDS}, or 'all'"
            )

    def share_of_alerts(self, n_test: int) -> float:
        """Share of `n_test` tested rows that recall is measured at."""
        return self.alerts or min(0.5, max(USUAL_ALERTS, MIN_ALERTS / n_test))

    def n_genuine(self, n_frauds: int) -> int:
        """Labelled genuine rows beside `n_frauds` labelled frauds."""
        if self.genuine is not None:
            return self.genuine
        return min(MAX_GENUINE, max(MIN_GENUINE, GENUINE_PER_FRAUD * n_frauds))


def _is_budget(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= MIN_FRAUDS
