"""The autoencoder on digits and on card transactions, and its speed beside PyOD's.

``python benchmarks/autoencoder.py`` writes ``benchmarks/results/autoencoder.md`` and the pictures
beside it. PyOD runs in the interpreter that PEERS_PYTHON names and is "not installed" where there
is none. What has been measured is kept in ``runs/autoencoder.jsonl``, so that a run that was cut
off goes on; ``--fresh`` begins anew. One thread, CPU time.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent
RESULT = ROOT / "results" / "autoencoder.md"
DIGITS_PICTURE = ROOT / "results" / "autoencoder-digits.png"
ROW_PICTURE = ROOT / "results" / "autoencoder-row.png"
KEPT = ROOT.parent / "runs" / "autoencoder.jsonl"

EPOCHS_SHOWN = (1, 2, 5, 10, 20, 30, 40, 50)
SEEDS = (0, 1)
CARD_EPOCHS = 7
PLAIN = {"masking": 0.0}
SCORES = ("mean", "standardised", "largest")
SPEED_ROWS, SPEED_EPOCHS, SPEED_BATCH, SPEED_WIDTHS = 50_000, 4, 256, (64, 12)

CARDS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("plain: quantile scale, 29-64-12, nothing else", PLAIN),
    "noise": ("plain + noise of 0.5 deviations", {**PLAIN, "noise": 0.5}),
    "masking": ("**the default**: plain + 20 % of the cells masked", {}),
    "trim1": ("plain + 1 % of each batch trimmed", {**PLAIN, "trim": 0.01}),
    "clean": ("default, known frauds left out (y given)", {}),
    "both": ("default + 1 % trimmed", {"trim": 0.01}),
    "standard": ("plain on standard scores", {**PLAIN, "scaling": "standard"}),
    "reference": ("reference: 29-12-29, min-max, 20 epochs", {}),
}

Answer = dict[str, Any]


# Digits ---------------------------------------------------------------------------------------


def mnist() -> tuple[Any, Any]:
    from thinfile.data.datasets import data_folder

    folder = data_folder() / "mnist"
    parts = []
    for start in ("train", "t10k"):
        path = next(folder.glob(f"{start}-images*"))
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        parts.append(np.frombuffer(raw, dtype=np.uint8, offset=16).reshape(-1, 28, 28))
    return parts[0], parts[1]


def digits(name: str, n_epochs: int) -> Answer:
    """Fit to the 60,000, with the 10,000 test digits as what is checked after each epoch."""
    from thinfile.generative.autoencoder import Autoencoder
    from thinfile.report.figures.png import enlarged, write_png
    from thinfile.report.figures.reconstruction import beside

    train, test = mnist()

    class Watched(Autoencoder):
        def _split(self, data: Any, rng: Any) -> Any:
            return np.arange(len(train)), np.arange(len(train), len(train) + len(test))

    body = {"filters": (8, 16), "code_activation": None} if name == "convolutional" else {}
    model = Watched.reference("digits", max_epochs=n_epochs, random_state=0, **body)
    start = time.process_time()
    model.fit(np.concatenate([train, test]))
    cpu = time.process_time() - start
    back = model.reconstruct(test[:20])
    if name == "reference":
        write_png(DIGITS_PICTURE, enlarged(beside(test[:20] / 255, back), 2))
    curve = [
        {
            "epoch": record["epoch"],
            "train": record["reconstruction"],
            "test": record["validation_error"],
            "cpu": record["cpu_seconds"],
        }
        for record in model.history_
    ]
    squared = float(np.square(model.reconstruct(test) - test / 255).mean())
    return {"curve": curve, "cpu": cpu, "squared": squared}


# Cards ----------------------------------------------------------------------------------------


def cards() -> tuple[Any, Any, int]:
    """Columns and labels in time order, and where the last 20 % begin."""
    import polars as pl

    from thinfile.data.datasets import data_folder

    table = pl.read_parquet(data_folder() / "ulb_creditcard.parquet")
    table = table.sort("Time", maintain_order=True)
    y = table["Class"].to_numpy().astype(int)
    return table.drop("Time", "Class"), y, int(0.8 * len(y))


def card_fit(name: str, seed: int) -> Answer:
    from sklearn.metrics import average_precision_score

    from thinfile.generative.autoencoder import Autoencoder

    X, y, cut = cards()
    changes = CARDS[name][1]
    if name == "reference":
        model = Autoencoder.reference("cards", random_state=seed)
    else:
        model = Autoencoder(max_epochs=CARD_EPOCHS, random_state=seed, **changes)
    start = time.process_time()
    model.fit(X[:cut], np.where(y[:cut] == 1, 1, -1) if name == "clean" else None)
    cpu = time.process_time() - start
    found = {}
    for score in SCORES:
        model.row_error = score
        error = -model.score_samples(X[cut:])
        top = np.argsort(-error)[:100]
        found[score] = {
            "ap": float(average_precision_score(y[cut:], error)),
            "at_100": float(y[cut:][top].mean()),
        }
    mse = model.column_errors(X[cut:], standardised=False).to_numpy().mean()
    if name == "masking":
        _draw_row(model, X[cut:], y[cut:])
    return {"scores": found, "mse": float(mse), "cpu": cpu, "epochs": len(model.history_)}


def _draw_row(model: Any, X: Any, y: Any) -> None:
    """The fraud whose error is the median of all frauds'."""
    import vl_convert

    from thinfile.report.figures.reconstruction import row_figure

    frauds = np.flatnonzero(y == 1)
    error = -model.score_samples(X[frauds])
    row = int(frauds[np.argsort(error)[len(frauds) // 2]])
    figure = row_figure(model, X, row)
    ROW_PICTURE.write_bytes(vl_convert.vegalite_to_png(json.dumps(figure.still), scale=1.0))


# Speed ----------------------------------------------------------------------------------------


def speed_ours(_: str, seed: int) -> Answer:
    from thinfile.generative.autoencoder import Autoencoder

    X = cards()[0][:SPEED_ROWS].to_numpy().astype(np.float64)
    model = Autoencoder(
        widths=SPEED_WIDTHS[:-1],
        latent_size=SPEED_WIDTHS[-1],
        code_activation="relu",
        scaling="standard",
        masking=0.0,
        max_epochs=SPEED_EPOCHS,
        batch_size=SPEED_BATCH,
        validation_fraction=0.0,
        random_state=seed,
    )
    return _timed(lambda: model.fit(X))


def speed_pyod(_: str, seed: int) -> Answer:
    import pyod
    import torch
    from pyod.models.auto_encoder import AutoEncoder

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    with np.load(os.environ["BENCHMARK_ROWS"]) as rows:
        X = rows["X"]
    model = AutoEncoder(
        hidden_neuron_list=list(SPEED_WIDTHS),
        hidden_activation_name="relu",
        batch_norm=False,
        dropout_rate=0.0,
        epoch_num=SPEED_EPOCHS,
        batch_size=SPEED_BATCH,
        random_state=seed,
        verbose=0,
    )
    return _timed(lambda: model.fit(X)) | {"version": pyod.__version__}


def _timed(step: Callable[[], Any]) -> Answer:
    start = time.process_time()
    step()
    seconds = time.process_time() - start
    return {"seconds": seconds, "rows_per_second": SPEED_ROWS * SPEED_EPOCHS / seconds}


# Running --------------------------------------------------------------------------------------

TASKS: dict[str, Callable[[str, int], Answer]] = {
    "digits": digits,
    "cards": card_fit,
    "ours": speed_ours,
    "pyod": speed_pyod,
}


def all_tasks(quick: bool) -> Iterator[tuple[str, str, int]]:
    """Task, name, and its epochs (digits) or seed."""
    for repetition in range(1 if quick else 3):
        yield "ours", "", repetition
        yield "pyod", "", repetition
    for name in CARDS:
        for seed in SEEDS[:1] if quick else SEEDS:
            yield "cards", name, seed
    yield "digits", "reference", 2 if quick else 50
    yield "digits", "convolutional", 1 if quick else 2


def run_one(task: str, name: str, number: int) -> Answer | None:
    """In a process of its own, so that none warms up another."""
    python = os.environ.get("PEERS_PYTHON") if task == "pyod" else sys.executable
    if python is None:
        return None
    rows = KEPT.with_suffix(".npz")
    if task == "pyod":
        X = cards()[0][:SPEED_ROWS].to_numpy().astype(np.float64)
        np.savez(rows, X=X)
    done = subprocess.run(
        [python, __file__, "--task", task, name, str(number)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "BENCHMARK_ROWS": str(rows)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        if "ModuleNotFoundError" in done.stderr and task == "pyod":
            return None
        raise SystemExit(f"{task} {name} {number} failed:\n{done.stderr[-2000:]}")
    answer: Answer = json.loads(done.stdout.splitlines()[-1])
    return answer


def kept() -> dict[tuple[str, str, int], Answer | None]:
    if not KEPT.exists():
        return {}
    records = map(json.loads, KEPT.read_text().splitlines())
    return {(r["task"], r["name"], r["number"]): r["answer"] for r in records if r["answer"]}


PART_OF = {"ours": "speed", "pyod": "speed"}


def measure(
    quick: bool, part: str | None, limit: float
) -> dict[tuple[str, str, int], Answer | None]:
    began = time.monotonic()
    KEPT.parent.mkdir(exist_ok=True)
    answers = kept()
    for task in all_tasks(quick):
        if task in answers or part not in (None, PART_OF.get(task[0], task[0])):
            continue
        if time.monotonic() - began > limit:
            print("time is up; run again to go on")
            break
        answers[task] = run_one(*task)
        record = dict(zip(("task", "name", "number"), task, strict=True))
        with KEPT.open("a") as file:
            file.write(json.dumps({**record, "answer": answers[task]}) + "\n")
        print(*task, flush=True)
    return answers


# Telling --------------------------------------------------------------------------------------


def digits_text(answers: dict[Any, Any]) -> str:
    lines = ["## (a) Digits at the reference setting", ""]
    full = _latest(answers, "digits", "reference")
    if full is None:
        return "\n".join([*lines, "not measured yet"])
    lines += [
        "60,000 training digits, 784-32-784, ReLU code, sigmoid, cross-entropy, batch 256. Cross-"
        "entropy per pixel, in nats.",
        "",
        "| epoch | training | 10,000 test digits | CPU-s |",
        "|---|---|---|---|",
    ]
    lines += [_epoch_line(r) for r in full["curve"] if r["epoch"] in EPOCHS_SHOWN]
    last = full["curve"][-1]
    lines += [
        "",
        f"Known for this network after 50 epochs: about 0.093 on test digits. Here after "
        f"{last['epoch']}: {last['test']:.4f}, in {full['cpu']:.0f} CPU-s all in all; squared "
        f"error per pixel {full['squared']:.4f}.",
    ]
    if conv := _latest(answers, "digits", "convolutional"):
        end = conv["curve"][-1]
        lines += [
            "",
            f"With a convolutional body (8 and 16 filters, the same 32 numbers of code) after "
            f"{end['epoch']} epochs: {end['test']:.4f} on test digits, {conv['cpu']:.0f} CPU-s; "
            f"squared error {conv['squared']:.4f}.",
        ]
    picture = f"![originals above reconstructions]({DIGITS_PICTURE.name})"
    return "\n".join([*lines, "", picture])


def _epoch_line(record: Answer) -> str:
    return (
        f"| {record['epoch']} | {record['train']:.4f} | {record['test']:.4f} "
        f"| {record['cpu']:.1f} |"
    )


def _latest(answers: dict[Any, Any], task: str, name: str) -> Answer | None:
    found = [(n, a) for (t, own, n), a in answers.items() if (t, own) == (task, name) and a]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def cards_text(answers: dict[Any, Any]) -> str:
    lines = [
        "## (b) Card transactions, unlabelled training",
        "",
        "Trained on the first 80 % by time (frauds among them unless said), scored on the last "
        "20 % (75 frauds in 56,962 rows). Average precision, mean of the seeds (least–most), for "
        f"three ways to sum up a row's errors; {CARD_EPOCHS} epochs unless said. Squared errors "
        "can be compared only on the same scale.",
        "",
        "| training | seeds | squared error | AP: mean | standardised | largest three "
        "| precision at 100 (largest) | CPU-s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, (title, _) in CARDS.items():
        runs = [answers[("cards", name, s)] for s in SEEDS if answers.get(("cards", name, s))]
        lines.append(_card_line(title, runs) if runs else f"| {title} | not measured ||||||| ")
    lines += ["", cards_words(answers)]
    return "\n".join([*lines, "", f"![one fraud, column by column]({ROW_PICTURE.name})"])


def cards_words(answers: dict[Any, Any]) -> str:
    """What the table says, in sentences that are made from it."""
    found = {
        (name, score): [
            answers[("cards", name, seed)]["scores"][score]["ap"]
            for seed in SEEDS
            if answers.get(("cards", name, seed))
        ]
        for name in CARDS
        for score in SCORES
    }
    if not all(found[(name, "mean")] for name in ("plain", "noise", "masking", "reference")):
        return ""

    def of(name: str, score: str) -> str:
        aps = found[(name, score)]
        return f"{statistics.mean(aps):.3f}" if aps else "not measured"

    kinds = ("noise", "masking", "trim1")
    guarded = [ap for name in kinds for ap in found[(name, "largest")]]
    above = sum(ap > max(found[("plain", "largest")]) for ap in guarded)
    widest = max(max(aps) - min(aps) for aps in found.values() if aps)
    return (
        "In words. The plain network gives frauds back about as well as anything else; one that "
        f"denoises or trims does not. {above} of {len(guarded)} runs with noise, masks or trimming "
        "are above the best plain run (largest three columns: plain "
        f"{of('plain', 'largest')}, noise {of('noise', 'largest')}, masks "
        f"{of('masking', 'largest')}, 1 % trimmed {of('trim1', 'largest')}). Errors in units of "
        f"each column's usual error help there (default: {of('masking', 'mean')} as they are, "
        f"{of('masking', 'standardised')} standardised, {of('masking', 'largest')} for the three "
        "largest columns), and do little for the plain network. The reference's setting reaches "
        f"{of('reference', 'mean')}, standard scores {of('standard', 'mean')}. "
        f"Runs that differ in the seed alone lie up to {widest:.2f} apart, so that with "
        "75 frauds no two single runs can be told apart. Masks were chosen on the frauds between "
        "60 % and 80 % of the time (one seed); quantile scale and largest columns had been seen "
        "to help on these last rows too."
    )


def _card_line(title: str, runs: list[Answer]) -> str:
    cells = [str(len(runs)), f"{statistics.mean(r['mse'] for r in runs):.5f}"]
    cells += [_spread([r["scores"][score]["ap"] for r in runs]) for score in SCORES]
    cells.append(f"{statistics.mean(r['scores']['largest']['at_100'] for r in runs):.2f}")
    cells.append(f"{statistics.mean(r['cpu'] for r in runs):.0f}")
    return f"| {title} | {' | '.join(cells)} |"


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.3f} ({min(values):.3f}–{max(values):.3f})"


def speed_text(answers: dict[Any, Any]) -> str:
    lines = [
        "## (c) Training speed beside PyOD's AutoEncoder",
        "",
        f"{SPEED_ROWS:,} rows × 29, 29-64-12-64-29 (ReLU), batch {SPEED_BATCH}, {SPEED_EPOCHS} "
        "epochs, Adam, standardised inputs; `fit` as a whole (scores of the training rows and the "
        "threshold included), repetitions taking turns, processes of their own.",
        "",
        "| | training rows per CPU-second, median | each repetition |",
        "|---|---|---|",
    ]
    rates = {}
    for task, title in (("ours", "thinfile `Autoencoder`"), ("pyod", "PyOD `AutoEncoder`")):
        found = [a for (t, _, _), a in answers.items() if t == task and a]
        if not found:
            lines.append(f"| {title} | not installed | |")
            continue
        rates[task] = [a["rows_per_second"] for a in found]
        each = ", ".join(f"{rate:,.0f}" for rate in rates[task])
        version = f" {found[0]['version']}" if "version" in found[0] else ""
        lines.append(f"| {title}{version} | {statistics.median(rates[task]):,.0f} | {each} |")
    if len(rates) == 2:
        ratios = [a / b for a, b in zip(rates["ours"], rates["pyod"], strict=False)]
        ratio = statistics.median(ratios)
        verdict = "reached" if ratio >= 2 else "missed"
        lines += [
            "",
            f"Ratio, pair by pair: {', '.join(f'{r:.1f}' for r in ratios)}; median {ratio:.1f}. "
            f"The bar of 2 is {verdict}.",
        ]
    return "\n".join(lines)


def write(answers: dict[Any, Any]) -> None:
    import sklearn
    import torch

    intro = (
        "# The autoencoder\n\n"
        "`PEERS_PYTHON=… python benchmarks/autoencoder.py`: CPU time, one thread; "
        f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, scikit-learn "
        f"{sklearn.__version__}, Python {platform.python_version()}."
    )
    text = [intro, digits_text(answers), cards_text(answers), speed_text(answers)]
    RESULT.write_text("\n\n".join(text) + "\n")
    print(RESULT.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few epochs, one seed")
    parser.add_argument("--fresh", action="store_true", help="measure everything anew")
    parser.add_argument("--part", choices=("digits", "cards", "speed"), help="only this part")
    parser.add_argument("--limit", type=float, default=float("inf"), help="seconds, then stop")
    parser.add_argument("--task", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        task, name, number = arguments.task
        print(json.dumps(TASKS[task](name, int(number))))
        return
    if arguments.fresh:
        KEPT.unlink(missing_ok=True)
    write(measure(arguments.quick, arguments.part, arguments.limit))


if __name__ == "__main__":
    main()
