"""Naive Bayes of a table that takes a while: it can be stopped anywhere, and a dump keeps it."""

import random
import time

from lib.processes import threads_of
from lib.stops import check_lateness, stop
from lib.tally import long

FIT = "SELECT FROM persona.fit_scorer('bayes', 'SELECT * FROM wide', 'y', 'naive_bayes', '{\"max_categories\": 1000}')"


def test_a_fit_by_naive_bayes_stops_anywhere(cluster):
    check_stops(cluster, 12)


@long
def test_a_fit_by_naive_bayes_stops_at_a_hundred_points(cluster):
    check_stops(cluster, 100)


def check_stops(cluster, n_points):
    chance = random.Random(11)
    with cluster.connect() as session:
        numbers = ", ".join(f"(i * {place * 2 + 7919} % 1009)::float8 AS x{place}" for place in range(12))
        session.query(f"CREATE TABLE wide AS SELECT {numbers}, 'c' || i % 900 AS c, i * 31 % 7 > 3 AS y FROM generate_series(1::bigint, 200000) AS i")
        began = time.monotonic()
        session.query(FIT)
        takes = time.monotonic() - began
        late, ended = [], 0
        while len(late) < n_points and ended <= 2 * n_points:
            seconds_late = stop(session, FIT, chance.uniform(0.002, takes), by_timeout=len(late) % 2 == 0)
            if seconds_late is None:
                ended += 1
            else:
                late.append(seconds_late)
            assert threads_of(session.pid) == 1, "a thread is left behind"
        assert late, "none was stopped"
        check_lateness("naive Bayes", late)


def test_a_dump_keeps_naive_bayes(cluster):
    answers = ["SELECT id, persona.score('bayes', t) FROM t ORDER BY id", "SELECT * FROM persona.holdout_scores('bayes') ORDER BY 1, 2",
               "SELECT algorithm, parameters::text, metrics::text, sha256 FROM persona.model_versions"]
    with cluster.connect() as session:
        session.query("CREATE TABLE t AS SELECT i AS id, sqrt(i) AS x, 'c' || i % 5 AS c, i * 7 % 10 < 4 AS y FROM generate_series(1, 500) AS i")
        session.query("SELECT FROM persona.fit_scorer('bayes', 't', 'y', 'naive_bayes', '{\"alpha\": 2}', key => 'id')")
        before = [session.rows(query) for query in answers]
    dump = cluster.tool("pg_dump", "-d", cluster.database, "--no-sync").stdout
    with cluster.connect("postgres") as session:
        session.query("CREATE DATABASE restored_bayes TEMPLATE template0")
    cluster.psql(dump, "restored_bayes")
    with cluster.connect("restored_bayes") as session:
        assert [session.rows(query) for query in answers] == before
        assert session.scalar("SELECT persona.refit('bayes')") == 2
        assert session.rows(answers[0]) == before[0], "the same rows are another model"
