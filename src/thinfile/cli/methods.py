"""`thinfile methods`: what there is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from thinfile.cli.tables import json_option

if TYPE_CHECKING:
    from thinfile.methods import Method, Model

MODEL = "model"
"""Group of what is no classifier: it is fitted by `thinfile fit`, and not compared."""


@click.command()
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the methods: what each needs, and its paper. With a NAME, all about that one.

    The group says what compares them: transfer and fraud `thinfile compare --group`, intent
    `thinfile intent`. Models (autoencoder, VAE, GANs) give no probability; `thinfile fit` fits
    them, `map` and `generate` use them.
    """
    from thinfile.methods import METHODS, MODELS, get_method

    if name:
        chosen = MODELS[name] if name in MODELS else get_method(name, [*METHODS, *MODELS])
        _tell(chosen, as_json=as_json)
        return
    known: list[Method | Model] = [*METHODS.values(), *MODELS.values()]
    records = [_record(each) for each in known]
    if as_json:
        click.echo(json.dumps(records))
    else:
        _print_table(records)


def _record(each: Method | Model) -> dict[str, Any]:
    from thinfile.methods import Method

    own = _of_method(each) if isinstance(each, Method) else _of_model(each)
    return {
        "name": each.name,
        "title": each.title,
        **own,
        "summary": each.summary,
        "paper": each.paper,
        "class": each.path.replace(":", "."),
    }


def _of_method(method: Method) -> dict[str, Any]:
    return {
        "group": method.group,
        "family": method.family,
        "roles": ["classifier"],
        "needs": sorted(method.needs),
        "params": dict(method.params),
    }


def _of_model(model: Model) -> dict[str, Any]:
    room = model.path.removeprefix("thinfile.").partition(".")[0]
    return {
        "group": MODEL,
        "family": room,
        "roles": sorted(model.roles),
        "needs": ["windows" if room == "sequence" else "one_table"],
        "params": {},
    }


def _tell(chosen: Method | Model, *, as_json: bool) -> None:
    record = _record(chosen)
    if as_json:
        click.echo(json.dumps(record))
        return
    import inspect

    for key, value in record.items():
        click.echo(f"{key:<8} {value}")
    click.echo("\n" + (inspect.getdoc(chosen.estimator_class()) or ""))


def _print_table(records: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for column in ("name", "group", "what it does", "needs", "paper"):
        table.add_column(column, no_wrap=column in ("name", "group"))
    for r in records:
        needs = ", ".join(r["needs"]).replace("_", " ")
        table.add_row(r["name"], r["group"], r["summary"], needs, r["paper"])
    console = Console()
    console.width = max(console.width, 120)
    console.print(table)
