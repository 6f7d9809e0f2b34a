"""Calls of the scorer that are left: they end soon, whatever it is at, and their session goes on."""

import os
import random
import signal
import time

from lib import onnx
from lib.processes import wait_until
from lib.onnx_process import HEAVY, LIGHT, check_left, light_model, the_process
from lib.stops import check_lateness, stop
from lib.tally import long

CALLS = {
    "score": HEAVY,
    "predict": "SELECT persona.predict('heavy', t) FROM (SELECT -1 AS x) AS t",
    "score_batch": "SELECT persona.score_batch('heavy', t) OVER () FROM (SELECT -1 AS x FROM generate_series(1, 100)) AS t",
    "evaluate": "SELECT * FROM persona.evaluate('heavy', 'SELECT -1 AS x, i % 2 = 0 AS y FROM generate_series(1, 100) AS i', 'y')",
}


def test_timeout_and_cancel_leave_a_running_model(cluster):
    with cluster.connect() as connection:
        onnx.import_onnx(connection, "light", light_model())
        onnx.import_onnx(connection, "heavy", onnx.heavy("left"))
        for sql in CALLS.values():
            for how in ("timeout", "cancel"):
                check_left(cluster, connection, sql, how)
        # What nobody waits for is stopped: the light model need not wait, and the heavy one is free soon.
        assert connection.scalar(LIGHT) == 3.5
        wait_until("the left runs are stopped", lambda: connection.scalar(
            "SELECT cancelled FROM persona.onnx_status()") >= len(CALLS), 20)


TABLE_CALLS = ["SELECT count(s) FROM (SELECT persona.score_batch('slow', w) OVER () AS s FROM wide w) AS s",
               "SELECT sum(persona.score('slow', w)) FROM wide w", "SELECT count(persona.predict('slow', w)) FROM wide w"]


def create_wide(connection):
    slow = (onnx.FOLDER / "slow.onnx").read_bytes()
    onnx.import_onnx(connection, "slow", slow, [f"c{number}" for number in range(1, 9)])
    columns = ", ".join(f"i * 0.{c} AS c{c}" for c in range(1, 9))
    connection.query(f"CREATE TABLE wide AS SELECT {columns} FROM generate_series(1, 200000) AS i")


def test_timeout_and_cancel_leave_a_large_table(cluster):
    with cluster.connect() as connection:
        create_wide(connection)
        for sql in TABLE_CALLS:
            for how in ("timeout", "cancel"):
                check_left(cluster, connection, sql, how)


@long
def test_cancel_at_a_hundred_random_points_of_each_takes_half_a_second(cluster):
    n_points = 100
    with cluster.connect() as connection:
        create_wide(connection)
        onnx.import_onnx(connection, "heavy", onnx.heavy("random points"))
        # From a table: what PostgreSQL takes to read a literal of 64 MB cannot be left.
        connection.query(f"CREATE TABLE files AS SELECT '\\x{onnx.weighty(32).hex()}'::bytea AS onnx")
        importing = "SELECT f.* FROM files, persona.import_onnx('weighty', onnx) AS f"
        began = time.monotonic()
        connection.query(importing)
        seconds = {importing: time.monotonic() - began}
        points = random.Random(13)
        for sql in (*TABLE_CALLS, *CALLS.values(), importing):
            late, ended = [], 0
            while len(late) < n_points:
                found = stop(connection, sql, points.uniform(0, seconds.get(sql, 0.5)))
                if found is None:
                    ended += 1
                    assert ended <= 8 + 2 * n_points, f"only {len(late)} were cancelled: {sql}"
                else:
                    late.append(found)
                assert connection.scalar("SELECT 1") == 1
            check_lateness(sql[:100], late)


def test_timeout_and_cancel_leave_a_stopped_scorer(cluster):
    with cluster.connect() as connection, cluster.connect() as fresh:
        onnx.import_onnx(connection, "light", light_model())
        calls = {
            "score": LIGHT, "predict": LIGHT.replace("score", "predict"),
            "score_batch": "SELECT persona.score_batch('light', t) OVER () FROM (SELECT i AS x FROM generate_series(1, 100000) AS i) AS t",
            "onnx_status": "SELECT * FROM persona.onnx_status()", "providers": "SELECT * FROM persona.providers()",
            # More than a socket holds, so that the backend waits half-way through writing.
            "import": onnx.import_statement("weighty", onnx.weighty(8)),
        }
        pid = the_process(cluster)
        os.kill(pid, signal.SIGSTOP)
        try:
            for sql in calls.values():
                for session, how in ((connection, "timeout"), (connection, "cancel"), (fresh, "cancel")):
                    check_left(cluster, session, sql, how)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert connection.scalar(LIGHT) == fresh.scalar(LIGHT) == 3.5
        assert the_process(cluster) == pid
        onnx.import_onnx(connection, "weighty", onnx.weighty(8))
        assert connection.scalar("SELECT count(*) FROM persona.models WHERE model = 'weighty'") == 1
