"""Code of others that our SQL could be made to run: an owner's, as a superuser, and by names that hide PostgreSQL's own."""

from lib import models
from lib.models import MODELS
from lib.pgwire import ServerError


# Says as whom it runs: a warning reaches whoever asked.
TRAP = """
    CREATE FUNCTION {name}({arguments}) RETURNS {returns} LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        RAISE WARNING 'trap {name} as %', current_user;
        RETURN {value};
    END $$;
"""


def make_owner(admin, role):
    """The test's data, and a role that reads them and may make functions and models."""
    models.make_data(admin)
    admin.query(f"CREATE ROLE {role} LOGIN; GRANT SELECT ON customers, events TO {role}; GRANT CREATE ON SCHEMA public TO {role}")


def test_a_superuser_runs_nothing_of_an_owners_as_himself(cluster):
    with cluster.connect() as admin:
        make_owner(admin, "mallory")
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
                CREATE TABLE typed (id sly PRIMARY KEY, segment integer, label text);
                GRANT SELECT ON typed TO PUBLIC;
                INSERT INTO typed VALUES ('1', 1, 'x');
                CREATE TABLE injected (id text PRIMARY KEY, segment integer, label text);
                GRANT SELECT ON injected TO PUBLIC;
                INSERT INTO injected VALUES ('1', 1, 'x');
                CREATE VIEW sly_moves AS SELECT trap(id) AS id, segment, label, since AS entered_at, NULL::timestamptz AS left_at FROM labels;
                GRANT SELECT ON sly_moves TO PUBLIC;
            """)
            assert mallory.error("UPDATE persona.publication SET history = 'public.sly_moves'").sqlstate == "42501"
        # Even rows that no function writes run nothing as whoever asks.
        admin.query("""
            INSERT INTO persona.publication (model_id, target, source, key_column, key_type, n, search_path, published_at, published_version)
            SELECT model_id, planted.target, source, key_column, planted.key_type, n, search_path, published_at, published_version
            FROM persona.publication p, LATERAL (VALUES ('public.sly_labels', p.key_type), ('public.typed', 'public.sly'),
                ('public.injected', 'text AND public.trap(1) = 1'), ('nowhere.at_all', p.key_type)) AS planted (target, key_type)
            WHERE p.target = 'public.labels';
            UPDATE persona.publication SET history = 'public.sly_moves' WHERE target = 'public.typed';
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
        make_owner(admin, "mo")
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
        for table in ("model", "model_version", "model_chunk", "model_evidence", "publication", "segment_name", "pg_class", "pg_namespace", "pg_roles"):
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
            "SELECT persona.publish('rec', 'public.offers')", "SELECT persona.save_recommendations('rec', 'public.everyone', 3)",
            "SELECT persona.save_recommendations('rec', 'public.everyone', 4)",
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
            "SELECT * FROM persona.activity", "SELECT * FROM persona.refit_log",
            "SELECT persona.publish('seg', 'public.labels', history_table => 'public.moves')", "SELECT persona.refit('seg', true)",
            "SELECT persona.publish('seg', 'public.labels', history_table => 'public.moves')", "CALL persona.refit_job('seg', true)",
            "CALL persona.refit_job('sco', true)", "SELECT * FROM persona.segment_changes('seg')", "SELECT * FROM persona.segment_flow('seg', 1, 2)",
            "SELECT persona.report('seg')", "SELECT * FROM persona.segment_quality('seg')", "SELECT persona.log_refit_failure('seg', '2024-01-01', '22012', 'none')",
            "SELECT persona.second_segment('seg', c), persona.anomaly('seg', c), persona.anomaly_reasons('seg', c) FROM public.customers c",
            "SELECT * FROM persona.choose_k('public.customers', 2, 3)", "SELECT * FROM persona.describe('public.customers')",
            "SELECT persona.score_batch('sco', c) OVER () FROM public.customers c", "SELECT persona.name_segment('seg', 1, NULL)",
            "SELECT persona.grant_model('seg', 'public', 'read')", "SELECT persona.revoke_model('seg', 'public', 'read')",
            "SELECT persona.drop_model('seg')", "SELECT persona.drop_model('sco')", "SELECT persona.drop_model('rec')",
        ]
        sprung = []
        for statement in statements:
            try:
                admin.query(statement)
            except ServerError as error:
                sprung.append(f"{statement}: {error.sqlstate} {error.message}\n    {error.context}")
        assert not sprung, "\n".join(sprung)
