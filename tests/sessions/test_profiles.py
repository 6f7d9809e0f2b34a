"""A profile reads tables of everybody: what one owner does with his own is no error, no wait and no burden for who asks for all."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lib import models
from test_attacks import FIT, mallory_and


def publish_bad(admin, mallory):
    admin.query(FIT.format(model="good", more=", save_to => 'labels'"))
    mallory.query("SET search_path = mallory, public;" + FIT.format(model="bad", more="") + "; SELECT FROM persona.publish('bad', 'mallory.t', history_table => 'mallory.h');"
                  "SELECT persona.grant_model('bad', 'public', 'read'); GRANT SELECT ON mallory.t, mallory.h TO PUBLIC")


def profiled(session):
    return [model for (model,) in session.rows("SELECT model FROM persona.profile('7')")]


def test_whoever_has_an_index_to_himself_holds_up_no_profile(cluster):
    with mallory_and(cluster) as (admin, mallory), cluster.connect() as other:
        publish_bad(admin, mallory)
        mallory.query("ALTER TABLE t ADD more text, ALTER more SET STORAGE EXTERNAL; UPDATE t SET more = repeat('x', 9000); ALTER TABLE h ADD more text; REINDEX TABLE h")
        for statement, calls in (("REINDEX INDEX mallory.t_pkey", (0,)), ("REINDEX TABLE mallory.t", (0,)), ("REINDEX TABLE mallory.h", (1,)), ("LOCK TABLE mallory.t, mallory.h", (0, 1))):
            mallory.query("BEGIN;" + statement)
            other.query("SET statement_timeout = '3s'; SET client_min_messages = warning")
            for call in calls:
                if call == 0:
                    assert profiled(other) == ["good"], statement
                else:
                    error = other.error("SELECT * FROM persona.segment_changes('bad')") if "LOCK" in statement else None
                    assert error is None or error.sqlstate == "55000", error
            mallory.query("ROLLBACK")
        assert sorted(profiled(other)) == ["bad", "good"]


def test_what_is_too_long_or_too_much_is_not_read(cluster):
    with mallory_and(cluster) as (admin, mallory):
        publish_bad(admin, mallory)
        for column, value, shown in (("bytea", "repeat('x', 20000000)::bytea", "(20000004 bytes)"), ("text", "repeat(E'\\x01', 30000000)", "(30000004 bytes)"),
                                     ("text[]", "array_fill('x'::text, '{300000}')", None), ("jsonb", "to_jsonb(repeat('y', 3000000))", None)):
            mallory.query(f"ALTER TABLE t ADD more {column}; UPDATE t SET more = {value} WHERE id = 7")
            began = time.monotonic()
            found = dict(admin.rows("SELECT model, details ->> 'more' FROM persona.profile('7')"))
            assert set(found) == {"good", "bad"} and found["bad"].endswith(" bytes)") and time.monotonic() - began < 10, column
            assert shown is None or found["bad"] == shown, found
            mallory.query("ALTER TABLE t DROP more")
        # A table may have any number of rows of a key once its key is gone.
        mallory.query("ALTER TABLE t DROP CONSTRAINT t_pkey; CREATE INDEX ON t (id); INSERT INTO t SELECT 7, 1, 'x', now() FROM generate_series(1, 50000)")
        n_bytes = dict(admin.rows("SELECT model, length(details::text) FROM persona.profile('7')"))["bad"]
        assert n_bytes < 200_000, n_bytes
        # Text that is none of the database's, in a row or in the name of a column.
        mallory.query("TRUNCATE t; INSERT INTO t VALUES (7, 1, 'x', now())")
        assert sorted(profiled(admin)) == ["bad", "good"]


def test_the_key_of_a_table_may_be_any_of_its_columns(cluster):
    with mallory_and(cluster) as (admin, mallory):
        publish_bad(admin, mallory)
        mallory.query("ALTER TABLE t RENAME TO old; CREATE TABLE t (a text, b text, id integer UNIQUE, segment integer, label text, since timestamptz);"
                      "INSERT INTO t SELECT 'a', 'b', id, segment, label, since FROM old; GRANT SELECT ON t TO PUBLIC")
        found = dict(admin.rows("SELECT model, details ->> 'b' FROM persona.profile('7')"))
        assert found == {"good": None, "bad": "b"}, found
        assert not admin.rows("SELECT FROM persona.profile('no number')")


def test_a_profile_may_be_asked_in_a_parallel_plan(cluster):
    with cluster.connect() as session:
        models.make_models(session, 300, 40)
        session.query("SELECT persona.publish('seg', 'labels', history_table => 'moves')")
        setting = "debug_parallel_query" if cluster.server in ("16", "17", "18") else "force_parallel_mode"
        plain = session.rows("SELECT * FROM persona.profile('7')"), session.scalar("SELECT count(*) FROM persona.segment_changes('seg')")
        for mode in ("on", "regress"):
            session.query(f"SET {setting} = {mode}; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0")
            assert session.rows("SELECT * FROM persona.profile('7')") == plain[0]
            assert session.scalar("SELECT count(*) FROM persona.segment_changes('seg')") == plain[1]
            assert session.scalar("SELECT count(*) FROM (SELECT count(*) AS n FROM customers) AS c, LATERAL persona.profile(c.n::text) AS p") == 1


def test_a_table_that_a_standby_has_not_is_passed_over(cluster):
    with cluster.connect() as session:
        models.make_models(session, 200, 30)
        session.query("SELECT persona.publish('seg', 'labels'), persona.publish('sco', 'scores', 'SELECT * FROM customers', 'id')")
        standby = cluster.standby()
        try:
            session.query("ALTER TABLE labels SET UNLOGGED")
            cluster.replay_on(standby)
            with standby.connect() as reader:
                assert [model for (model,) in reader.rows("SELECT model FROM persona.profile('7')")] == ["sco"]
                assert "is skipped" in reader.notices[0]["M"]
        finally:
            standby.remove()


def test_texts_that_are_no_utf8_break_no_profile(cluster):
    """In a database without an encoding anybody may write such."""
    with cluster.connect("postgres") as admin:
        admin.query("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
    with cluster.connect("ascii") as admin:
        admin.query("CREATE EXTENSION pg_persona")
        models.make_models(admin, 200, 30)
        admin.query("SELECT persona.publish('sco', 'scores', 'SELECT * FROM customers', 'id'), persona.publish('seg', 'labels')")
        admin.query(r"""UPDATE labels SET label = E'\xff' WHERE id = 7""")
        assert "sco" in [model for (model,) in admin.rows("SELECT model FROM persona.profile('7')")]
