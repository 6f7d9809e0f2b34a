"""Models as rows among many sessions: versions, rollback and caches."""

from lib import models
from lib.models import MODELS, VERSION_SEEN, activate, expect
from lib.processes import wait_until

SETTINGS = {"max_prepared_transactions": "10"}

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
    "SELECT * FROM persona.holdout_scores('sco')",
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
    "SELECT persona.array_columns('v', '{spend,visits}')",
]


def test_no_read_takes_a_transaction_id(cluster):
    with cluster.connect() as owner:
        models.make_models(owner)
        owner.query("SELECT FROM persona.publish('seg', 'labels', history_table => 'moves')")
        owner.query("UPDATE moves SET left_at = entered_at + interval '1 second'")
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
        wait_until("the others are gone", lambda: session.scalar("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'") == 1)
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


# Helpers -----------------------------------------------------------------------------------------------------------------


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
