"""Learners of scorers over a table that takes a while: each can be stopped anywhere, and a dump keeps it."""

import random
import time

from lib.processes import threads_of
from lib.stops import check_lateness, stop
from lib.tally import long

LEARNERS = {"naive_bayes": '{"max_categories": 1000}', "boosted_trees": '{"n_trees": 60}'}


def test_a_fit_by_each_learner_stops_anywhere(cluster):
    for learner in LEARNERS:
        check_stops(cluster, learner, 8)


@long
def test_a_fit_by_each_learner_stops_at_a_hundred_points(cluster):
    for learner in LEARNERS:
        check_stops(cluster, learner, 100)


def check_stops(cluster, learner, n_points):
    fit = f"SELECT FROM persona.fit_scorer('learnt', 'SELECT * FROM wide', 'y', '{learner}', '{LEARNERS[learner]}')"
    chance = random.Random(11)
    with cluster.connect() as session:
        numbers = ", ".join(f"(i * {place * 2 + 7919} % 1009)::float8 AS x{place}" for place in range(12))
        session.query(
            f"DROP TABLE IF EXISTS wide; CREATE TABLE wide AS SELECT {numbers}, 'c' || i % 900 AS c, i * 31 % 7 > 3 AS y FROM generate_series(1::bigint, 200000) AS i"
        )
        began = time.monotonic()
        session.query(fit)
        takes = time.monotonic() - began
        late, ended = [], 0
        while len(late) < n_points and ended <= 2 * n_points:
            seconds_late = stop(session, fit, chance.uniform(0.002, takes), by_timeout=len(late) % 2 == 0)
            if seconds_late is None:
                ended += 1
            else:
                late.append(seconds_late)
            assert threads_of(session.pid) == 1, "a thread is left behind"
        assert late, "none was stopped"
        check_lateness(learner, late)


def test_a_dump_keeps_each_learner(cluster):
    with cluster.connect() as session:
        session.query(
            "CREATE TABLE t AS SELECT i AS id, sqrt(i) AS x, 'c' || i % 5 AS c, i * 7 % 10 < 4 AS y FROM generate_series(1, 500) AS i"
        )
        for learner in LEARNERS:
            session.query(f"SELECT FROM persona.fit_scorer('{learner}', 't', 'y', '{learner}', key => 'id')")
        before = {learner: answers(session, learner) for learner in LEARNERS}
    dump = cluster.tool("pg_dump", "-d", cluster.database, "--no-sync").stdout
    with cluster.connect("postgres") as session:
        session.query("CREATE DATABASE restored TEMPLATE template0")
    cluster.psql(dump, "restored")
    with cluster.connect("restored") as session:
        for learner in LEARNERS:
            assert answers(session, learner) == before[learner]
            assert session.scalar(f"SELECT persona.refit('{learner}')") == 2
            assert answers(session, learner)[0] == before[learner][0], "the same rows are another model"


def answers(session, model):
    return [
        session.rows(query)
        for query in (
            f"SELECT id, persona.score('{model}', t) FROM t ORDER BY id",
            f"SELECT * FROM persona.holdout_scores('{model}') ORDER BY 1, 2",
            f"SELECT algorithm, parameters::text, metrics::text, sha256 FROM persona.model_versions WHERE model = '{model}' AND version = 1",
        )
    ]
