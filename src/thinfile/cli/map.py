"""`thinfile map`: an explorable map of a table's rows as a model sees them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thinfile.cli.tables import json_option

if TYPE_CHECKING:
    import polars as pl

    from thinfile.latent_map.build import LatentMap


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("table")
@click.option("--color", "--colour", "colour", help="Column that colours the points at first.")
@click.option("--label", help="Column with the event; by default --color, where it is a label.")
@click.option("--event", metavar="VALUE", help="Label value that is the event.")
@click.option("--id", "id_column", help="Column that names the rows, to find them by.")
@click.option(
    "--method",
    type=click.Choice(["tsne", "umap"]),
    default="tsne",
    show_default=True,
    help="How rows are laid out.",
)
@click.option(
    "--perplexity",
    type=float,
    default=30.0,
    show_default=True,
    help="Of t-SNE; fewer rows take a lower one, which is said.",
)
@click.option(
    "--max-rows",
    type=click.IntRange(min=5),
    default=100_000,
    show_default=True,
    help="Larger tables are sampled; every event stays.",
)
@click.option(
    "--laid-out",
    type=click.IntRange(min=5),
    default=30_000,
    show_default=True,
    help="Rows laid out together; the others are placed among them.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("map.html"),
    show_default=True,
    help="Where to write the page.",
)
@click.option(
    "--save",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to keep the map in, so that later rows can be placed on it.",
)
@click.option(
    "--onto",
    type=click.Path(path_type=Path),
    help="Folder of a map that was saved: the rows are placed on it.",
)
@click.option("--random-state", type=click.IntRange(0), default=0, show_default=True)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Threads.")
@json_option
def command(
    model: Path, table: str, colour: str | None, out: Path, save: Path | None, onto: Path | None,
    as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Draw an explorable map of a table's rows as a model sees them.

    MODEL is a model's folder, a folder of versions (the newest is taken) or a run. TABLE holds raw
    rows as the model takes them. The page needs no network. It and the folder hold the rows
    themselves: treat them as you treat the table.
    """
    from thinfile.artifact.folder import load
    from thinfile.data.read import read_table
    from thinfile.latent_map.build import lowered_perplexity
    from thinfile.report.latent_map import write_map

    _check_out(out, table, save)
    fitted, rows = load(model), read_table(table)
    lowered = ""
    if onto is not None:
        made = _place(onto, fitted, rows, colour, options)
    else:
        made = _build(fitted, rows, colour, options)
        lowered = lowered_perplexity(made.layout, options["perplexity"])
    page = write_map(made, out, colour=colour, title=_title(made, table))
    if save is not None:
        from thinfile.latent_map.folder import save_map

        save_map(made, save)
    if lowered:
        click.echo(f"thinfile: {lowered}", err=True)
    _print(made, page, save, lowered, as_json=as_json)


def _build(
    fitted: Any, rows: pl.DataFrame, colour: str | None, options: dict[str, Any]
) -> LatentMap:
    from thinfile.latent_map.build import build_map, check_colour, colours_of
    from thinfile.latent_map.marks import could_be_label

    label, event = options["label"], options["event"]
    if colour is not None and colour != label:
        check_colour(colour, colours_of(fitted, rows, options["id_column"]))
    is_label = event is not None or (colour in rows.columns and could_be_label(rows[colour]))
    if label is None and is_label:
        label = colour
    if event is not None and label is None:
        raise click.UsageError("--event is a value of --label, which is not named")
    return build_map(
        fitted,
        rows,
        label=label,
        event=event,
        id_column=options["id_column"],
        max_rows=options["max_rows"],
        random_state=options["random_state"],
        n_jobs=options["jobs"],
        method=options["method"],
        perplexity=options["perplexity"],
        max_laid_out=options["laid_out"],
    )


def _place(
    onto: Path, fitted: Any, rows: pl.DataFrame, colour: str | None, options: dict[str, Any]
) -> LatentMap:
    from thinfile.latent_map.build import PLACED, check_colour, place_on
    from thinfile.latent_map.folder import load_map

    existing = load_map(onto)
    kept = {"label": options["label"], "event": options["event"], "id": options["id_column"]}
    changed = [
        f"--{name} {value} (the map: {existing.settings[name]})"
        for name, value in kept.items()
        if value is not None and value != existing.settings[name]
    ]
    if changed:
        raise click.UsageError(f"with --onto the map's own are taken: {', '.join(changed)}")
    if colour is not None and colour != existing.settings["label"]:
        check_colour(colour, [*existing.frame.columns, PLACED])
    return place_on(existing, fitted, rows, n_jobs=options["jobs"])


def _title(made: LatentMap, table: str) -> str:
    name = Path(table).name if not table.startswith("sql:") else "a query"
    return f"{name}: {len(made.rows):,} rows"


def _check_out(out: Path, table: str, save: Path | None) -> None:
    from thinfile.data.read import is_source
    from thinfile.errors import ParameterError

    if is_source(out, table) or (out.exists() and out.suffix.lower() not in (".html", ".htm")):
        raise ParameterError(f"--out {out} exists and is no page: name a file that ends in .html")
    if save is not None and save.is_dir() and any(save.iterdir()):
        raise ParameterError(f"--save {save} exists; name a folder that does not")


def _print(made: LatentMap, page: Path, save: Path | None, said: str, *, as_json: bool) -> None:
    events = None if made.label is None else int((made.label == 1).sum())
    if as_json:
        record = {
            "page": str(page),
            "megabytes": round(page.stat().st_size / 1e6, 2),
            "rows": len(made.rows),
            "events": events,
            "mapped": made.settings["what"],
            "notes": made.settings["notes"],
            "saved": None if save is None else str(save),
        }
        click.echo(json.dumps(record))
        return
    shown = (
        ""
        if events is None
        else f", {events:,} of them with {made.settings['label']} = {made.label_values[1]}"
    )
    click.echo(f"{len(made.rows):,} rows{shown}, by {made.settings['what']}")
    for note in made.settings["notes"]:
        if note != said:
            click.echo(f"  {note}")
    click.echo(f"{page} ({page.stat().st_size / 1e6:.1f} MB); open it in a browser")
    if save is not None:
        click.echo(f"{save}: place later rows on this map with --onto")
