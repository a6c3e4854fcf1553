from __future__ import annotations

import random
from contextlib import suppress

import numpy as np
import pytest
import torch

from thinfile.errors import ParameterError
from thinfile.training.device import choose_device, lean_cpu, seed_from, seeded


def _states():
    return torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002


def test_seeding_repeats_and_leaves_every_global_generator_alone():
    before = _states()
    with seeded(11) as seed:
        first = torch.rand(5)
    with seeded(11):
        second = torch.rand(5)
    with seeded(12):
        third = torch.rand(5)
    after = _states()
    assert seed == 11
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    assert torch.equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])
    assert before[2] == after[2]


def test_seeding_is_undone_when_the_block_raises():
    before = torch.get_rng_state()
    with suppress(ZeroDivisionError), seeded(0):
        torch.rand(3)
        raise ZeroDivisionError
    assert torch.equal(before, torch.get_rng_state())


def test_numpy_generators_give_one_seed_and_move_on():
    old = np.random.RandomState(4)
    new = np.random.default_rng(4)
    assert seed_from(old) == np.random.RandomState(4).randint(0, 2**31 - 1)
    assert seed_from(old) != seed_from(np.random.RandomState(4))
    assert seed_from(new) == int(np.random.default_rng(4).integers(2**31 - 1))
    assert seed_from(np.int64(9)) == 9
    assert seed_from(None) != seed_from(None)


@pytest.mark.parametrize("bad", [-1, 1.5, "7", True])
def test_a_random_state_of_another_kind_is_refused(bad):
    with pytest.raises(ParameterError, match="random_state is"):
        seed_from(bad)


def test_devices_are_chosen_by_name():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose_device("auto").type == expected
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ParameterError, match="device is 'gpu', must be 'auto'"):
        choose_device("gpu")
    with pytest.raises(ParameterError, match="device is 'cuda:99', but this machine has"):
        choose_device("cuda:99")


def _half_of_the_smallest():
    return (torch.full((1,), 2.0**-126) * 0.5).item()


@pytest.mark.parametrize("before", [True, False])
def test_threads_and_denormal_numbers_are_set_and_restored(before):
    threads = torch.get_num_threads()
    torch.set_flush_denormal(before)
    try:
        with suppress(ZeroDivisionError), lean_cpu():
            assert torch.get_num_threads() == 1
            assert _half_of_the_smallest() == 0
            raise ZeroDivisionError
        assert torch.get_num_threads() == threads
        assert (_half_of_the_smallest() == 0) is before
        with lean_cpu(None, flush_denormal=False):
            assert torch.get_num_threads() == threads
            assert (_half_of_the_smallest() == 0) is before
    finally:
        torch.set_flush_denormal(False)
