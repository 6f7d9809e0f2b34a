"""The night job under the real pg_cron, which comes with Debian's PostgreSQL 15: minutes long, as cron counts in minutes."""

from lib import models, processes
from lib.cluster import Cluster
from lib.tally import Skip

SETTINGS = {"shared_preload_libraries": "'pg_cron'", "cron.database_name": "'night'", "cron.use_background_workers": "on"}
JOB = "$$CALL persona.refit_job('seg')$$"
NEWEST = "SELECT max(version) FROM persona.model_versions WHERE model = 'seg'"
LOG = "SELECT version, n_changed, sqlstate FROM persona.refit_log WHERE model = 'seg' ORDER BY started_at"


def test_a_scheduled_refit_publishes_and_logs_what_fails(cluster):
    if cluster.server != "15":
        raise Skip("pg_cron is tested on Debian's PostgreSQL 15")
    server = Cluster(cluster.server, SETTINGS).start()
    try:
        server.create_database("night")
        with server.connect("night") as session:
            models.make_models(session, 400, 40)
            session.query("CREATE EXTENSION pg_cron; SELECT FROM persona.publish('seg', 'labels')")
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
    finally:
        server.remove()


test_a_scheduled_refit_publishes_and_logs_what_fails.long = True
