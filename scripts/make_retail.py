"""Make the shop's log that ships with the package from the public table "Online Retail".

Run it as ``python scripts/make_retail.py``; it reads ``online_retail.parquet`` in the folder that
THINFILE_DATA names and writes ``src/thinfile/data/files/retail_events.parquet``. The same input
gives the same table. What is kept stands in the README beside that file.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from thinfile.data.datasets import data_folder
from thinfile.data.retail import retail_path, with_group

N_CUSTOMERS = 1_500
RANDOM_STATE = 20_261_121
MAX_BYTES = 2_000_000


def make_retail(purchases: pl.DataFrame) -> pl.DataFrame:
    """Draw customers, and keep every line of theirs."""
    known = purchases.filter(pl.col("CustomerID").is_not_null())
    customers = known["CustomerID"].unique().sort().to_numpy()
    drawn = np.random.default_rng(RANDOM_STATE).choice(customers, N_CUSTOMERS, replace=False)
    chosen = known.filter(pl.col("CustomerID").is_in(drawn.tolist()))
    return with_group(chosen).select(
        pl.col("CustomerID").cast(pl.Int64),
        pl.col("InvoiceDate").cast(pl.Datetime("ms")),
        "StockCode",
        "Group",
        pl.col("Quantity").cast(pl.Int32),
        (pl.col("Quantity") * pl.col("UnitPrice")).round(2).cast(pl.Float32).alias("Amount"),
        "Country",
    )


def main() -> None:
    """Write the file, and say how large it is."""
    log = make_retail(pl.read_parquet(data_folder() / "online_retail.parquet"))
    log.write_parquet(retail_path(), compression="zstd", compression_level=19)
    size = retail_path().stat().st_size
    if size > MAX_BYTES:
        raise SystemExit(f"{retail_path().name} has {size} bytes, must be at most {MAX_BYTES}")
    print(f"{retail_path().name}: {log.height} rows, {size} bytes")


if __name__ == "__main__":
    main()
