"""The console command: one file per command, imported when it is called."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from typing import Any

import click

from thinfile._version import __version__
from thinfile.cli.failure import report_failure

COMMANDS = {
    "compare": "Run every method and baseline on the same few labels and say what pays.",
    "intent": "Say who will buy a category next, from an event log, and which method pays.",
    "fit": "Fit one method and save it as a model.",
    "score": "Score a file with a saved model, in constant memory.",
    "audience": "Choose the customers most likely to buy, with reasons and a hold-out group.",
    "follow-up": "Compare what an audience did afterwards with its hold-out group and the rest.",
    "map": "Lay out the codes of a model as a map to explore, in one page.",
    "generate": "Make new rows like given ones, with a report on what they are good for.",
    "report": "Write the report page of a finished comparison again.",
    "methods": "List the methods: what each needs, and its paper.",
    "schema": "Look at what was inferred about a table's columns, and save it for correction.",
    "demo": "Compare all methods on the loans that ship with the package.",
    "completion": "Print the line that turns on completion in your shell.",
}


class _LazyGroup(click.Group):
    """Knows its commands by name and one line, so that --help imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"thinfile.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="thinfile")
def group() -> None:
    """Models of customers of whom little is known: with these few labels, what pays here?

    Start with `thinfile demo`, or `thinfile compare old.parquet new.parquet --label defaulted
    --labels 350 --out runs/new-product`.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit code 0, 2 for bad input, 130 if stopped, 1 for our own faults."""
    given = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    with warnings.catch_warnings():
        warnings.showwarning = _show_in_one_line
        try:
            code = group.main(given, prog_name="thinfile", standalone_mode=False) or 0
        except (Exception, KeyboardInterrupt) as error:
            code = report_failure(error, as_json="--json" in given)
    sys.exit(code)


def _show_in_one_line(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    click.echo(f"thinfile: {' '.join(str(message).split())} ({category.__name__})", err=True)
