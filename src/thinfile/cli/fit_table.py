"""`thinfile fit` for one table: methods for rare events, and models that need no label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from thinfile.schema.model import Schema


def is_for_one_table(name: str) -> bool:
    """Whether the registry has it as a method for rare events, or as a model without labels."""
    from thinfile.methods import METHODS, MODELS

    return name in MODELS or (name in METHODS and METHODS[name].group == "fraud")


def fit_one_table(
    name: str,
    tables: tuple[str, ...],
    label: str | None,
    event: str | None,
    out: Path,
    schema: Path | None,
    given: Mapping[str, Any],
    page: Path | None,
    ignore: Sequence[str] = (),
) -> dict[str, Any]:
    """Fit to all rows with all their labels, save a version, and say what was done.

    Parameters
    ----------
    name
        In the registry.
    tables
        One file.
    label, event
        Column of the label, which models without labels need not have, and its event.
    out
        Folder of versions.
    schema
        File of a corrected schema.
    given
        Arguments over the registry's.
    page
        Where to write the page of the model; None writes none.
    ignore
        Columns that the model does not see.
    """
    from thinfile.data.read import read_table
    from thinfile.methods import MODELS
    from thinfile.schema.model import Schema

    if len(tables) != 1:
        raise click.UsageError(f"{name} is fitted to one table, {len(tables)} were given")
    if label is None and name not in MODELS:
        raise click.UsageError(f"{name} needs --label, the column with the outcome")
    if label is None and event is not None:
        raise click.UsageError("--event needs --label")
    notes: list[str] = []
    table = _without(read_table(tables[0]), ignore)
    features, y = _read(table, label, event, notes)
    model = _build(name, Schema.load(schema) if schema else None, given, labelled=y is not None)
    model.fit(features) if y is None else model.fit(features, y)
    record = _saved(model, out, features, y)
    if page is not None:
        from thinfile.report.model import write_model_report

        title = f"{record['title']}: {Path(tables[0]).name}"
        record["page"] = str(write_model_report(model, page, features, title=title))
    return record | {"method": name, "notes": [*notes, *model.notes_]}


def _without(table: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """The table without the columns of those names, all of which must be there."""
    from thinfile.errors import DataError

    lacking = [name for name in names if name not in table.columns]
    if lacking:
        raise DataError(
            f"--ignore: {lacking[0]!r} is no column of the table; it has "
            f"{', '.join(table.columns[:12])}"
        )
    return table.drop(names)


def _read(
    table: pl.DataFrame, label: str | None, event: str | None, notes: list[str]
) -> tuple[pl.DataFrame, npt.NDArray[np.int8] | None]:
    """Columns without the label; labels as 1, 0 and -1."""
    from thinfile.data.labels import read_labels
    from thinfile.errors import DataError

    if label is None:
        return table, None
    if label not in table.columns:
        raise DataError(
            f"label {label!r} is no column of the table; it has {', '.join(table.columns[:12])}"
        )
    y = read_labels(table[label], table[label].head(0), label, notes, event=event)
    return table.drop(label), y


def _build(name: str, schema: Schema | None, given: Mapping[str, Any], *, labelled: bool) -> Any:
    """The estimator, unfitted; a VAE that is told labels can then be asked for one."""
    from thinfile.methods import MODELS, get_method

    common: dict[str, Any] = {"schema": schema, "device": "cpu"}
    if labelled and name in MODELS:
        common["condition"] = "label"
    known = (MODELS if name in MODELS else {name: get_method(name)})[name]
    names = known.estimator_class()._get_param_names()
    arguments = {each: value for each, value in common.items() if each in names} | dict(given)
    if name not in MODELS:
        return get_method(name).build(**arguments)
    return _built(MODELS[name].estimator_class(), name, arguments)


def _built(cls: Any, name: str, arguments: dict[str, Any]) -> Any:
    """A model that is no classifier, unless it takes windows or an argument it has not."""
    from thinfile.errors import ParameterError

    if cls.__module__.startswith("thinfile.sequence"):
        raise click.UsageError(
            f"{name} is fitted to windows of series, not to a table: cut them in Python with "
            "thinfile.data.windows.make_windows"
        )
    known = cls._get_param_names()
    unknown = [each for each in arguments if each not in known]
    if unknown:
        raise ParameterError(
            f"{name} has no argument {', '.join(map(repr, unknown))}; it has {', '.join(known)}"
        )
    return cls(**arguments)


def _saved(
    model: Any, out: Path, features: pl.DataFrame, y: npt.NDArray[np.int8] | None
) -> dict[str, Any]:
    from thinfile.artifact.fingerprint import fingerprint
    from thinfile.artifact.folder import save_version
    from thinfile.estimator import Estimator

    is_classifier = isinstance(model, Estimator)
    version = save_version(
        model,
        out,
        reference=features if is_classifier else None,
        fingerprint=fingerprint(features, y),
    )
    record: dict[str, Any] = {"model": str(version), "title": type(model).__name__}
    record["n_rows"] = features.height
    for name, value in (("n_events", 1), ("n_others", 0), ("n_unlabelled", -1)):
        record[name] = None if y is None else int((y == value).sum())
    return record


def print_fit(record: Mapping[str, Any]) -> None:
    """What was fitted, in words."""
    told = f"{record['title']}: {record['n_rows']:,} rows"
    if record["n_events"] is not None:
        told += (
            f", {record['n_events']:,} events, {record['n_others']:,} others, "
            f"{record['n_unlabelled']:,} without a label"
        )
    click.echo(told)
    for note in record["notes"]:
        click.echo(f"  {note}")
    click.echo(f"Model: {record['model']}")
    if "page" in record:
        click.echo(f"Page: {record['page']}")
