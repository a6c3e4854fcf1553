"""Write the pages that are made from the code: methods, command line, list of files.

``python scripts/make_docs.py`` (or ``make docs``) writes ``docs/methods.md`` and ``docs/cli.md``,
and the list of files in ``docs/architecture.md``. A test fails while one of them is out of date.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable
from pathlib import Path

import click

from thinfile.cli.main import COMMANDS, group
from thinfile.methods import METHODS, MODELS, Method, Model

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "thinfile"
DOCS = ROOT / "docs"
WIDTH = 88
FAMILIES = {
    "baseline": "Baselines: what a practitioner would use instead",
    "tabular": "Networks on tables",
    "sequence": "Networks on histories of events",
    "transfer": "Transfer methods",
    "generative": "Generative models as classifiers",
    "anomaly": "Anomaly detection with a few labels",
}
NEEDS = {
    "source": "source labels",
    "target_labels": "target labels",
    "unlabelled_target": "target rows, no label needed",
    "aggregates": "event log: aggregates",
    "histories": "event log: histories",
    "one_table": "one table, few labelled events",
}
START, END = "<!-- files: made by scripts/make_docs.py -->", "<!-- end of files -->"


def pages() -> dict[Path, str]:
    """Every page that is made, by path."""
    architecture = DOCS / "architecture.md"
    return {
        DOCS / "methods.md": methods_page(),
        DOCS / "cli.md": cli_page(),
        architecture: with_files(architecture.read_text()),
    }


def methods_page() -> str:
    """The registry as tables, and what each class says of itself."""
    parts = [
        "# Methods",
        "Made by `scripts/make_docs.py` from `thinfile.methods`. "
        "`thinfile methods NAME` prints all about one method, its arguments included.",
        "Source: the old portfolio, whose outcomes are known. Target: the new one, which is to be "
        "scored. The group says what compares the methods: transfer and fraud "
        "`thinfile compare --group`, intent `thinfile intent`. "
        "How thinfile chooses among the methods stands in "
        "[the decision on it](decisions/choice-without-test-rows.md).",
    ]
    for family, title in FAMILIES.items():
        found = [method for method in METHODS.values() if method.family == family]
        parts += [f"## {title}", _table(found)]
    parts += [
        "## Models that are no classifiers",
        "Detectors score how unusual a row is, encoders give codes (`thinfile map`), generators "
        "make rows (`thinfile generate`). `thinfile fit` fits those that take a table.",
        _models_table(),
        "## When to use which, and when not",
    ]
    each = [*METHODS.values(), *MODELS.values()]
    classes = {known.estimator_class(): known for known in each}
    parts += [_about(known) for known in classes.values()]
    return "\n\n".join(parts) + "\n"


def cli_page() -> str:
    """The help of every command."""
    widths = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    root = group.make_context("thinfile", [], resilient_parsing=True, **widths)
    parts = [
        "# Command line",
        "Made by `scripts/make_docs.py` from the commands themselves.",
        "Exit codes: 0 done; 2 something is wrong with what was given, said in one line; 130 "
        "stopped by the user; 1 a fault of thinfile itself.",
        _as_text(root.get_help()),
    ]
    for name in COMMANDS:
        command = group.get_command(root, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=root)
        parts += [f"## thinfile {name}", _as_text(context.get_help())]
    return "\n\n".join(parts) + "\n"


def with_files(text: str) -> str:
    """The architecture page with its list of files renewed."""
    before, rest = text.split(START)
    after = rest.split(END)[1]
    return f"{before}{START}\n\n{files_list()}\n\n{END}{after}"


def files_list() -> str:
    """Every file of the package with the first line of its docstring, room by room."""
    rooms: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        first = _first_line(path)
        if first:
            room = path.parent.relative_to(PACKAGE).as_posix()
            rooms.setdefault("" if room == "." else f"{room}/", []).append(
                f"| `{path.name}` | {first} |"
            )
    head = "| file | what it is for |\n|---|---|\n"
    parts = [f"### `thinfile/{room}`\n\n{head}" + "\n".join(rows) for room, rows in rooms.items()]
    return "\n\n".join(parts)


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    sentence = " ".join(text.split("\n\n")[0].split())
    return sentence.replace("``", "`").replace("|", "\\|").removesuffix(".")


def _table(methods: Iterable[Method]) -> str:
    lines = ["| name | group | what it does | needs | paper |", "|---|---|---|---|---|"]
    for method in methods:
        needs = "; ".join(NEEDS[need] for need in NEEDS if need in method.needs)
        lines.append(
            f"| `{method.name}` | {method.group} | {method.summary} | {needs} | {method.paper} |"
        )
    return "\n".join(lines)


def _models_table() -> str:
    lines = ["| name | what it does | is a | paper |", "|---|---|---|---|"]
    for model in MODELS.values():
        roles = ", ".join(sorted(model.roles))
        lines.append(f"| `{model.name}` | {model.summary} | {roles} | {model.paper} |")
    return "\n".join(lines)


def _about(method: Method | Model) -> str:
    """What a class is and when it should not be used: its docstring up to the parameters."""
    cls = method.estimator_class()
    each = [*METHODS.values(), *MODELS.values()]
    names = [f"`{known.name}`" for known in each if known.path == method.path]
    text = (inspect.getdoc(cls) or "").split("\nParameters\n")[0].strip()
    plain = re.sub(r":\w+:`[~.]?([^`]+)`", r"`\1`", text).replace("``", "`")
    return f"### {cls.__name__}\n\nIn the registry: {', '.join(names)}.\n\n{plain}"


def _as_text(text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return f"```text\n{lines}\n```"


def write() -> None:
    """Write every page."""
    for path, text in pages().items():
        path.write_text(text)


if __name__ == "__main__":
    write()
