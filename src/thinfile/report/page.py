"""The report page: one HTML file that needs no network."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinfile._version import __version__
from thinfile.errors import ArtifactError, MissingPackageError
from thinfile.report.subject import subject_of

if TYPE_CHECKING:
    from thinfile.compare.result import Result
    from thinfile.report.figures.figure import Figure
    from thinfile.report.parts import Part

PACKAGES = {"altair": "altair", "vl_convert": "vl-convert-python", "jinja2": "jinja2"}
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Drawn:
    """A figure with its picture as a data address."""

    figure: Figure
    picture: str


def write_report(result: Result, path: str | os.PathLike[str]) -> Path:
    """Write the report of a comparison as one HTML page.

    The page holds its charts twice: as pictures, which need no script and print well, and as
    specifications that a browser turns into charts that answer the mouse. It loads nothing, and
    its security policy forbids any script but its own.

    Parameters
    ----------
    result
        A finished comparison.
    path
        File to write; its folder is made. A page that is there is replaced whole or not at all.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    MissingPackageError
        If altair, vl-convert or jinja2 is not installed.
    ArtifactError
        If the file cannot be written.
    """
    return write_page(render(result), path)


def write_page(page: str, path: str | os.PathLike[str]) -> Path:
    """Write a page whole or not at all.

    Raises
    ------
    ArtifactError
        If the file cannot be written.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(page, temporary, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise ArtifactError(f"report {str(target)!r} cannot be written: {error}") from error
    return target


def _write_whole(page: str, temporary: Path, target: Path) -> None:
    with temporary.open("w", encoding="utf-8") as file:
        file.write(page)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(target)


def render(result: Result) -> str:
    """The page as text; see `write_report`."""
    require_packages()
    from thinfile.report.parts import created, page_title, parts_of

    subject = subject_of(result)
    return fill(parts_of(subject), page_title(subject), created(subject))


def require_packages() -> None:
    """Refuse with the command that installs it where a package of the page is missing."""
    for module, package in PACKAGES.items():
        try:
            importlib.import_module(module)
        except ImportError:
            raise MissingPackageError(package, "report", "the report page") from None


def fill(parts: Sequence[Part], title: str, created: str) -> str:
    """The page of any parts, as text."""
    import jinja2
    from markupsafe import Markup

    library, script = _library(), (HERE / "page.js").read_text("utf-8")
    figures = [figure for part in parts for figure in part.figures]
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((HERE / "page.html").read_text("utf-8"))
    return template.render(
        title=title,
        created=created,
        parts=[_with_pictures(part) for part in parts],
        css=Markup((HERE / "page.css").read_text("utf-8")),
        specs=Markup(json_for_html({figure.name: figure.live for figure in figures})),
        library=Markup(library),
        script=Markup(script),
        script_hashes=Markup(" ".join(map(_script_hash, (library, script)))),
        footer=f"Made by thinfile {__version__}. This page is complete and loads nothing.",
    )


def _with_pictures(part: Part) -> Mapping[str, Any]:
    return {**vars(part), "figures": [Drawn(f, _picture(f.still)) for f in part.figures]}


def _picture(spec: dict[str, Any]) -> str:
    """An image of its own: names inside one drawing cannot meet those of another."""
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(spec)
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _library() -> str:
    """Vega, Vega-Lite and their embedding as one script."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def json_for_html(value: Any) -> str:
    """JSON that can stand inside a script element, whatever text it holds.

    Examples
    --------
    >>> json_for_html({"column": "</script>"})
    '{"column":"\\\\u003c/script\\\\u003e"}'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _script_hash(script: str) -> str:
    """What the page's security policy knows a script by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
