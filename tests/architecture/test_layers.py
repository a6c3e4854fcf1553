"""The house stands: floors, a light start, no pickle, short functions and files."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "thinfile").rglob("*.py"))
NAMES = [str(path.relative_to(ROOT / "src")) for path in SOURCES]
HEAVY = ("torch", "sklearn", "lightgbm", "altair", "onnx", "duckdb")
MAX_FUNCTION_LINES, MAX_FILE_LINES = 40, 400

every_source = pytest.mark.parametrize("path", SOURCES, ids=NAMES)


def test_a_part_imports_only_parts_below_it():
    command = Path(sys.executable).with_name("lint-imports")
    if not command.exists():
        pytest.skip("import-linter is not installed beside this Python")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "start",
    [
        "import thinfile; dir(thinfile)",
        "import thinfile.cli.main as m; m.main(['--help'])",
        "import thinfile.cli.main as m; m.main(['compare', '--help'])",
        "import thinfile.cli.main as m; m.main(['methods'])",
    ],
    ids=["import", "--help", "compare --help", "methods"],
)
def test_the_start_is_light(start):
    program = (
        f"import sys\ntry:\n    {start}\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print('loaded:', *[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].strip() == "loaded:"


@every_source
def test_nothing_can_run_code_out_of_a_file(path):
    """Pickle in any dress: a model's folder must not be able to execute anything."""
    found = sorted(_names(ast.parse(path.read_text())) & BANNED)
    assert not found, f"{path.name} uses {found}"


BANNED = {
    "pickle",
    "cloudpickle",
    "dill",
    "marshal",
    "shelve",
    "joblib.dump",
    "joblib.load",
    "torch.load",
    "torch.save",
    "eval",
    "exec",
}


def _names(tree: ast.AST) -> set[str]:
    """Modules imported, names imported from them, and calls as they are written."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call):
            found.add(ast.unparse(node.func))
    return found


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("import pickle", "pickle"),
        ("from pickle import loads", "pickle"),
        ("from torch import load", "torch.load"),
        ("import torch\ntorch.load('w')", "torch.load"),
        ("import joblib\njoblib.dump(1, 'f')", "joblib.dump"),
    ],
)
def test_the_check_for_pickle_sees_it(text, name):
    assert name in _names(ast.parse(text)) & BANNED


@every_source
def test_functions_and_files_are_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
    lengths = {f.name: _lines(f) for f in functions if not _only_assigns(f)}
    too_long = {name: n for name, n in lengths.items() if n > MAX_FUNCTION_LINES}
    assert not too_long, f"{path.name}: {too_long} lines without the docstring"


def _lines(function: ast.FunctionDef) -> int:
    """Lines from `def` to the end, without the docstring."""
    last = function.end_lineno or function.lineno
    lines = last - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def _only_assigns(function: ast.FunctionDef) -> bool:
    """A constructor as scikit-learn wants it: one line for each argument, nothing to read."""
    return function.name == "__init__" and all(
        isinstance(line, ast.Assign)
        and isinstance(line.value, ast.Name)
        and ast.unparse(line.targets[0]) == f"self.{line.value.id}"
        for line in function.body
    )
