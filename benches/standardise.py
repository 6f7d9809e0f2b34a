"""Summaries and scalers beside the built-in aggregates, and beside COPY, pandas and scikit-learn: 1 M x 8 and 1 M x 64."""

import time

from frame import SHORT, Row, interleave, seconds
from ours import COLUMNS

WIDE = [f"f{place}" for place in range(1, 65)]
TABLES = {"mixture": list(COLUMNS), "wide": WIDE}


def array(columns):
    return f"ARRAY[{', '.join(columns)}]"


def make_wide(bench):
    """A million rows of 64 columns, once a run."""
    columns = ", ".join(f"sin(id * {place}.37) * {place} AS {name}" for place, name in enumerate(WIDE, 1))
    bench.sql(f"CREATE TABLE IF NOT EXISTS wide AS SELECT id, {columns} FROM generate_series(1, {bench.rows}::bigint) AS id")
    bench.sql("VACUUM (ANALYZE, FREEZE) wide")


def summary(bench):
    make_wide(bench)
    for table, columns in TABLES.items():
        builtin = ", ".join(f"{function}({column})" for function in ("avg", "stddev_pop", "min", "max") for column in columns)
        took = interleave({"ours": bench.aggregate(f"persona.feature_stats({array(columns)})", table), "peer": bench.aggregate(builtin, table)},
                          SHORT * bench.repeats if table == "mixture" else bench.repeats)
        yield Row(f"feature_stats of {len(columns)} columns", seconds(took["ours"]), f"avg, stddev_pop, min, max {seconds(took['peer'])}",
                  took["ours"] / took["peer"], 0.8)


def summary_in_parallel(bench):
    make_wide(bench)
    bench.sql("SET parallel_leader_participation = off; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;"
              "SET min_parallel_table_scan_size = 0")
    for table, columns in TABLES.items():
        query = f"SELECT persona.feature_stats({array(columns)}) FROM {table}"

        # The planner has no use for a single worker, so it is made to take one: both pay for starting workers.
        def with_workers(count):
            def measure():
                bench.sql(f"SET max_parallel_workers_per_gather = {count}; SET debug_parallel_query = {'on' if count == 1 else 'off'}")
                began = time.perf_counter()
                bench.sql(query)
                return time.perf_counter() - began
            return measure

        # Other work on either core shows in two workers and not in one: the least of many tells what the plan can do.
        took = interleave({"one": with_workers(1), "two": with_workers(2)}, SHORT * bench.repeats, average=min)
        yield Row(f"feature_stats of {len(columns)} columns, two workers over one, least of many", seconds(took["two"]), f"one worker {seconds(took['one'])}",
                  took["one"] / took["two"], 1.7, at_most=False)
    bench.sql("RESET ALL; SET search_path = public")


def scale_and_write(bench):
    """Fitted, scaled and written into a table of its own."""
    make_wide(bench)
    for table, columns in TABLES.items():
        def ours():
            into = bench.fresh("scaled")
            return bench.timed(f"CREATE TABLE {into} AS SELECT id, persona.scale(scaler, {array(columns)}) AS features "
                               f"FROM {table}, (SELECT persona.standard_scaler({array(columns)}) AS scaler FROM {table}) AS fitted")

        def peer():
            into = bench.fresh("peer_scaled")
            bench.sql(f"CREATE TABLE {into} (id bigint, {', '.join(f'{column} float8' for column in columns)})")
            return bench.peer.ask("standard_scale", psql=bench.psql, table=table, columns=columns, into=into)["seconds"]

        took = interleave({"ours": ours, "peer": peer}, min(bench.repeats, 3) if table == "mixture" else 1, warm_up=False)
        yield Row(f"standard_scaler and scale of {len(columns)} columns, into a table", seconds(took["ours"]),
                  f"COPY, pandas, scikit-learn, COPY back {seconds(took['peer'])}", took["peer"] / took["ours"], 4, at_most=False)


BARS = [summary, summary_in_parallel, scale_and_write]
