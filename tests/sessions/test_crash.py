"""A session that is killed, and a server that is stopped at once, in the middle of fits, imports, refits and publications: after the
recovery every model is whole, and every published table is what its version says."""

import contextlib
import os
import random
import signal
import threading
import time

from lib import models, onnx
from lib.consistency import check_published, check_registry
from lib.needs import has
from lib.pgwire import Connection, ConnectionLost, ServerError
from lib.processes import wait_until
from lib.tally import long, told

EXPECTS_CRASH = True
# What was committed is there after the recovery: so commits are written, and pages whole.
SETTINGS = {"synchronous_commit": "on", "full_page_writes": "on", "restart_after_crash": "on", "max_prepared_transactions": "10"}

# Each model has a table of its own as its source, which changes only in the transaction of a refit: a published table is always
# what its version says of the source as it is now.
SOURCES = {"seg": "customers_seg", "sco": "customers_sco", "rec": "events"}
SETUP = """
    CREATE TABLE customers_seg AS TABLE customers; CREATE TABLE customers_sco AS TABLE customers;
    ALTER TABLE customers_seg ADD PRIMARY KEY (id); ALTER TABLE customers_sco ADD PRIMARY KEY (id);
    SELECT FROM persona.fit_segments('seg', 'customers_seg', 'id', 3, features => '{spend,visits}', save_to => 'labels');
    SELECT FROM persona.fit_scorer('sco', 'customers_sco', 'bought', key => 'id');
    SELECT FROM persona.fit_recommender('rec', 'events', holdout => 0);
    SELECT FROM persona.publish('seg', 'labels', history_table => 'moves');
    SELECT FROM persona.publish('sco', 'scores', key => 'id');
    SELECT FROM persona.publish('rec', 'offers', n => 4);
    UPDATE persona.model SET keep_versions = 40;
    CREATE FUNCTION change_and_refit(model text, source text) RETURNS integer LANGUAGE plpgsql AS $$
    DECLARE made integer;
    BEGIN
        IF model = 'rec' THEN
            EXECUTE format('DELETE FROM %s WHERE ctid IN (SELECT ctid FROM %1$s ORDER BY random() LIMIT 3)', source);
            EXECUTE format('INSERT INTO %s VALUES ((random() * 200)::int, (random() * 39)::int + 1)', source);
        ELSE
            EXECUTE format('UPDATE %s SET spend = 300 * random(), visits = 100 * random() WHERE id %% 50 = (random() * 50)::int', source);
        END IF;
        made := persona.refit(model, force => true);
        IF made IS NULL THEN RAISE EXCEPTION USING ERRCODE = '55P03', MESSAGE = 'skipped'; END IF;
        RETURN made;
    END $$;
"""
# What is killed: statements, and the model that they make a version of.
WORKS = {
    "a first fit": ("SELECT FROM persona.fit_segments('new{number}', 'customers_seg', 'id', 3, features => '{{spend,visits}}', save_to => 'new_labels{number}')", None),
    "a fit": ("SELECT FROM persona.fit_segments('other', 'customers', 'id', {k}, features => '{{spend,visits}}', save_to => 'other_labels')", "other"),
    "a fit on the disk": ("SELECT FROM persona.fit_segments('other', 'customers', 'id', {k}, features => '{{spend,visits}}', storage => 'disk')", "other"),
    "a fit of a scorer": ("SELECT FROM persona.fit_scorer('other_sco', 'customers', 'bought', key => 'id')", "other_sco"),
    "a fit of a recommender": ("SELECT FROM persona.fit_recommender('other_rec', 'events')", "other_rec"),
    "an import": ("SELECT FROM persona.import_onnx('graph', (SELECT onnx FROM graphs))", "graph"),
    "a refit of segments": ("SELECT change_and_refit('seg', 'customers_seg')", "seg"),
    "a refit of a scorer": ("SELECT change_and_refit('sco', 'customers_sco')", "sco"),
    "a refit of a recommender": ("SELECT change_and_refit('rec', 'events')", "rec"),
    "a refit as a job": ("CALL persona.refit_job('seg', force => true)", "seg"),
    "a first publication": ("SELECT FROM persona.publish('seg', 'again{number}', history_table => 'again_moves{number}')", None),
    "everyone's page": ("SELECT FROM persona.save_recommendations('rec', 'offers', {k})", None),
}
NEWEST = "SELECT m.name, max(v.version) FROM persona.model m JOIN persona.model_version v ON v.model_id = m.id GROUP BY 1"


def prepare(session, n=3000):
    models.make_data(session, n, 200)
    session.query(SETUP)
    session.query(f"CREATE TABLE graphs AS SELECT '\\x{onnx.weighty(3).hex()}'::bytea AS onnx")


def test_a_killed_session_leaves_no_half_model(cluster):
    check_kills(cluster, 16)


@long
def test_200_killed_sessions_leave_no_half_model(cluster):
    check_kills(cluster, 200)


def check_kills(cluster, n_kills):
    """Kills at random points of each kind of work; what was acknowledged is there, what was not is there whole or not at all."""
    chance, in_the_middle, published = random.Random(1), 0, 0
    with cluster.connect() as session:
        prepare(session)
        started = session.scalar("SELECT pg_postmaster_start_time()::text")
    takes = {}
    for number in range(n_kills):
        name = list(WORKS)[number % len(WORKS)]
        work, model = WORKS[name]
        work = work.format(number=number, k=2 + number % 3)
        with cluster.connect() as session:
            if name not in takes:
                # Once to its end, for the time that it takes; a second first fit would be a fit.
                began = time.monotonic()
                session.query(work.replace(f"new{number}", f"whole{number}").replace(f"new_labels{number}", f"whole_labels{number}"))
                takes[name] = time.monotonic() - began
                session.query("UPDATE persona.model SET keep_versions = 40")
            before = dict(session.rows(NEWEST))
            session.send(work)
            ended = session.ready(chance.uniform(0, takes[name] * 1.05))
            recoveries = ready_count(cluster)
            os.kill(session.pid, signal.SIGKILL)
            if ended:
                with contextlib.suppress(ConnectionLost):
                    session.fetch()
            in_the_middle += not ended
        wait_until("the server is back", lambda: ready_count(cluster) > recoveries, 60)
        with connected(cluster) as session:
            when = f"after kill {number}, of {name}"
            after = dict(session.rows(NEWEST))
            if model:
                low, high = before.get(model, 0), before.get(model, 0) + 1
                assert after.get(model, 0) in ((high,) if ended else (low, high)), f"{when}: version {before.get(model)}, then {after.get(model)}"
            assert {one: version for one, version in after.items() if one not in (model, f"new{number}")} \
                == {one: version for one, version in before.items() if one not in (model, f"new{number}")}, when
            check_registry(session, when)
            published = check_published(session, SOURCES, when)
            if f"new{number}" not in after:
                assert session.scalar(f"SELECT to_regclass('new_labels{number}')") is None, when
            assert session.scalar("SELECT count(*) FROM persona.activity") == 0, f"{when}: a ghost"
            assert session.scalar("SELECT pg_postmaster_start_time()::text") == started
    left = [path.name for path in (cluster.data / "base" / "pgsql_tmp").glob("*")]
    assert not left, f"temporary files are left: {left[:5]}"
    told(f"{n_kills} kills, {in_the_middle} of them in the middle of the work: every model whole, {published} tables as their models say")


def ready_count(cluster):
    return cluster.log.read_text(errors="replace").count("database system is ready to accept connections")


def connected(cluster):
    """A connection, once the server takes them."""
    def attempt():
        try:
            return cluster.connect()
        except (OSError, ServerError, ConnectionLost):
            return None
    return wait_until("the server takes connections", attempt, 30)


def test_a_server_stopped_at_once_under_load_comes_back_whole(cluster):
    check_stops(cluster, 4)


@long
def test_a_server_stopped_at_once_100_times_under_load_comes_back_whole(cluster):
    check_stops(cluster, 100)


def check_stops(cluster, n_stops):
    """Fits, refits, activations and reads by six sessions, SIGQUIT to all, recovery; what was acknowledged is there."""
    with cluster.connect() as session:
        prepare(session, 1500)
        session.query("SELECT FROM persona.fit_segments('other', 'customers', 'id', 2, features => '{spend}')")
        amcheck = has(cluster, "amcheck")
        if amcheck:
            session.query("CREATE EXTENSION amcheck")
    chance, acknowledged, counts, wrong = random.Random(2), {}, {}, []
    for number in range(n_stops):
        over = threading.Event()
        workers = [threading.Thread(target=work_until, args=(cluster, over, kind, number, acknowledged, counts, wrong), daemon=True)
                   for kind in ("seg", "sco", "rec", "other", "change", "read")]
        for worker in workers:
            worker.start()
        time.sleep(chance.uniform(0.3, 1.2))
        cluster.stop("immediate")
        over.set()
        for worker in workers:
            worker.join(60)
            assert not worker.is_alive(), "a client did not hear that the server is gone"
        assert not wrong, wrong
        cluster.start()
        with cluster.connect() as session:
            when = f"after stop {number}"
            check_registry(session, when)
            check_published(session, SOURCES, when)
            newest = dict(session.rows(NEWEST))
            for model, version in acknowledged.items():
                assert newest.get(model, 0) in (version, version + 1), f"{when}: version {version} of {model} was acknowledged, {newest.get(model)} is there"
                acknowledged[model] = newest[model]
            assert session.scalar("SELECT count(*) FROM persona.activity") == 0, f"{when}: a ghost"
        if amcheck:
            cluster.tool("pg_amcheck", "-d", cluster.database, "-s", "persona", "-s", "public", "--heapallindexed", "--parent-check", timeout=300)
    if amcheck:
        cluster.tool("pg_amcheck", "-d", cluster.database, "--heapallindexed", "--parent-check", "--rootdescend", timeout=600)
    told(f"{n_stops} stops, each after {', '.join(f'{counts[kind] / n_stops:.1f} {kind}' for kind in sorted(counts))} on average: whole each time, {'pg_amcheck clean' if amcheck else 'not looked at by pg_amcheck: the server has no amcheck'}")


def work_until(cluster, over, kind, number, acknowledged, counts, wrong):
    """One session's statements, one after another, until its server is gone."""
    chance, gone = random.Random(f"{kind} {number}"), ("57P01", "57P02", "57P03")
    try:
        with Connection(cluster.socket, cluster.database, timeout=30) as session:
            while not over.is_set():
                try:
                    rows = session.rows(statement(kind, chance, number))
                except ServerError as error:
                    if error.sqlstate in gone:
                        return
                    # A model that another session renamed or dropped, or that has another lock's holder.
                    if error.sqlstate not in ("55P03", "42704", "42710"):
                        wrong.append(f"{kind}: {error}")
                    continue
                counts[kind] = counts.get(kind, 0) + 1
                if kind in SOURCES:
                    acknowledged[kind] = rows[0][0]
    except (ConnectionLost, OSError, TimeoutError):
        return
    except ServerError as error:
        if error.sqlstate not in gone:
            wrong.append(f"{kind}: {error}")


def statement(kind, chance, number):
    if kind in SOURCES:
        return f"SELECT change_and_refit('{kind}', '{SOURCES[kind]}')"
    if kind == "other":
        return chance.choice((
            f"SELECT FROM persona.fit_segments('other', 'customers', 'id', {chance.randint(2, 4)}, features => '{{spend,visits}}', save_to => 'other_labels')",
            f"SELECT FROM persona.fit_scorer('first{chance.randint(1, 9)}', 'customers', 'bought', key => 'id')",
            "SELECT FROM persona.import_onnx('graph', (SELECT onnx FROM graphs))",
            f"SELECT persona.drop_model('first{chance.randint(1, 9)}')",
            f"SELECT FROM persona.publish('other', 'other_again{number % 5}', key => 'id')",
        ))
    if kind == "change":
        return chance.choice((
            "SELECT persona.activate(name, (SELECT v.version FROM persona.model_version v WHERE v.model_id = m.id ORDER BY random() LIMIT 1)) FROM persona.model m WHERE name = 'sco'",
            f"SELECT persona.name_segment('other', {chance.randint(1, 2)}, 'name {chance.random()}')",
            "SELECT persona.grant_model('other', 'public')", "SELECT persona.revoke_model('other', 'public')",
            f"SELECT persona.rename_model('first{chance.randint(1, 9)}', 'renamed{chance.randint(1, 1000000)}')",
        ))
    return chance.choice((
        "SELECT sum(persona.segment('seg', c)) FROM customers_seg c", "SELECT sum(persona.score('sco', c)) FROM customers_sco c",
        "SELECT count(*) FROM persona.recommend_all('rec', 5)", "SELECT count(*) FROM persona.profile('7')",
        "SELECT count(*) FROM persona.segment_changes('seg')",
    ))


def test_a_prepared_transaction_survives_a_crash_with_its_locks(cluster):
    with cluster.connect() as session:
        models.make_models(session, 200, 30)
        session.query("SELECT persona.publish('seg', 'labels'); SELECT FROM persona.save_recommendations('rec', 'pages', 3)")
        # Whatever is written: no temporary table is made, without which no transaction could be prepared.
        session.query("BEGIN; SELECT persona.refit('seg');"
                      "SELECT FROM persona.fit_segments('seg', 'customers', 'id', 2, features => '{visits}', save_to => 'labels'); SELECT FROM persona.save_recommendations('rec', 'pages', 2)")
        session.query("PREPARE TRANSACTION 'refit'")
        session.query("BEGIN; SELECT FROM persona.fit_segments('first', 'customers', 'id', 2, features => '{spend}')")
        session.query("PREPARE TRANSACTION 'first'")
    cluster.restart("immediate")
    with cluster.connect() as session, cluster.connect() as other:
        assert session.scalar("SELECT persona.refit('seg')") is None
        assert any("skipped" in notice["M"] for notice in session.notices), session.notices
        other.send("SELECT FROM persona.fit_segments('first', 'customers', 'id', 2, features => '{spend}')")
        assert not other.ready(0.3), "the name of a prepared first fit is free after a crash"
        for name in ("first", "refit"):
            session.query(f"COMMIT PREPARED '{name}'")
        other.fetch()
        assert session.scalar("SELECT active_version FROM persona.models WHERE model = 'first'") == 2
        assert session.scalar("SELECT persona.refit('seg')") == 5
        check_registry(session)
