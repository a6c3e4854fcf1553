"""The pages tell the truth: their commands run, their links lead somewhere, their trees are so.

What a page shows as ```python is executed, block after block, in an empty folder of its own.
Commands in ```console and ```sh blocks that begin with ``thinfile`` are run too. Where a reader
would wait for minutes, a comment in the page just above the block makes it short for the tests:

    <!-- test: files -->                 small old.parquet, new.parquet, new-month.parquet are there
    <!-- test: add --seeds 1 -->         each comparison of the block gets these options
    <!-- test: instead thinfile … -->    this command is run in place of the block
    <!-- test: skip, needs a server -->  the block is not run
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from thinfile.cli.main import main
from thinfile.data.datasets import split_demo

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
NOT_RUN = ("git", "cd", "pip", "python", "source", ".", "export")
"""Commands of a reader's shell that the tests leave out."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NOTE = re.compile(r"<!-- test: (\w+),? ?(.*?) ?-->\s*")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block, and what the comments just above it say to the tests."""

    page: Path
    line: int
    language: str
    text: str
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[str]:
        """Lines for the shell, continued ones joined, without prompts and output."""
        joined = self.text.replace("\\\n", " ")
        lines = [line.strip() for line in joined.splitlines()]
        if self.language == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return [line for line in lines if line and not line.startswith("#")]


def blocks_of(page: Path) -> list[Block]:
    """Fenced blocks of a page in their order."""
    text, found, end = page.read_text(), [], 0
    for fence in _FENCE.finditer(text):
        between, end = text[end : fence.start()], fence.end()
        line = text[: fence.start()].count("\n") + 1
        found.append(Block(page, line, fence[1], fence[2], _notes_above(between)))
    return found


def _notes_above(text: str) -> dict[str, str]:
    notes, end = {}, len(text.rstrip())
    for note in reversed(list(_NOTE.finditer(text))):
        if len(text[: note.end()].rstrip()) != end:
            break
        notes[note[1]], end = note[2], len(text[: note.start()].rstrip())
    return notes


RUN = [p for p in PAGES if any(b.language in ("python", "console", "sh") for b in blocks_of(p))]


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_what_a_page_shows_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks_of(page):
        if "files" in block.notes:
            _write_files(tmp_path)
        if "skip" in block.notes:
            assert block.notes["skip"], f"{block.where}: a block is skipped without a reason"
        elif "instead" in block.notes:
            _run_command(block.notes["instead"], block, capsys)
        elif block.language == "python":
            code = compile("\n" * block.line + block.text, block.where, "exec")
            exec(code, names)
        elif block.language in ("console", "sh"):
            for command in block.commands():
                _run_command(command, block, capsys)


def _write_files(folder: Path) -> None:
    """The loans that ship with the package, few enough for a test."""
    old, new = split_demo()
    new = new.sample(1500, seed=0)
    old.sample(2000, seed=0).write_parquet(folder / "old.parquet")
    new.head(1200).write_parquet(folder / "new.parquet")
    new.tail(300).drop("defaulted").write_parquet(folder / "new-month.parquet")


def _run_command(command: str, block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    program, *arguments = shlex.split(command, comments=True)
    if program == "make":
        assert set(arguments) <= _make_targets(), f"{block.where}: {command}"
    elif program == "thinfile":
        if arguments[0] in ("compare", "intent"):
            arguments += shlex.split(block.notes.get("add", ""))
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert not end.value.code, f"{block.where}: {command}\n{capsys.readouterr().err}"
    else:
        assert program in NOT_RUN, f"{block.where}: {command!r} is neither run nor known"


def _make_targets() -> set[str]:
    return set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in _LINK.findall(_without_blocks(page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor in _anchors(target), f"{page.name} links to {link}"


def test_every_file_in_docs_is_linked():
    linked = set()
    for page in PAGES:
        for link in _LINK.findall(page.read_text()):
            linked.add((page.parent / link.partition("#")[0]).resolve())
    files = {path for path in (ROOT / "docs").rglob("*") if path.is_file()}
    assert sorted(map(str, files - linked)) == []


def test_generated_pages_are_up_to_date():
    for path, text in _make_docs().pages().items():
        assert path.read_text() == text, f"{path.name}: run `make docs`"


def test_the_tree_in_the_readme_names_every_room():
    tree = _block_after("README.md", "## The house")
    named = set(re.findall(r"^  {2,4}([\w.]+)/? +\S", tree, re.MULTILINE))
    package = ROOT / "src" / "thinfile"
    rooms = {p.name for p in package.iterdir() if p.is_dir() and p.name != "__pycache__"}
    files = {p.name for p in package.glob("*.py")}
    assert named == rooms | files


def test_the_tree_in_the_readme_tells_folders_from_files():
    tree = _block_after("README.md", "## The house")
    for name, slash in re.findall(r"^ *([\w.]+)(/?) +\S", tree, re.MULTILINE):
        places = [ROOT / name, ROOT / "src" / "thinfile" / name]
        assert any(place.is_dir() if slash else place.is_file() for place in places), name


def test_the_floors_in_the_architecture_page_are_those_of_the_contract():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = settings["tool"]["importlinter"]["contracts"]
    shown = [
        line.strip() for line in _block_after("docs/architecture.md", "## Floors").splitlines()
    ]
    assert shown == contract["layers"]


def test_notes_belong_to_the_block_just_below_them(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- test: skip, far away -->\ntext\n<!-- test: files -->\n\n"
        "<!-- test: add --seeds 1 -->\n```sh\nthinfile compare a \\\n  b\n```\n\n"
        "```python\n1\n```\n"
    )
    first, second = blocks_of(page)
    assert first.notes == {"add": "--seeds 1", "files": ""}
    assert first.commands() == ["thinfile compare a    b"]
    assert (second.language, second.notes) == ("python", {})


def _block_after(page: str, heading: str) -> str:
    """Text of the first fenced block below a heading."""
    text = (ROOT / page).read_text()
    assert heading in text, f"{page} has no {heading!r}"
    fence = _FENCE.search(text, text.index(heading))
    assert fence
    return fence[2]


def _without_blocks(text: str) -> str:
    return _FENCE.sub("", text)


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", _without_blocks(page.read_text()), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


def _make_docs() -> ModuleType:
    path = ROOT / "scripts" / "make_docs.py"
    spec = importlib.util.spec_from_file_location("make_docs", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_docs"] = module
    spec.loader.exec_module(module)
    return module
