"""describe of a table of twelve columns of several types, beside a scan that sums them, and beside COPY and pandas."""

from frame import Row, interleave, seconds

NUMBERS = ["id", "visits", "score", "f0", "f1", "f2", "f3", "f4", "f5"]


def make_columns(bench):
    bench.sql(f"""CREATE TABLE IF NOT EXISTS columns AS
        SELECT m.id, (m.id * 7 % 23)::integer AS visits, (m.id * 31 % 90001)::integer AS score, a AS f0, b AS f1, c AS f2, d AS f3, e AS f4, f AS f5,
               converted = 1 AS converted, timestamptz '2024-01-01' + m.id * interval '37 seconds' AS seen, 'city ' || m.id % 200 AS city
        FROM mixture AS m""")
    bench.sql("VACUUM (ANALYZE, FREEZE) columns")


def describe(bench):
    make_columns(bench)
    took = interleave({
        "ours": lambda: bench.sql("SELECT * FROM persona.describe('columns')") and None,
        "sums": bench.aggregate(", ".join(f"sum({column})" for column in NUMBERS), "columns"),
        "peer": lambda: bench.peer.ask("describe", psql=bench.psql, table="columns")["seconds"],
    }, bench.repeats)
    yield Row("describe of 12 columns", seconds(took["ours"]), f"sum of 9 numeric columns {seconds(took['sums'])}", took["ours"] / took["sums"], 5)
    yield Row("describe of 12 columns", seconds(took["ours"]), f"COPY, pandas read_csv and describe {seconds(took['peer'])}",
              took["peer"] / took["ours"], 1, at_most=False)


BARS = [describe]
