"""Cells side by side in processes: one that fails or is killed does not take the others down."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool

from thinfile.compare.cell import Cell, Key, Settings, cell_key, run_cell
from thinfile.compare.folder import RunFolder
from thinfile.compare.plan import Plan
from thinfile.compare.task import Task
from thinfile.training.progress import Progress

# One thread each: small networks and small tables lose by more, and cells run side by side.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
}


_state: dict[str, Any] = {}


@dataclass(frozen=True)
class TaskCells:
    """Runs the cells of a comparison of two populations."""

    task: Task
    plan: Plan
    settings: Settings

    def __call__(self, key: Key) -> Cell:
        return run_cell(self.task, self.plan, self.settings, *key)


def finish_cells(
    run: Callable[[Key], Cell],
    keys: Sequence[Key],
    *,
    folder: RunFolder,
    n_jobs: int | None,
    progress: Progress,
) -> list[Cell]:
    """All cells of `keys`: those that `folder` holds as they are, the others run now.

    What failed is run again, since its cause may have been mended since: a package, memory.
    Parameters as for :func:`run_all`.
    """
    found = [folder.finished(cell_key(*key)) for key in keys]
    cells = [cell for cell in found if cell is not None and cell.status != "failed"]
    ready = {Key(cell.method, cell.budget, cell.seed) for cell in cells}
    waiting = [key for key in keys if key not in ready]
    progress.start(len(keys), "comparing")
    progress.advance(len(cells))
    try:
        for cell in run_all(run, waiting, folder=folder.cells, n_jobs=n_jobs):
            cells.append(cell)
            progress.advance(1)
    finally:
        progress.finish()
    return cells


def run_all(
    run: Callable[[Key], Cell],
    keys: Sequence[Key],
    *,
    folder: Path,
    n_jobs: int | None = None,
) -> Iterator[Cell]:
    """Run cells of any kind, side by side; each is saved below `folder` and given.

    Parameters
    ----------
    run
        Gives the cell of a key. It goes to other processes, so it must be picklable there.
    keys
        Cells to run, the order in which they are begun.
    n_jobs
        Processes; None takes one for each core.
    """
    n_jobs = min(n_jobs or _n_cores(), max(1, len(keys)))
    if n_jobs == 1:
        for key in keys:
            cell = run(key)
            cell.save(folder)
            yield cell
        return
    waiting = list(keys)
    while waiting:
        for key, cell in _run_pool(run, waiting, folder, n_jobs):
            waiting.remove(key)
            yield cell
        if waiting:
            # A process was killed, most often for want of memory. What was in flight is not
            # known, so the rest goes on one at a time, and the cell that kills again is named.
            n_jobs = 1
            found = dict(_run_pool(run, waiting[:1], folder, n_jobs))
            first = waiting.pop(0)
            yield found.get(first) or _killed(first, folder)


def _run_pool(
    run: Callable[[Key], Cell], keys: Sequence[Key], folder: Path, n_jobs: int
) -> Iterator[tuple[Key, Cell]]:
    """Give finished cells until all are done or the pool breaks."""
    executor = ProcessPoolExecutor(
        max_workers=n_jobs,
        initializer=_start,
        initargs=(run, folder),
        env=ONE_THREAD,
    )
    try:
        futures = {executor.submit(_run, key): key for key in keys}
        for future in as_completed(futures):
            try:
                cell = future.result()
            except BrokenProcessPool:
                return
            yield futures[future], cell
    finally:
        executor.shutdown(wait=True, kill_workers=True)


def _start(run: Callable[[Key], Cell], folder: Path) -> None:
    _state.update(run=run, folder=folder)


def _run(key: Key) -> Cell:
    cell: Cell = _state["run"](key)
    cell.save(_state["folder"])
    return cell


def _killed(key: Key, folder: Path) -> Cell:
    cell = Cell(*key, status="failed", error="its process was killed (out of memory?)")
    cell.save(folder)
    return cell


def _n_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1
