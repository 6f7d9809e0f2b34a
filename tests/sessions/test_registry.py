"""Models as rows among many sessions: versions, rollback, caches, races, rights and hostile names."""

import time

from lib import models
from lib.models import VERSION_SEEN, activate, version_seen
from lib.pgwire import ServerError

SETTINGS = {"max_prepared_transactions": "10"}
MODELS = ("seg", "sco", "rec")

# Every way to ask without changing anything.
READS = [
    "SELECT persona.segment('seg', c) FROM customers c LIMIT 5",
    "SELECT persona.distance('seg', c) FROM customers c LIMIT 5",
    "SELECT persona.second_segment('seg', c), persona.anomaly('seg', c), persona.anomaly_reasons('seg', c) FROM customers c LIMIT 5",
    "SELECT * FROM persona.segments('seg')",
    "SELECT * FROM persona.segment_profile('seg')",
    "SELECT * FROM persona.segment_quality('seg')",
    "SELECT persona.score('sco', c) FROM customers c LIMIT 5",
    "SELECT persona.score_batch('sco', c) OVER () FROM customers c LIMIT 5",
    "SELECT persona.predict('sco', c) FROM customers c LIMIT 5",
    "SELECT persona.export_onnx('sco')",
    "SELECT * FROM persona.recommend('rec', 1)",
    "SELECT * FROM persona.recommend('rec', '1'::text)",
    "SELECT * FROM persona.recommend_for('rec', '{1,2}'::bigint[])",
    "SELECT * FROM persona.recommend_for('rec', '{1,2}'::text[])",
    "SELECT * FROM persona.recommend_all('rec', 3)",
    "SELECT * FROM persona.similar_items('rec', 1)",
    "SELECT * FROM persona.similar_items('rec', '1'::text)",
    "SELECT * FROM persona.profile('1')",
    "SELECT * FROM persona.segment_changes('seg')",
    "SELECT * FROM persona.models",
    "SELECT * FROM persona.model_versions",
    "SELECT * FROM persona.activity",
    "SELECT persona.kmeans(ARRAY[spend, visits], 3) FROM customers",
    "SELECT persona.segment((SELECT persona.kmeans(ARRAY[spend, visits], 3) FROM customers), ARRAY[1.0, 2.0])",
    "SELECT persona.membership((SELECT persona.gaussian_mixture(ARRAY[spend, visits], 2) FROM customers), ARRAY[1.0, 2.0])",
    "SELECT persona.dbscan(ARRAY[spend, visits], 5, 3) OVER () FROM customers",
    "SELECT persona.feature_stats(c) FROM (SELECT spend, visits FROM customers) c",
    "SELECT persona.scale(persona.standard_scaler(ARRAY[spend, visits]), '{1,2}'::float8[]) FROM customers",
    "SELECT persona.rfm_segment(persona.rfm(now(), spend), now()) OVER () FROM customers GROUP BY id",
    "SELECT persona.roc_auc(bought, spend), persona.brier(bought, spend / 1000) FROM customers",
]


def test_no_read_takes_a_transaction_id(cluster):
    with cluster.connect() as owner:
        models.make_models(owner)
        owner.query("SELECT FROM persona.publish('seg', 'labels', history_table => 'moves')")
    for read in READS:
        for mode in ("", " READ ONLY"):
            # A session of its own: the first look at a model loads it.
            with cluster.connect() as session:
                session.query("BEGIN" + mode)
                rows = session.rows(read)
                assert rows or "activity" in read, f"no rows from {read}"
                assert session.scalar("SELECT pg_current_xact_id_if_assigned()") is None, f"a transaction id after {read}"


def test_every_reader_is_asked(cluster):
    with cluster.connect() as session:
        stable = session.rows("""
            SELECT DISTINCT p.proname FROM pg_proc p
            WHERE p.pronamespace = 'persona'::regnamespace AND p.provolatile = 's' AND p.proargtypes[0] = 'text'::regtype""")
    missing = [name for (name,) in stable if not any(f"persona.{name}(" in read for read in READS)]
    assert not missing, f"no read of these is tested: {missing}"


def test_fifty_sessions_that_fit_and_score_end_cleanly(cluster):
    with cluster.connect() as owner:
        models.make_data(owner, 200, 40)
    for round in range(50):
        with cluster.connect() as session:
            model = MODELS[round % 3]
            models.fit(session, model, 1 + round % 2)
            session.query({"seg": "SELECT sum(persona.segment('seg', c)) FROM customers c",
                           "sco": "SELECT sum(persona.score('sco', c)) FROM customers c",
                           "rec": "SELECT count(*) FROM persona.recommend_all('rec')"}[model])
    with cluster.connect() as session:
        wait_until(lambda: session.scalar("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'") == 1)
        assert session.scalar("SELECT count(*) FROM persona.model_versions") == 30, "ten versions are kept of each model"
    log = cluster.log.read_text(errors="replace")
    assert "terminated by signal" not in log and "exited with exit code" not in log, cluster.log_tail()


# Rollback ----------------------------------------------------------------------------------------------------------------

ISOLATION = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")


def test_rolled_back_activation_is_forgotten(cluster):
    with cluster.connect() as session:
        models.make_models(session)
        for model in MODELS:
            for isolation in ISOLATION:
                session.query(f"BEGIN ISOLATION LEVEL {isolation}")
                expect(session, model, 1, "before")
                activate(session, model, 2)
                expect(session, model, 2, "inside")
                session.query("ROLLBACK")
                expect(session, model, 1, f"after ROLLBACK in {isolation}")


def test_rolled_back_savepoint_is_forgotten(cluster):
    with cluster.connect() as session:
        models.make_models(session)
        for model in MODELS:
            session.query(f"PREPARE ask_{model} AS {VERSION_SEEN[model]}")
            session.query("SET plan_cache_mode = force_generic_plan")
            for isolation in ISOLATION:
                session.query(f"BEGIN ISOLATION LEVEL {isolation}")
                expect(session, model, 1, "before")
                for _ in range(3):
                    session.query("SAVEPOINT s")
                    activate(session, model, 2)
                    expect(session, model, 2, "inside")
                    assert session.scalar(f"EXECUTE ask_{model}") == 2
                    session.query("ROLLBACK TO s")
                    expect(session, model, 1, f"after ROLLBACK TO in {isolation}")
                    assert session.scalar(f"EXECUTE ask_{model}") == 1, f"{model}, prepared, after ROLLBACK TO in {isolation}"
                session.query("COMMIT")


def test_rolled_back_exception_block_is_forgotten(cluster):
    with cluster.connect() as session:
        models.make_models(session)
        session.query(asking_functions())
        session.query("""
            CREATE FUNCTION in_blocks(model text) RETURNS text LANGUAGE plpgsql AS $$
            DECLARE c customers; seen text := '';
            BEGIN
                FOR round IN 1 .. 3 LOOP
                    seen := seen || asked(model);
                    BEGIN
                        PERFORM persona.activate(model, 2);
                        seen := seen || asked(model);
                        RAISE EXCEPTION 'back';
                    EXCEPTION WHEN raise_exception THEN
                        seen := seen || asked(model);
                    END;
                END LOOP;
                RETURN seen;
            END $$""")
        for model in MODELS:
            for isolation in ISOLATION:
                session.query(f"BEGIN ISOLATION LEVEL {isolation}")
                assert session.scalar(f"SELECT in_blocks('{model}')") == "121" * 3, f"{model} in {isolation}"
                session.query("COMMIT")


def test_rolled_back_fit_leaves_no_trace(cluster):
    with cluster.connect() as session, cluster.connect() as other:
        models.make_data(session)
        for model in MODELS:
            before = registry(session)
            session.query("BEGIN")
            models.fit(session, model, 1)
            assert registry(other) == before, "another session sees an uncommitted fit"
            session.query("ROLLBACK")
            assert registry(session) == before
            error = session.error({"seg": "SELECT persona.segment('seg', c) FROM customers c",
                                   "sco": "SELECT persona.score('sco', c) FROM customers c",
                                   "rec": "SELECT * FROM persona.recommend('rec', 1)"}[model])
            assert error.sqlstate == "42704", f"{model}: {error}"


def test_error_in_mid_fit_leaves_no_trace(cluster):
    # The source fails at its 900th row, after the fit has begun to read.
    failing = "SELECT *, 1 / (900 - id) AS boom FROM customers"
    fits = {
        "seg": f"SELECT FROM persona.fit_segments('seg', '{failing}', 'id', 2, save_to => 'labels')",
        "sco": f"SELECT FROM persona.fit_scorer('sco', '{failing}', 'bought')",
        "rec": "SELECT FROM persona.fit_recommender('rec', 'SELECT user_id, item_id, 1 / (90 - user_id) AS w FROM events', weight_column => 'w')",
    }
    with cluster.connect() as session:
        models.make_models(session)
        before = registry(session)
        for model, fit in fits.items():
            assert session.error(fit).sqlstate == "22012"
            expect(session, model, 1, "after an error")
            session.query("BEGIN; SAVEPOINT s")
            assert session.error(fit).sqlstate == "22012"
            session.query("ROLLBACK TO s")
            expect(session, model, 1, "after ROLLBACK TO")
            session.query("COMMIT")
        assert registry(session) == before
        assert session.scalar("SELECT to_regclass('labels')") is None
        assert session.scalar("SELECT count(*) FROM persona.activity") == 0, "a fit that failed is still shown"


def test_prepared_transaction_counts_when_it_commits(cluster):
    with cluster.connect() as session, cluster.connect() as other:
        models.make_models(session)
        for model in MODELS:
            for end, version in (("ROLLBACK", 1), ("COMMIT", 2)):
                activate(session, model, 1)
                session.query("BEGIN")
                activate(session, model, 2)
                expect(session, model, 2, "inside")
                session.query(f"PREPARE TRANSACTION 'p_{model}'")
                expect(session, model, 1, "after PREPARE TRANSACTION")
                expect(other, model, 1, "after PREPARE TRANSACTION, elsewhere")
                session.query(f"{end} PREPARED 'p_{model}'")
                expect(session, model, version, f"after {end} PREPARED")
                expect(other, model, version, f"after {end} PREPARED, elsewhere")


# Caches ------------------------------------------------------------------------------------------------------------------


def test_generic_plans_see_each_activation_at_once(cluster):
    with cluster.connect() as reader, cluster.connect() as owner:
        models.make_models(owner)
        reader.query("SET plan_cache_mode = force_generic_plan")
        for model in MODELS:
            reader.query(f"PREPARE ask_{model} AS {VERSION_SEEN[model]}")
        for round in range(40):
            version = 1 + round % 2
            for model in MODELS:
                activate(owner, model, version)
                assert reader.scalar(f"EXECUTE ask_{model}") == version, f"{model}, prepared, round {round}"
                expect(reader, model, version, f"round {round}")


def test_replaced_and_renamed_models_are_seen_at_once(cluster):
    with cluster.connect() as reader, cluster.connect() as owner:
        models.make_data(owner)
        models.fit(owner, "seg", 1)
        reader.query("SET plan_cache_mode = force_generic_plan")
        reader.query(f"PREPARE ask AS {VERSION_SEEN['seg']}")
        for round in range(6):
            version = 1 + round % 2
            owner.query("SELECT persona.drop_model('seg')" if round % 3 == 0 else f"SELECT persona.rename_model('seg', 'old{round}')")
            assert reader.error("EXECUTE ask").sqlstate == "42704", "a model that is gone still answers"
            models.fit(owner, "seg", version)
            assert reader.scalar("EXECUTE ask") == version


def test_one_transaction_sees_others_commits_as_its_isolation_says(cluster):
    with cluster.connect() as reader, cluster.connect() as owner:
        models.make_models(owner)
        for model in MODELS:
            for isolation in ISOLATION:
                activate(owner, model, 1)
                reader.query(f"BEGIN ISOLATION LEVEL {isolation}")
                expect(reader, model, 1, "at first")
                for version in (2, 1, 2):
                    activate(owner, model, version)
                    expect(reader, model, version if isolation == "READ COMMITTED" else 1, f"in {isolation}")
                reader.query("COMMIT")
                expect(reader, model, 2, f"after {isolation}")


def test_simple_expressions_in_a_loop_see_each_activation(cluster):
    with cluster.connect() as session:
        models.make_models(session)
        session.query(asking_functions())
        for model in MODELS:
            for isolation in ISOLATION:
                session.query(f"BEGIN ISOLATION LEVEL {isolation}")
                seen = session.scalar(f"SELECT in_a_loop('{model}', 10)")
                assert seen == "12" * 10, f"{model} in {isolation}: {seen}"
                session.query("ROLLBACK")


def test_a_role_that_lost_the_model_gets_no_answer_from_a_cache(cluster):
    with cluster.connect() as owner:
        models.make_models(owner)
        owner.query("CREATE ROLE cached_reader LOGIN; GRANT SELECT ON customers TO cached_reader")
        for model in MODELS:
            owner.query(f"SELECT persona.grant_model('{model}', 'cached_reader')")
        with cluster.connect(user="cached_reader") as reader:
            for model in MODELS:
                reader.query(f"PREPARE ask_{model} AS {VERSION_SEEN[model]}")
                assert reader.scalar(f"EXECUTE ask_{model}") == 1
                owner.query(f"SELECT persona.revoke_model('{model}', 'cached_reader')")
                assert reader.error(f"EXECUTE ask_{model}").sqlstate == "42704", model
        # The same session under two roles, which share its memory.
        for model in MODELS:
            expect(owner, model, 1, "as owner")
            owner.query("SET ROLE cached_reader")
            assert owner.error(VERSION_SEEN[model]).sqlstate == "42704", model
            owner.query("RESET ROLE")


def test_a_statement_sees_one_version(cluster):
    whole = {
        "seg": "SELECT count(*) FILTER (WHERE persona.segment('seg', c) = 3) FROM customers c",
        "sco": "SELECT round(sum(persona.score('sco', c))::numeric, 6)::text FROM customers c",
        "rec": "SELECT count(*) FILTER (WHERE r.item > 1000) FROM events e, persona.recommend('rec', e.user_id, 3) r",
    }
    with cluster.connect() as owner, cluster.sessions(16) as readers:
        models.make_models(owner, 4000, 100)
        pure = {model: set() for model in MODELS}
        for version in (1, 2):
            for model in MODELS:
                activate(owner, model, version)
                pure[model].add(owner.scalar(whole[model]))
        assert all(len(answers) == 2 for answers in pure.values()), pure
        seen, ends = {model: set() for model in MODELS}, time.monotonic() + 4
        asked = {}
        version = 1
        while time.monotonic() < ends or asked:
            for number, reader in enumerate(readers):
                model = MODELS[number % 3]
                if reader in asked and reader.ready():
                    seen[asked.pop(reader)].add(reader.fetch()[-1].scalar())
                if reader not in asked and time.monotonic() < ends:
                    reader.send(whole[model])
                    asked[reader] = model
            version = 3 - version
            for model in MODELS:
                activate(owner, model, version)
        for model in MODELS:
            assert seen[model] <= pure[model], f"{model}: mixed answers {seen[model] - pure[model]}; pure are {pure[model]}"
            assert len(seen[model]) == 2, f"{model}: no change came while it was read"


# Races -------------------------------------------------------------------------------------------------------------------


def test_racing_fits_and_refits_are_ordered_or_skipped(cluster):
    with cluster.connect() as first, cluster.connect() as second:
        models.make_data(first, 300, 40)
        for model in MODELS:
            models.fit(first, model, 1)
        version = {model: 1 for model in MODELS}
        for round in range(36):
            model = MODELS[round % 3]
            fit = models.FIT[model].format(k=2, wanted="true", shift=0)
            refit = f"SELECT persona.refit('{model}')"
            pair = [(fit, fit), (fit, refit), (refit, refit), (refit, fit)][round // 3 % 4]
            for session, statement in zip((first, second), pair):
                session.notices.clear()
                session.send(statement)
            for session, statement in zip((first, second), pair):
                answers = session.fetch()[-1].rows
                skipped = statement == refit and answers == [(None,)]
                if skipped:
                    assert any("skipped" in notice["M"] for notice in session.notices), session.notices
                version[model] += 0 if skipped else 1
            newest = first.scalar(f"SELECT max(version) FROM persona.model_versions WHERE model = '{model}'")
            assert newest == version[model], f"{model}: {version[model]} fits were done, but the newest version is {newest}"
        found = first.rows("SELECT model, version FROM persona.model_versions")
        assert len(found) == len(set(found)), "a version is there twice"
    assert "deadlock detected" not in cluster.log.read_text(errors="replace")


def test_racing_first_fits_make_one_model(cluster):
    with cluster.sessions(4) as sessions:
        models.make_data(sessions[0], 300, 40)
        for number in range(5):
            for session in sessions:
                session.send(f"SELECT FROM persona.fit_segments('new{number}', 'customers', 'id', 2, features => '{{spend}}')")
            for session in sessions:
                session.fetch()
            found = sessions[0].rows(f"SELECT version FROM persona.model_versions WHERE model = 'new{number}' ORDER BY 1")
            assert found == [(1,), (2,), (3,), (4,)], found


def test_refit_while_another_refits_skips_with_a_notice(cluster):
    with cluster.connect() as first, cluster.connect() as second:
        models.make_models(first)
        for model in MODELS:
            first.query("BEGIN")
            assert first.scalar(f"SELECT persona.refit('{model}')") == 3
            second.notices.clear()
            assert second.scalar(f"SELECT persona.refit('{model}')") is None
            assert any("skipped" in notice["M"] for notice in second.notices), second.notices
            first.query("COMMIT")
            assert second.scalar(f"SELECT persona.refit('{model}')") == 4


def test_a_fit_that_waited_in_repeatable_read_fails_cleanly(cluster):
    with cluster.connect() as first, cluster.connect() as second:
        models.make_models(first)
        for model in MODELS:
            second.query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM customers")
            first.query("BEGIN")
            models.fit(first, model, 2)
            second.send(models.FIT[model].format(k=2, wanted="true", shift=0))
            assert not second.ready(0.3), "the second fit did not wait"
            first.query("COMMIT")
            try:
                second.fetch()
            except ServerError as error:
                assert error.sqlstate in ("40001", "23505"), error
            else:
                raise AssertionError("a fit under an old snapshot went through")
            second.query("ROLLBACK")
            expect(second, model, 2, "after the race")


# Rights ------------------------------------------------------------------------------------------------------------------


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
                           "SELECT persona.export_onnx('sco')", "SELECT persona.score_batch('sco', c) OVER () FROM customers c",
                           "SELECT * FROM persona.evaluate('sco', 'SELECT *, bought AS good FROM customers', 'good')"],
                   "rec": ["SELECT * FROM persona.recommend('rec', 1)", "SELECT * FROM persona.similar_items('rec', 1001)",
                           "SELECT * FROM persona.recommend_for('rec', '{1}'::bigint[])", "SELECT * FROM persona.recommend_all('rec')",
                           "SELECT * FROM persona.evaluate_recommender('rec', 'events')"]}
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
                for statement in ("UPDATE persona.model SET active_version = 1", "DELETE FROM persona.model",
                                  "DELETE FROM persona.model_version", "DELETE FROM persona.model_chunk"):
                    assert eve.query(statement).tag in ("UPDATE 0", "DELETE 0"), statement
                assert eve.error("UPDATE persona.model_version SET n_rows = 1").sqlstate == "42501"
                assert eve.error("UPDATE persona.model SET owner = 'eve'::regrole").sqlstate == "42501"
                assert eve.error("INSERT INTO persona.model (name, kind, owner) VALUES ('x', 'scorer', 'bob'::regrole)").sqlstate == "42501"
                assert eve.error("INSERT INTO persona.model_chunk SELECT id, 2, 9, '' FROM persona.model LIMIT 1").sqlstate == "42501"
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


# Says as whom it runs: a warning reaches whoever asked.
TRAP = """
    CREATE FUNCTION {name}({arguments}) RETURNS {returns} LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        RAISE WARNING 'trap {name} as %', current_user;
        RETURN {value};
    END $$;
"""


def test_a_superuser_runs_nothing_of_an_owners_as_himself(cluster):
    with cluster.connect() as admin:
        models.make_data(admin)
        admin.query("CREATE ROLE mallory LOGIN; GRANT SELECT ON customers, events TO mallory; GRANT CREATE ON SCHEMA public TO mallory")
        with cluster.connect(user="mallory") as mallory:
            mallory.query(TRAP.format(name="trap", arguments="x bigint", returns="bigint", value="x"))
            mallory.query("""
                CREATE DOMAIN sly AS text CHECK (trap(length(VALUE)::bigint) >= 0);
                CREATE VIEW sly_customers AS SELECT trap(id) AS id, spend, visits, bought FROM customers WHERE id <= 60;
                CREATE VIEW sly_events AS SELECT trap(user_id) AS user_id, item_id FROM events WHERE user_id <= 30;
                SELECT FROM persona.fit_segments('seg', 'sly_customers', 'id', 2, features => '{spend,visits}', save_to => 'labels');
                SELECT FROM persona.fit_scorer('sco', 'sly_customers', 'bought', key => 'id');
                SELECT FROM persona.fit_recommender('rec', 'sly_events', holdout => 0);
                SELECT FROM persona.publish('sco', 'scores', key => 'id');
                SELECT FROM persona.publish('rec', 'offers');
                CREATE VIEW sly_labels AS SELECT trap(id) AS id, segment, label, since FROM labels;
                GRANT SELECT ON sly_labels TO PUBLIC;
                INSERT INTO persona.publication SELECT model_id, 'public.sly_labels', source, key_column, key_type, n, search_path,
                    published_at, published_version FROM persona.publication WHERE target LIKE '%labels';
                CREATE TABLE typed (id sly PRIMARY KEY, segment integer, label text);
                GRANT SELECT ON typed TO PUBLIC;
                INSERT INTO typed VALUES ('1', 1, 'x');
                INSERT INTO persona.publication SELECT model_id, 'public.typed', source, key_column, 'public.sly', n, search_path,
                    published_at, published_version FROM persona.publication WHERE target = 'public.labels';
                CREATE TABLE injected (id text PRIMARY KEY, segment integer, label text);
                GRANT SELECT ON injected TO PUBLIC;
                INSERT INTO injected VALUES ('1', 1, 'x');
                INSERT INTO persona.publication SELECT model_id, 'public.injected', source, key_column,
                    'text AND public.trap(1) = 1', n, search_path,
                    published_at, published_version FROM persona.publication WHERE target = 'public.labels';
                CREATE VIEW sly_moves AS SELECT trap(id) AS id, segment, label, since AS entered_at, NULL::timestamptz AS left_at FROM labels;
                GRANT SELECT ON sly_moves TO PUBLIC;
                UPDATE persona.publication SET history = 'public.sly_moves' WHERE target = 'public.typed';
                INSERT INTO persona.publication SELECT model_id, 'nowhere.at_all', source, key_column, key_type, n, search_path,
                    published_at, published_version FROM persona.publication WHERE target = 'public.labels';
            """)
        statements = [
            "SELECT * FROM persona.profile('1')", "SELECT * FROM persona.profile('it''s')",
            "SELECT * FROM persona.models", "SELECT * FROM persona.recommend_all('rec', 2)",
            "SELECT persona.publish('seg', 'labels')", "SELECT persona.publish('sco', 'scores', key => 'id')",
            "SELECT persona.publish('rec', 'offers')", "SELECT * FROM persona.segment_changes('seg')",
            "SELECT * FROM persona.segment_flow('seg', 1, 1)", "SELECT persona.report('seg')",
        ]
        for model in MODELS:
            statements.append(f"SELECT persona.refit('{model}')")
        for statement in statements:
            admin.notices.clear()
            try:
                admin.query(statement)
            except ServerError as error:
                assert error.sqlstate[:2] in ("42", "22", "3F", "55"), f"{statement}: {error}"
            as_admin = [notice["M"] for notice in admin.notices if notice["M"].endswith("as postgres")]
            assert not as_admin, f"{statement} ran {as_admin[0]}"


def test_a_refit_by_a_superuser_runs_as_the_owner(cluster):
    with cluster.connect() as admin:
        models.make_data(admin)
        admin.query("CREATE ROLE mo LOGIN; GRANT SELECT ON customers, events TO mo; GRANT CREATE ON SCHEMA public TO mo")
        with cluster.connect(user="mo") as mo:
            mo.query(TRAP.format(name="mo_trap", arguments="x bigint", returns="bigint", value="x"))
            mo.query("SELECT FROM persona.fit_segments('seg', 'SELECT mo_trap(id) AS id, spend FROM customers LIMIT 20', 'id', 2)")
        admin.notices.clear()
        assert admin.scalar("SELECT persona.refit('seg')") == 2
        said = {notice["M"] for notice in admin.notices if "trap" in notice["M"]}
        assert said == {"trap mo_trap as mo"}, said
        assert admin.scalar("SELECT current_user") == "postgres"
        assert admin.scalar("SELECT created_by::text FROM persona.model_versions WHERE version = 2") == "mo"
        # Nor does it when the source fails.
        with cluster.connect(user="mo") as mo:
            mo.query("SELECT FROM persona.fit_segments('bad', 'SELECT * FROM customers', 'id', 2)")
        admin.query("REVOKE SELECT ON customers FROM mo")
        assert admin.error("SELECT persona.refit('bad')").sqlstate == "42501"
        assert admin.scalar("SELECT current_user") == "postgres"


# Names that our SQL uses, made again in a schema that is searched before pg_catalog: functions by name and argument types.
SHADOWED_FUNCTIONS = [
    ("format", "text, text, text", "text"), ("format", "text, VARIADIC text[]", "text"), ("unnest", "text[]", "SETOF text"),
    ("unnest", "name[]", "SETOF name"), ("quote_ident", "text", "text"), ("to_regclass", "text", "regclass"),
    ("hashtext", "text", "integer"), ("pg_advisory_xact_lock", "integer, integer", "void"),
    ("pg_try_advisory_xact_lock", "integer, integer", "boolean"), ("pg_has_role", "oid, text", "boolean"),
    ("now", "", "timestamptz"), ("clock_timestamp", "", "timestamptz"), ("current_schemas", "boolean", "name[]"),
    ("current_schema", "", "name"), ("parse_ident", "text", "text[]"), ("to_regtype", "text", "regtype"),
    ("format_type", "oid, integer", "text"), ("round", "numeric, integer", "numeric"), ("to_jsonb", "anyelement", "jsonb"),
    ("pg_get_userbyid", "oid", "name"), ("encode", "bytea, text", "text"), ("length", "bytea", "integer"),
    ("has_table_privilege", "oid, text", "boolean"), ("array_append", "regrole[], regrole", "regrole[]"),
    ("array_remove", "regrole[], regrole", "regrole[]"),
]
SHADOWED_OPERATORS = [
    ("=", "bigint", "bigint", "boolean"), ("=", "integer", "integer", "boolean"), ("=", "text", "text", "boolean"),
    ("=", "oid", "oid", "boolean"), ("=", "name", "text", "boolean"), ("<=", "integer", "integer", "boolean"),
    ("-", "integer", "integer", "integer"), ("+", "integer", "integer", "integer"), ("||", "text", "text", "text"),
    ("->>", "jsonb", "text", "text"), ("-", "jsonb", "text", "jsonb"), (">", "bigint", "integer", "boolean"),
    ("<>", "text", "text", "boolean"),
]


def test_shadowed_names_are_never_used(cluster):
    with cluster.connect() as admin:
        models.make_data(admin, 300, 40)
        traps = "CREATE SCHEMA traps;"
        for name, arguments, returns in SHADOWED_FUNCTIONS:
            variables = ", ".join(arguments.split(", ")) if arguments else ""
            traps += f"""CREATE FUNCTION traps.{name}({variables}) RETURNS {returns} LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'trap function {name}'; END $$;"""
        for number, (operator, left, right, returns) in enumerate(SHADOWED_OPERATORS):
            traps += f"""
                CREATE FUNCTION traps.of_operator_{number}({left}, {right}) RETURNS {returns} LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'trap operator {operator} ({left}, {right})'; END $$;
                CREATE OPERATOR traps.{operator} (FUNCTION = traps.of_operator_{number}, LEFTARG = {left}, RIGHTARG = {right});"""
        for table in ("model", "model_version", "model_chunk", "publication", "segment_name", "pg_class", "pg_namespace", "pg_roles"):
            traps += f"CREATE TABLE traps.{table} (nothing integer);"
        admin.query(traps)
        admin.query("CREATE ROLE some_reader")
        admin.query("SET search_path = traps, public, pg_catalog")
        assert admin.error("SELECT 1::bigint = 1::bigint").message.startswith("trap"), "the traps do not spring"
        fits = {
            "seg": "SELECT FROM persona.fit_segments('seg', 'SELECT * FROM public.customers', 'id', 2, features => '{spend,visits}', save_to => 'public.labels')",
            "sco": "SELECT FROM persona.fit_scorer('sco', 'SELECT * FROM public.customers', 'bought', key => 'id')",
            "rec": "SELECT FROM persona.fit_recommender('rec', 'public.events')",
        }
        statements = []
        for model, fit in fits.items():
            statements += [fit, fit, f"SELECT persona.refit('{model}')", f"SELECT persona.activate('{model}', 1)",
                           f"SELECT persona.grant_model('{model}', 'some_reader')", f"SELECT persona.revoke_model('{model}', 'some_reader')",
                           f"SELECT persona.rename_model('{model}', 'other')", f"SELECT persona.rename_model('other', '{model}')"]
        statements += [
            "SELECT persona.name_segment('seg', 1, 'first')", "SELECT persona.name_segment('seg', 1, 'again')",
            "SELECT persona.publish('seg', 'public.labels')", "SELECT persona.publish('sco', 'public.scores')",
            "SELECT persona.publish('rec', 'public.offers')", "SELECT persona.recommend_all('rec', 'public.everyone', 3)",
            "SELECT persona.recommend_all('rec', 'public.everyone', 4)",
            "SELECT persona.publish('sco', 'public.scores')", "SELECT persona.publish('rec', 'public.offers', n => 3)",
            "SELECT persona.refit('seg')", "SELECT persona.refit('sco')", "SELECT persona.refit('rec')",
            "SELECT persona.segment('seg', c) FROM public.customers c", "SELECT persona.distance('seg', c) FROM public.customers c",
            "SELECT * FROM persona.segments('seg')", "SELECT * FROM persona.segment_profile('seg')",
            "SELECT persona.score('sco', c) FROM public.customers c", "SELECT persona.predict('sco', c) FROM public.customers c LIMIT 3",
            "SELECT persona.export_onnx('sco')", "SELECT * FROM persona.evaluate('sco', 'public.customers', 'bought')",
            "SELECT * FROM persona.recommend('rec', 1)", "SELECT * FROM persona.recommend('rec', '1'::text)",
            "SELECT * FROM persona.recommend_for('rec', '{1}'::bigint[])", "SELECT * FROM persona.similar_items('rec', 1)",
            "SELECT * FROM persona.recommend_all('rec')", "SELECT * FROM persona.evaluate_recommender('rec', 'public.events')",
            "SELECT * FROM persona.profile('1')", "SELECT * FROM persona.models", "SELECT * FROM persona.model_versions",
            "SELECT * FROM persona.activity",
            "SELECT persona.drop_model('seg')", "SELECT persona.drop_model('sco')", "SELECT persona.drop_model('rec')",
        ]
        sprung = []
        for statement in statements:
            try:
                admin.query(statement)
            except ServerError as error:
                sprung.append(f"{statement}: {error.sqlstate} {error.message}\n    {error.context}")
        assert not sprung, "\n".join(sprung)


# Helpers -----------------------------------------------------------------------------------------------------------------


def expect(session, model, version, when):
    seen = version_seen(session, model)
    assert seen == version, f"{model} {when}: version {seen} answers, not {version}"


def registry(session):
    """Everything in the registry, as text to compare."""
    return session.rows("SELECT model, version, is_active, sha256 FROM persona.model_versions ORDER BY 1, 2") + session.rows(
        "SELECT m.name, m.active_version, c.position, md5(c.bytes) FROM persona.model m JOIN persona.model_chunk c ON c.model_id = m.id ORDER BY 1, 2, 3, 4"
    )


def asking_functions():
    """asked(model): the version that PL/pgSQL's simple expressions see; in_a_loop: what they see after each activation."""
    return """
        CREATE FUNCTION asked(model text) RETURNS text LANGUAGE plpgsql AS $$
        DECLARE c customers; half float8 := persona_half();
        BEGIN
            SELECT * INTO c FROM customers WHERE id = CASE model WHEN 'seg' THEN 9 ELSE 31 END;
            CASE model
                WHEN 'seg' THEN RETURN CASE WHEN persona.segment('seg', c) = 3 THEN 2 ELSE 1 END;
                WHEN 'sco' THEN RETURN CASE WHEN persona.score('sco', c) < half THEN 2 ELSE 1 END;
                ELSE RETURN (SELECT CASE WHEN item > 1000 THEN 2 ELSE 1 END FROM persona.recommend('rec', 1, 1));
            END CASE;
        END $$;
        CREATE FUNCTION in_a_loop(model text, rounds integer) RETURNS text LANGUAGE plpgsql AS $$
        DECLARE c customers; seen text := ''; x integer; y float8; half float8 := persona_half();
        BEGIN
            SELECT * INTO c FROM customers WHERE id = CASE model WHEN 'seg' THEN 9 ELSE 31 END;
            FOR round IN 1 .. rounds LOOP
                FOR version IN 1 .. 2 LOOP
                    PERFORM persona.activate(model, version);
                    IF model = 'seg' THEN
                        x := persona.segment('seg', c);
                        seen := seen || CASE WHEN x = 3 THEN 2 ELSE 1 END;
                    ELSIF model = 'sco' THEN
                        y := persona.score('sco', c);
                        seen := seen || CASE WHEN y < half THEN 2 ELSE 1 END;
                    ELSE
                        x := (SELECT item FROM persona.recommend('rec', 1, 1));
                        seen := seen || CASE WHEN x > 1000 THEN 2 ELSE 1 END;
                    END IF;
                END LOOP;
            END LOOP;
            RETURN seen;
        END $$;
    """


def wait_until(holds, seconds=10):
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not come to be in time"
        time.sleep(0.02)
