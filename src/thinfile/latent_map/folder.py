"""A map as a folder, and back; nothing in the folder is ever executed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from thinfile.artifact.atomic import cannot_write, write_folder
from thinfile.artifact.manifest import FILE_NAME, make_manifest, read_contents, read_manifest
from thinfile.data.encode import Encoded
from thinfile.errors import ArtifactError
from thinfile.latent_map.build import LatentMap
from thinfile.latent_map.layout import Layout

KIND = "latent map"
ARRAYS, COLUMNS = "map.safetensors", "columns.parquet"
FORMAT = 1


def save_map(made: LatentMap, folder: str | Path) -> Path:
    """Write a map as one folder, whole or not at all.

    The folder holds the rows' columns: treat it as you treat the table.

    Parameters
    ----------
    made
        The map.
    folder
        Must not exist, or be empty.

    Raises
    ------
    ArtifactError
        If the folder exists or the disk refuses.
    """
    folder = Path(folder)
    columns = io.BytesIO()
    made.frame.write_parquet(columns)
    contents = {ARRAYS: save_arrays(_arrays(made)), COLUMNS: columns.getvalue()}
    parts: dict[str, Any] = {
        "class": KIND,
        "arguments": {},
        "state": _values(made),
        "metrics": {},
        "fingerprint": None,
        "onnx": {},
    }
    try:
        write_folder(folder, {**contents, FILE_NAME: make_manifest(parts, contents)})
    except FileExistsError as error:
        raise ArtifactError(f"{folder}: exists; name a folder that does not") from error
    except OSError as error:
        raise ArtifactError(cannot_write(folder, error)) from error
    return folder


def load_map(folder: str | Path) -> LatentMap:
    """Read a map from its folder.

    Raises
    ------
    ArtifactError
        If it is no map, of a newer format, damaged or changed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such folder")
    manifest = read_manifest(folder)
    if manifest["class"] != KIND or manifest["state"].get("format") != FORMAT:
        raise ArtifactError(f"{folder}: is no map of this format: it holds {manifest['class']!r}")
    contents = read_contents(folder, manifest)
    try:
        arrays = load_arrays(contents[ARRAYS])
        return _map(manifest["state"], arrays, pl.read_parquet(io.BytesIO(contents[COLUMNS])))
    except (SafetensorError, LookupError, TypeError, ValueError, pl.exceptions.PolarsError) as e:
        raise ArtifactError(f"{folder}: its parts do not fit: {' '.join(str(e).split())}") from e


def _arrays(made: LatentMap) -> dict[str, Any]:
    arrays = {
        "positions": made.layout.positions,
        "codes": made.layout.codes,
        "laid_out": made.layout.laid_out,
        "rows": made.rows,
        "neighbours": made.neighbours,
        "distances": made.distances,
        "numbers": made.encoded.numbers,
        "categories": made.encoded.codes,
    }
    if made.label is not None:
        arrays["label"] = made.label
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _values(made: LatentMap) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "method": made.layout.method,
        "perplexity": made.layout.perplexity,
        "seed": made.layout.seed,
        "ids": made.ids,
        "kept": made.kept,
        "roles": made.roles,
        "cardinalities": made.cardinalities,
        "settings": made.settings,
    }


def _map(values: dict[str, Any], arrays: dict[str, Any], frame: pl.DataFrame) -> LatentMap:
    layout = Layout(
        arrays["positions"],
        arrays["codes"],
        arrays["laid_out"],
        values["method"],
        values["perplexity"],
        values["seed"],
    )
    if len({len(arrays["positions"]), len(arrays["rows"]), frame.height}) > 1:
        raise ValueError("arrays and columns have different numbers of rows")
    return LatentMap(
        layout=layout,
        rows=arrays["rows"],
        ids=values["ids"],
        label=arrays.get("label"),
        kept=values["kept"],
        frame=frame,
        roles=values["roles"],
        neighbours=arrays["neighbours"],
        distances=arrays["distances"],
        encoded=Encoded(arrays["numbers"], arrays["categories"]),
        cardinalities=values["cardinalities"],
        settings=values["settings"],
    )
