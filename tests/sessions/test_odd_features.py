"""Summaries and scalers: odd values, binary forms whole and broken, and memory of very many groups."""

import itertools

from lib.corpus import ARRAYS, NUMBERS, RECORDS, VALUES, check_calls
from lib.pgwire import ServerError
from lib.processes import peak_memory

SCALERS = ("maxabs_scaler", "robust_scaler", "log1p_scaler", "yeo_johnson_scaler")


def test_summaries_and_scalers_never_give_an_internal_error(cluster):
    calls = []
    for array, other in itertools.product(ARRAYS, ARRAYS[:10]):
        rows = f"FROM (VALUES ({array}::float8[]), ({other}::float8[])) AS v (a)"
        quantiles, stats = f"(SELECT persona.feature_quantiles(a) {rows})", f"(SELECT persona.feature_stats(a) {rows})"
        calls += [f"persona.{scaler}(a) {rows}" for scaler in SCALERS]
        calls += [f"persona.scale((SELECT persona.{scaler}(a) {rows}), {array}::float8[])" for scaler in SCALERS]
        calls += [f"persona.unscale(persona.quantile_scaler({quantiles}, 'normal'), {array}::float8[])",
                  f"persona.scale(persona.quantile_scaler({quantiles}), {array}::float8[])", f"persona.quantile_bins({quantiles}, 3)",
                  f"persona.impute({array}::float8[], {other}::float8[])", f"persona.zscore_outliers({array}::float8[], {stats})",
                  f"persona.iqr_outliers({array}::float8[], {quantiles})", f"persona.median({quantiles})"]
        calls += [f"persona.{read}({stats})" for read in ("mean", "stddev_pop", "stddev_samp", "skewness", "kurtosis", "feature_stats_rows")]
    for record in RECORDS:
        calls += [f"persona.feature_quantiles({record})", *(f"persona.{scaler}({record})" for scaler in SCALERS)]
    few = "(SELECT persona.feature_quantiles(ARRAY[spend, visits]) FROM customers)"
    stats = "(SELECT persona.feature_stats(ARRAY[spend, visits]) FROM customers)"
    for number in NUMBERS:
        calls += [f"persona.quantile({few}, {number})", f"persona.zscore_outliers('{{1,2}}', {stats}, {number})",
                  f"persona.iqr_outliers('{{1,2}}', {few}, {number})"]
        calls += [f"persona.minmax_scaler({stats}, {number}, {other})" for other in NUMBERS]
    for count in ("NULL", "0", "1", "2", "-1", "2147483647", "10000"):
        calls.append(f"persona.quantile_bins({few}, {count})")
        calls += [f"persona.{function}(x) OVER ({window}) FROM (VALUES ({number}::float8), (1), (NULL)) AS v (x)"
                  for function in ("zscore", "minmax", "robust") for window in ("", "ORDER BY x", "ROWS 1 PRECEDING EXCLUDE CURRENT ROW")]
        calls += [f"persona.winsorize(x, {number}, {other}) OVER () FROM (VALUES (1::float8), (2)) AS v (x)" for other in NUMBERS]
    for value in VALUES:
        calls += [f"({value})::text::persona.feature_quantiles", f"persona.quantile_scaler({few}, {value})"]
    check_calls(cluster, calls)


def test_values_are_copied_in_binary_form_and_broken_ones_are_refused(cluster):
    with cluster.connect() as session:
        session.query("""CREATE TABLE numbers AS SELECT (i * 37 % 1001)::float8 AS a, CASE WHEN i % 3 > 0 THEN i::float8 END AS b FROM generate_series(1, 3000) i;
            CREATE TABLE values_there AS SELECT persona.feature_stats(n) AS stats, persona.feature_quantiles(n) AS quantiles, persona.standard_scaler(n) AS scaler,
                persona.kmeans(ARRAY[a], 3) AS kmeans, persona.gaussian_mixture(ARRAY[a], 2) AS mixture FROM numbers n;
            CREATE TABLE values_back (LIKE values_there)""")
        path = cluster.directory / "values.bin"
        session.query(f"COPY values_there TO '{path}' (FORMAT binary); COPY values_back FROM '{path}' (FORMAT binary)")
        assert session.scalar("SELECT t::text = b::text FROM values_there t, values_back b")
        whole = path.read_bytes()
        refused = 0
        for place in range(21, len(whole), max(1, len(whole) // 400)):
            broken = bytearray(whole)
            broken[place] ^= 0x55
            path.write_bytes(broken)
            try:
                session.query(f"BEGIN; COPY values_back FROM '{path}' (FORMAT binary); SELECT values_back::text FROM values_back; ROLLBACK")
            except ServerError as error:
                assert error.sqlstate.startswith(("22", "54", "53")), f"byte {place}: {error}"
                session.query("ROLLBACK")
                refused += 1
        assert refused > 20, f"only {refused} broken values were refused"


def test_summaries_of_very_many_groups_spill(cluster):
    """A quarter of a million groups of eight features stay within twice the hash table's memory and 100 MB."""
    hash_memory = 16 << 20
    for summary in ("feature_stats", "feature_quantiles"):
        with cluster.connect(options="-c work_mem=16MB -c hash_mem_multiplier=1 -c enable_sort=off -c max_parallel_workers_per_gather=0") as session:
            session.query("CREATE TEMPORARY TABLE many AS SELECT i % 250000 AS g, i::float8 AS a, sin(i) AS b FROM generate_series(1, 500000) AS i; ANALYZE many")
            work = f"SELECT count(s) FROM (SELECT persona.{summary}(ARRAY[a, b, a, b, a, b, a, b]) AS s FROM many GROUP BY g) AS groups"
            plan = "\n".join(line for (line,) in session.rows(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {work}"))
            assert "HashAggregate" in plan and "Disk Usage" in plan, plan
            assert session.scalar(work) == 250_000
            peak = peak_memory(session.pid)
            assert peak <= 2 * hash_memory + (100 << 20), f"{summary}: {peak >> 20} MiB"
