"""A shop's log of purchases that ships with the package, and what its articles are."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import polars as pl

GROUPS = (
    "LUNCH BAG",
    "LUNCH BOX",
    "JUMBO BAG",
    "CHARLOTTE BAG",
    "JUMBO SHOPPER",
    "SHOPPER",
    "HOT WATER BOTTLE",
    "WATER BOTTLE",
    "CAKE CASES",
    "CAKE TINS",
    "CAKESTAND",
    "CAKE STAND",
    "BAKING",
    "COOKIE CUTTER",
    "RECIPE BOX",
    "KITCHEN SCALES",
    "JAM MAKING",
    "TEACUP",
    "TEAPOT",
    "COFFEE MUG",
    "MUG",
    "BOWL",
    "PLATE",
    "CUTLERY",
    "NAPKINS",
    "APRON",
    "T-LIGHT HOLDER",
    "NIGHT LIGHT",
    "CANDLE",
    "LANTERN",
    "METAL SIGN",
    "SIGN",
    "WALL CLOCK",
    "ALARM CLOCK",
    "CLOCK",
    "PHOTO FRAME",
    "PICTURE FRAME",
    "WALL ART",
    "DRAWER KNOB",
    "DOORMAT",
    "CUSHION",
    "HEART OF WICKER",
    "HANGING HEART",
    "HEART DECORATION",
    "CHRISTMAS",
    "BUNTING",
    "PAPER CHAIN",
    "RIBBON",
    "GIFT WRAP",
    "WRAP",
    "BIRTHDAY CARD",
    "CARD",
    "PLASTERS",
    "HAND WARMER",
    "TRINKET",
    "BUILDING BLOCK",
    "DOLLY GIRL",
    "PENCIL",
    "NOTEBOOK",
    "GARDEN",
    "BIRD ORNAMENT",
    "UMBRELLA",
    "BRACELET",
    "NECKLACE",
    "EARRINGS",
    "DOILY",
    "BOX",
    "TIN",
    "BAG",
    "POSTAGE",
)
"""Words in an article's description that make it one of a group; the first that is found counts."""

OTHER = "OTHER"


def retail_path() -> Path:
    """Where the shop's Parquet file lies; for commands that take a path."""
    return Path(str(files("thinfile") / "data" / "files" / "retail_events.parquet"))


def load_retail() -> pl.DataFrame:
    """Load the purchases of 1,500 customers of a British online shop over a year.

    Use it to try thinfile on an event log. What was kept stands in ``data/files/README.md`` of
    the package.

    Returns
    -------
    polars.DataFrame
        One row per line of an invoice: ``CustomerID``, ``InvoiceDate``, ``StockCode``,
        ``Group``, ``Quantity`` (below 0 is a return), ``Amount`` in pounds and ``Country``.

    Examples
    --------
    >>> log = load_retail()
    >>> "LUNCH BAG" in log["Group"].unique()
    True
    """
    return pl.read_parquet(retail_path())


def with_group(purchases: pl.DataFrame, description: str = "Description") -> pl.DataFrame:
    """Add the column ``Group``: what kind of article a description names.

    Examples
    --------
    >>> names = pl.DataFrame({"Description": ["LUNCH BAG RED RETROSPOT", "SOMETHING ELSE", None]})
    >>> with_group(names)["Group"].to_list()
    ['LUNCH BAG', 'OTHER', 'OTHER']
    """
    text = pl.col(description).str.to_uppercase().fill_null("")
    found = [
        pl.when(text.str.contains(group, literal=True)).then(pl.lit(group)) for group in GROUPS
    ]
    return purchases.with_columns(pl.coalesce(*found, pl.lit(OTHER)).alias("Group"))
