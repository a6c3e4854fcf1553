"""The VAE at its reference settings, units that fall silent, and speed beside TVAE.

``PEERS_PYTHON=… python benchmarks/vae.py`` writes ``benchmarks/results/vae.md`` and pictures of
digits beside it. The peer, TVAE of the package ``ctgan`` (a comparison only: its licence forbids
it as a dependency), runs in the interpreter that PEERS_PYTHON names and is "not installed" where
there is none. ``--only digits`` and the like run one part; what is done lies in ``--partial``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import gzip
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

RESULTS = Path(__file__).parent / "results"
BATCH, WIDTHS, LATENT = 500, (128, 128), 16
FEW, MANY = 3, 18
"""Epochs of the two fits whose difference is the time of training alone."""
N_MODES = 5
"""Modes of a number in TVAE's layout; its mixtures have at most 10."""
RUNS = (("warm", 1), ("few", FEW), ("many", MANY))
N_SPEED_ROWS, N_SILENT_ROWS = 10_000, 8_000


def data_folder() -> Path:
    named = os.environ.get("THINFILE_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"


def digits(part: str) -> np.ndarray[Any, Any]:
    raw = gzip.decompress((data_folder() / "mnist" / part).read_bytes())
    return np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)


def cards(n_rows: int = N_SPEED_ROWS) -> Any:
    import polars as pl

    table = pl.read_parquet(data_folder() / "ulb_creditcard.parquet").sort("Time")
    return table.drop("Time", "Class").sample(n_rows, seed=0)


def credit() -> Any:
    """30,000 × 24, nine categories as text, the label among them."""
    import polars as pl

    table = pl.read_csv(data_folder() / "uci_default_credit.csv.gz", infer_schema_length=None).drop(
        "ID"
    )
    names = [n for n in table.columns if n.startswith(("SEX", "EDU", "MARR", "PAY_", "default"))]
    names = [n for n in names if not n.startswith("PAY_AMT")]
    return table.with_columns(pl.col(names).cast(pl.String)).sample(N_SPEED_ROWS, seed=0)


TABLES = {"cards, 29 numbers": cards, "credit clients, 14 numbers, 10 categories": credit}


# Speed ---------------------------------------------------------------------------------------


def fit_ours(name: str) -> dict[str, float]:
    """CPU time of fits with few and with many epochs, on columns that are encoded already."""
    from thinfile.data.mixed import MixedEncoder
    from thinfile.generative.vae import VAE
    from thinfile.schema.model import Schema
    from thinfile.table_model import TableData

    table = TABLES[name]()
    schema = Schema.infer(table)
    parsed = schema.parse(table).frame
    encoder = MixedEncoder(schema, scaling="quantile").fit(parsed)
    data = TableData(encoder.transform(parsed), parsed, None)
    times = {}
    for key, n_epochs in RUNS:
        model = VAE(
            latent_size=LATENT,
            widths=WIDTHS,
            batch_size=BATCH,
            max_epochs=n_epochs,
            validation_fraction=0.0,
            random_state=0,
            device="cpu",
        )
        start = time.process_time()
        model.fit_encoded(data, schema, encoder)
        times[key] = time.process_time() - start
    return times


class Laid:
    """Random rows in the layout of TVAE's own transformer; fitting its mixtures takes minutes."""

    def __init__(self, table: Any, discrete: list[str]) -> None:
        from ctgan.data_transformer import SpanInfo

        rng = np.random.default_rng(0)
        self.output_info_list, parts = [], []
        for name in table.columns:
            n_codes = table[name].nunique() if name in discrete else N_MODES
            spans = [] if name in discrete else [SpanInfo(1, "tanh")]
            self.output_info_list.append([*spans, SpanInfo(n_codes, "softmax")])
            if spans:
                parts.append(rng.uniform(-1, 1, (len(table), 1)))
            parts.append(np.eye(n_codes)[rng.integers(n_codes, size=len(table))])
        self.rows = np.concatenate(parts, axis=1)
        self.output_dimensions = self.rows.shape[1]

    def fit(self, table: Any, discrete: Any) -> None:
        """Nothing is left to be done."""

    def transform(self, table: Any) -> np.ndarray[Any, Any]:
        return self.rows


def fit_peer(name: str) -> dict[str, float]:
    """The same of TVAE: its own loop, networks and loss."""
    from ctgan.synthesizers import tvae

    table = TABLES[name]().to_pandas()
    discrete = [c for c in table.columns if not np.issubdtype(table[c].to_numpy().dtype, np.number)]
    laid = Laid(table, discrete)
    tvae.DataTransformer = lambda: laid
    times: dict[str, float] = {}
    for key, n_epochs in RUNS:
        model = tvae.TVAE(
            embedding_dim=LATENT,
            compress_dims=WIDTHS,
            decompress_dims=WIDTHS,
            batch_size=BATCH,
            epochs=n_epochs,
            enable_gpu=False,
        )
        start = time.process_time()
        model.fit(table, discrete)
        times[key] = time.process_time() - start
    return times


FITS = {"thinfile `VAE`": fit_ours, "ctgan `TVAE`": fit_peer}


def work(way: str, name: str) -> None:
    """Measure one way once, and print the times."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    try:
        times = FITS[way](name)
    except ImportError:
        times = {}
    print(json.dumps(times))


def ask(way: str, name: str) -> dict[str, float]:
    python = sys.executable if way.startswith("thinfile") else os.environ.get("PEERS_PYTHON")
    if not python:
        return {}
    done = subprocess.run(
        [python, "-W", "ignore", __file__, "--way", way, "--table", name],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    times: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return times


def speed(repetitions: int, found: dict[str, Any], save: Any) -> None:
    for repetition in range(repetitions):
        for name in TABLES:
            for way in FITS:
                key = f"{way} | {name} | {repetition}"
                if key not in found:
                    found[key] = ask(way, name)
                    save()


def speed_text(found: dict[str, Any]) -> str:
    n = max([int(key.split("|")[-1]) + 1 for key in found], default=0)
    lines = [
        "## Speed",
        "",
        f"{N_SPEED_ROWS:,} rows, batches of {BATCH}, widths {WIDTHS}, code of {LATENT}, Adam, one "
        f"thread, CPU time, the two in turns, {n} repetitions, medians. Training alone is the "
        f"difference of a fit of {MANY} epochs and one of {FEW}; preparing the columns is not in "
        f"it. TVAE trains on random rows in its own layout, {N_MODES} modes for each number: its "
        "Gaussian mixtures are not fitted here.",
        "",
        "| table | way | training rows per CPU-second | times the peer |",
        "|---|---|---:|---:|",
    ]
    for name in TABLES:
        rates = {way: _rate(found, way, name) for way in FITS}
        peer = rates["ctgan `TVAE`"]
        for way, rate in rates.items():
            if rate is None:
                lines.append(f"| {name} | {way} | not installed, or not run yet | |")
                continue
            times = f"{rate / peer:.1f}" if peer and way.startswith("thin") else ""
            lines.append(f"| {name} | {way} | {rate:,.0f} | {times} |")
    return "\n".join(lines)


def _rate(found: dict[str, Any], way: str, name: str) -> float | None:
    runs = [v for k, v in found.items() if k.startswith(f"{way} | {name} |") and v]
    if not runs:
        return None
    rates = [N_SPEED_ROWS * (MANY - FEW) / (run["many"] - run["few"]) for run in runs]
    return statistics.median(rates)


# Digits --------------------------------------------------------------------------------------


def digits_part(n_epochs: int, found: dict[str, Any], save: Any) -> None:
    """Reference setting; the loss on the test digits after each epoch, weights of the last."""
    if len(found.get("history", [])) >= n_epochs:
        return
    from thinfile.data.images import ImageEncoder
    from thinfile.generative.vae import VAE
    from thinfile.generative.vae_bound import importance_bound
    from thinfile.generative.vae_plan import build_network, lay_out
    from thinfile.generative.vae_training import VAESettings, train_vae
    from thinfile.training.device import lean_cpu, seeded

    train, test = digits("train-images-idx3-ubyte.gz"), digits("t10k-images-idx3-ubyte.gz")
    model = VAE.reference("digits", max_epochs=n_epochs, random_state=0, device="cpu")
    encoder = ImageEncoder().fit(train)
    layout = lay_out(encoder, None, None)
    rows, held = (layout.tensors(encoder.encode(x)) for x in (train, test))
    settings = VAESettings(1.0, 0.0, 0, n_epochs, model.batch_size, model.learning_rate, None)
    few, records = {"numbers": held["numbers"][:500]}, []

    def keep(record: dict[str, Any]) -> None:
        records.append(record)
        if len(records) % 5 == 0:
            with torch.random.fork_rng(), torch.inference_mode():
                draws = torch.randn(50, model.latent_size)
                record["bound_50"] = float(importance_bound(network, few, draws).mean())
                pictures(network, held["numbers"])
        found["history"] = records
        save()

    with seeded(0), lean_cpu():
        network = build_network(model, layout, encoder, model.latent_size)
        train_vae(network, rows, held, settings, keep)


def pictures(network: Any, pixels: torch.Tensor) -> None:
    """Draws from the prior; and a walk between the codes of test digits."""
    from thinfile.report.figures.png import enlarged, image_grid, write_png

    def shown(code: torch.Tensor) -> np.ndarray[Any, Any]:
        return network.centre(network.decode(code)).numpy().reshape(-1, 28, 28)

    made = shown(torch.randn(60, network.latent_size))
    write_png(RESULTS / "vae_samples.png", enlarged(image_grid(made, 12), 2))
    mean, _ = network.encode({"numbers": pixels[:7]})
    steps = torch.linspace(0, 1, 12)[:, None]
    walk = [torch.lerp(mean[i], mean[i + 1], steps) for i in range(6)]
    write_png(RESULTS / "vae_walk.png", enlarged(image_grid(shown(torch.cat(walk)), 12), 2))


def digits_text(found: dict[str, Any]) -> str:
    records = found.get("history")
    if not records:
        return "## Digits\n\nNot run yet."
    n_epochs = len(records)
    marks = sorted({e for e in (1, 2, 5, 10, 15, 20, 30, 40, 50, n_epochs) if e <= n_epochs})
    lines = [
        "## Digits",
        "",
        f'`VAE.reference("digits")`: 784-256-32, batches of 100, 60,000 digits; {n_epochs} of '
        f"50 epochs were run, {records[-1]['cpu_seconds']:.0f} CPU-s. Nats per digit. The test "
        "loss is the bound from one drawn code on the 10,000 test digits; the importance-weighted "
        "bound is that from 50 codes on 500 of them.",
        "",
        "| epoch | training loss | of it divergence | test loss | from 50 codes | active of 32 |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for epoch in marks:
        r = records[epoch - 1]
        weighted = f"{-r['bound_50']:.1f}" if "bound_50" in r else ""
        lines.append(
            f"| {epoch} | {r['total']:.1f} | {r['kl']:.1f} | {-r['validation_bound']:.1f} | "
            f"{weighted} | {r['active_units']:.0f} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            "![Draws from the prior](vae_samples.png)",
            "",
            "![A walk between the codes of test digits](vae_walk.png)",
        ]
    )


# Silent units --------------------------------------------------------------------------------

DEFENCES: dict[str, tuple[str, dict[str, Any]]] = {
    "reference (29-16-6, squared error on 0…1)": ("cards", {}),
    "reference + warm-up of 10 epochs": ("cards", {"warm_up_epochs": 10}),
    "reference + 0.25 free nats a unit": ("cards", {"free_bits": 0.25}),
    "reference + variance learnt for each column": ("cards", {"number_loss": "gaussian"}),
    "the same on normal scores": ("cards", {"number_loss": "gaussian", "scaling": "quantile"}),
    "the same + warm-up of 5 epochs": (
        "cards",
        {"number_loss": "gaussian", "scaling": "quantile", "warm_up_epochs": 5},
    ),
    "the same, code of 12": (
        "cards",
        {
            "number_loss": "gaussian",
            "scaling": "quantile",
            "warm_up_epochs": 5,
            "latent_size": 12,
            "widths": (128, 64),
        },
    ),
}


def silent_part(n_epochs: int, found: dict[str, Any], save: Any) -> None:
    from thinfile.generative.vae import VAE

    table = cards(N_SILENT_ROWS)
    for name, (preset, settings) in DEFENCES.items():
        if name in found:
            continue
        model = VAE.reference(
            preset, max_epochs=n_epochs, n_importance_samples=1, random_state=0, **settings
        ).fit(table)
        code = model.transform(table)
        spread = model.transform_spread(table).astype(float)
        kl = 0.5 * (code.astype(float) ** 2 + spread**2 - 2 * np.log(spread) - 1)
        again = model.reconstruct(table)
        found[name] = {
            "active": model.active_units_,
            "units": model.latent_size_,
            "kl": float(kl.sum(1).mean()),
            "explained": _explained(table, again),
        }
        save()


def _explained(table: Any, again: Any) -> float:
    """Share of the ranks' variance that reconstructions explain, mean over columns."""
    from scipy.stats import spearmanr

    pairs = [(table[n].to_numpy(), again[n].to_numpy()) for n in table.columns]
    return float(np.mean([0 if b.std() == 0 else spearmanr(a, b)[0] ** 2 for a, b in pairs]))


def silent_text(n_epochs: int, found: dict[str, Any]) -> str:
    lines = [
        "## Units that fall silent",
        "",
        f"Cards, {N_SILENT_ROWS:,} rows, {n_epochs} epochs. A unit is active if the mean of its "
        "code has a variance above 0.01 over rows (Burda et al. 2016). Explained: squared rank "
        "correlation of a column with its reconstruction, mean over columns.",
        "",
        "| setting | active units | divergence, nats | explained |",
        "|---|---:|---:|---:|",
    ]
    for name, r in found.items():
        lines.append(
            f"| {name} | {r['active']} of {r['units']} | {r['kl']:.2f} | {r['explained']:.2f} |"
        )
    return "\n".join(lines)


def report(found: dict[str, Any], options: argparse.Namespace) -> str:
    import polars as pl

    intro = (
        "# Variational autoencoder\n\n`PEERS_PYTHON=… python benchmarks/vae.py`: one thread, "
        f"{platform.machine()}, torch {torch.__version__}, polars {pl.__version__}."
    )
    parts = [
        intro,
        speed_text(found["speed"]),
        silent_text(options.silent_epochs, found["silent"]),
        digits_text(found["digits"]),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=50, help="of the digits")
    parser.add_argument("--silent-epochs", type=int, default=30)
    parser.add_argument("--only", choices=("speed", "silent", "digits"))
    parser.add_argument("--partial", type=Path, default=Path("runs/vae.json"))
    parser.add_argument("--way", choices=list(FITS), help=argparse.SUPPRESS)
    parser.add_argument("--table", choices=list(TABLES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        return work(options.way, options.table)
    torch.set_num_threads(1)
    found: dict[str, Any] = {"speed": {}, "silent": {}, "digits": {}}
    if options.partial.exists():
        found |= json.loads(options.partial.read_text())

    def save() -> None:
        kept = json.loads(options.partial.read_text()) if options.partial.exists() else {}
        merged = {part: {**kept.get(part, {}), **values} for part, values in found.items()}
        options.partial.write_text(json.dumps(merged))

    RESULTS.mkdir(exist_ok=True)
    if options.only in (None, "speed"):
        speed(options.repetitions, found["speed"], save)
    if options.only in (None, "silent"):
        silent_part(options.silent_epochs, found["silent"], save)
    if options.only in (None, "digits"):
        digits_part(options.epochs, found["digits"], save)
    if options.partial.exists():
        found |= json.loads(options.partial.read_text())
    text = report(found, options)
    (RESULTS / "vae.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
