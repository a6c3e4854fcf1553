"""What generators' rows are worth and give away, with two ends that must come out as such.

    python benchmarks/synthetic_data.py

Three tables: card defaults of the UCI (8,000 rows to learn from, 8,000 held out), German credit
(700 and 300), and the frauds among card transactions (344 to learn from, 148 held out; drawn at
random and not by time, so that the membership attacks see memory and nothing else). A VAE, a table
GAN (by default, and in the form that CTGAN was published in) and SMOTE learn the same rows; beside
them rows drawn again with replacement (a good likeness and no privacy) and columns drawn
independently (no likeness and no memory). Every set of made rows gets the report of
`thinfile generate`. CPU time, one thread. Writes `benchmarks/results/synthetic_data.md`; finished
parts are kept in `runs/benchmarks/`, so that a run that was stopped goes on.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import importlib
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from thinfile.data.datasets import data_folder
from thinfile.data.row_hash import known, row_hashes
from thinfile.errors import ThinfileError
from thinfile.generative.tricks import CTGAN_TRICKS
from thinfile.schema.model import Schema
from thinfile.synthetic.condition import read_condition
from thinfile.synthetic.generate import make_rows
from thinfile.synthetic.judge import judge_synthetic
from thinfile.synthetic.raw_form import raw_form

RESULT = Path(__file__).parent / "results" / "synthetic_data.md"
PARTS = Path(__file__).parents[1] / "runs" / "benchmarks" / "synthetic_data.json"
GENERATORS = ("VAE", "TableGAN", "CTGAN's form", "SMOTE", "drawn again", "independent columns")
CLASSES = {
    "VAE": "thinfile.generative.vae:VAE",
    "TableGAN": "thinfile.generative.table_gan:TableGAN",
    "CTGAN's form": "thinfile.generative.table_gan:TableGAN",
    "SMOTE": "thinfile.generative.smote:SMOTE",
}
GERMAN = (
    "status duration history purpose amount savings employment rate personal guarantors residence "
    "property age plans housing credits job dependants telephone foreign bad"
)


@dataclass(frozen=True)
class Case:
    """A table with a part held out, and the kind of rows that are made."""

    name: str
    title: str
    real: pl.DataFrame
    holdout: pl.DataFrame
    label: str
    where: str | None
    n_made: int


def default_case(seed: int) -> Case:
    path = data_folder() / "uci_default_credit.csv.gz"
    table = pl.read_csv(path, infer_schema_length=None).drop("ID")
    table = table.rename({"default.payment.next.month": "default"})
    real, holdout = _parted(table, 8_000, 8_000, seed)
    return Case("default", "UCI card defaults", real, holdout, "default", None, 8_000)


def german_case(seed: int) -> Case:
    path = data_folder() / "german.data.gz"
    table = pl.read_csv(path, separator=" ", has_header=False, new_columns=GERMAN.split())
    table = table.with_columns(bad=pl.col("bad") - 1)
    real, holdout = _parted(table, 700, 300, seed)
    return Case("german", "German credit", real, holdout, "bad", None, 700)


def cards_case(seed: int) -> Case:
    table = pl.read_parquet(data_folder() / "ulb_creditcard.parquet").drop("Time")
    frauds, genuine = table.filter(pl.col("Class") == 1), table.filter(pl.col("Class") == 0)
    parts = [_parted(frauds, 344, 148, seed), _parted(genuine, 30_000, 40_000, seed)]
    real, holdout = (pl.concat([part[k] for part in parts]) for k in (0, 1))
    return Case("cards", "Frauds among cards", real, holdout, "Class", "Class == 1", 1_000)


def _parted(
    table: pl.DataFrame, n_real: int, n_held: int, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    order = np.random.default_rng(seed).permutation(table.height)
    return table[order[:n_real]], table[order[n_real : n_real + n_held]]


CASES: dict[str, Callable[[int], Case]] = {
    "default": default_case,
    "german": german_case,
    "cards": cards_case,
}


def build(generator: str, case: Case, epochs: int | None, seed: int) -> Any:
    """The generator, or None where this version of thinfile lacks it."""
    module, _, name = CLASSES[generator].partition(":")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        return None
    given: dict[str, Any] = {"random_state": seed}
    if generator == "VAE":
        given["device"] = "cpu"
        if case.where:
            given["condition"] = "label"
    if generator == "CTGAN's form":
        given |= {"tricks": CTGAN_TRICKS, "learning_rate": 2e-4, "dropout": 0.5}
    if epochs and generator != "SMOTE":
        given["max_epochs"] = epochs
    return cls(**given)


def make(generator: str, case: Case, epochs: int | None, seed: int) -> pl.DataFrame | None:
    """Made rows in the form of the table."""
    rng = np.random.default_rng(seed)
    kind = case.real
    if case.where:
        kind = kind.filter(read_condition(case.where).mask(kind))
    if generator == "drawn again":
        return kind[rng.integers(0, kind.height, case.n_made)]
    if generator == "independent columns":
        draws = [rng.integers(0, kind.height, case.n_made) for _ in kind.columns]
        return pl.DataFrame([kind[n][d] for n, d in zip(kind.columns, draws, strict=True)])
    model = build(generator, case, epochs, seed)
    if model is None:
        return None
    if case.where:
        return _conditioned(model, case, seed)
    # The label is a column like any other, so that its law is learnt with the rest.
    model.fit(case.real)
    parts = [_new(model, case, seed)]
    if parts[0].height < case.n_made:
        parts.append(_new(model, case, seed + 1))
    return pl.concat(parts).head(case.n_made)


def _new(model: Any, case: Case, seed: int) -> pl.DataFrame:
    """Rows of the model's law; without those that are a real row with the other label.

    The model knows its training rows with their label, `thinfile generate` looks at the rest.
    """
    typed = model.sample(case.n_made, random_state=seed)
    raw = raw_form(typed, model.schema_, case.real)[0].select(case.real.columns)
    schema = Schema.infer(case.real, label=case.label)
    hashes = np.unique(row_hashes(schema.parse(case.real).frame))
    return raw.filter(~known(schema.parse(raw).frame, hashes))


def _conditioned(model: Any, case: Case, seed: int) -> pl.DataFrame:
    features = case.real.drop(case.label)
    if type(model).__name__ == "TableGAN":
        # Of so few frauds it could learn nothing among 30,000 others: it learns them alone.
        kind = case.real.filter(read_condition(str(case.where)).mask(case.real))
        model.fit(kind.drop(case.label))
    else:
        model.fit(features, case.real[case.label].to_numpy())
    return make_rows(
        model,
        case.n_made,
        like=case.real,
        where=read_condition(str(case.where)),
        holdout=case.holdout,
        random_state=seed,
    ).table


def measure(case: Case, generator: str, epochs: int | None, seed: int) -> dict[str, Any] | None:
    """Every figure of one generator on one table; None where it is missing or fails."""
    began = time.process_time()
    try:
        made = make(generator, case, epochs, seed)
    except (ThinfileError, ValueError) as error:
        print(f"{case.name}/{generator} failed: {error}", flush=True)
        made = None
    seconds = time.process_time() - began
    if made is None:
        return None
    found = judge_synthetic(
        made,
        case.real,
        holdout=case.holdout,
        label=case.label,
        where=case.where,
        schema=Schema.infer(case.real, label=case.label),
        random_state=seed,
    )
    return {"seconds": seconds, **found.to_dict()}


def page(parts: dict[str, Any], command: str) -> str:
    """The tables in Markdown."""
    lines = [
        "# Made rows: likeness, use and privacy",
        "",
        f"`{command}`: CPU time, one thread; {platform.machine()}, Python "
        f"{platform.python_version()}, polars {pl.__version__}, numpy {np.__version__}. Each "
        "figure is from the report that `thinfile generate` writes; 95% intervals in brackets.",
        "",
        "- *Columns*: mean distance (Kolmogorov–Smirnov or total variation); *pairs*: mean "
        "difference of their strength; the first row has what other real rows get.",
        "- *Told apart*: AUC of boosted trees, made against real; 0.5 is not at all.",
        "- *Made alone*, *added*: average precision on the hold-out after training on made rows "
        "(of one class: in place of the real ones of it), and on real and made ones, less that of "
        "the real rows alone, paired.",
        "- *Near*: share of the made rows that lie nearer to a training row than 95% of other "
        "real rows do (5% expected).",
        "- *Attack*: AUC of the best membership attack, and the members found at 1% false alarms.",
    ]
    for name in CASES:
        own = {k.split("/")[1]: v for k, v in parts.items() if k.startswith(f"{name}/")}
        if own:
            lines += ["", *case_lines(name, own)]
    return "\n".join([*lines, "", *saying(parts)]) + "\n"


def case_lines(name: str, own: dict[str, Any]) -> list[str]:
    first = next(each for each in own.values() if each)
    rows, fidelity = first["rows"], first["fidelity"]
    other = fidelity["detection_holdout"]
    trained = first["usefulness"]["trained"]
    real = f"{trained[0]['ap']:.3f}" if trained else "–"
    lines = [
        f"## {first['title']}: {rows['real']:,} real rows, {rows['holdout']:,} held out, "
        f"{rows['made']:,} made",
        "",
        "| rows | fit and make, CPU-s | columns | pairs | told apart | made alone, AP | added, AP "
        "| copies | near | attack | found at 1% | verdict |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|",
        f"| other real rows | – | {fidelity['column_distance_holdout']:.3f} "
        f"| {fidelity['pair_difference_holdout']:.3f} "
        f"| {'–' if other is None else format(other['auc'], '.2f')} | real alone: {real} | – "
        f"| {first['privacy']['copies_holdout']:.1%} | 5.0% | – | – | – |",
    ]
    for generator in GENERATORS:
        if generator in own:
            lines.append(_line(generator, own[generator]))
    return lines


def _line(generator: str, found: dict[str, Any] | None) -> str:
    if found is None:
        return f"| {generator} | not installed, or failed |" + " |" * 10
    fidelity, privacy = found["fidelity"], found["privacy"]
    detection, attacks = fidelity["detection"], privacy["attacks"]
    gaps = {each["name"]: each["ap_gap"] for each in found["usefulness"]["trained"]}
    alone = next((gap for name, gap in gaps.items() if name.startswith("made")), None)
    near = (privacy["distances"] or {"near": {}})["near"].get("0.05")
    cells = [
        f"{found['seconds']:.1f}",
        f"{fidelity['column_distance']:.3f}",
        f"{fidelity['pair_difference']:.3f}",
        "–" if detection is None else f"{detection['auc']:.2f}",
        _gap(alone),
        _gap(gaps.get("real and made rows")),
        f"{privacy['n_copies'] / privacy['n_made']:.1%}",
        "–" if near is None else f"{near['value']:.1%}",
        _attack(attacks),
        f"{attacks[0]['found']:.1%}" if attacks and attacks[0]["found"] is not None else "–",
        f"{found['verdict']['likeness']}; {found['verdict']['risk']}",
    ]
    return f"| {generator} | {' | '.join(cells)} |"


def _gap(gap: list[float] | None) -> str:
    if gap is None:
        return "–"
    return f"{gap[0]:+.3f} ({gap[1]:+.3f} to {gap[2]:+.3f})".replace("-", "−")


def _attack(attacks: list[dict[str, Any]]) -> str:
    if not attacks:
        return "–"
    best = attacks[0]
    return f"{best['auc']:.2f} ({best['low']:.2f} to {best['high']:.2f})"


def saying(parts: dict[str, Any]) -> list[str]:
    """What the tables say in words, from the figures."""
    done = {key: found for key, found in parts.items() if found}
    cases = sorted({key.split("/")[0] for key in done}, key=list(CASES).index)
    copied = [c for c in cases if _risk(done.get(f"{c}/drawn again")) == "copies"]
    apart, lost = ([c for c in cases if test(done, c)] for test in (_is_worst, _loses_most))
    open_ = [c for c in cases if _is_most_attacked(done, c)]
    ends = [
        f"The end that must have the worst privacy, rows drawn again: copies found on "
        f"{len(copied)} of {len(cases)} tables; no attack on other rows gets further on "
        f"{len(open_)} of {len(cases)}{_missed(cases, open_)}.",
        f"The end that must have the worst likeness, independent columns: its pairs differ most "
        f"from the real ones on {len(lost)} of {len(cases)} tables{_missed(cases, lost)}; it is "
        f"the worst to train on in place of the real ones, by more than the interval, on "
        f"{len(apart)} of {len(cases)}{_missed(cases, apart)}: where single columns give the event "
        "away, as they do for card frauds, rows without any pairs train as well as real ones.",
    ]
    real = {k: v for k, v in done.items() if k.split("/")[1] in CLASSES}
    helped = [k for k, v in real.items() if _added(v)[1] > 0]
    harmed = [k for k, v in real.items() if _added(v)[2] < 0]
    risky = [f"{k} ({v['verdict']['risk']})" for k, v in real.items() if _is_risky(v)]
    seconds = [found["cpu_seconds"] for found in done.values()]
    return [
        "## What it says",
        "",
        *(f"- {line}" for line in ends),
        f"- Adding made rows to the real ones raised average precision in {len(helped)} of "
        f"{len(real)} cases beyond the interval"
        + (f" ({', '.join(helped)})" if helped else "")
        + f" and lowered it in {len(harmed)}"
        + (f" ({', '.join(harmed)})." if harmed else "."),
        f"- Some or a strong risk by near copies or attacks: {', '.join(risky) or 'none'}.",
        f"- The report itself took {min(seconds):.0f} to {max(seconds):.0f} CPU-s.",
    ]


def _risk(found: dict[str, Any] | None) -> str | None:
    return None if found is None else str(found["verdict"]["risk"])


def _is_worst(done: dict[str, Any], case: str) -> bool:
    """Whether independent columns lose most when trained on alone."""
    gaps = {
        key.split("/")[1]: each["ap_gap"]
        for key, found in done.items()
        if key.startswith(f"{case}/")
        for each in found["usefulness"]["trained"]
        if each["name"].startswith("made")
    }
    own = gaps.get("independent columns")
    return own is not None and own[2] < 0 and own[0] == min(gap[0] for gap in gaps.values())


def _loses_most(done: dict[str, Any], case: str) -> bool:
    """Whether the pairs of independent columns differ most, to three decimals."""
    own = {k.split("/")[1]: v for k, v in done.items() if k.startswith(f"{case}/")}
    lost = {name: round(found["fidelity"]["pair_difference"], 3) for name, found in own.items()}
    return lost.get("independent columns", -1.0) == max(lost.values())


def _is_most_attacked(done: dict[str, Any], case: str) -> bool:
    """Whether the best attack on rows drawn again gets as far as that on any others."""
    own = {k.split("/")[1]: v for k, v in done.items() if k.startswith(f"{case}/")}
    auc = {name: v["privacy"]["attacks"][0]["auc"] for name, v in own.items()}
    return auc.get("drawn again", 0.0) == max(auc.values())


def _missed(cases: list[str], right: list[str]) -> str:
    missed = [case for case in cases if case not in right]
    return f" (not on {', '.join(missed)})" if missed else ""


def _added(found: dict[str, Any]) -> list[float]:
    for each in found["usefulness"]["trained"]:
        if each["name"] == "real and made rows":
            gap: list[float] = each["ap_gap"]
            return gap
    return [0.0, 0.0, 0.0]


def _is_risky(found: dict[str, Any]) -> bool:
    return found["verdict"]["risk"] in ("copies", "strong", "some")


def main() -> None:
    """Measure every generator on every table, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--generators", default=",".join(GENERATORS))
    parser.add_argument("--epochs", type=int, help="Fewer than the networks' own, for a trial.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", type=Path, default=PARTS, help="Finished parts.")
    parser.add_argument("--again", action="store_true", help="Measure finished parts again.")
    given = parser.parse_args()
    parts = json.loads(given.parts.read_text()) if given.parts.exists() else {}
    for name in given.cases.split(","):
        case = CASES[name](given.seed)
        for generator in given.generators.split(","):
            key = f"{name}/{generator}"
            if parts.get(key) and not given.again:
                continue
            found = measure(case, generator, given.epochs, given.seed)
            parts[key] = None if found is None else {"title": case.title, **_short(found)}
            given.parts.parent.mkdir(parents=True, exist_ok=True)
            given.parts.write_text(json.dumps(parts))
            print(key, "done" if found else "not there", flush=True)
    epochs = f" --epochs {given.epochs}" if given.epochs else ""
    RESULT.write_text(page(parts, f"python benchmarks/synthetic_data.py{epochs}"))
    print(RESULT.read_text())


def _short(found: dict[str, Any]) -> dict[str, Any]:
    """The figures without the long lists."""
    for attack in found["privacy"]["attacks"]:
        attack.pop("curve", None)
    found["fidelity"] = {
        k: v for k, v in found["fidelity"].items() if k not in ("columns", "pairs")
    }
    return found


if __name__ == "__main__":
    main()
