"""How a comparison is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thinfile import params
from thinfile.compare.expectation import Expectations
from thinfile.methods import names_of_group
from thinfile.params import check_params

_RULES = {
    "n_seeds": params.integer(1),
    "n_jobs": params.optional(params.integer(1)),
    "random_state": params.integer(0),
    "target_rate": params.optional(params.real(0, 1, bounds="()")),
}


@dataclass(frozen=True)
class Options:
    """How a comparison is made.

    Parameters
    ----------
    labels : sequence of int ≥ 0
        Label budgets: how many labels of the target a method may see.
    n_seeds : int ≥ 1
        Repetitions with other labels drawn and other random numbers.
    methods : sequence of str, optional
        Names of the registry; all that need no event log by default.
    device : str
        Of the networks. On small tables a CPU is as fast.
    n_jobs : int, optional
        Processes; one for each core by default.
    random_state : int
        Decides the test rows.
    curve : bool
        Run the chosen method at a few more budgets to tell what more labels are worth.
    target_rate : float in (0, 1), optional
        Base rate of the target as the business expects it, to correct probabilities by at a
        budget of 0; labels tell it better where there are any.
    overrides : mapping
        Constructor arguments by method name.
    expectations : Expectations, optional
        What each method usually brings, where you know it better than thinfile does.
    """

    labels: Sequence[int] = (350,)
    n_seeds: int = 3
    methods: Sequence[str] | None = None
    device: str = "cpu"
    n_jobs: int | None = None
    random_state: int = 0
    curve: bool = True
    target_rate: float | None = None
    overrides: Mapping[str, Mapping[str, Any]] | None = None
    expectations: Expectations | None = None

    def names(self) -> list[str]:
        """Methods to run, in the registry's order.

        Raises
        ------
        ParameterError
            If one is unknown, here or among the overrides, or needs an event log.
        """
        return names_of_group(
            "transfer",
            self.methods,
            self.overrides or (),
            "do not take two tables: run them with `thinfile intent` or `--group fraud`",
        )

    def check(self) -> None:
        """Hold every option against its rule.

        Raises
        ------
        ParameterError
            With every fault.
        """
        check_params("compare", vars(self), _RULES)
