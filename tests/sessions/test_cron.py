"""The night job under the real pg_cron, which comes with Debian's PostgreSQL 15: minutes long, as cron counts in minutes."""

import time
from contextlib import contextmanager

from lib import models, processes
from lib.cluster import Cluster
from lib.needs import needs
from lib.tally import long

NIGHT = {"shared_preload_libraries": "'pg_cron'", "cron.database_name": "'night'", "log_min_messages": "notice"}
JOB = "$$CALL persona.refit_job('seg')$$"
NEWEST = "SELECT max(version) FROM persona.model_versions WHERE model = 'seg'"
LOG = "SELECT version, n_changed, sqlstate FROM persona.refit_log WHERE model = 'seg' ORDER BY started_at"


@long
def test_a_scheduled_refit_publishes_and_logs_what_fails(cluster):
    with night(cluster) as server:
        with server.connect() as session:
            models.make_models(session, 400, 40)
            session.query("SELECT FROM persona.publish('seg', 'labels')")
            newest = session.scalar(NEWEST)
            session.query("UPDATE customers SET spend = spend + 1 WHERE id % 50 = 0")
            session.query(f"SELECT cron.schedule('segments', '* * * * *', {JOB})")
            (first,) = processes.wait_until("the first run", lambda: session.rows(LOG), seconds=90)
            assert first[0] == newest + 1 and first[2] is None, first
            assert session.scalar("SELECT bool_and(l.segment = persona.segment('seg', c)) FROM labels l JOIN customers c USING (id)")

            session.query("DELETE FROM customers WHERE id > 100")
            failed = processes.wait_until("a run that fails", lambda: session.rows(f"SELECT * FROM ({LOG}) l WHERE sqlstate IS NOT NULL"), seconds=90)
            assert failed == [(None, None, "55000")], failed
            told = processes.wait_until("its failure in pg_cron", lambda: session.rows(
                "SELECT return_message FROM cron.job_run_details WHERE status = 'failed'"), seconds=10)
            assert "under half" in told[0][0], told
            assert session.scalar("SELECT active_version FROM persona.models WHERE model = 'seg'") > newest
            session.query("SELECT cron.unschedule('segments')")


@long
def test_of_two_jobs_and_two_refits_by_hand_one_runs(cluster):
    """The jobs start a minute apart, and the refit takes 90 s. They run in sessions of their own: pg_cron's launcher waits for the
    end of a job that it runs in a background worker."""
    with night(cluster, "off") as server, server.connect(timeout=200) as session, server.connect() as other:
        models.make_models(session, 400, 40)
        session.query("""
            CREATE TABLE delay AS SELECT 0 AS seconds;
            CREATE FUNCTION waited() RETURNS boolean LANGUAGE plpgsql VOLATILE AS
                $$ BEGIN PERFORM pg_sleep(seconds) FROM delay; RETURN true; END $$;
            CREATE VIEW slow AS SELECT c.* FROM (SELECT waited() OFFSET 0) AS w, customers c;
            SELECT FROM persona.fit_segments('seg', 'slow', 'id', 3, features => '{spend,visits}');
            UPDATE delay SET seconds = 90;""")
        newest = session.scalar(NEWEST)
        minute = session.scalar("SELECT extract(minute FROM now() + interval '5 seconds')::integer")
        for number in (1, 2):
            session.query(f"SELECT cron.schedule('night {number}', '{(minute + number) % 60} * * * *', {JOB})")
        details = "SELECT j.jobname, d.status, extract(epoch FROM d.end_time - d.start_time)::float8 FROM cron.job_run_details d JOIN cron.job j USING (jobid) ORDER BY d.start_time"
        processes.wait_until("the first job fits", lambda: session.scalar("SELECT count(*) FROM persona.activity"), seconds=90)
        began = time.monotonic()
        for by_hand in ("SELECT persona.refit('seg')", "CALL persona.refit_job('seg')"):
            other.notices.clear()
            assert other.scalar(by_hand) is None
            assert any("skipped" in notice["M"] and notice["S"] == "NOTICE" for notice in other.notices), other.notices
        assert time.monotonic() - began < 2, "a refit that skips waits"
        # The second job comes while the first runs, and has gone when it ends.
        second = processes.wait_until("the second job's end", lambda: [row for row in session.rows(details) if row[0] == "night 2" and row[2] is not None], seconds=80)
        assert second[0][1] == "succeeded" and second[0][2] < 10, second
        assert session.scalar("SELECT count(*) FROM persona.activity") == 1 and session.scalar(NEWEST) == newest
        processes.wait_until("the first job's end", lambda: session.scalar(NEWEST) > newest, seconds=120)
        runs = processes.wait_until("what pg_cron says of it", lambda: [rows for rows in [session.rows(details)] if all(row[2] is not None for row in rows)])[0]
        assert [row[:2] for row in runs] == [("night 1", "succeeded"), ("night 2", "succeeded")] and runs[0][2] >= 90, runs
        assert session.scalar(NEWEST) == newest + 1
        assert session.rows(LOG) == [(newest + 1, 0, None)], session.rows(LOG)
        # Two by hand, and the second job's.
        skipped = [line for line in server.log.read_text(errors="replace").splitlines() if " 00000 NOTICE" in line and "skipped" in line]
        assert len(skipped) == 3, skipped
        session.query("SELECT cron.unschedule(jobname) FROM cron.job")


@contextmanager
def night(cluster, in_workers="on"):
    """A server with pg_cron in its one database."""
    needs(cluster, "pg_cron")
    server = Cluster(cluster.server, NIGHT)
    server.configure({"cron.use_background_workers": in_workers, "cron.host": f"'{server.directory}'"})
    server.start()
    try:
        server.create_database("night")
        with server.connect() as session:
            session.query("CREATE EXTENSION pg_cron")
        yield server
    finally:
        server.remove()
