"""What fits hold in memory, against what they may."""

import random

from lib.pgwire import ServerError
from lib.processes import anonymous_memory, peak_memory
from lib.tally import long, told

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
    "fit_recommender by users": (60, "SELECT FROM persona.fit_recommender('m', 'SELECT i / 20 AS user_id, i * 7919 % 9973 AS item_id " + SERIES + "', algorithm => 'user_knn')"),
}
MIB = 1 << 20


def test_a_fit_stays_within_its_memory_budget(cluster):
    check_budgets(cluster, {budget: (0.3, 0.8, 1.1, 4) for budget in (8 * MIB, 40 * MIB)})


@long
def test_a_fit_stays_within_each_of_20_memory_budgets(cluster):
    """From 4 to 256 MiB, each with fewer rows than it has room for, and with more."""
    chance = random.Random(16)
    budgets = [int(4 * MIB * 64 ** (step / 19)) for step in range(20)]
    check_budgets(cluster, {budget: (chance.uniform(0.2, 1), chance.uniform(1, 4)) for budget in budgets}, seconds=600)


def check_budgets(cluster, sizes, seconds=60):
    """Fits of shares of what each budget has room for: done or refused, the process never holds much more than the budget."""
    found, wrong = [], []
    for name, (row_bytes, work) in MEMORY_WORK.items():
        with cluster.connect() as session:
            session.query("SELECT persona.drop_model(model) FROM persona.models")
        refused = done = worst = 0
        for budget, shares in sizes.items():
            for share in shares:
                n = int(share * budget / row_bytes)
                with cluster.connect(options=f"-c persona.max_fit_memory={budget // 1024}kB", timeout=seconds) as session:
                    try:
                        session.query(work.format(n=n))
                        end = "done"
                        done += 1
                    except ServerError as error:
                        assert error.sqlstate in ("54000", "53200"), f"{name} of {n} rows in {budget / MIB:.1f} MiB: {error}"
                        assert "persona.max_fit_memory" in (error.hint or "") + error.message, error
                        end = "refused"
                        refused += 1
                    peak = peak_memory(session.pid)
                    line = f"{name}: {n} rows in {budget / MIB:.1f} MiB {end}, peak {peak / MIB:.0f} MiB"
                    found.append(line)
                    worst = max(worst, peak / (1.25 * budget + 64 * MIB))
                    if peak > 1.25 * budget + 64 * MIB:
                        wrong.append(line)
        if not (refused and done):
            wrong.append(f"{name}: {done} done and {refused} refused: the sizes do not meet the budget")
        told(f"{name}: {done} done, {refused} refused, at most {worst:.0%} of what it may")
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


def session_work_mem(session):
    return session.scalar("SELECT pg_size_bytes(current_setting('work_mem'))") * 4
