"""A value that is read from a table beside the same value written in the statement: what it costs to be stored, row by row."""

from frame import Row, interleave, seconds

ROWS = 200_000
# Of each type: how the value is made, how a row is answered, and the size of the value, in levels or numbers.
TYPES = {
    "target_encoder": ("persona.target_encoder(level, y) FROM levels({size})", "persona.encode_target(v, level)", (2, 1_000, 100_000)),
    "categories": ("persona.categories(level) FROM levels({size})", "persona.ordinal(v, level)::float8", (2, 1_000, 4_096)),
    "scaler": ("persona.standard_scaler(array_agg_of(i, {size})) FROM generate_series(1, 1000) AS i", "(persona.scale(v, array_agg_of(i, {size})))[1]", (1, 64, 1_000)),
    "quantile_scaler": ("persona.quantile_scaler(persona.feature_quantiles(ARRAY[i::float8])) FROM generate_series(1, {size}) AS i", "(persona.scale(v, ARRAY[i::float8]))[1]", (2, 1_000, 100_000)),
    "kmeans": ("persona.kmeans(ARRAY[i::float8, i::bigint * i % 1009], {size}) FROM generate_series(1, 20000) AS i", "persona.segment(v, ARRAY[i::float8, i::bigint * i % 1009])::float8", (2, 64, 1_000)),
    "gaussian_mixture": ("persona.gaussian_mixture(ARRAY[(i % {size} * 100 + i % 7)::float8], {size}) FROM generate_series(1, 20000) AS i", "persona.segment(v, ARRAY[(i % {size} * 100)::float8])::float8", (2, 8, 64)),
}


def stored_values(bench):
    bench.sql(f"""
        DROP TABLE IF EXISTS asked; CREATE TABLE asked AS SELECT i, 'level ' || i % 100000 AS level FROM generate_series(0, {ROWS - 1}) AS i;
        ANALYZE asked;
        CREATE OR REPLACE FUNCTION levels(n integer, OUT level text, OUT y float8) RETURNS SETOF record LANGUAGE sql AS
            $$ SELECT 'level ' || i % n, (i * 7919 % 1000)::float8 FROM generate_series(0, greatest(n, 1000) - 1) AS i $$;
        CREATE OR REPLACE FUNCTION array_agg_of(i bigint, n integer) RETURNS float8[] LANGUAGE sql IMMUTABLE AS
            $$ SELECT array_fill(i::float8, ARRAY[n]) $$""")
    for name, (made, answer, sizes) in TYPES.items():
        for size in sizes:
            kept = bench.fresh("kept")
            bench.sql(f"CREATE TABLE {kept} AS SELECT {made.format(size=size)}".replace(" FROM ", " AS v FROM ", 1))
            literal, type_name = bench.sql(f"SELECT quote_literal(v::text), pg_typeof(v)::text FROM {kept}").rows[0]
            asked = answer.format(size=size)
            # Both of one join, which is no part of what a value costs.
            took = interleave({
                "ours": bench.aggregate(f"sum({asked})", f"asked, {kept}"),
                "peer": bench.aggregate(f"sum({asked.replace('(v,', f'({literal}::{type_name},')})", f"asked, {kept}"),
            }, min(bench.repeats, 3))
            yield Row(f"{name} of {size} from a table, {ROWS // 1000} k rows", seconds(took["ours"]), f"as a literal {seconds(took['peer'])}",
                      took["ours"] / took["peer"], 1.2)


BARS = [stored_values]
