"""Fits: what they leave behind, what they say on their way, and that rows, parameters and seed decide the result."""

import random

from lib.large import LONG_WORK, make_large
from lib.processes import own_files, threads_of
from lib.tally import long, told

SETTINGS = {"max_worker_processes": "8", "max_parallel_workers": "8"}


def test_a_session_keeps_no_threads_and_no_descriptors(cluster):
    with cluster.connect() as session:
        make_large(session, 20_000, 500)
        for work in LONG_WORK.values():
            session.query(work)
        before = own_files(session.pid)
        for round in range(5):
            for work in LONG_WORK.values():
                session.query(work)
            session.error("SELECT FROM persona.fit_segments('bad', 'SELECT id, 1 / (id - 19000) AS x FROM points', 'id', 3)")
            assert threads_of(session.pid) == 1
        assert own_files(session.pid) == before, "descriptors are left open"


def test_a_long_fit_says_how_far_it_is(cluster):
    with cluster.connect() as session, cluster.connect() as other:
        make_large(session)
        session.query("SET persona.progress_interval = 1; SET client_min_messages = notice")
        session.notices.clear()
        session.send(LONG_WORK["fit_segments"].replace("n_init => 8", "n_init => 40"))
        seen = []
        while not session.ready(0.02):
            seen += other.query("SELECT phase, n_rows, done, total, rows_per_second, ends_by - clock_timestamp() FROM persona.activity").rows
        session.fetch()
        iterating = [row for row in seen if row[0] == "fitting" and row[2] > 0]
        assert iterating, seen[-3:]
        for _, n_rows, done, total, rows_per_second, _ in iterating:
            assert done <= total and n_rows > 0 and rows_per_second > 0
        assert all(row[5] is not None for row in iterating)
        said = [notice["M"] for notice in session.notices]
        assert any("persona: fitting: " in line and " at most, metric " in line for line in said), said


# Results -----------------------------------------------------------------------------------------------------------------


def test_kmeans_gives_means_and_sizes(cluster):
    with cluster.connect() as session:
        for name, source in SHAPES.items():
            session.query(f"DROP TABLE IF EXISTS t; CREATE TABLE t AS SELECT row_number() OVER () AS id, x::float8, y::float8 FROM ({source}) s")
            check_every_k(session, name)
        assert session.rows("SELECT persona.kmeans(ARRAY[x, y], 2) FROM t WHERE false") == [(None,)]


@long
def test_kmeans_gives_means_and_sizes_of_500_random_tables(cluster):
    """Of few rows and of many, of few values and of many, small, huge and far from 0."""
    chance = random.Random(21)
    with cluster.connect() as session:
        for number in range(500):
            n = chance.choice((1, 2, 3, chance.randint(4, 40), chance.randint(41, 400)))
            size, columns, is_grid, is_even = chance.randint(-60, 60), [], chance.random() < 0.8, chance.random() < 0.7
            for axis in (1, 2):
                # In a grid rows differ clearly or not at all: as many segments as distinct rows can be asked for.
                scale = 2.0 ** (size + chance.randint(-3, 3) if is_even else chance.randint(-60, 60))
                n_values, offset = chance.choice((1, 2, 3, 7, 50)), chance.choice((0, 0, 0, 1, -40, 1000))
                columns.append(f"({f'floor(random() * {n_values})' if is_grid else 'random()'} + {offset}) * {scale}::float8")
            session.query(f"SELECT setseed({chance.uniform(-1, 1)}); DROP TABLE IF EXISTS t;"
                          f"CREATE TABLE t AS SELECT i AS id, {columns[0]} AS x, {columns[1]} AS y FROM generate_series(1, {n}) AS i")
            # Features of very different sizes need scaling: unscaled, the smaller one is nothing beside the larger.
            check_every_k(session, f"table {number}, {n} rows of {columns}", is_grid, ("none", "standard") if is_even else ("standard",))
    told("500 tables, each with k = 1, 2, 3, as many as values, as many as rows, and more")


SHAPES = {
    "blobs": "SELECT (i % 3) * 50 + sin(i) AS x, (i % 3) * -20 + cos(i * 2) AS y FROM generate_series(1, 600) i",
    "duplicates": "SELECT (i % 4)::float8 AS x, (i % 2)::float8 AS y FROM generate_series(1, 200) i",
    "constant": "SELECT 7.25 AS x, -3::float8 AS y FROM generate_series(1, 50) i",
    "few": "SELECT i * 1.5 AS x, i * i::float8 AS y FROM generate_series(1, 7) i",
    "huge": "SELECT i * 1e30 AS x, sin(i) * 1e-30 AS y FROM generate_series(1, 100) i",
    "far": "SELECT 1e9 + i % 5 AS x, (i % 5)::float8 AS y FROM generate_series(1, 100) i",
    "one": "SELECT 5::float8 AS x, 6::float8 AS y",
}


def check_every_k(session, name, is_grid=True, scalings=("none", "standard")):
    n, distinct = session.rows("SELECT count(*), count(DISTINCT (x, y)) FROM t")[0]
    # Many rows can be one as f32: as many segments as rows only where they are few.
    for k in sorted({1, 2, 3} | ({distinct, n} if is_grid and n <= 200 else set())):
        for scaling in scalings:
            check_means(session, f"{name}, k = {k}, {scaling}", n, distinct, k, scaling)
    for too_many in (n + 1, 0, -1):
        assert session.error(f"SELECT persona.kmeans(ARRAY[x, y], {too_many}) FROM t").sqlstate == "22023"


def check_means(session, name, n, distinct, k, scaling):
    kmeans = f"""SELECT persona.kmeans(ARRAY[x, y], {k}, '{{"scaling": "{scaling}", "max_iterations": 1000}}') AS m FROM t"""
    if k > distinct:
        error = session.error(kmeans)
        assert error.sqlstate == "22023" and ("distinct" in error.message or "rows" in error.message), f"{name}: {error}"
        return
    session.query(f"DROP TABLE IF EXISTS m; CREATE TABLE m AS {kmeans}")
    sizes = [row[0] for row in session.rows("SELECT DISTINCT ON (segment) size FROM m, persona.centroids(m) ORDER BY segment")]
    assert len(sizes) == k and all(sizes) and sum(sizes) == n, f"{name}: sizes {sizes} of {n} rows"
    wrong = session.rows("""
        WITH labelled AS (SELECT persona.segment(m, ARRAY[x, y]) AS segment, x, y FROM t, m),
        means AS (SELECT segment, avg(x) AS x, avg(y) AS y, count(*) AS n FROM labelled GROUP BY 1),
        own AS (SELECT max(abs(x)) AS x, max(abs(y)) AS y FROM t),
        -- Unscaled features share one unit, and so the digits of the largest.
        spread AS (SELECT CASE WHEN unscaled THEN greatest(x, y) ELSE x END AS x, CASE WHEN unscaled THEN greatest(x, y) ELSE y END AS y
                   FROM own, (SELECT """ + str(scaling == "none") + """ AS unscaled) AS how)
        SELECT c.segment, c.feature, c.centroid, CASE WHEN c.feature = '1' THEN means.x ELSE means.y END AS mean, c.size, means.n
        FROM m CROSS JOIN persona.centroids(m) c JOIN means USING (segment) CROSS JOIN spread
        WHERE c.size <> means.n OR c.centroid = 'NaN'
           OR NOT abs(c.centroid - CASE WHEN c.feature = '1' THEN means.x ELSE means.y END)
                  <= 1e-6 * CASE WHEN c.feature = '1' THEN spread.x ELSE spread.y END""")
    assert not wrong, f"{name}: segment, feature, centroid, mean, size, rows: {wrong[:4]}"


def test_a_seed_decides_on_any_threads_workers_and_order(cluster):
    check_a_seed_decides(cluster, (1, 2, 4), (0, 2))


@long
def test_a_seed_decides_on_1_to_16_threads_and_0_to_8_workers(cluster):
    check_a_seed_decides(cluster, range(1, 17), range(9))


def check_a_seed_decides(cluster, all_threads, all_workers):
    with cluster.connect() as session:
        make_large(session, 20_000, 600)
        session.query("""
            SELECT setseed(0.5);
            CREATE TABLE points_shuffled AS SELECT * FROM points ORDER BY random();
            CREATE TABLE events_shuffled AS SELECT * FROM events ORDER BY random();
            CREATE TABLE points_clustered AS SELECT * FROM points;
            CREATE INDEX points_by_c ON points_clustered (c, d); CLUSTER points_clustered USING points_by_c;
            CREATE TABLE events_clustered AS SELECT * FROM events;
            CREATE INDEX events_by_item ON events_clustered (item_id); CLUSTER events_clustered USING events_by_item;
            ALTER TABLE points SET (parallel_workers = 8); ALTER TABLE points_shuffled SET (parallel_workers = 8);
            ALTER TABLE points_clustered SET (parallel_workers = 8); ANALYZE;
            SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;""")
        digests = {}
        for threads in all_threads:
            for workers in all_workers:
                session.query(f"SET persona.threads = {threads}; SET max_parallel_workers_per_gather = {workers}")
                for order in ("", "_shuffled", "_clustered"):
                    where = f"{threads} threads, {workers} workers, {order or 'as made'}"
                    for seed in (0, 5):
                        fits = {
                            "segments": f"SELECT FROM persona.fit_segments('m', 'points{order}', 'id', 7, features => '{{a,b,c,d}}', seed => {seed})",
                            "scorer": f"SELECT FROM persona.fit_scorer('m', 'points{order}', 'label', seed => {seed})",
                            "recommender": f"SELECT FROM persona.fit_recommender('m', 'events{order}', seed => {seed})",
                        }
                        for kind, fit in fits.items():
                            session.query(fit)
                            rows = session.rows("SELECT sha256, metrics::text FROM persona.model_versions WHERE model = 'm'")
                            digests.setdefault((kind, seed), {})[where] = rows
                            session.query("SELECT persona.drop_model('m')")
                        plan = f"""SELECT md5(persona.kmeans(ARRAY[a, b, c, d], 7, '{{"seed": {seed}}}')::text) FROM points{order}"""
                        digests.setdefault(("kmeans", seed), {})[where] = session.rows(plan)
                    plan = f"SELECT md5(persona.gaussian_mixture(ARRAY[a, b, c, d], 4)::text) FROM points{order}"
                    digests.setdefault(("gaussian_mixture", None), {})[where] = session.rows(plan)
                    plan = f"SELECT md5(string_agg(coalesce(s, 0)::text, ',' ORDER BY id)) FROM (SELECT id, persona.dbscan(ARRAY[a, b, c, d], 9, 9) OVER () AS s FROM points{order}) q"
                    digests.setdefault(("dbscan", None), {})[where] = session.rows(plan)
        for (kind, seed), found in digests.items():
            odd = {where: str(rows)[:120] for where, rows in found.items() if rows != next(iter(found.values()))}
            assert not odd, f"{kind}, seed {seed}: {next(iter(found.items()))} but {odd}"
        assert digests["kmeans", 0] != digests["kmeans", 5], "the seed changes nothing"
    told(f"{len(digests)} kinds of fit and seeds, each with one result in {len(next(iter(digests.values())))} ways")
