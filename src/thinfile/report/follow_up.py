"""The follow-up as a folder: tables, a page that loads nothing, and a picture."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from thinfile._version import __version__
from thinfile.artifact.atomic import cannot_write, write_folder, writing
from thinfile.errors import ArtifactError, ParameterError
from thinfile.intent.audience import GROUPS, HOLD_OUT, PICKED, REST
from thinfile.intent.follow_up import CAMPAIGN, RANKING, FollowUp
from thinfile.intent.follow_up_words import (
    MEANING,
    difference,
    difference_ends,
    ends,
    figure,
    headline,
    lift,
    lift_ends,
    record_of,
    sentences,
    warnings,
    window,
)
from thinfile.intent.outcomes import Measure
from thinfile.report.card import Section
from thinfile.report.page import fill, require_packages
from thinfile.report.parts import Fact, Part
from thinfile.report.tables import Table, number, words
from thinfile.report.words import count

RECORD, PAGE, PICTURE = "follow-up.json", "report.html", "follow-up.png"
NAMES = {PICKED: "Picked", HOLD_OUT: "Held out", REST: "Rest"}


def check_follow_up_paths(folder: Path, picture: Path | None) -> None:
    """Refuse names that cannot be written to, before any work is done.

    Raises
    ------
    ParameterError
        If the folder is a file or holds anything, or the picture is no .png or has no folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ParameterError(f"--out {folder} exists; name a folder that does not, or an empty one")
    if picture is None:
        return
    if picture.suffix.lower() != ".png":
        raise ParameterError(f"--picture {picture} must end in .png")
    if picture.is_dir() or not (picture.parent.is_dir() or picture.parent == folder):
        raise ParameterError(f"--picture {picture} cannot be written: there is no such folder")


def write_follow_up(
    found: FollowUp,
    folder: str | Path,
    *,
    page: bool = True,
    picture: str | Path | None = None,
    about: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write a follow-up as a folder, whole or not at all.

    Parameters
    ----------
    found : FollowUp
    folder
        Must not exist, or be empty. It gets ``follow-up.json``, ``levels`` and ``contrasts`` as
        .parquet and .csv, ``customers.parquet`` and, with `page`, ``report.html`` and
        ``follow-up.png``.
    page : bool, default True
        Needs the packages of the extra ``report``.
    picture : path, optional
        Write the picture to this .png file too.
    about : mapping, optional
        What is known of the audience; put into the JSON file and shown on the page.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ParameterError
        As :func:`check_follow_up_paths`.
    ArtifactError
        If the disk refuses; nothing is left behind.
    MissingPackageError
        If a page or picture is wanted and a package for it is not installed.
    """
    folder, picture = Path(folder), Path(picture) if picture else None
    check_follow_up_paths(folder, picture)
    about = dict(about or {})
    record = {"thinfile": __version__, "audience": about, **record_of(found)}
    contents = {RECORD: json.dumps(record, indent=1, ensure_ascii=False, default=str).encode()}
    for name, table in (("levels", found.levels), ("contrasts", found.contrasts)):
        contents[f"{name}.parquet"] = _parquet(table)
        contents[f"{name}.csv"] = table.write_csv().encode()
    contents["customers.parquet"] = _parquet(found.customers)
    drawn = render_picture(found) if page or picture else b""
    if page:
        contents[PAGE] = render_follow_up(found, about=about).encode()
        contents[PICTURE] = drawn
    if picture is not None and picture.parent == folder:
        contents[picture.name] = drawn
    _write(folder, contents)
    written = [folder / name for name in contents]
    if picture is not None and picture not in written:
        with writing(picture) as temporary:
            temporary.write_bytes(drawn)
        written.append(picture)
    return written


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    try:
        write_folder(folder, contents)
    except FileExistsError as error:
        raise ArtifactError(f"{folder}: exists; name a folder that does not") from error
    except OSError as error:
        raise ArtifactError(cannot_write(folder, error)) from error


def _parquet(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


def render_picture(found: FollowUp) -> bytes:
    """All charts as one PNG."""
    require_packages()
    import vl_convert

    from thinfile.report.figures.follow_up import picture_spec

    png: bytes = vl_convert.vegalite_to_png(picture_spec(found, headline(found)), scale=2)
    return png


def render_follow_up(found: FollowUp, *, about: Mapping[str, Any] | None = None) -> str:
    """The page as text: complete in itself, charts as pictures and for the mouse."""
    require_packages()
    created = datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC")
    parts = [_verdict(found), _groups(found), _contrasts(found), _method(found, about or {})]
    return fill(parts, f"Follow-up: {found.what}", created)


def _verdict(found: FollowUp) -> Part:
    return Part(
        "verdict",
        "What became of the audience",
        headline=headline(found),
        sentences=sentences(found),
        facts=[*_group_facts(found), *_lift_facts(found)],
        warnings=warnings(found),
    )


def _group_facts(found: FollowUp) -> list[Fact]:
    measure, facts = found.measures[0], []
    for name in GROUPS:
        row = found.level("bought", name)
        if row is not None:
            between = ends(row["low"], row["high"], measure)
            note = f"{between} of {count(found.sizes[name])} customers"
            facts.append(Fact(f"{NAMES[name]}: bought", figure(row["value"], measure), note))
    return facts


def _lift_facts(found: FollowUp) -> list[Fact]:
    facts = []
    for question, title in ((CAMPAIGN, "Campaign"), (RANKING, "Ranking")):
        row = found.contrast("bought", question)
        if row is not None and row["lift"] is not None:
            note = f"{row['first']} / {row['second']}, {lift_ends(row)}"
            facts.append(Fact(f"{title}: times as many", lift(row["lift"]), note))
    return facts


def _groups(found: FollowUp) -> Part:
    from thinfile.report.figures.follow_up import level_figures

    return Part(
        "groups",
        "What each group did",
        sentences=["Bars: the group's figure. Lines: 95% intervals. Silent customers are zeros."],
        figures=level_figures(found),
        tables=[_level_table(found)],
    )


def _level_table(found: FollowUp) -> Table:
    present = [name for name in GROUPS if found.sizes[name]]
    rows = []
    for measure in found.measures:
        cells = [words(measure.title)]
        for name in present:
            row = found.level(measure.name, name) or {}
            between = ends(row.get("low"), row.get("high"), measure)
            value = row.get("value")
            cells.append(number(figure(value, measure), value, between or "too few"))
        rows.append(cells)
    headings = [f"{NAMES[name]} ({count(found.sizes[name])})" for name in present]
    return Table("Figures of the groups; intervals below them.", ["Measure", *headings], rows)


def _contrasts(found: FollowUp) -> Part:
    from thinfile.report.figures.follow_up import lift_figure

    told = lift_figure(found)
    return Part(
        "contrasts",
        "What the differences are due to",
        sentences=[
            f"Picked against hold-out is {MEANING[CAMPAIGN]}. Hold-out against rest is "
            f"{MEANING[RANKING]}. Picked against rest is both at once and proves neither.",
            "One interval in twenty misses by chance, so go by the measure that you chose "
            "beforehand; the first one is what the audience was made for.",
        ],
        figures=[told] if told else [],
        tables=[_contrast_table(found)],
    )


def _contrast_table(found: FollowUp) -> Table:
    measures = {measure.name: measure for measure in found.measures}
    rows = []
    for row in found.contrasts.to_dicts():
        measure: Measure = measures[row["measure"]]
        gap = difference(row["difference"], measure) + (
            " points" if measure.kind == "share" else ""
        )
        rows.append(
            [
                words(measure.title),
                words(f"{row['first']} / {row['second']}", row["question"]),
                number(lift(row["lift"]), row["lift"], lift_ends(row)),
                number(gap, row["difference"], difference_ends(row, measure)),
                words(row["verdict"]),
            ]
        )
    headings = ["Measure", "Groups", "Times as much", "Difference", "Told from chance"]
    return Table("Ratios and differences; intervals below them.", headings, rows)


def _method(found: FollowUp, about: Mapping[str, Any]) -> Part:
    said = [
        f"Window: {window(found)}.",
        "The hold-out group was drawn at random from the same best customers as the picked.",
        "A purchase is an event of the log; returns are none, and their money is taken off.",
        "Customers who do not occur in the window count as zeros.",
        "Shares: Wilson's interval, Newcombe's for differences, MOVER-R for ratios. Means: "
        "customers redrawn with replacement; no interval where fewer than five in a group did "
        "anything.",
    ]
    pairs = [(str(key), str(value)) for key, value in about.items()]
    sections = [Section("Measurement", said)]
    return Part(
        "method",
        "How it was measured",
        sections=[*sections, Section("Audience", (), pairs)] if pairs else sections,
    )
