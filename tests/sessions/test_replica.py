"""A streaming standby: models read as on the primary, writes refused, new versions seen; and reads that take no XID."""

import os
import signal

from lib import onnx, processes
from lib.onnx import Fixture
from lib.sessions import log_problems
from lib.tally import long, told

READS = {
    "segment": "SELECT id, persona.segment('groups', v), persona.distance('groups', v) FROM visitors v ORDER BY id",
    "segments": "SELECT * FROM persona.segments('groups')",
    "segment_profile": "SELECT * FROM persona.segment_profile('groups')",
    "segment_quality": "SELECT * FROM persona.segment_quality('groups')",
    "score": "SELECT id, persona.score('native', v) FROM visitors v ORDER BY id",
    "predict": "SELECT id, persona.predict('native', v) FROM visitors v ORDER BY id",
    "holdout_scores": "SELECT * FROM persona.holdout_scores('native') ORDER BY score, label",
    "export_onnx": "SELECT md5(persona.export_onnx('native'))",
    "score by ONNX": "SELECT persona.score('trees', t) FROM trees t ORDER BY id",
    "score_batch by ONNX": "SELECT persona.score_batch('trees', t) OVER (ORDER BY id) FROM trees t",
    "predict by ONNX": "SELECT persona.predict('trees', t) FROM trees t ORDER BY id",
    "recommend": "SELECT c, r.* FROM generate_series(1, 20) AS c, persona.recommend('products', c) AS r",
    "recommend_for": "SELECT * FROM persona.recommend_for('products', ARRAY[1, 2]::bigint[])",
    "recommend_all": "SELECT * FROM persona.recommend_all('products', 3) ORDER BY user_key, rank",
    "similar_items": "SELECT * FROM persona.similar_items('products', 1)",
    "profile": "SELECT * FROM persona.profile('7')",
    "models": "SELECT model, kind, active_version FROM persona.models ORDER BY model",
    "model_versions": "SELECT model, version, is_active, sha256, n_bytes, source, parameters FROM persona.model_versions ORDER BY 1, 2",
    "anomaly": "SELECT id, persona.anomaly('groups', v), persona.second_segment('groups', v), persona.anomaly_reasons('groups', v) FROM visitors v ORDER BY id",
    "segment_changes": "SELECT * FROM persona.segment_changes('groups') ORDER BY changed_at, key",
    "refit_log": "SELECT model, from_version, version, n_rows, n_changed FROM persona.refit_log ORDER BY model, started_at",
}
WRITES = {
    "fit_segments": "SELECT * FROM persona.fit_segments('other', 'SELECT id, a, b FROM visitors', 'id', 2)",
    "fit_scorer": "SELECT * FROM persona.fit_scorer('other', 'visitors', 'bought', features => ARRAY['a', 'b'])",
    "fit_recommender": "SELECT * FROM persona.fit_recommender('other', 'purchases')",
    "import_onnx": onnx.import_statement("other", Fixture("linear_regressor").model, ["a", "b", "c", "d"]),
    "refit": "SELECT persona.refit('groups')",
    "publish": "SELECT * FROM persona.publish('groups', 'published_again')",
    "publish of what is there": "SELECT * FROM persona.publish('groups', 'published', history_table => 'moves')",
    "publish of scores": "SELECT * FROM persona.publish('native', 'scores', key => 'id')",
    "publish of items": "SELECT * FROM persona.publish('products', 'offers', n => 3)",
    "fit_segments into a table": "SELECT * FROM persona.fit_segments('groups', 'SELECT id, a, b FROM visitors', 'id', 3, save_to => 'published')",
    "recommend_all into a table": "SELECT * FROM persona.save_recommendations('products', 'everyone', 3)",
    "recommend_all into a temporary table": "SELECT * FROM persona.save_recommendations('products', 'pg_temp.everyone', 3)",
    "recommend_all into a table that is there": "SELECT * FROM persona.save_recommendations('products', 'published', 3)",
    "refit of a scorer": "SELECT persona.refit('native')",
    "refit of a recommender": "SELECT persona.refit('products')",
    "refit_job": "CALL persona.refit_job('groups')",
    "refit_job of none": "CALL persona.refit_job('native', force => true)",
    "activate": "SELECT persona.activate('groups', 1)",
    "name_segment": "SELECT persona.name_segment('groups', 1, 'first')",
    "rename_model": "SELECT persona.rename_model('groups', 'other')",
    "grant_model": "SELECT persona.grant_model('groups', 'public')",
    "revoke_model": "SELECT persona.revoke_model('groups', 'public')",
    "log_refit_failure": "SELECT persona.log_refit_failure('groups', now(), '22012', 'none')",
    "drop_model": "SELECT persona.drop_model('groups')",
}


def fit_everything(connection):
    connection.query("""CREATE TABLE visitors AS
        SELECT i AS id, (i * 7919) % 100 AS a, (i * 31) % 50 / 10.0 AS b, (i * 7919) % 100 + (i * 104729) % 60 > 80 AS bought
        FROM generate_series(1, 400) AS i""")
    connection.query("""CREATE TABLE purchases AS
        SELECT u AS user_id, (u * 13 + j * j) % 25 AS item_id FROM generate_series(1, 60) AS u, generate_series(1, 6) AS j""")
    fixture = Fixture("boosted_trees")
    fixture.create_table(connection, "trees")
    fixture.import_into(connection, "trees")
    connection.query("SELECT * FROM persona.fit_segments('groups', 'SELECT id, a, b FROM visitors', 'id', 3, save_to => 'published')")
    connection.query("SELECT * FROM persona.fit_scorer('native', 'visitors', 'bought', features => ARRAY['a', 'b'])")
    connection.query("SELECT * FROM persona.fit_recommender('products', 'purchases')")
    connection.query("SELECT * FROM persona.publish('groups', 'published', history_table => 'moves')")
    connection.query("UPDATE moves SET left_at = entered_at + interval '1 second'")
    connection.query("SELECT persona.refit('groups')")


def check_writes_are_refused(connection):
    errors = {name: connection.error(sql) for name, sql in WRITES.items()}
    assert {error.sqlstate for error in errors.values()} == {"25006"}, {name: str(error) for name, error in errors.items() if error.sqlstate != "25006"}


def test_a_standby_reads_as_its_primary_and_refuses_writes(cluster):
    with cluster.connect() as primary:
        fit_everything(primary)
        answers = {name: primary.rows(sql) for name, sql in READS.items()}
        standby = cluster.standby()
        try:
            with standby.connect() as connection:
                assert connection.scalar("SELECT pg_is_in_recovery()")
                for name, sql in READS.items():
                    assert answers[name], f"{name} gave nothing"
                    assert connection.rows(sql) == answers[name], f"{name} differs on the standby"
                (scorer,) = processes.onnx_processes(standby)
                assert scorer not in processes.onnx_processes(cluster)
                check_writes_are_refused(connection)
                assert connection.rows(READS["models"]) == answers["models"]

                # A new version is used from the statement after its replay, by the session that knows the old one.
                for share in (0.6, 0.3):
                    primary.query(f"UPDATE visitors SET b = b * {share}")
                    for model in ("groups", "native", "products"):
                        primary.query(f"SELECT persona.refit('{model}', force => true)")
                    Fixture("linear_regressor").import_into(primary, "line")
                    cluster.replay_on(standby)
                    line = "SELECT persona.score('line', t) FROM (SELECT c1, c2, c3, c4 FROM trees) AS t"
                    for sql in [*READS.values(), line]:
                        assert connection.rows(sql) == primary.rows(sql), f"after {share}: {sql}"
                # The scorer may die there too.
                (scorer,) = processes.onnx_processes(standby)
                os.kill(scorer, signal.SIGKILL)
                processes.wait_until("it is gone", lambda: not processes.is_alive(scorer))
                assert connection.rows(READS["score by ONNX"]) == answers["score by ONNX"]

                # A promoted standby writes.
                assert connection.scalar("SELECT pg_promote()")
                connection.query(WRITES["name_segment"])
                connection.query(WRITES["fit_scorer"])
                assert connection.scalar("SELECT name FROM persona.segments('groups') WHERE segment = 1") == "first"
                assert not log_problems(standby), log_problems(standby)
        finally:
            standby.remove()


def test_a_standby_follows_its_primary(cluster):
    check_a_standby_follows(cluster, 2)


@long
def test_a_standby_follows_its_primary_through_10_cycles(cluster):
    check_a_standby_follows(cluster, 10)


def check_a_standby_follows(cluster, n_cycles):
    """Each cycle changes the rows and refits or replaces every model; then all reads answer alike. At the end all writes are refused."""
    with cluster.connect() as primary:
        fit_everything(primary)
        primary.query("SELECT persona.publish('native', 'scores', key => 'id'); SELECT persona.publish('products', 'offers', n => 3)")
        Fixture("linear_regressor").import_into(primary, "line")
        standby = cluster.standby()
        try:
            with standby.connect() as connection:
                equal = 0
                for cycle in range(n_cycles):
                    change_everything(primary, cycle)
                    cluster.replay_on(standby)
                    for name, sql in READS.items():
                        answer = primary.rows(sql)
                        assert answer and connection.rows(sql) == answer, f"cycle {cycle}: {name} differs on the standby"
                        equal += 1
                told(f"{equal} of {n_cycles * len(READS)} reads are equal on the standby")
                check_writes_are_refused(connection)
            assert not log_problems(standby), log_problems(standby)
        finally:
            standby.remove()


def change_everything(primary, cycle):
    primary.query(f"UPDATE visitors SET a = (a + id % {cycle + 3} * 7) % 100, b = b * 0.9 WHERE id % 3 = {cycle % 3}")
    primary.query(f"INSERT INTO purchases SELECT {100 + cycle}, i FROM generate_series(1, {3 + cycle}) AS i")
    for model in ("groups", "native", "products"):
        primary.query(f"SELECT persona.refit('{model}', force => true)")
    Fixture("boosted_trees" if cycle % 2 else "logistic").import_into(primary, "line")
    step = cycle % 5
    if step == 0:
        primary.query("SELECT persona.activate('native', 1)")
    elif step == 1:
        primary.query(f"SELECT persona.name_segment('groups', 1, 'cycle {cycle}')")
    elif step == 2:
        primary.query("SELECT persona.drop_model('products'); SELECT FROM persona.fit_recommender('products', 'purchases')")
        primary.query("SELECT FROM persona.publish('products', 'offers', n => 3)")
    elif step == 3:
        primary.query("SELECT persona.rename_model('native', 'away'); SELECT persona.rename_model('away', 'native')")
    else:
        primary.query("SELECT FROM persona.fit_segments('groups', 'SELECT id, a, b FROM visitors', 'id', 4, save_to => 'published')")


def test_reads_take_no_transaction_id(cluster):
    with cluster.connect() as connection:
        fit_everything(connection)
        for name, sql in READS.items():
            connection.query("BEGIN")
            connection.query(sql)
            assert connection.scalar("SELECT pg_current_xact_id_if_assigned()") is None, f"{name} took an XID"
            connection.query("COMMIT")


def test_reads_work_in_a_read_only_transaction_and_writes_do_not(cluster):
    with cluster.connect() as connection:
        fit_everything(connection)
        connection.query("SET default_transaction_read_only = on")
        for sql in READS.values():
            connection.query(sql)
        check_writes_are_refused(connection)
