"""Refits of a published model: what others read meanwhile, and how much is written."""

import threading

from lib import models
from lib.tally import long

# By the marker a tenth of all customers lies with the first group or the last, and a few of the second come and go.
SHIFTING = """
    CREATE TABLE marker AS SELECT false AS up;
    CREATE VIEW shifting AS
    SELECT id, CASE WHEN up AND id % 10 = 0 THEN spend + 210 ELSE spend END AS spend,
           CASE WHEN up AND id % 10 = 0 THEN visits + 20 ELSE visits END AS visits
    FROM customers, marker WHERE NOT (up AND id % 50 = 7);
"""
FIT = "SELECT FROM persona.fit_segments('seg', '{source}', 'id', 3, features => '{{spend,visits}}', save_to => 'labels')"
# The version, and what it alone can say: by the registry, by the model as it scores, and by the published table.
SEEN = """
    SELECT v.version, v.n_rows, told.segments, scored.distance, shown.segments, shown.n_rows, shown.hash
    FROM persona.model_versions AS v,
         (SELECT string_agg(format('%s %s %s', segment, coalesce(name, label), size), ', ' ORDER BY segment) AS segments
          FROM persona.segments('seg')) AS told,
         (SELECT round(sum(persona.distance('seg', c))::numeric, 3)::text AS distance FROM customers AS c) AS scored,
         (SELECT string_agg(format('%s %s %s', segment, label, n), ', ' ORDER BY segment) AS segments, sum(n)::bigint AS n_rows,
                 (SELECT md5(string_agg(id || ' ' || segment, ',' ORDER BY id)) FROM labels) AS hash
          FROM (SELECT segment, label, count(*) AS n FROM labels GROUP BY segment, label) AS groups) AS shown
    WHERE v.model = 'seg' AND v.is_active
"""


def test_readers_of_30_refits_see_one_version_each_time(cluster):
    check_no_reader_sees_a_mixture(cluster, 30)


@long
def test_readers_of_1000_refits_see_one_version_each_time(cluster):
    check_no_reader_sees_a_mixture(cluster, 1000)


def test_a_refit_that_moves_one_in_a_hundred_of_20_000_writes_those_rows(cluster):
    check_a_refit_writes_what_moves(cluster, 20_000)


@long
def test_a_refit_that_moves_one_in_a_hundred_of_a_million_writes_those_rows(cluster):
    check_a_refit_writes_what_moves(cluster, 1_000_000)


def check_no_reader_sees_a_mixture(cluster, n_refits):
    with cluster.connect() as owner, cluster.sessions(4) as readers:
        models.make_data(owner)
        owner.query(SHIFTING)
        owner.query(FIT.format(source="shifting"))
        owner.query("SELECT persona.name_segment('seg', 3, 'whales'); SELECT FROM persona.publish('seg', 'labels')")
        refit(owner)
        # From here on versions that follow each other differ, and those two apart are alike.
        pure = {}
        for _ in range(2):
            refit(owner)
            version, *what = owner.rows(SEEN)[0]
            pure[version % 2] = what
        assert all(differ for differ in (one != other for one, other in zip(*pure.values()))), f"the versions are too much alike: {pure}"

        seen = [[] for _ in readers]
        over = threading.Event()
        threads = [threading.Thread(target=read_until, args=(over, reader, rows), daemon=True) for reader, rows in zip(readers, seen)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(n_refits):
                refit(owner)
        finally:
            over.set()
            for thread in threads:
                thread.join(60)
        mixed = [row for rows in seen for version, *row in rows if row != pure[version % 2]]
        assert not mixed, f"{len(mixed)} of {sum(map(len, seen))} answers are mixed, as {mixed[0]}; pure are {pure}"
        for rows in seen:
            versions = [version for version, *_ in rows]
            assert versions == sorted(versions), "a reader went back to an earlier version"
            assert len(set(versions)) > 5, f"a reader saw {len(rows)} answers of {len(set(versions))} versions"


def refit(owner):
    owner.query("UPDATE marker SET up = NOT up")
    assert owner.scalar("SELECT persona.refit('seg')"), "the refit was skipped"


def read_until(over, reader, rows):
    while not over.is_set():
        rows += reader.rows(SEEN)


def check_a_refit_writes_what_moves(cluster, n):
    with cluster.connect(timeout=600) as session:
        models.make_data(session, n)
        session.query(FIT.format(source="customers"))
        before = session.scalar("SELECT pg_relation_size('labels')")
        assert rows_written_by_a_refit(session) == (0, 0, 0, 0), "a refit of the same rows writes"
        # From the first group to the second.
        session.query("UPDATE customers SET spend = spend + 100, visits = visits + 90 WHERE id % 100 = 0")
        moved = n // 100
        assert rows_written_by_a_refit(session) == (moved, 0, moved, 0)
        assert session.scalar("SELECT count(*) FROM labels WHERE since > (SELECT min(since) FROM labels)") == moved
        grew = session.scalar("SELECT pg_relation_size('labels')") / before
        assert grew < 1.02, f"the table grew by {grew - 1:.1%}"


def rows_written_by_a_refit(session):
    """As the refit's log has it, then inserted, updated and deleted in the published table as PostgreSQL counts them."""
    before = written(session)
    session.query("SELECT persona.refit('seg')")
    logged = session.scalar("SELECT n_changed FROM persona.refit_log ORDER BY started_at DESC LIMIT 1")
    return logged, *(now - then for now, then in zip(written(session), before))


def written(session):
    session.query("SELECT pg_stat_force_next_flush()")
    return session.rows("SELECT n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables WHERE relname = 'labels'")[0]
