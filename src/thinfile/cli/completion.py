"""`thinfile completion`: the line for the shell's start file."""

from __future__ import annotations

import click

LINES = {
    "bash": 'eval "$(_THINFILE_COMPLETE=bash_source thinfile)"',
    "zsh": 'eval "$(_THINFILE_COMPLETE=zsh_source thinfile)"',
    "fish": "_THINFILE_COMPLETE=fish_source thinfile | source",
}


@click.command()
@click.argument("shell", type=click.Choice(list(LINES)))
def command(shell: str) -> None:
    """Print the line that turns on completion in your shell."""
    click.echo(LINES[shell])
