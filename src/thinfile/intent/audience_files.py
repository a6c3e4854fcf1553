"""An audience as files that belong together: the list, everybody's group, and what it was for."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from thinfile._version import __version__
from thinfile.artifact.atomic import writing
from thinfile.data.buys import Buys
from thinfile.data.events import EventColumns
from thinfile.errors import ArtifactError, ParameterError
from thinfile.intent.audience import CUSTOMER, GROUP, GROUPS, Audience

if TYPE_CHECKING:
    from thinfile.intent.recipe import Recipe

KIND, FORMAT = "thinfile audience", 1
SUFFIXES = (".parquet", ".csv")


@dataclass(frozen=True)
class AudiencePaths:
    """Names of the three files, from the name of the list."""

    audience: Path

    @property
    def groups(self) -> Path:
        """Group of every scored customer."""
        return self.audience.with_name(f"{self.audience.stem}.groups.parquet")

    @property
    def record(self) -> Path:
        """What the audience was for, and how it was drawn."""
        return self.audience.with_name(f"{self.audience.stem}.json")

    @property
    def all(self) -> list[Path]:
        """All three."""
        return [self.audience, self.groups, self.record]


@dataclass(frozen=True)
class Campaign:
    """What an audience was made for.

    Attributes
    ----------
    roles : EventColumns
        Columns of the log that it was scored from.
    buys : Buys
        The event that was predicted.
    cut : datetime
        The instant that the customers were seen from; UTC where the log had a zone.
    horizon, gap : timedelta
        The event was expected in [cut + gap, cut + gap + horizon).
    model : str
        Fingerprint of the model.
    """

    roles: EventColumns
    buys: Buys
    cut: datetime
    horizon: timedelta
    gap: timedelta
    model: str

    @classmethod
    def of(cls, recipe: Recipe, cut: datetime, model: str) -> Campaign:
        """The campaign of a model's recipe, seen from `cut`."""
        return cls(recipe.roles, recipe.buys, cut, recipe.horizon, recipe.gap, model)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "cut": self.cut.isoformat(),
            "buys": self.buys.to_dict(),
            "horizon_seconds": self.horizon.total_seconds(),
            "gap_seconds": self.gap.total_seconds(),
            "roles": self.roles.to_dict(),
            "model": self.model,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Campaign:
        """What `to_dict` wrote."""
        return cls(
            EventColumns.from_dict(record["roles"]),
            Buys.from_dict(record["buys"]),
            datetime.fromisoformat(record["cut"]),
            timedelta(seconds=record["horizon_seconds"]),
            timedelta(seconds=record["gap_seconds"]),
            str(record["model"]),
        )


@dataclass(frozen=True)
class SavedAudience:
    """What :func:`read_audience` found.

    Attributes
    ----------
    groups : polars.DataFrame
        ``customer`` and ``group`` of every scored customer.
    campaign : Campaign
    record : dict
        The whole record, with counts and seed.
    notes : tuple of str
        What the user should know of.
    """

    groups: pl.DataFrame
    campaign: Campaign
    record: dict[str, Any]
    notes: tuple[str, ...] = ()


def check_audience_path(path: str | Path) -> AudiencePaths:
    """Refuse a name that an audience cannot or must not be written to, before any work is done.

    Raises
    ------
    ParameterError
        If it ends in something else than .parquet or .csv, its folder is not there, or one of
        the three files exists and belongs to no audience.
    """
    paths = AudiencePaths(Path(path))
    if paths.audience.suffix not in SUFFIXES:
        raise ParameterError(f"out={str(path)!r} must end in .parquet or .csv")
    if not paths.audience.parent.is_dir():
        raise ParameterError(f"out={str(path)!r}: there is no folder {paths.audience.parent}")
    there = [each for each in paths.all if each.exists()]
    if there and not _is_record(paths.record):
        raise ParameterError(
            f"out={str(path)!r}: {there[0]} exists and is no audience; name another file"
        )
    return paths


def write_audience(audience: Audience, out: str | Path, campaign: Campaign) -> AudiencePaths:
    """Write an audience as three files, all or none.

    ``<out>`` is the list for the campaign (.parquet or .csv), ``<name>.groups.parquet`` holds the
    group of every scored customer, and ``<name>.json`` says what it was made for. An older
    audience of that name is replaced when the new one is whole; anything else is left alone.

    Parameters
    ----------
    audience : Audience
    out : path
        Ends in .parquet or .csv.
    campaign : Campaign

    Returns
    -------
    AudiencePaths

    Raises
    ------
    ParameterError
        As :func:`check_audience_path`.
    ArtifactError
        If the disk refuses; nothing is left behind.
    """
    paths = check_audience_path(out)
    contents = {
        paths.audience: _table_bytes(audience.table, paths.audience.suffix),
        paths.groups: _table_bytes(audience.groups, ".parquet"),
    }
    record = {
        "kind": KIND,
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "thinfile": __version__,
        **campaign.to_dict(),
        "counts": audience.counts,
        "holdout": audience.holdout,
        "random_state": audience.random_state,
        "lowest_probability": audience.table["probability"][-1],
        "notes": list(audience.notes),
        "files": {path.name: _sum(content) for path, content in contents.items()},
    }
    contents[paths.record] = json.dumps(record, indent=1, ensure_ascii=False).encode()
    with ExitStack() as stack:
        # The last to be opened gets its name first, so the list itself comes last.
        open_files = [(stack.enter_context(writing(path)), path) for path in contents]
        for temporary, path in open_files:
            temporary.write_bytes(contents[path])
    return paths


def read_audience(path: str | Path) -> SavedAudience:
    """Read who was picked, held out and left, and what for.

    Parameters
    ----------
    path
        The list that :func:`write_audience` wrote; the other two files lie beside it.

    Raises
    ------
    ArtifactError
        If a file is missing, is damaged, or is of another run than the others.
    """
    paths = AudiencePaths(Path(path))
    record = _read_record(paths)
    content = _read(paths.groups, paths)
    if _sum(content) != record["files"].get(paths.groups.name):
        raise ArtifactError(
            f"{paths.groups}: is not the file that {paths.record.name} was written with: it was "
            "changed, or is of another run"
        )
    groups = pl.read_parquet(io.BytesIO(content))
    try:
        campaign = Campaign.from_dict(record)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{paths.record}: is damaged: {error!r}") from error
    return SavedAudience(_checked_groups(groups, paths), campaign, record, _edits(paths, record))


def _read_record(paths: AudiencePaths) -> dict[str, Any]:
    if not paths.audience.exists():
        raise ArtifactError(f"{paths.audience}: no such file")
    content = _read(paths.record, paths)
    try:
        record = json.loads(content)
    except ValueError as error:
        raise ArtifactError(f"{paths.record}: is no JSON: it is damaged") from error
    if not isinstance(record, dict) or record.get("kind") != KIND:
        raise ArtifactError(f"{paths.record}: is no record of an audience")
    if record.get("format") != FORMAT or not isinstance(record.get("files"), dict):
        raise ArtifactError(
            f"{paths.record}: has the format {record.get('format')!r}, this version reads {FORMAT}"
        )
    return record


def _read(path: Path, paths: AudiencePaths) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{paths.audience}: {path.name} is not beside it: name the file that "
            "`thinfile audience` wrote, with its two companions"
        ) from error
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror}") from error


def _checked_groups(groups: pl.DataFrame, paths: AudiencePaths) -> pl.DataFrame:
    if groups.columns != [CUSTOMER, GROUP] or not groups[GROUP].is_in(GROUPS).all():
        raise ArtifactError(f"{paths.groups}: must hold customer and group, one of {GROUPS}")
    return groups


def _edits(paths: AudiencePaths, record: Mapping[str, Any]) -> tuple[str, ...]:
    """A list that was opened and saved elsewhere is no fault: groups are what was drawn."""
    if _sum(_read(paths.audience, paths)) == record["files"].get(paths.audience.name):
        return ()
    return (
        f"{paths.audience.name} was changed after it was written; customers count in the group "
        f"that they were drawn into ({paths.groups.name})",
    )


def _is_record(path: Path) -> bool:
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("kind") == KIND


def _table_bytes(table: pl.DataFrame, suffix: str) -> bytes:
    # Polars' own error for a full disk is no OSError, so the file is written by Python.
    buffer = io.BytesIO()
    if suffix == ".csv":
        table.write_csv(buffer)
    else:
        table.write_parquet(buffer)
    return buffer.getvalue()


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
