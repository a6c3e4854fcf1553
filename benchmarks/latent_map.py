"""The map of 30,000 codes beside scikit-learn's t-SNE and UMAP, new rows placed on it, the page.

``python benchmarks/latent_map.py`` writes ``benchmarks/results/latent_map.md``. The codes are the
first 12 principal components of card transactions (all frauds, the rest drawn at random); every
way lays out the same 30,000 with perplexity 30 and 750 steps. Each way runs in a process of its
own, one thread; times are CPU time. What is done is kept in ``--kept``, so that a run that was
stopped goes on. Packages and browsers that are missing become a row that says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import polars as pl

from thinfile.data.datasets import data_folder
from thinfile.data.encode import Encoded
from thinfile.latent_map.build import LatentMap
from thinfile.latent_map.layout import Layout, lay_out
from thinfile.latent_map.neighbours import nearest_rows
from thinfile.report.latent_map import write_map

RESULT = Path(__file__).parent / "results" / "latent_map.md"
BROWSER = Path(__file__).parents[1] / "tests" / "report" / "latent_map" / "browser.py"
WIDTH, NEAREST, STEPS = 12, 15, 750
FPS_SECONDS = 4.0


def all_codes() -> tuple[np.ndarray, np.ndarray]:
    """Codes of every transaction, and which are frauds."""
    from sklearn.decomposition import PCA

    table = pl.read_parquet(data_folder() / "ulb_creditcard.parquet")
    numbers = table.drop("Time", "Class").to_numpy().astype(np.float64)
    scaled = np.clip((numbers - numbers.mean(axis=0)) / numbers.std(axis=0), -5, 5)
    codes = PCA(WIDTH, random_state=0).fit_transform(scaled).astype(np.float32)
    return codes, table["Class"].to_numpy() == 1


def drawn(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes to lay out, and 2,000 other rows to place."""
    codes, is_fraud = all_codes()
    draw, frauds = np.random.default_rng(0), np.flatnonzero(is_fraud)
    others = draw.choice(np.flatnonzero(~is_fraud), n_rows - len(frauds), replace=False)
    rows = np.sort(np.concatenate([frauds, others]))
    rest = np.setdiff1d(np.arange(len(codes)), rows)
    return codes[rows], codes[draw.choice(rest, 2000, replace=False)]


def kept_share(codes: np.ndarray, positions: np.ndarray) -> float:
    """Share of a row's 15 nearest codes that are among its 15 nearest on the map."""
    near, on_map = (nearest_rows(each, NEAREST)[0] for each in (codes, positions))
    return float(np.mean((near[:, :, None] == on_map[:, None, :]).any(axis=2)))


def timed(step: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    return step(), time.process_time() - start


def run_thinfile(codes: np.ndarray, new: np.ndarray) -> dict[str, float]:
    import openTSNE  # noqa: F401

    layout, cpu = timed(lambda: lay_out(codes, n_iter=STEPS - 250))
    found = {"cpu": cpu, "kept": kept_share(codes, layout.positions)}
    _, found["place_cpu"] = timed(lambda: layout.place(new[:1000]))
    places, found["place_2000_cpu"] = timed(lambda: layout.place(new))
    near, on_map = (
        nearest_rows(base, NEAREST, queries=queries)[0]
        for base, queries in ((codes, new), (layout.positions, places))
    )
    found["place_kept"] = float(np.mean((near[:, :, None] == on_map[:, None, :]).any(axis=2)))
    return found


def run_open_tsne(codes: np.ndarray, new: np.ndarray) -> dict[str, float]:
    from openTSNE import TSNE

    model = TSNE(perplexity=30, n_iter=STEPS - 250, n_jobs=1, random_state=0)
    embedding, cpu = timed(lambda: model.fit(codes.astype(np.float64)))
    found = {"cpu": cpu, "kept": kept_share(codes, np.asarray(embedding, dtype=np.float32))}
    places, found["place_cpu"] = timed(lambda: embedding.transform(new[:1000].astype(np.float64)))
    near, on_map = (
        nearest_rows(np.asarray(base, dtype=np.float32), NEAREST, queries=queries)[0]
        for base, queries in ((codes, new[:1000]), (embedding, np.asarray(places)))
    )
    found["place_kept"] = float(np.mean((near[:, :, None] == on_map[:, None, :]).any(axis=2)))
    return found


def run_sklearn(codes: np.ndarray, new: np.ndarray) -> dict[str, float]:
    from sklearn.manifold import TSNE

    model = TSNE(perplexity=30, max_iter=STEPS, init="pca", random_state=0, n_jobs=1)
    positions, cpu = timed(lambda: model.fit_transform(codes.astype(np.float64)))
    return {"cpu": cpu, "kept": kept_share(codes, positions.astype(np.float32))}


def run_umap(codes: np.ndarray, new: np.ndarray) -> dict[str, float]:
    import umap  # noqa: F401

    layout, cpu = timed(lambda: lay_out(codes, method="umap"))
    return {"cpu": cpu, "kept": kept_share(codes, layout.positions)}


LAYOUTS = {
    "thinfile": ("thinfile `lay_out` (openTSNE's optimiser, exact neighbours)", run_thinfile),
    "open_tsne": ("openTSNE by itself", run_open_tsne),
    "sklearn": ("scikit-learn `TSNE` (Barnes–Hut)", run_sklearn),
    "umap": ('thinfile `lay_out(method="umap")`', run_umap),
}


def page_map(n_rows: int) -> LatentMap:
    """A map of the size asked for with real columns; places and neighbours are made up."""
    table = pl.read_parquet(data_folder() / "ulb_creditcard.parquet")
    draw = np.random.default_rng(0)
    rows = np.sort(draw.choice(table.height, n_rows, replace=False))
    table = table[rows]
    columns = [f"V{place}" for place in range(1, WIDTH)] + ["Amount"]
    centres = draw.uniform(-90, 90, (60, 2))
    positions = (centres[draw.integers(0, 60, n_rows)] + draw.normal(0, 5, (n_rows, 2))).astype(
        "f4"
    )
    return LatentMap(
        layout=Layout(positions, positions, np.arange(n_rows), "tsne", 30.0, 0),
        rows=rows,
        ids=[f"tx-{row:06d}" for row in rows],
        label=table["Class"].to_numpy().astype(np.int8),
        kept=1.0,
        frame=table.select(*columns, "Class"),
        roles=dict.fromkeys(columns, "feature") | {"Class": "label"},
        neighbours=draw.integers(0, n_rows, (n_rows, 10)).astype(np.int32),
        distances=np.sort(draw.gamma(4, size=(n_rows, 10)), axis=1).astype(np.float32),
        encoded=Encoded(positions, np.zeros((n_rows, 0), dtype=np.int32)),
        cardinalities=[],
        settings={
            "label": "Class",
            "event": None,
            "id": "id",
            "model": "",
            "what": "",
            "notes": [],
        },
    )


def run_page(n_rows: int) -> dict[str, Any]:
    """Size of the page, and how it answers in headless Chromium without a graphics card."""
    with tempfile.TemporaryDirectory() as folder:
        made = page_map(n_rows)
        path, cpu = timed(lambda: write_map(made, Path(folder) / "map.html"))
        found: dict[str, Any] = {"cpu": cpu, "megabytes": path.stat().st_size / 1e6}
        browser = _browser_module()
        if browser is None or browser.find_browser() is None:
            return found
        for name, flags in (("gl", browser.WITH_GL), ("flat", browser.WITHOUT_GL)):
            with browser.browsing(*flags) as page:
                found |= {f"{name}_{key}": value for key, value in _look(page, path).items()}
    return found


def _look(page: Any, path: Path) -> dict[str, float]:
    start = time.perf_counter()
    page.open(path, part="#webgl")
    found: dict[str, float] = {"open_s": time.perf_counter() - start}
    before = page.run("latentMap.timing()")
    cpu = _cpu_of_descendants()
    # A drag moves the map; every move asks for a frame, as a hand's would.
    page.mouse("mousePressed", 400, 400)
    begun, step = time.perf_counter(), 0
    while time.perf_counter() - begun < FPS_SECONDS:
        step += 1
        page.mouse("mouseMoved", 400 + 150 * np.sin(step / 15), 400 + 90 * np.cos(step / 11))
    page.mouse("mouseReleased", 400, 400)
    seconds = time.perf_counter() - begun
    after = page.run("latentMap.timing()")
    frames = after["frames"] - before["frames"]
    found["fps"] = frames / seconds
    found["cpu_ms"] = 1000 * (_cpu_of_descendants() - cpu) / max(1, frames)
    found["script_ms"] = (after["script"] - before["script"]) / max(1, frames)
    page.key("0")
    found["lasso_ms"] = page.run(_LASSO)
    return found


def _cpu_of_descendants() -> float:
    """CPU seconds that the browser's processes, which this one started, have used so far."""
    parents, used = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (OSError, NotADirectoryError):
            continue
        parents[int(folder.name)] = int(fields[1])
        used[int(folder.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    own = {os.getpid()}
    while more := {each for each, parent in parents.items() if parent in own} - own:
        own |= more
    return sum(used[each] for each in own if each != os.getpid())


_LASSO = """(() => {
  const canvas = document.getElementById("points"), begun = performance.now();
  const send = (type, x, y) => canvas.dispatchEvent(new PointerEvent(type,
    {clientX: x, clientY: y, pointerId: 1, button: 0, shiftKey: true, bubbles: true}));
  canvas.setPointerCapture = () => {};
  send("pointerdown", 200, 200);
  for (const [x, y] of [[600, 220], [560, 600], [240, 560]]) send("pointermove", x, y);
  send("pointerup", 240, 560);
  return performance.now() - begun;
})()"""


def _browser_module() -> Any:
    if not BROWSER.exists():
        return None
    spec = importlib.util.spec_from_file_location("thinfile_browser", BROWSER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def run_way(way: str, n_rows: int, page_rows: int) -> dict[str, Any]:
    if way == "page":
        return run_page(page_rows)
    try:
        return LAYOUTS[way][1](*drawn(n_rows))
    except ImportError as error:
        return {"missing": " ".join(str(error).split())}


def measure(chosen: argparse.Namespace) -> dict[str, dict[str, Any]]:
    kept = Path(chosen.kept)
    found = json.loads(kept.read_text()) if kept.exists() else {}
    for way in (*LAYOUTS, "page"):
        if way in found:
            continue
        command = [sys.executable, __file__, "--way", way, "--rows", str(chosen.rows)]
        command += ["--page-rows", str(chosen.page_rows)]
        limit = (chosen.limit, chosen.limit)
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_CPU, limit),
        )
        if done.returncode in (-signal.SIGKILL, -signal.SIGXCPU):
            found[way] = {"at_least": chosen.limit}
        else:
            done.check_returncode()
            found[way] = json.loads(done.stdout.splitlines()[-1])
        kept.write_text(json.dumps(found, indent=1))
        print(way, found[way], flush=True)
    return found


def version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"{package} not installed"


def write(found: dict[str, dict[str, Any]], chosen: argparse.Namespace) -> str:
    packages = ", ".join(map(version, ("openTSNE", "scikit-learn", "umap-learn", "numpy")))
    lines = [
        "# Map of the latent space",
        "",
        f"`python benchmarks/latent_map.py`: {chosen.rows:,} × {WIDTH} (principal components of "
        f"card transactions), perplexity 30, {STEPS} steps, one thread, CPU time, one process "
        f"each; {platform.machine()}, Python {platform.python_version()}, {packages}. Kept: share "
        f"of a row's {NEAREST} nearest codes that are among its {NEAREST} nearest on the map.",
        "",
        "| layout | CPU-s | thinfile is faster by | neighbours kept |",
        "|---|---:|---:|---:|",
    ]
    own = found["thinfile"].get("cpu")
    for way, (title, _) in LAYOUTS.items():
        one = found[way]
        if "missing" in one:
            lines.append(f"| {title} | not installed | | |")
        elif "at_least" in one:
            ratio = f"> {one['at_least'] / own:.1f} ×" if own else ""
            lines.append(f"| {title} | > {one['at_least']:.0f}, stopped | {ratio} | |")
        else:
            ratio = f"{one['cpu'] / own:.1f} ×" if own and way != "thinfile" else ""
            lines.append(f"| {title} | {one['cpu']:.1f} | {ratio} | {one['kept']:.3f} |")
    if "note" in found:
        lines += ["", found["note"]]
    return "\n".join(
        [
            *lines,
            *_placing(found),
            *_page(found["page"], chosen),
            *_page_words(),
            *_words(found),
            "",
        ]
    )


def _placing(found: dict[str, dict[str, Any]]) -> list[str]:
    lines = [
        "",
        "New rows on the finished map (2,000 that it has not seen; kept: of a new row's 15 nearest "
        "codes among the map's rows):",
        "",
        "| placing | CPU-s per 1,000 | rows per CPU-s | neighbours kept |",
        "|---|---:|---:|---:|",
    ]
    for way, title in (("thinfile", "thinfile `Layout.place`"), ("open_tsne", "openTSNE's own")):
        one = found[way]
        if "place_cpu" not in one:
            lines.append(f"| {title} | not measured | | |")
        else:
            # Of a call with more rows, the fixed part (the field of the map) is a smaller one.
            n_rows, cpu = (
                (2000, one["place_2000_cpu"])
                if "place_2000_cpu" in one
                else (1000, one["place_cpu"])
            )
            lines.append(
                f"| {title} | {1000 * cpu / n_rows:.2f} | {n_rows / cpu:,.0f} "
                f"| {one['place_kept']:.3f} |"
            )
    return lines


def _page(one: dict[str, Any], chosen: argparse.Namespace) -> list[str]:
    lines = [
        "",
        f"The page with {chosen.page_rows:,} rows × {WIDTH} columns, ids, labels and ten nearest "
        f"rows each: **{one['megabytes']:.1f} MB**, written in {one['cpu']:.1f} CPU-s. In headless "
        "Chromium without a graphics card (every pixel is drawn by the processor), 1,200 × 760, "
        f"with {os.getloadavg()[0]:.0f} processes running on {os.cpu_count()} processors:",
        "",
        "| drawing | opens in, s | frames per second while dragging | CPU per frame, ms | "
        "its script by the clock, ms | lasso with figures and rule, ms |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, title in (("gl", "WebGL (SwiftShader)"), ("flat", "2-D canvas, no WebGL")):
        if f"{name}_fps" not in one:
            lines.append(f"| {title} | no browser | | | | |")
        else:
            values = [
                one[f"{name}_{key}"] for key in ("open_s", "fps", "cpu_ms", "script_ms", "lasso_ms")
            ]
            shown = [f"{value:.1f}" for value in values[:4]] + [f"{values[4]:.0f}"]
            lines.append(f"| {title} | {' | '.join(shown)} |")
    return lines


def _page_words() -> list[str]:
    return [
        "",
        "With a graphics card the points lie in its memory and a frame costs the page's script a "
        "tenth of a millisecond; frames per second above are those of processors that draw every "
        "point, shared with other work, and say nothing of a card. Without a card the page takes "
        "the 2-D canvas and draws 25,000 of the points, and every event, while the map moves; all "
        "of them at rest.",
    ]


def _words(found: dict[str, dict[str, Any]]) -> list[str]:
    own, other = found["thinfile"], found["sklearn"]
    if "cpu" not in own or "missing" in other:
        return []
    ratio = other.get("cpu", other.get("at_least")) / own["cpu"]
    verdict = "met" if ratio >= 2 else "missed"
    against = f" against {other['kept']:.3f}" if "kept" in other else "; the peer was stopped"
    return [
        "",
        f"The bar of twice scikit-learn's speed is {verdict}: {ratio:.1f} ×, with "
        f"{own['kept']:.3f} of the neighbours kept{against}.",
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=30_000)
    options.add_argument("--limit", type=int, default=1500, help="CPU-seconds after which to stop")
    options.add_argument("--page-rows", type=int, default=100_000)
    options.add_argument("--kept", default=f"{tempfile.gettempdir()}/latent_map_kept.json")
    options.add_argument("--way", choices=[*LAYOUTS, "page"])
    options.add_argument("--out", type=Path, default=RESULT)
    chosen = options.parse_args()
    if chosen.way:
        print(json.dumps(run_way(chosen.way, chosen.rows, chosen.page_rows)))
        return
    text = write(measure(chosen), chosen)
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
