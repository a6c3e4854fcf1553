"""`thinfile methods`: what there is."""

from __future__ import annotations

import json

import click

from thinfile.cli.tables import json_option


@click.command()
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the methods: what each needs, and its paper. With a NAME, all about that one."""
    from thinfile.methods import METHODS, get_method

    chosen = [get_method(name)] if name else list(METHODS.values())
    records: list[dict[str, object]] = [
        {
            "name": m.name,
            "title": m.title,
            "family": m.family,
            "summary": m.summary,
            "needs": sorted(m.needs),
            "paper": m.paper,
            "class": m.path.replace(":", "."),
            "params": dict(m.params),
        }
        for m in chosen
    ]
    if as_json:
        click.echo(json.dumps(records[0] if name else records))
    elif name:
        import inspect

        for key, value in records[0].items():
            click.echo(f"{key:<8} {value}")
        click.echo("\n" + (inspect.getdoc(chosen[0].estimator_class()) or ""))
    else:
        _print_table(records)


def _print_table(records: list[dict[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from thinfile.methods import METHODS

    table = Table()
    for column in ("name", "what it does", "needs", "paper"):
        table.add_column(column, no_wrap=column == "name")
    for r in records:
        needs = ", ".join(sorted(METHODS[str(r["name"])].needs)).replace("_", " ")
        table.add_row(str(r["name"]), str(r["summary"]), needs, str(r["paper"]))
    console = Console()
    console.width = max(console.width, 110)
    console.print(table)
