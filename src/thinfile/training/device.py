"""Where a network trains, from which seed, and with how many threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from thinfile.errors import ParameterError
from thinfile.random_state import RandomState, seed_from


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device that a name stands for.

    Parameters
    ----------
    device : str or torch.device, default "auto"
        ``auto`` takes the first CUDA device where there is one and the CPU elsewhere. Otherwise
        a name that torch knows: ``cpu``, ``cuda``, ``cuda:1``.

    Raises
    ------
    ParameterError
        If the name is unknown or this machine has no such device.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError):
        raise ParameterError(
            f"device is {device!r}, must be 'auto', 'cpu', 'cuda' or 'cuda:<number>'"
        ) from None
    n_devices = torch.cuda.device_count() if chosen.type == "cuda" else 1
    if (chosen.index or 0) >= n_devices:
        raise ParameterError(f"device is {device!r}, but this machine has {n_devices} CUDA devices")
    return chosen


@contextmanager
def seeded(random_state: RandomState, device: torch.device | str = "cpu") -> Iterator[int]:
    """Make everything random inside the block repeatable, and leave the world as it was.

    Inside, torch's generators (of the CPU, and of ``device`` if it is another) start at the seed;
    afterwards they are back where they were. Numpy's and Python's generators are not touched:
    code that needs them inside the block makes its own from the seed.

    Yields
    ------
    int
        The seed, for generators of other kinds.

    Examples
    --------
    >>> with seeded(7):
    ...     first = torch.rand(2)
    >>> with seeded(7):
    ...     second = torch.rand(2)
    >>> bool((first == second).all())
    True
    """
    chosen = torch.device(device)
    seed = seed_from(random_state)
    devices: list[int] = []
    if chosen.type == "cuda":
        devices = [torch.cuda.current_device() if chosen.index is None else chosen.index]
    with torch.random.fork_rng(devices=devices):
        # torch.manual_seed would also reseed every other device, for good.
        torch.default_generator.manual_seed(seed)
        for index in devices:
            torch.cuda.default_generators[index].manual_seed(seed)
        yield seed


@contextmanager
def lean_cpu(n_threads: int | None = 1, *, flush_denormal: bool = True) -> Iterator[None]:
    """Run small networks as fast as a CPU can: one thread, and no denormal numbers.

    Layers of a few hundred units lose more by handing work between threads than they gain, and
    Adam's averages of tiny gradients fall into the denormal range, where each product takes
    many times longer. Both settings are restored afterwards. Do not use it around wide networks
    or large batches on a machine with many cores: give ``n_threads=None`` there.

    Parameters
    ----------
    n_threads : int or None, default 1
        Threads inside the block; None leaves the number alone.
    flush_denormal : bool, default True
        Take numbers below 1.2e-38 for zero inside the block.
    """
    threads_before, flushed_before = torch.get_num_threads(), _flushes_denormal()
    try:
        if n_threads is not None:
            torch.set_num_threads(n_threads)
        if flush_denormal:
            torch.set_flush_denormal(True)
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.set_flush_denormal(flushed_before)


def _flushes_denormal() -> bool:
    """Try it out, because torch can set the mode and cannot tell it."""
    return bool((torch.full((1,), 2.0**-126) * 0.5).item() == 0.0)
