"""The published DAN study repeated on made-up rows of its shape, beside plain models.

``python benchmarks/dan_reference.py`` writes ``benchmarks/results/dan_reference.md``. Each
repetition draws 6,500 source rows (1,000 bad), 5,150 target rows (350 bad) and 291 columns, and
1,500 further source rows that nobody trains on. The network has the study's settings; the same
run is read as published and without choosing the checkpoint on test rows. Boosted trees, random
forest and logistic regression see the source alone.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import vl_convert

from thinfile.data.synthetic import make_transfer
from thinfile.methods import METHODS
from thinfile.metrics.ranking import ks, roc_auc
from thinfile.report.figures.training import training_figures
from thinfile.report.subject import Subject
from thinfile.transfer.reference import TARGET, Reading, ReferenceResult, Study, run_reference

RESULT = Path(__file__).parent / "results" / "dan_reference.md"
CURVES = RESULT.with_name("dan_reference_curves.svg")
BATCH_SIZE = 512
PLAIN = {
    "boosted_source": "boosted trees, source only",
    "forest_source": "random forest, source only",
    "logistic_source": "logistic regression, source only",
}
READINGS = {
    "picked_on_test": "checkpoint picked on the test rows (as published)",
    "cross_fitted": "picked on one half, read on the other",
    "picked_on_source": "picked on source rows set aside",
    "last": "last checkpoint",
}
Results = dict[str, list[Reading]]


def draw(seed: int, covariate_shift: float, concept_shift: float) -> Study:
    made = make_transfer(
        n_source=8_000,
        source_rate=1_000 / 6_500,
        covariate_shift=covariate_shift,
        concept_shift=concept_shift,
        random_state=seed,
    )
    return Study.split(
        made.source, made.target, made.label, n_source_validation=1_500, random_state=seed
    )


def read_plain(name: str, study: Study, seed: int) -> Reading:
    model = METHODS[name].build(target_domain=TARGET, target_rate=None, random_state=seed)
    hidden = np.where(study.domain == TARGET, -1, study.y)
    model.fit(study.table, hidden, domain=study.domain)
    score = model.predict_proba(study.target)[:, 1]
    y, rows = study.target_y, study.validation
    return Reading(
        roc_auc(y[rows], score[rows]), ks(y[rows], score[rows]), roc_auc(y, score), ks(y, score)
    )


def repeat(seed: int, arguments: argparse.Namespace) -> tuple[Results, ReferenceResult]:
    study = draw(seed, arguments.covariate_shift, arguments.concept_shift)
    result = run_reference(study, random_state=seed)
    plain_network = run_reference(study, random_state=seed, mmd_weight=0.0)
    readings: Results = {}
    for kind, words in READINGS.items():
        readings[f"DAN, {words}"] = [getattr(result, kind)]
        readings[f"the same network without MMD, {words}"] = [getattr(plain_network, kind)]
    for name, title in PLAIN.items():
        readings[title] = [read_plain(name, study, seed)]
    return readings, result


def table(results: Results) -> str:
    published = np.array([r.auc for r in results[f"DAN, {READINGS['picked_on_test']}"]])
    lines = [
        "| model | AUC, 30 % | KS, 30 % | AUC, whole target | KS, whole target "
        "| AUC of DAN as published minus this | runs in which DAN as published is above |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, readings in results.items():
        values = np.array([[r.auc, r.ks, r.whole_auc, r.whole_ks] for r in readings])
        gap = published - values[:, 0]
        cells = " | ".join(f"{value:.3f}" for value in values.mean(0))
        lines.append(f"| {name} | {cells} | {gap.mean():+.3f} | {(gap > 0).sum()} of {len(gap)} |")
    return "\n".join(lines)


def draw_curves(arguments: argparse.Namespace) -> None:
    """Losses and validation of one run, as the report draws them for a finished comparison."""
    study = draw(0, arguments.covariate_shift, arguments.concept_shift)
    result = run_reference(study, random_state=0)
    n_steps = math.ceil(len(study.source_y) / BATCH_SIZE)  # in an epoch
    records = [{**r, "epoch": r["step"] / n_steps} for r in result.history]
    finished = SimpleNamespace(histories={("dan", 0): records})
    board = [{"method": "dan", "family": "transfer"}]
    subject = Subject(finished, 0, "dan", board, [], {"dan": "DAN"})  # type: ignore[arg-type]
    figure = training_figures(subject)[0]
    svg = vl_convert.vegalite_to_svg({**figure.still, "background": "white", "padding": 12})
    CURVES.write_text(svg, encoding="utf-8")
    print(f"{result}\n{figure.alt}\nwrote {CURVES.name}")


def page(results: Results, n_seeds: int, arguments: argparse.Namespace, seconds: float) -> str:
    return f"""# The published DAN study, repeated

`python benchmarks/dan_reference.py --seeds {n_seeds}`: made-up rows of the study's shape
(covariate shift {arguments.covariate_shift}, concept shift {arguments.concept_shift}); means of
{n_seeds} repetitions, {seconds:.0f} CPU-seconds in all. The 30 % are the labelled rows of the
target. The study keeps the checkpoint with the best AUC on them and reports that AUC; the lines
below it show the same run without this choice.

{table(results)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--covariate-shift", type=float, default=0.5)
    parser.add_argument("--concept-shift", type=float, default=0.3)
    parser.add_argument("--curves", action="store_true", help="draw the curves of one run")
    arguments = parser.parse_args()
    if arguments.curves:
        return draw_curves(arguments)
    began = time.process_time()
    results: Results = {}
    for seed in range(arguments.seeds):
        readings, result = repeat(seed, arguments)
        print(f"seed {seed}, {result.n_checks} checks: {result}", flush=True)
        for name, reading in readings.items():
            results.setdefault(name, []).extend(reading)
    text = page(results, arguments.seeds, arguments, time.process_time() - began)
    print(text)
    RESULT.write_text(text)


if __name__ == "__main__":
    main()
