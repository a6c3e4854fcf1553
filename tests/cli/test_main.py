from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from thinfile._version import __version__
from thinfile.cli import main as module
from thinfile.errors import ThinfileWarning

Call = Callable[..., Any]


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_names_every_command(call: Call, arguments: list[str]) -> None:
    answer = call(*arguments)
    assert answer.code == 0
    for name, line in module.COMMANDS.items():
        assert name in answer.out
        assert line.split()[0] in answer.out


@pytest.mark.parametrize("name", list(module.COMMANDS))
def test_every_command_has_help(call: Call, name: str) -> None:
    answer = call(name, "--help")
    assert answer.code == 0
    assert answer.out.startswith(f"Usage: thinfile {name}")
    # The list of commands says what the command itself says, or shorter.
    command = import_module(f"thinfile.cli.{name.replace('-', '_')}").command
    assert command.help


def test_the_version_is_told(call: Call) -> None:
    assert __version__ in call("--version").out


def test_help_starts_at_once() -> None:
    """Heavy packages take seconds; help needs none of them."""
    code = (
        "import sys\n"
        "from thinfile.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'sklearn', 'polars', 'numpy', 'lightgbm', 'altair'}\n"
        "sys.stderr.write(','.join(sorted(heavy & set(sys.modules))))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr == ""


# Failures -----------------------------------------------------------------------------------------


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes `thinfile methods` raise an error."""

    def breaks(error: BaseException) -> None:
        @click.command()
        @click.option("--json", is_flag=True)
        def command(json: bool) -> None:
            raise error

        monkeypatch.setattr("thinfile.cli.methods.command", command)

    return breaks


Break = Callable[[BaseException], None]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_a_stop_is_130(call: Call, broken: Break, error: BaseException) -> None:
    broken(error)
    answer = call("methods")
    assert answer.code == 130
    assert answer.err.strip() == "thinfile: stopped; the same command goes on where it was"


def test_a_fault_of_our_own_is_1_and_says_how_to_see_it(
    call: Call, broken: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(RuntimeError("no luck"))
    answer = call("methods")
    assert answer.code == 1
    assert answer.err.startswith("thinfile: a fault of thinfile itself: RuntimeError: no luck.")
    assert "THINFILE_TRACEBACK=1" in answer.err
    record = json.loads(call("methods", "--json").err)
    assert record["exit_code"] == 1
    monkeypatch.setenv("THINFILE_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="no luck"):
        module.main(["methods"])


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file", "a\nb"), OSError("disk\n")])
def test_errors_of_the_system_are_one_line(call: Call, broken: Break, error: OSError) -> None:
    broken(error)
    answer = call("methods")
    assert answer.code == 2
    assert answer.err.count("\n") == 1


def test_a_warning_is_one_line(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = warnings.showwarning

    @click.command()
    def command() -> None:
        warnings.simplefilter("always")
        warnings.warn("letters look\nwrong", ThinfileWarning, stacklevel=1)

    monkeypatch.setattr("thinfile.cli.methods.command", command)
    answer = call("methods")
    assert answer.code == 0
    assert answer.err == "thinfile: letters look wrong (ThinfileWarning)\n"
    assert warnings.showwarning is before
