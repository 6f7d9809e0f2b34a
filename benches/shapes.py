"""dbscan and Gaussian mixtures in SQL, beside COPY, pandas and scikit-learn."""

from frame import Row, interleave, seconds

ROWS = 100_000
MIN_POINTS, K = 10, 8


def shapes(bench):
    bench.sql(f"DROP TABLE IF EXISTS flat; CREATE TABLE flat AS SELECT a, b FROM mixture ORDER BY id LIMIT {ROWS}")
    eps = bench.sql("SELECT 0.03 * stddev_pop(a) FROM flat").scalar()
    work = {
        "dbscan": f"SELECT count(DISTINCT s) FROM (SELECT persona.dbscan(ARRAY[a, b], {eps}, {MIN_POINTS}) OVER () AS s FROM flat) AS q",
        "gaussian_mixture": f"SELECT (persona.gaussian_mixture(ARRAY[a, b], {K})::text)::jsonb -> 'log_likelihood' FROM flat",
    }
    peers = {
        "dbscan": lambda: bench.peer.ask("dbscan", psql=bench.psql, table="flat", eps=eps, min_points=MIN_POINTS)["seconds"],
        "gaussian_mixture": lambda: bench.peer.ask("gaussian_mixture", psql=bench.psql, table="flat", k=K)["seconds"],
    }
    for name, query in work.items():
        took = interleave({"ours": lambda query=query: bench.timed(query), "peer": peers[name]}, min(bench.repeats, 3))
        yield Row(f"{name} of {ROWS // 1000} k x 2", seconds(took["ours"]), f"COPY, pandas, scikit-learn {seconds(took['peer'])}",
                  took["peer"] / took["ours"], 1, at_most=False)


BARS = [shapes]
