"""Whom a model obeys, and whose rows it sees."""

from lib import models
from lib.models import MODELS


def test_a_model_belongs_to_its_owner(cluster):
    with cluster.connect() as admin:
        models.make_data(admin)
        admin.query("CREATE ROLE bob LOGIN; CREATE ROLE eve LOGIN; GRANT SELECT ON customers, events TO bob, eve;"
                    "CREATE FUNCTION persona_half() RETURNS float8 LANGUAGE sql AS 'SELECT 0.5::float8'")
        with cluster.connect(user="bob") as bob, cluster.connect(user="eve") as eve:
            for model in MODELS:
                models.fit(bob, model, 1)
                models.fit(bob, model, 2)
            use = {"seg": ["SELECT persona.segment('seg', c) FROM customers c", "SELECT * FROM persona.segments('seg')",
                           "SELECT persona.distance('seg', c) FROM customers c", "SELECT * FROM persona.segment_profile('seg')"],
                   "sco": ["SELECT persona.score('sco', c) FROM customers c", "SELECT persona.predict('sco', c) FROM customers c",
                           "SELECT persona.score_batch('sco', c) OVER () FROM customers c",
                           "SELECT * FROM persona.evaluate('sco', 'SELECT *, bought AS good FROM customers', 'good')"],
                   "rec": ["SELECT * FROM persona.recommend('rec', 1)", "SELECT * FROM persona.similar_items('rec', 1001)",
                           "SELECT * FROM persona.recommend_for('rec', '{1}'::bigint[])", "SELECT * FROM persona.evaluate_recommender('rec', 'events')"]}
            reads = {"seg": [], "sco": ["SELECT persona.export_onnx('sco')", "SELECT * FROM persona.holdout_scores('sco')"], "rec": ["SELECT * FROM persona.recommend_all('rec')"]}
            for model in MODELS:
                change = [f"SELECT persona.activate('{model}', 1)", f"SELECT persona.drop_model('{model}')",
                          f"SELECT persona.rename_model('{model}', 'mine')", f"SELECT persona.grant_model('{model}', 'eve')",
                          f"SELECT persona.revoke_model('{model}', 'bob')", f"SELECT persona.refit('{model}')",
                          f"SELECT persona.publish('{model}', 'stolen')",
                          models.FIT[model].format(k=2, wanted="true", shift=0)]
                if model == "seg":
                    change.append("SELECT persona.name_segment('seg', 1, 'mine')")
                for statement in use[model]:
                    assert eve.error(statement).sqlstate == "42704", statement
                for statement in change:
                    assert eve.error(statement).sqlstate in ("42704", "42501", "42710"), f"{statement}: {eve.error(statement)}"
                assert eve.rows("SELECT * FROM persona.models") == [] and eve.rows("SELECT * FROM persona.model_chunk") == []
                bob.query(f"SELECT persona.grant_model('{model}', 'eve')")
                for statement in use[model]:
                    assert eve.rows(statement), statement
                for statement in change:
                    error = eve.error(statement)
                    assert error.sqlstate == "42501", f"{statement}: {error}"
                # Nor by hand, in the tables.
                for table in ("model", "model_version", "model_chunk", "model_evidence", "segment_name", "publication", "refit_run"):
                    for statement in (f"DELETE FROM persona.{table}", f"UPDATE persona.{table} SET {'name' if table == 'model' else 'model_id'} = NULL",
                                      f"INSERT INTO persona.{table} DEFAULT VALUES", f"TRUNCATE persona.{table}"):
                        assert eve.error(statement).sqlstate == "42501", statement
                        assert bob.error(statement).sqlstate == "42501", statement
                    assert eve.rows(f"SELECT * FROM persona.{table}") == [], f"eve sees rows of {table}"
                for statement in reads[model]:
                    assert eve.error(statement).sqlstate == "42501", statement
                bob.query(f"SELECT persona.grant_model('{model}', 'eve', 'read')")
                for statement in reads[model]:
                    assert eve.rows(statement), statement
                bob.query(f"SELECT persona.revoke_model('{model}', 'eve', 'read')")
                for statement in reads[model]:
                    assert eve.error(statement).sqlstate == "42501", statement
                assert eve.rows(use[model][0]), "who may not read any more may still use"
                bob.query(f"SELECT persona.revoke_model('{model}', 'eve')")
                assert eve.error(use[model][0]).sqlstate == "42704", "what was taken back still works"
            assert bob.scalar("SELECT count(*) FROM persona.models") == 3


def test_row_level_security_of_a_source_holds(cluster):
    with cluster.connect() as admin:
        models.make_data(admin)
        admin.query("""
            CREATE ROLE clerk LOGIN;
            GRANT SELECT ON customers, events TO clerk;
            ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
            ALTER TABLE events ENABLE ROW LEVEL SECURITY;
            CREATE POLICY own ON customers TO clerk USING (id <= 300);
            CREATE POLICY own ON events TO clerk USING (user_id <= 30);""")
        for model in MODELS:
            models.fit(admin, model, 1)
            admin.query(f"SELECT persona.rename_model('{model}', 'all_{model}')")
        with cluster.connect(user="clerk") as clerk:
            for model in MODELS:
                models.fit(clerk, model, 1)
            n_events = clerk.scalar("SELECT count(*) FROM events")
            found = dict(clerk.rows("SELECT model, n_rows FROM persona.models"))
            assert found == {"seg": 300, "sco": 300, "rec": n_events}, found
        # A superuser's refit reads what the owner may read.
        for model in MODELS:
            assert admin.scalar(f"SELECT persona.refit('{model}')") == 2
        found = dict(admin.rows("SELECT model, n_rows FROM persona.models WHERE model NOT LIKE 'all%'"))
        assert found == {"seg": 300, "sco": 300, "rec": n_events}, found
        # row_security = off is an error, not more rows.
        with cluster.connect(user="clerk") as clerk:
            clerk.query("SET row_security = off")
            assert clerk.error("SELECT FROM persona.fit_segments('off', 'customers', 'id', 2)").sqlstate == "42501"
        # Column rights, too.
        admin.query("REVOKE SELECT ON customers FROM clerk; GRANT SELECT (id, spend) ON customers TO clerk")
        with cluster.connect(user="clerk") as clerk:
            assert clerk.error("SELECT FROM persona.fit_segments('cols', 'customers', 'id', 2)").sqlstate == "42501"
            clerk.query("SELECT FROM persona.fit_segments('cols', 'SELECT id, spend FROM customers', 'id', 2)")
