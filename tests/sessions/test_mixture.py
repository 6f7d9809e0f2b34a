"""Many sessions that do anything with few models, and publications into tables that make trouble: each statement ends as is written for it, and
the registry is whole after."""

import random
import threading
import time

from lib import models
from lib.consistency import check_registry
from lib.pgwire import ConnectionLost, ServerError
from lib.processes import anonymous_memory, peak_memory
from lib.tally import long, told

SOURCE = """
    CREATE TABLE shared AS SELECT id, (id % 7)::float8 AS a, (id % 5 * 10 + id % 3)::float8 AS b, id % 2 = 1 AS y FROM generate_series(1, 400) AS id;
    CREATE TABLE pairs AS SELECT DISTINCT u AS user_id, (u * 7 + j * j * 13) % 40 AS item_id FROM generate_series(1, 60) u, generate_series(1, 6) j;
"""
# What a statement may end with when others do anything at the same time, in transactions of any isolation level.
ALLOWED = {
    "42704", "42710",  # a model that is not there (any more), or is there already
    "40001", "40P01",  # an old snapshot; transactions of several statements that wait for each other
    "23505",           # an old snapshot again: a name or a table that another transaction has taken since
    "55000",           # no active version, no history, a source that lost its rows
    "42P01", "42P07",  # tables that others drop and make
    "42501",           # a table that was published is not there, and its name is another's
    "22023",
}


def test_anything_at_once_leaves_the_registry_whole(cluster):
    check_mixture(cluster, 6)


@long
def test_anything_at_once_for_five_minutes_leaves_the_registry_whole(cluster):
    check_mixture(cluster, 300)


def check_mixture(cluster, seconds):
    with cluster.connect() as admin:
        admin.query(SOURCE)
        ends, wrong = {}, []
        deadline = time.monotonic() + seconds
        workers = [threading.Thread(target=do_anything, args=(cluster, number, deadline, ends, wrong), daemon=True) for number in range(6)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(seconds + 90)
            assert not worker.is_alive(), "a session hangs"
        assert not wrong, f"{len(wrong)}, as " + "\n".join(wrong[:8])
        check_registry(admin, tables_may_go=True)
        assert admin.scalar("SELECT count(*) FROM persona.activity") == 0
        assert ends["ok"] > 20 * min(seconds, 20), ends
        told(f"6 sessions, {seconds} s: " + ", ".join(f"{count} x {state}" for state, count in sorted(ends.items(), key=lambda one: -one[1])))


def do_anything(cluster, number, deadline, ends, wrong):
    chance = random.Random(number)
    session = cluster.connect()
    session.query("SET deadlock_timeout = '100ms'; SET statement_timeout = '30s'; SET client_min_messages = error")
    while time.monotonic() < deadline:
        statements = [any_statement(chance) for _ in range(chance.choice((1, 1, 1, 2, 3)))]
        if len(statements) > 1:
            level = chance.choice(("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"))
            statements = [f"BEGIN ISOLATION LEVEL {level}", *(f"SAVEPOINT s; {one}" if chance.random() < 0.3 else one for one in statements),
                          chance.choice(("COMMIT", "COMMIT", "ROLLBACK", "ROLLBACK TO s; COMMIT"))]
        state = "ok"
        try:
            for statement in statements:
                session.query(statement)
        except ServerError as error:
            state = error.sqlstate
            # Without a savepoint there is none to go back to.
            if state not in ALLOWED and not (state == "3B001" and statement.startswith("ROLLBACK TO")):
                wrong.append(f"{error}\n    {'; '.join(statements)}")
        except (ConnectionLost, TimeoutError) as cause:
            wrong.append(f"{cause!r}\n    {'; '.join(statements)}")
            return
        ends[state] = ends.get(state, 0) + 1
        if session.transaction_status != "I":
            session.query("ROLLBACK")
    session.close()


def any_statement(chance):
    model, other = (f"r{chance.randrange(4)}" for _ in range(2))
    return chance.choice((
        f"SELECT FROM persona.fit_segments('{model}', 'SELECT id, a, b FROM shared', key => 'id', k => {chance.randrange(2, 5)}, save_to => 'labels_{model}')",
        f"SELECT FROM persona.fit_segments('{model}', 'SELECT id, a, b FROM shared', key => 'id', k => 3, activate => {chance.choice(('true', 'false'))})",
        f"SELECT FROM persona.fit_scorer('s{model}', 'shared', 'y', key => 'id')", f"SELECT FROM persona.fit_recommender('p{model}', 'pairs')",
        f"SELECT persona.refit('{model}')", f"SELECT persona.refit('s{model}', force => true)", f"SELECT persona.refit('p{model}')",
        f"SELECT persona.activate('{model}', {chance.randrange(1, 9)})", f"SELECT persona.rename_model('{model}', '{other}')", f"SELECT persona.drop_model('{model}')",
        f"SELECT persona.rename_model('s{model}', 's{other}')", f"SELECT persona.drop_model('p{model}')",
        f"SELECT * FROM persona.publish('{model}', 'published_{other}', history_table => 'history_{model}')",
        f"SELECT * FROM persona.publish('s{model}', 'scores_{other}', key => 'id')", f"SELECT * FROM persona.publish('p{model}', 'offers_{model}', n => {chance.randrange(1, 4)})",
        f"SELECT * FROM persona.save_recommendations('p{model}', 'everyone_{model}', 2)",
        f"SELECT persona.name_segment('{model}', 1, 'name {chance.random()}')", f"SELECT persona.segment('{model}', v) FROM (SELECT a, b FROM shared LIMIT 20) v",
        f"SELECT count(*) FROM persona.segments('{model}')", f"SELECT persona.grant_model('{model}', 'public')", f"SELECT persona.revoke_model('{model}', 'public')",
        "SELECT * FROM persona.profile('7')", f"SELECT count(*) FROM persona.segment_changes('{model}')", f"UPDATE shared SET a = a + 1 WHERE id % 7 = {chance.randrange(7)}",
        f"SELECT * FROM persona.segment_flow('{model}', 1)", f"DROP TABLE IF EXISTS published_{other}", f"DROP TABLE IF EXISTS history_{model}, labels_{model}",
        f"SELECT count(persona.score('s{model}', v)) FROM (SELECT a, b, id FROM shared LIMIT 20) v", "SELECT count(*) FROM persona.models", "SELECT count(*) FROM persona.refit_log",
    ))


# Tables that make trouble ------------------------------------------------------------------------------------------------

PUBLISH = "SELECT * FROM persona.publish('m', '{target}'{source}, key => '{key}')"


def test_keys_of_every_kind_are_published_or_refused(cluster):
    """Twice each: the second time into a table that is there, and then by a refit."""
    sources = {
        # Name of the key, its source, and how it ends the first time.
        "duplicates": ("id", "SELECT 1 AS id, spend, visits FROM customers LIMIT 3", "23505"),
        "only NULL": ("id", "SELECT NULL::integer AS id, spend, visits FROM customers LIMIT 1", "23502"),
        "a NULL": ("id", "SELECT CASE WHEN id > 1 THEN id END AS id, spend, visits FROM customers WHERE id < 5", "23502"),
        "no rows": ("id", "SELECT id, spend, visits FROM customers WHERE false", None),
        "a numeric with a modifier": ("id", "SELECT id::numeric(10, 2) AS id, spend, visits FROM customers WHERE id < 5", None),
        "a char(8)": ("id", "SELECT id::char(8) AS id, spend, visits FROM customers WHERE id < 5", None),
        "a uuid": ("id", "SELECT md5(id::text)::uuid AS id, spend, visits FROM customers WHERE id < 5", None),
        "an array": ("id", "SELECT ARRAY[id] AS id, spend, visits FROM customers WHERE id < 5", None),
        "a time": ("id", "SELECT timestamptz ''2024-01-01'' + id * interval ''1 day'' AS id, spend, visits FROM customers WHERE id < 5", None),
        "a float with NaN": ("id", "SELECT CASE id WHEN 1 THEN ''NaN'' ELSE id::float8 END AS id, spend, visits FROM customers WHERE id < 5", None),
        "a json": ("id", "SELECT to_json(id) AS id, spend, visits FROM customers WHERE id < 5", "42804"),
        "a name of the table's own": ("segment", "SELECT id AS segment, spend, visits FROM customers WHERE id < 5", "42701"),
        "since": ("since", "SELECT id AS since, spend, visits FROM customers WHERE id < 5", "42701"),
        "a name of ours inside": ("persona_here", "SELECT id AS persona_here, spend, visits FROM customers WHERE id < 5", None),
        "another name of ours": ("is_old", "SELECT id AS is_old, spend, visits FROM customers WHERE id < 5", None),
        "a column that is called as a row of ours": ("s", "SELECT id AS s, spend, visits FROM customers WHERE id < 5", None),
        "a column that is called as another": ("t", "SELECT id AS t, spend, visits FROM customers WHERE id < 5", None),
        "a key that is not there": ("none", "SELECT id, spend, visits FROM customers", "42703"),
    }
    wrong = []
    with cluster.connect() as session:
        models.make_data(session, 100, 20)
        session.query("SELECT FROM persona.fit_segments('m', 'customers', 'id', 3, features => '{spend,visits}')")
        for number, (what, (key, source, expected)) in enumerate(sources.items()):
            target = f"target{number}"
            for time_ in ("first", "again", "refit"):
                statement = f"SELECT * FROM persona.publish('m', '{target}', '{source}', '{key}')" if time_ != "refit" else "SELECT persona.refit('m')"
                try:
                    session.query(statement)
                    state = None
                except ServerError as error:
                    state = f"{error.sqlstate} {error.message}"
                if (state and state[:5]) != (expected if time_ != "refit" else None):
                    wrong.append(f"{what}, {time_}: {state}, not {expected}")
            if expected is None:
                session.query(f"DROP TABLE IF EXISTS {target}; DELETE FROM persona.publication")
            else:
                assert session.scalar(f"SELECT to_regclass('{target}')") is None, f"{what}: a table is left"
                assert session.scalar("SELECT count(*) FROM persona.publication") == 0, what
        assert not wrong, "\n".join(wrong)
        check_registry(session)


def test_a_temporary_table_is_no_publication_that_a_refit_trips_over(cluster):
    with cluster.connect() as session, cluster.connect() as other:
        models.make_data(session, 100, 20)
        for fit in ("SELECT FROM persona.fit_segments('m', 'customers', 'id', 2, features => '{spend}', save_to => 'pg_temp.kept')",
                    "SELECT FROM persona.publish('m', 'pg_temp.kept')", "SELECT FROM persona.publish('m', 'kept', history_table => 'pg_temp.moves')"):
            session.query("SELECT FROM persona.fit_segments('m', 'customers', 'id', 2, features => '{spend}')")
            try:
                session.query(fit)
            except ServerError as error:
                # It may be refused, by a name that says why.
                assert error.sqlstate[:2] in ("0A", "42"), f"{fit}: {error}"
            for one in (session, other):
                assert one.scalar("SELECT persona.refit('m')"), f"after {fit}: a refit in {'its own' if one is session else 'another'} session"
            session.query("SELECT persona.drop_model('m'); DROP TABLE IF EXISTS kept")


def test_a_published_table_may_change_under_its_model(cluster):
    changes = {
        "a policy for its owner": ("ALTER TABLE labels ENABLE ROW LEVEL SECURITY; ALTER TABLE labels FORCE ROW LEVEL SECURITY; ALTER TABLE labels OWNER TO holder", ("42501", "55000")),
        "another type of its key": ("ALTER TABLE labels ALTER id TYPE text", ("42883", "42804")),
        "a column more": ("ALTER TABLE labels ADD note text", None),
        "a column that must be": ("ALTER TABLE labels ADD note text NOT NULL DEFAULT 'x'; ALTER TABLE labels ALTER note DROP DEFAULT", None),
        "a column less": ("ALTER TABLE labels DROP label", ("42703",)),
        "no key any more": ("ALTER TABLE labels DROP CONSTRAINT labels_pkey", None),
        "gone": ("DROP TABLE labels", None),
        "a view in its place": ("DROP TABLE labels; CREATE VIEW labels AS SELECT 1::bigint AS id, 1 AS segment, 'x'::text AS label, now() AS since, 1 AS version", ("42501", "55000", "42809", "0A000")),
        "rows by hand": ("UPDATE labels SET segment = 7 WHERE id < 9; DELETE FROM labels WHERE id > 90; INSERT INTO labels SELECT 1000, 1, 'x', now()", None),
        "in another schema": ("CREATE SCHEMA attic; ALTER TABLE labels SET SCHEMA attic", None),
        "a partitioned table": ("ALTER TABLE labels RENAME TO old; CREATE TABLE labels (id bigint PRIMARY KEY, segment integer, label text, since timestamptz DEFAULT now(), version integer) PARTITION BY RANGE (id);"
                                "CREATE TABLE part PARTITION OF labels DEFAULT", None),
        "unlogged": ("ALTER TABLE labels SET UNLOGGED", None),
    }
    wrong = []
    with cluster.connect() as session:
        session.query("DROP ROLE IF EXISTS holder; CREATE ROLE holder")
        for number, (what, (change, refused)) in enumerate(changes.items()):
            session.query(f"CREATE SCHEMA place{number}; SET search_path = place{number}, public")
            models.make_data(session, 100, 20)
            session.query("SELECT FROM persona.fit_segments('m', 'customers', 'id', 2, features => '{spend}', save_to => 'labels')")
            session.query(change)
            session.query("UPDATE customers SET spend = 210 - spend WHERE id < 20")
            try:
                session.query("SELECT persona.refit('m', force => true)")
                state = None
            except ServerError as error:
                state = error.sqlstate
            if state not in (refused or (None,)):
                wrong.append(f"{what}: {state}, not {refused}")
            elif state is None and session.scalar(f"SELECT count(*) FROM {'place%d.' % number}customers c FULL JOIN place{number}.labels t USING (id) WHERE t.segment IS DISTINCT FROM persona.segment('m', c)"):
                wrong.append(f"{what}: the table is not what the model says")
            session.query("SELECT persona.drop_model('m'); DROP TABLE customers, events; RESET search_path")
            session.query("DROP SCHEMA IF EXISTS attic CASCADE")
        assert not wrong, "\n".join(wrong)


def test_changes_of_a_long_history_take_memory_for_what_they_return(cluster):
    check_long_history(cluster, 100_000)


@long
def test_changes_of_a_history_of_two_million_rows_take_memory_for_what_they_return(cluster):
    check_long_history(cluster, 2_000_000)


def check_long_history(cluster, n):
    with cluster.connect(timeout=300) as owner:
        models.make_data(owner, 100, 20)
        owner.query("SELECT FROM persona.fit_segments('m', 'customers', 'id', 2, features => '{spend}')")
        owner.query("SELECT FROM persona.publish('m', 'labels', history_table => 'moves')")
        owner.query(f"""
            INSERT INTO moves SELECT i % ({n} / 4), i % 5, 'x', now() - interval '1 hour' * (100 - i * 4 / {n}), now() - interval '1 hour' * (99 - i * 4 / {n})
            FROM generate_series(1, {n}) AS i; ANALYZE moves""")
    with cluster.connect(timeout=300) as session:
        session.query("SELECT count(*) FROM persona.segment_changes('m', now() - interval '1 minute')")
        few, began = peak_memory(session.pid) >> 20, time.monotonic()
        session.query("SELECT count(*) FROM persona.segment_changes('m', now() - interval '1 minute')")
        seconds_few = time.monotonic() - began
        began = time.monotonic()
        returned = session.scalar("SELECT count(*) FROM persona.segment_changes('m')")
        seconds, all_ = time.monotonic() - began, peak_memory(session.pid) >> 20
        time.sleep(0.2)
        left = anonymous_memory(session.pid) >> 20
        told(f"{n} rows of history: the last minute in {few} MB and {seconds_few:.2f} s; all {returned} changes in {all_} MB and {seconds:.1f} s, {left} MB after")
        assert few < 120, f"{few} MB for the last minute"
        assert left < 100, f"{left} MB are kept"
        assert all_ < 120 + returned * 250 / 1e6, f"{all_} MB for {returned} changes"
