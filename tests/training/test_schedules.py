from __future__ import annotations

import math

import pytest

from thinfile.errors import ParameterError
from thinfile.training.schedules import constant, dann_ramp, linear_warm_up


@pytest.mark.parametrize("step", [0, 1, 57, 100, 1000, 5000])
def test_the_ramp_is_the_printed_formula(step):
    printed = 2 / (1 + math.exp(-10 * step / 1000)) - 1
    assert dann_ramp(1000)(step) == pytest.approx(printed, abs=1e-15)
    assert dann_ramp(2000, gamma=20, height=0.3)(step) == pytest.approx(0.3 * printed, abs=1e-15)


def test_the_ramp_rises_and_stays_finite_far_beyond_its_end():
    ramp = dann_ramp(10)
    values = [ramp(step) for step in range(30)]
    assert values[0] == 0
    assert values == sorted(values)
    assert ramp(10**9) == 1


def test_warm_up_and_constant():
    assert [linear_warm_up(4)(step) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert [constant(0.2)(step) for step in (0, 7)] == [0.2, 0.2]


def test_lengths_and_steepness_out_of_range_are_refused():
    with pytest.raises(ParameterError, match="number of steps is 0"):
        linear_warm_up(0)
    with pytest.raises(ParameterError, match="dann_ramp: the number of steps is -5"):
        dann_ramp(-5)
    with pytest.raises(ParameterError, match="gamma is 0"):
        dann_ramp(10, gamma=0)
