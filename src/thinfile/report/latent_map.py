"""The page of a map: one HTML file that needs no network."""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thinfile._version import __version__
from thinfile.latent_map.build import LatentMap, check_colour
from thinfile.latent_map.columns import MapColumn, columns_of
from thinfile.report.page import json_for_html, write_page

HERE = Path(__file__).parent
SCRIPTS = ("data", "draw", "island", "colour", "panel", "")
"""Parts of the page's script, in order; the last starts it."""

MAX_TABLE = 16_384
"""Distinct numbers up to which a column is stored as places in a table."""


def write_map(
    made: LatentMap,
    path: str | os.PathLike[str],
    *,
    colour: str | None = None,
    title: str | None = None,
) -> Path:
    """Write a map as one HTML page that can be explored without a network.

    The page holds every column of the rows: treat it as you treat the table. Numbers are kept
    with 32 bits, which is about seven digits.

    Parameters
    ----------
    made
        The map.
    path
        File to write; its folder is made. A page that is there is replaced whole or not at all.
    colour : str, optional
        Column that colours the points when the page opens; the label by default.
    title : str, optional

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    DataError
        If `colour` is no column of the map.
    ArtifactError
        If the file cannot be written.
    """
    return write_page(render_map(made, colour=colour, title=title), path)


def render_map(made: LatentMap, *, colour: str | None = None, title: str | None = None) -> str:
    """The page as text; see `write_map`."""
    columns = columns_of(made.frame, made.roles)
    title = title or f"Map of {len(made.rows):,} rows"
    blobs, descriptions = _blobs(made, columns)
    meta = _meta(made, descriptions, title, _colour_choice(made, columns, colour))
    script = _script()
    parts = {
        "title": html.escape(title),
        "what": html.escape(_what(made)),
        "notes": "".join(f"<p>{html.escape(_sentence(n))}</p>" for n in made.settings["notes"]),
        "css": (HERE / "latent_map.css").read_text("utf-8"),
        "footer": f"Made by thinfile {__version__}. This page is complete and loads nothing.",
        "blobs": "\n".join(blobs),
        "meta": json_for_html(meta),
        "script": script,
        "script_hash": _hash(script),
    }
    template = (HERE / "latent_map.html").read_text("utf-8")
    # One pass, so that nothing in the data is taken for a place to fill.
    return re.sub(r"\{\{ (\w+) \}\}", lambda found: parts[found[1]], template)


def _what(made: LatentMap) -> str:
    method = {"tsne": f"t-SNE (perplexity {made.layout.perplexity:g})", "umap": "UMAP"}
    return f"{method[made.layout.method]} of {made.settings['what']}."


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}."


def _colour_choice(made: LatentMap, columns: list[MapColumn], colour: str | None) -> str:
    if colour is None or colour == made.settings["label"]:
        return "label" if made.label is not None or not columns else "0"
    names = [column.name for column in columns]
    check_colour(colour, names)
    return str(names.index(colour))


def _meta(
    made: LatentMap, columns: list[dict[str, Any]], title: str, colour: str
) -> dict[str, Any]:
    return {
        "title": title,
        "n": len(made.rows),
        "k": made.neighbours.shape[1],
        "farthest": float(made.distances.max(initial=0.0)),
        "label": made.label is not None,
        "labelName": made.settings["label"],
        "labelValues": list(made.label_values),
        "kept": made.kept,
        "id": made.ids is not None,
        "idName": made.settings["id"],
        "colour": colour,
        "columns": columns,
    }


def _blobs(made: LatentMap, columns: list[MapColumn]) -> tuple[list[str], list[dict[str, Any]]]:
    blobs = [
        _blob("positions", made.positions.astype(np.float32)),
        _blob("rows", made.rows.astype(np.int32)),
        _blob("neighbours", made.neighbours.astype(np.int32)),
        _blob("distances", _sixteen_bits(made.distances)),
    ]
    if made.label is not None:
        blobs.append(_blob("label", (made.label + 1).astype(np.uint8)))
    if made.ids is not None:
        blobs.append(_text_blob("ids", made.ids))
    descriptions = []
    for place, column in enumerate(columns):
        arrays = dict(_column_arrays(column))
        blobs += [_blob(f"{name}-{place}", array) for name, array in arrays.items()]
        descriptions.append(
            {
                "name": column.name,
                "kind": column.kind,
                "role": column.role,
                "words": column.words,
                "cuts": column.cuts,
                "table": "table" in arrays,
            }
        )
    return blobs, descriptions


def _column_arrays(column: MapColumn) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """The column, or its places in a table of distinct values where those are few."""
    if column.kind == "category":
        yield "column", column.values
        return
    distinct, places = np.unique(column.values, return_inverse=True)
    if len(distinct) > MAX_TABLE:
        yield "column", column.values
        return
    yield "column", places.astype(np.uint8 if len(distinct) <= 256 else np.uint16)
    yield "table", distinct


def _sixteen_bits(distances: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    farthest = float(distances.max(initial=0.0)) or 1.0
    return np.rint(distances.astype(np.float64) / farthest * 65535).astype(np.uint16)


def _blob(name: str, array: npt.NDArray[Any]) -> str:
    """An array in the page: its bytes in planes, deflated, as text."""
    array = np.ascontiguousarray(array)
    width = array.dtype.itemsize
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    planes = little.reshape(-1, 1).view(np.uint8).reshape(-1, width).T
    kind = {"u1": "u1", "u2": "u2", "i4": "i4", "f4": "f4"}[f"{array.dtype.kind}{width}"]
    return _tag(name, kind, planes.tobytes())


def _text_blob(name: str, lines: list[str]) -> str:
    plain = "\n".join(line.replace("\n", " ") for line in lines)
    return _tag(name, "text", plain.encode())


def _tag(name: str, kind: str, content: bytes) -> str:
    text = base64.b64encode(zlib.compress(content, 6)).decode()
    return f'<script type="text/plain" id="blob-{name}" data-kind="{kind}">{text}</script>'


def _script() -> str:
    names = [f"latent_map_{part}.js" if part else "latent_map.js" for part in SCRIPTS]
    inner = "\n".join((HERE / name).read_text("utf-8") for name in names)
    return f'"use strict";\n(() => {{\n{inner}\n}})();\n'


def _hash(script: str) -> str:
    """What the page's security policy knows the script by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
