"""Fits under stress: cancelled, ended, out of memory, on few and many threads, in any order of rows."""

import os
import random
import signal
import time
from pathlib import Path

from lib.pgwire import ConnectionLost, ServerError
from lib.processes import anonymous_memory, peak_memory, status_of

SETTINGS = {"max_worker_processes": "8", "max_parallel_workers": "8"}

# Fits and a read that take a while, from tables that `make_large` makes.
LONG_WORK = {
    "fit_segments": "SELECT FROM persona.fit_segments('seg', 'points', 'id', 40, n_init => 8, scaling => 'none')",
    "kmeans": "SELECT persona.kmeans(ARRAY[a, b, c, d], 40, '{\"n_init\": 8}') FROM points",
    "fit_scorer": "SELECT FROM persona.fit_scorer('sco', 'points', 'label', key => 'id')",
    "fit_recommender": "SELECT FROM persona.fit_recommender('rec', 'events')",
    "recommend_all": "SELECT count(*) FROM persona.recommend_all('served', 50)",
    "gaussian_mixture": "SELECT persona.gaussian_mixture(ARRAY[a, b, c, d], 8, '{\"tolerance\": 0, \"max_iterations\": 30}') FROM points",
    "dbscan": "SELECT count(s) FROM (SELECT persona.dbscan(ARRAY[a, b, c, d], 4, 9) OVER () AS s FROM points) q",
}
MODEL = {"fit_segments": "seg", "fit_scorer": "sco", "fit_recommender": "rec"}


def make_large(session, n=60_000, n_users=1500):
    session.query(f"""
        CREATE TABLE points AS
        SELECT i AS id, sin(i) * 100 AS a, cos(i * 1.7) * 10 AS b, (i * 7919 % 10007) / 100.0::float8 AS c,
               (i * 104729 % 1009)::float8 AS d, (i * 31 % 100 < 20 + 40 * sin(i)) AS label,
               (ARRAY['red', 'green', 'blue', 'grey'])[1 + i % 4] AS colour
        FROM generate_series(1::bigint, {n}) AS i;
        CREATE TABLE events AS
        SELECT DISTINCT u AS user_id, (u * 7 + j * j * 131 + u * j) % 3000 AS item_id
        FROM generate_series(1::bigint, {n_users}) AS u, generate_series(1, 30) AS j;
        ANALYZE;""")
    session.query("SELECT FROM persona.fit_recommender('served', 'events', holdout => 0)")


def test_timeouts_and_cancels_stop_work_anywhere(cluster):
    chance = random.Random(7)
    with cluster.connect() as session, cluster.connect() as other:
        make_large(session)
        for name, work in LONG_WORK.items():
            began = time.monotonic()
            session.query(work)
            takes = time.monotonic() - began
            stopped = 0
            for round in range(8):
                after = chance.uniform(0.002, max(takes, 0.05))
                by_timeout = round % 2 == 0
                if by_timeout:
                    session.query(f"SET statement_timeout = {max(1, int(after * 1000))}")
                began = time.monotonic()
                session.send(work)
                if not by_timeout and not session.ready(after):
                    session.cancel()
                try:
                    session.fetch()
                except ServerError as error:
                    assert error.sqlstate == "57014", f"{name}: {error}"
                    stopped += 1
                    late = time.monotonic() - began - after
                    assert late <= 2, f"{name} went on for {late:.1f} s"
                session.query("RESET statement_timeout")
                assert session.scalar("SELECT 1 + 1") == 2
                assert threads_of(session.pid) == 1, f"{name} left a thread behind"
                assert other.scalar("SELECT count(*) FROM persona.activity") == 0, f"{name} is still shown"
                assert other.scalar("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
            assert stopped >= 2, f"{name} took {takes:.2f} s and was stopped {stopped} times only"
            if name in MODEL:
                versions = session.scalar(f"SELECT count(*) FROM persona.model_versions WHERE model = '{MODEL[name]}'")
                assert versions == 9 - stopped, f"{name}: {versions} versions, {stopped} stopped of 9"


def test_a_terminated_or_lost_session_leaves_nothing_half_done(cluster):
    with cluster.connect() as admin:
        make_large(admin)
        log_before = cluster.log.read_text(errors="replace")
        for name, work in LONG_WORK.items():
            for end in ("terminate", "drop"):
                session = cluster.connect(options="-c client_connection_check_interval=100")
                session.send(work)
                wait_until(lambda: is_working(admin, session.pid) or session.ready())
                if end == "terminate":
                    admin.query(f"SELECT pg_terminate_backend({session.pid})")
                    try:
                        session.fetch()
                    except ServerError as error:
                        assert error.sqlstate == "57P01", f"{name}: {error}"
                    except ConnectionLost:
                        pass
                session.drop()
                wait_until(lambda: not Path(f"/proc/{session.pid}").exists(), 5)
                assert admin.scalar("SELECT count(*) FROM persona.activity") == 0
                assert admin.scalar("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
        # A fit that ended by itself before it saw that its client was gone is whole; any other left nothing.
        broken = admin.rows("""
            SELECT m.name, v.version FROM persona.model m LEFT JOIN persona.model_version v ON v.model_id = m.id
            WHERE v.n_bytes IS DISTINCT FROM (SELECT sum(length(c.bytes)) FROM persona.model_chunk c
                                              WHERE c.model_id = v.model_id AND c.version = v.version)""")
        assert not broken, f"a fit that was ended left half a model: {broken}"
    log = cluster.log.read_text(errors="replace")[len(log_before):]
    assert "terminated by signal" not in log and "exited with exit code 2" not in log, log[-2000:]


def test_a_session_keeps_no_threads_and_no_descriptors(cluster):
    with cluster.connect() as session:
        make_large(session, 20_000, 500)
        for work in LONG_WORK.values():
            session.query(work)
        before = descriptors_of(session.pid)
        for round in range(5):
            for work in LONG_WORK.values():
                session.query(work)
            session.error("SELECT FROM persona.fit_segments('bad', 'SELECT id, 1 / (id - 19000) AS x FROM points', 'id', 3)")
            assert threads_of(session.pid) == 1
        assert descriptors_of(session.pid) == before, "descriptors are left open"


def test_threads_block_every_signal_and_stay_within_the_limits(cluster):
    with cluster.connect() as session, cluster.connect() as admin:
        make_large(session)
        cores = len(os.sched_getaffinity(session.pid))
        for threads, limit in ((1, 1024), (64, 1024), (64, 1), (0, 1024)):
            session.query(f"SET persona.threads = {threads}; SET persona.thread_limit = {limit}")
            allowed = min(threads or 1 + session.scalar("SELECT current_setting('max_parallel_maintenance_workers')::integer"), limit, cores)
            most, unblocked = 0, []
            for name in ("fit_segments", "fit_recommender"):
                session.send(LONG_WORK[name])
                while not session.ready(0.005):
                    others = [task for task in tasks_of(session.pid) if task != session.pid]
                    most = max(most, len(others))
                    unblocked += [mask for mask in (blocked_signals(session.pid, task) for task in others) if mask is not None and not all_blocked(mask)]
                session.fetch()
            assert most <= allowed, f"{most} threads with persona.threads = {threads} and thread_limit = {limit} on {cores} cores"
            assert most >= 1, "no thread was seen"
            # A thread inherits its mask before it runs: there is no moment without.
            assert not unblocked, f"threads with signals that are not blocked: {unblocked[:3]}"
            assert threads_of(session.pid) == 1
        admin.query("CREATE ROLE modest LOGIN")
    with cluster.connect(user="modest") as modest:
        # Before the library is loaded any name can be set; loading it throws away what the role may not set.
        modest.query("SET persona.thread_limit = 8")
        modest.query("SELECT * FROM persona.activity_rows()")
        assert modest.scalar("SHOW persona.thread_limit") == "1024"
        assert modest.error("SET persona.thread_limit = 8").sqlstate == "42501"
        assert modest.error("SET persona.fit_memory_limit = '1GB'").sqlstate == "42501"


def test_signals_during_a_fit_change_nothing(cluster):
    with cluster.connect() as session:
        make_large(session, 50_000, 500)
        work = LONG_WORK["kmeans"].replace("SELECT persona.kmeans(", "SELECT md5(persona.kmeans(").replace(") FROM", ")::text) FROM")
        quiet = session.scalar(work)
        session.send(work)
        sent = 0
        while not session.ready(0.001):
            for number in (signal.SIGUSR1, signal.SIGALRM, signal.SIGURG):
                os.kill(session.pid, number)
                sent += 1
        assert session.fetch()[-1].scalar() == quiet
        assert sent > 20, f"{sent} signals only"


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


# Memory ------------------------------------------------------------------------------------------------------------------

# Streams rows without a table, so that the peak is the fit's own and not shared buffers. About how many bytes a row takes.
SERIES = "FROM (SELECT generate_series(1::bigint, {n}) AS i) s"
MEMORY_WORK = {
    "fit_segments": (60, "SELECT FROM persona.fit_segments('m', 'SELECT i AS id, sin(i) AS a, cos(i) AS b, i % 977 AS c, i % 31 AS d " + SERIES + "', 'id', 3, storage => 'memory')"),
    "fit_segments by array": (100, "SELECT FROM persona.fit_segments('m', 'SELECT i AS id, ARRAY[sin(i), cos(i), i % 977, i % 31, sin(i + 1)] AS v " + SERIES + "', 'id', 3, storage => 'memory')"),
    "fit_segments by text": (80, "SELECT FROM persona.fit_segments('m', 'SELECT (''customer '' || i * 7919 % 1000003) AS id, sin(i) AS a, i % 977 AS c " + SERIES + "', 'id', 3, storage => 'memory')"),
    "kmeans": (60, "SELECT persona.kmeans(ARRAY[sin(i), cos(i), i % 977, i % 31, sin(i + 1)], 3) " + SERIES),
    "gaussian_mixture": (60, "SELECT persona.gaussian_mixture(ARRAY[sin(i), cos(i), i % 977, i % 31, sin(i + 1)], 3, '{{\"max_iterations\": 5}}') " + SERIES),
    "dbscan": (110, "SELECT count(s) FROM (SELECT persona.dbscan(ARRAY[sin(i), cos(i)], 0.001, 5) OVER () AS s " + SERIES + ") q"),
    "fit_scorer": (80, "SELECT FROM persona.fit_scorer('m', 'SELECT i % 3 = 0 AS y, sin(i) AS a, cos(i) AS b, i % 977 AS c, i % 31 AS d " + SERIES + "', 'y')"),
    "fit_recommender": (60, "SELECT FROM persona.fit_recommender('m', 'SELECT i / 20 AS user_id, i * 7919 % 499 AS item_id " + SERIES + "')"),
}
MIB = 1 << 20


def test_a_fit_stays_within_its_memory_budget(cluster):
    found, wrong = [], []
    for name, (row_bytes, work) in MEMORY_WORK.items():
        with cluster.connect() as session:
            session.query("SELECT persona.drop_model(model) FROM persona.models")
        refused = done = 0
        for budget in (8 * MIB, 40 * MIB):
            for share in (0.3, 0.8, 1.1, 4):
                n = int(share * budget / row_bytes)
                with cluster.connect(options=f"-c persona.max_fit_memory={budget // 1024}kB") as session:
                    try:
                        session.query(work.format(n=n))
                        end = "done"
                        done += 1
                    except ServerError as error:
                        assert error.sqlstate == "54000", f"{name} of {n} rows in {budget // MIB} MiB: {error}"
                        assert "persona.max_fit_memory" in (error.hint or "") + error.message, error
                        end = "refused"
                        refused += 1
                    peak = peak_memory(session.pid)
                    line = f"{name}: {n} rows in {budget // MIB} MiB {end}, peak {peak / MIB:.0f} MiB"
                    found.append(line)
                    if peak > 1.25 * budget + 64 * MIB:
                        wrong.append(line)
        if not (refused and done):
            wrong.append(f"{name}: {done} done and {refused} refused: the sizes do not meet the budget")
    assert not wrong, "\n".join(wrong) + "\nall:\n" + "\n".join(found)


def test_a_fit_on_disk_holds_as_much_memory_for_many_rows_as_for_few(cluster):
    peaks = {}
    for n in (200_000, 1_600_000):
        work = MEMORY_WORK["fit_segments"][1].replace("'memory'", "'auto'").format(n=n)
        with cluster.connect(options="-c persona.max_fit_memory=8MB") as session:
            session.send(work)
            peaks[n] = 0
            while not session.ready(0.005):
                peaks[n] = max(peaks[n], anonymous_memory(session.pid))
            session.fetch()
            assert session.scalar("SELECT (metrics -> 'on_disk')::boolean FROM persona.models WHERE model = 'm'")
    few, many = peaks.values()
    assert many < few + 16 * MIB and many < 96 * MIB, f"{few / MIB:.0f} MiB, and {many / MIB:.0f} MiB for eight times the rows"


def test_groups_share_one_memory_budget(cluster):
    with cluster.connect(options="-c persona.max_fit_memory=8MB") as session:
        work = "SELECT count(m) FROM (SELECT persona.kmeans(ARRAY[sin(i), cos(i)], 2) AS m FROM generate_series(1, {n}) AS i GROUP BY i % 100) s"
        assert session.scalar(work.format(n=50_000)) == 100
        assert session.error(work.format(n=2_000_000)).sqlstate == "54000"
        assert peak_memory(session.pid) < 1.25 * 8 * MIB + 64 * MIB + session_work_mem(session)


# Results -----------------------------------------------------------------------------------------------------------------


def test_kmeans_gives_means_and_sizes(cluster):
    sources = {
        "blobs": "SELECT (i % 3) * 50 + sin(i) AS x, (i % 3) * -20 + cos(i * 2) AS y FROM generate_series(1, 600) i",
        "duplicates": "SELECT (i % 4)::float8 AS x, (i % 2)::float8 AS y FROM generate_series(1, 200) i",
        "constant": "SELECT 7.25 AS x, -3::float8 AS y FROM generate_series(1, 50) i",
        "few": "SELECT i * 1.5 AS x, i * i::float8 AS y FROM generate_series(1, 7) i",
        "huge": "SELECT i * 1e30 AS x, sin(i) * 1e-30 AS y FROM generate_series(1, 100) i",
        "far": "SELECT 1e9 + i % 5 AS x, (i % 5)::float8 AS y FROM generate_series(1, 100) i",
        "one": "SELECT 5::float8 AS x, 6::float8 AS y",
    }
    with cluster.connect() as session:
        for name, source in sources.items():
            session.query(f"DROP TABLE IF EXISTS t; CREATE TABLE t AS SELECT row_number() OVER () AS id, x::float8, y::float8 FROM ({source}) s")
            n, distinct = session.rows("SELECT count(*), count(DISTINCT (x, y)) FROM t")[0]
            # Many rows can be one as f32: as many segments as rows only where they are few.
            for k in sorted({1, 2, 3} | ({distinct, n} if n <= 200 else set())):
                for scaling in ("none", "standard"):
                    check_means(session, f"{name}, k = {k}, {scaling}", n, distinct, k, scaling)
            for too_many in (n + 1, 0, -1):
                assert session.error(f"SELECT persona.kmeans(ARRAY[x, y], {too_many}) FROM t").sqlstate == "22023"
        assert session.rows("SELECT persona.kmeans(ARRAY[x, y], 2) FROM t WHERE false") == [(None,)]


def check_means(session, name, n, distinct, k, scaling):
    kmeans = f"""SELECT persona.kmeans(ARRAY[x, y], {k}, '{{"scaling": "{scaling}", "max_iterations": 1000}}') AS m FROM t"""
    if k > distinct:
        error = session.error(kmeans)
        assert error.sqlstate == "22023" and ("distinct" in error.message or "rows" in error.message), f"{name}: {error}"
        return
    session.query(f"DROP TABLE IF EXISTS m; CREATE TABLE m AS {kmeans}")
    sizes = [row[0] for row in session.rows("SELECT DISTINCT ON (segment) size FROM m, persona.centroids(m) ORDER BY segment")]
    assert len(sizes) == k and sum(sizes) == n, f"{name}: sizes {sizes} of {n} rows"
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
            ANALYZE;
            SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;""")
        digests = {}
        for threads in (1, 2, 4):
            for workers in (0, 2):
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


# Helpers -----------------------------------------------------------------------------------------------------------------


def tasks_of(pid):
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except FileNotFoundError:
        return []


def threads_of(pid):
    # The kernel takes a moment to bury a thread that was joined.
    for _ in range(20):
        count = len(tasks_of(pid))
        if count <= 1:
            break
        time.sleep(0.01)
    return count


def descriptors_of(pid):
    """Open files other than tables, which PostgreSQL keeps open as it likes."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        except FileNotFoundError:
            pass
    return sorted(one for one in found if "/base/" not in one and "/global/" not in one and "/pg_wal/" not in one)


def blocked_signals(pid, task):
    mask = status_of(f"/proc/{pid}/task/{task}/status", "SigBlk")
    return None if mask is None else int(mask, 16)


def all_blocked(mask):
    """All but KILL and STOP, which nobody can block, and those that the C library keeps for itself (32 and 33)."""
    return all(mask >> (number - 1) & 1 for number in range(1, 32) if number not in (signal.SIGKILL, signal.SIGSTOP))


def session_work_mem(session):
    return session.scalar("SELECT pg_size_bytes(current_setting('work_mem'))") * 4


def is_working(admin, pid):
    return admin.scalar(f"SELECT count(*) FROM persona.activity WHERE pid = {pid} AND phase <> 'reading'") == 1


def wait_until(holds, seconds=15):
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not come to be in time"
        time.sleep(0.01)
