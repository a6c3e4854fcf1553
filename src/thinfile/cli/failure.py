"""Whatever goes wrong becomes one line and an exit code."""

from __future__ import annotations

import json
import os

import click

from thinfile.errors import ThinfileError

BAD_INPUT, OUR_FAULT, STOPPED = 2, 1, 130


def report_failure(error: BaseException, *, as_json: bool = False) -> int:
    """Print one line on standard error and give the exit code."""
    code, text = _read(error)
    if not text:
        return code
    if as_json:
        click.echo(json.dumps({"error": text, "exit_code": code}), err=True)
    else:
        click.echo(f"thinfile: {text}", err=True)
    return code


def _read(error: BaseException) -> tuple[int, str]:
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return STOPPED, "stopped; the same command goes on where it was"
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code, ""
    if isinstance(error, click.ClickException):
        return BAD_INPUT, " ".join(error.format_message().split())
    if isinstance(error, ThinfileError | OSError):
        return BAD_INPUT, " ".join(str(error).split())
    if os.environ.get("THINFILE_TRACEBACK"):
        raise error
    kind = type(error).__name__
    return OUR_FAULT, (
        f"a fault of thinfile itself: {kind}: {error}. THINFILE_TRACEBACK=1 shows where; "
        "please report it"
    )
