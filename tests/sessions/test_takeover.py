"""Ways by which a role with LOGIN alone became superuser, or made the server run its code as somebody else."""

import contextlib
import json

from lib import models
from lib.pgwire import ServerError

# `gain` tries to make mallory a superuser and says as whom it ran; `imm` and `vol` carry it into indexes, columns and triggers.
SETUP = """
    CREATE FUNCTION mallory.gain() RETURNS void LANGUAGE plpgsql VOLATILE AS $$ BEGIN
        RAISE NOTICE 'gain as %', current_user;
        BEGIN EXECUTE 'ALTER ROLE mallory SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;
    END $$;
    CREATE FUNCTION mallory.imm(x integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM mallory.gain(); RETURN x; END $$;
    CREATE FUNCTION mallory.on_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain(); RETURN coalesce(NEW, OLD); END $$;
    GRANT USAGE ON SCHEMA mallory TO PUBLIC; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA mallory TO PUBLIC;
"""
FIT = "SELECT FROM persona.fit_segments('{model}', 'SELECT id, spend, visits FROM public.customers', 'id', 3{more})"


@contextlib.contextmanager
def mallory_and(cluster, *others):
    with cluster.connect() as admin:
        models.make_data(admin, 200, 30)
        for role in ("mallory", *others):
            if not admin.scalar(f"SELECT count(*) FROM pg_roles WHERE rolname = '{role}'"):
                admin.query(f"CREATE ROLE {role} LOGIN")
            admin.query(f"GRANT SELECT ON customers, events TO {role}")
        admin.query("CREATE SCHEMA mallory AUTHORIZATION mallory; GRANT CREATE ON SCHEMA public TO PUBLIC")
        with cluster.connect(user="mallory") as mallory:
            mallory.query(SETUP)
            yield admin, mallory
        assert not admin.scalar("SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'"), "mallory is a superuser"


def ran_as(session):
    return {notice["M"].removeprefix("gain as ") for notice in session.notices if notice["M"].startswith("gain as ")}


def test_no_row_can_be_planted_under_an_id_to_come(cluster):
    with mallory_and(cluster) as (admin, mallory):
        for statement in (
            "INSERT INTO persona.model (name, kind, owner) VALUES ('tmp', 'segments', 'mallory')",
            "INSERT INTO persona.model (id, name, kind, owner) OVERRIDING SYSTEM VALUE VALUES (77, 'tmp', 'segments', 'mallory')",
            "INSERT INTO persona.publication (model_id, target, source, key_column, key_type, search_path, published_version)"
            " SELECT g, 'mallory.sink', 'SELECT 1', 'id', 'integer', '', 1 FROM generate_series(1, 50) g",
            "INSERT INTO persona.segment_name SELECT g, 1, 1, 'x' FROM generate_series(1, 50) g",
            "INSERT INTO persona.model_chunk SELECT g, 1, 0, '' FROM generate_series(1, 50) g",
            "INSERT INTO persona.model_evidence SELECT g, 1, 1, '' FROM generate_series(1, 50) g",
            "INSERT INTO persona.refit_run (model_id, started_at, run_by) VALUES (1, now(), 'mallory')",
        ):
            assert mallory.error(statement).sqlstate == "42501", statement
        admin.query(FIT.format(model="super", more=""))
        assert admin.scalar("SELECT persona.refit('super')") == 2
        # Even under the superuser's own hand ids go on, and what belongs to a model goes with it.
        admin.query("SELECT FROM persona.publish('super', 'labels', history_table => 'moves'); SELECT persona.name_segment('super', 1, 'x')")
        assert admin.error("INSERT INTO persona.model (id, name, kind, owner) VALUES (77, 'x', 'segments', 'mallory')").sqlstate == "428C9"
        admin.query("SELECT persona.drop_model('super')")
        for table in ("model", "model_version", "model_chunk", "model_evidence", "segment_name", "publication", "refit_run"):
            assert admin.scalar(f"SELECT count(*) FROM persona.{table}") == 0, table


def test_a_reader_of_published_tables_runs_nothing_of_their_owners(cluster):
    """An index's expression is evaluated while a query is planned, and its predicate too."""
    made = {
        "an index of an expression": "CREATE INDEX ON mallory.{table} ((mallory.imm(1) + segment))",
        "an index of some rows": "CREATE INDEX ON mallory.{table} (segment) WHERE mallory.imm(7) > 0",
        "statistics of an expression": "CREATE STATISTICS mallory.s_{table} ON (mallory.imm(segment) + 1) FROM mallory.{table}; ANALYZE mallory.{table}",
        "a constraint": "ALTER TABLE mallory.{table} ADD CHECK (mallory.imm(segment) IS NOT NULL)",
        "a generated column": "ALTER TABLE mallory.{table} ADD g integer GENERATED ALWAYS AS (mallory.imm(segment)) STORED",
        "a child": "CREATE TABLE mallory.c_{table} () INHERITS (mallory.{table}); CREATE INDEX ON mallory.c_{table} ((mallory.imm(2) + segment))",
    }
    with mallory_and(cluster, "vic") as (admin, mallory):
        admin.query("GRANT mallory TO vic WITH INHERIT FALSE" if cluster.server not in ("15",) else "SELECT")
        for number, (what, statement) in enumerate(made.items()):
            mallory.query(f"SET search_path = mallory, public; {FIT.format(model=f'm{number}', more='')};"
                          f"SELECT FROM persona.publish('m{number}', 'mallory.t{number}', history_table => 'mallory.h{number}'); UPDATE mallory.h{number} SET left_at = entered_at WHERE id = 7;"
                          f"SELECT persona.grant_model('m{number}', 'public', 'read'); GRANT SELECT ON t{number}, h{number} TO PUBLIC;"
                          + statement.format(table=f"t{number}") + ";" + statement.format(table=f"h{number}"))
            for session in (admin, mallory):
                session.notices.clear()
                assert session.rows("SELECT * FROM persona.profile('7')"), what
                assert session.rows(f"SELECT * FROM persona.segment_changes('m{number}')"), what
                assert ran_as(session) <= {"mallory"}, f"{what}: {ran_as(session)}"
        with cluster.connect(user="vic") as vic:
            assert len(vic.rows("SELECT * FROM persona.profile('7')")) == len(made)
            assert ran_as(vic) <= {"mallory"}
            # Rights to each column count: without one of them the table is not shown.
            mallory.query("REVOKE SELECT ON t0, h0 FROM PUBLIC; GRANT SELECT (id, segment) ON t0, h0 TO PUBLIC")
            assert len(vic.rows("SELECT * FROM persona.profile('7')")) == len(made) - 1
            assert vic.error("SELECT * FROM persona.segment_changes('m0')").sqlstate == "55000"
            mallory.query("GRANT SELECT (label, since, version) ON t0 TO PUBLIC; GRANT SELECT (id, segment, entered_at, left_at) ON h0 TO PUBLIC")
            assert len(vic.rows("SELECT * FROM persona.profile('7')")) == len(made)
            assert vic.rows("SELECT * FROM persona.segment_changes('m0')")
            # A policy that holds for the caller: the table is passed over, and that is said.
            mallory.query("ALTER TABLE t1 ENABLE ROW LEVEL SECURITY; ALTER TABLE h1 ENABLE ROW LEVEL SECURITY")
            vic.notices.clear()
            assert len(vic.rows("SELECT * FROM persona.profile('7')")) == len(made) - 1
            assert any("row-level security" in notice["M"] for notice in vic.notices), vic.notices
            assert vic.error("SELECT * FROM persona.segment_changes('m1')").sqlstate == "55000"
            # A schema that is closed is no error for everybody.
            mallory.query("REVOKE USAGE ON SCHEMA mallory FROM PUBLIC")
            assert vic.rows("SELECT * FROM persona.profile('7')") == []


def test_one_bad_publication_breaks_no_profile(cluster):
    breaks = [
        "ALTER TABLE mallory.{t} DROP COLUMN label", "ALTER TABLE mallory.{t} DROP COLUMN segment",
        "ALTER TABLE mallory.{t} ALTER id TYPE point USING point(0, 0)",
        "ALTER TABLE mallory.{t} ALTER id TYPE uuid USING NULL", "ALTER TABLE mallory.{t} ALTER id TYPE date USING NULL",
        "ALTER TABLE mallory.{t} ALTER id TYPE integer[] USING NULL",
        "ALTER TABLE mallory.{t} RENAME id TO key", "DROP TABLE mallory.{t}",
        "DROP TABLE mallory.{t}; CREATE VIEW mallory.{t} AS SELECT 1/0 AS id, 1 AS segment, 'x'::text AS label",
    ]
    with mallory_and(cluster) as (admin, mallory):
        admin.query(FIT.format(model="good", more=", save_to => 'labels'"))
        for number, statement in enumerate(breaks):
            mallory.query("SET search_path = mallory, public; SET client_min_messages = error;"
                          + FIT.format(model=f"m{number}", more=f", save_to => 'mallory.t{number}'")
                          + f"; SELECT persona.grant_model('m{number}', 'public'); GRANT SELECT ON t{number} TO PUBLIC;"
                          + f"ALTER TABLE t{number} DROP CONSTRAINT t{number}_pkey, ALTER id DROP NOT NULL;" + statement.format(t=f"t{number}"))
        admin.notices.clear()
        found = admin.rows("SELECT model, answer IS NOT NULL FROM persona.profile('7')")
        assert ("good", True) in found and len(found) == 1, found
        skipped = [notice["M"] for notice in admin.notices if "is skipped" in notice["M"]]
        assert len(skipped) >= 5, skipped
        assert admin.rows("SELECT * FROM persona.profile('it''s none')") == []


def test_what_no_jsonb_holds_is_shown_as_text_in_a_profile(cluster):
    columns = {"numeric = 1e400": ("1" + "0" * 400), """json = '"\\u0000"'""": '"\\u0000"',
               "json = (repeat('[', 3000) || repeat(']', 3000))::json": "[" * 3000 + "]" * 3000,
               "text = repeat('x', 3000000)": "(3000004 bytes)", "text = repeat('x', 1000000)": "x" * 1_000_000, "numeric = 'NaN'": "NaN", "float8 = '-Infinity'": "-Infinity",
               "integer[] = '{1,2}'": [1, 2], "timestamp = '2026-01-02 03:04'": "2026-01-02T03:04:00"}
    with mallory_and(cluster) as (admin, mallory):
        admin.query(FIT.format(model="good", more=", save_to => 'labels'"))
        for number, column in enumerate(columns):
            mallory.query(FIT.format(model=f"m{number}", more=f", save_to => 'mallory.t{number}'") + f"; SELECT persona.grant_model('m{number}', 'public');"
                          f"GRANT SELECT ON mallory.t{number} TO PUBLIC; ALTER TABLE mallory.t{number} ADD more {column.split()[0]}; UPDATE mallory.t{number} SET more = {column.split(maxsplit=2)[2]}")
        found = {model: json.loads(details) for model, details in admin.rows("SELECT model, details::text FROM persona.profile('7')")}
        assert found.keys() == {"good", *(f"m{number}" for number in range(len(columns)))}, found.keys()
        for number, (column, expected) in enumerate(columns.items()):
            assert found[f"m{number}"]["more"] == expected, f"{column}: {str(found[f'm{number}'])[:200]}"


def test_a_name_that_another_role_took_is_no_way_into_the_administrator(cluster):
    with mallory_and(cluster) as (admin, mallory):
        mallory.query(FIT.format(model="customers", more="") + "; SELECT FROM persona.publish('customers', 'mallory.lab', history_table => 'mallory.h');"
                      "CREATE TRIGGER t BEFORE INSERT OR UPDATE ON mallory.h FOR EACH ROW EXECUTE FUNCTION mallory.on_write();"
                      "SELECT FROM persona.fit_recommender('products', 'SELECT 1 AS user_id, 2 AS item_id UNION ALL SELECT 2, 2')")
        for statement in (FIT.format(model="customers", more=", save_to => 'customer_segment'"),
                          "SELECT FROM persona.fit_recommender('products', 'events')", "SELECT FROM persona.publish('customers', 'mine')",
                          "SELECT FROM persona.fit_scorer('customers', 'customers', 'bought')"):
            error = admin.error(statement)
            assert error.sqlstate == "42501" and 'SET ROLE "mallory"' in error.hint, f"{statement}: {error}"
        assert not ran_as(admin), ran_as(admin)
        assert mallory.scalar("SELECT n_rows FROM persona.models WHERE model = 'products'") == 2


def test_a_table_that_was_put_in_the_place_of_a_published_one_runs_nothing(cluster):
    """A superuser's model, published into a schema of mallory's, who may drop what is in it."""
    for made in ("TABLE", "VIEW"):
        with mallory_and(cluster) as (admin, mallory):
            admin.query(FIT.format(model="m", more="") + "; SELECT FROM persona.publish('m', 'mallory.lab', history_table => 'mallory.h')")
            mallory.query("DROP TABLE mallory.lab, mallory.h; CREATE TABLE mallory.base (id bigint PRIMARY KEY, segment integer, label text, since timestamptz);"
                          + ("CREATE TABLE mallory.lab (LIKE mallory.base INCLUDING ALL);" if made == "TABLE" else "CREATE VIEW mallory.lab AS SELECT * FROM mallory.base;")
                          + f"CREATE TRIGGER t {'BEFORE' if made == 'TABLE' else 'INSTEAD OF'} INSERT ON mallory.lab FOR EACH ROW EXECUTE FUNCTION mallory.on_write();"
                          "GRANT ALL ON ALL TABLES IN SCHEMA mallory TO PUBLIC")
            for statement in ("SELECT persona.refit('m', force => true)", "SELECT FROM persona.publish('m', 'mallory.lab')",
                              FIT.format(model="m", more=", save_to => 'mallory.lab'")):
                error = admin.error(statement)
                assert error.sqlstate == "42501" and "does not belong to the owner" in error.message, f"{statement}: {error}"
            mallory.query(f"DROP {made} mallory.lab; CREATE TABLE mallory.h (id bigint, segment integer, label text, entered_at timestamptz, left_at timestamptz);"
                          "CREATE TRIGGER t BEFORE INSERT ON mallory.h FOR EACH ROW EXECUTE FUNCTION mallory.on_write(); GRANT ALL ON mallory.h TO PUBLIC")
            error = admin.error("SELECT persona.refit('m', force => true)")
            assert error.sqlstate == "42501" and "mallory.h" in error.message, error
            assert not ran_as(admin), ran_as(admin)
            admin.query("SELECT persona.drop_model('m'); DROP SCHEMA mallory CASCADE; DROP TABLE customers, events")


def test_a_temporary_table_of_the_users_is_not_in_the_way(cluster):
    with mallory_and(cluster) as (admin, _):
        admin.query(FIT.format(model="m", more=", save_to => 'labels'"))
        admin.query("CREATE TEMP TABLE persona_staging AS SELECT 1 AS mine; CREATE TEMP TABLE persona_staging_0 AS SELECT 2 AS mine;"
                    "CREATE TEMP VIEW persona_staging_1 AS SELECT 3 AS mine")
        for _ in range(2):
            admin.query(FIT.format(model="m", more=", save_to => 'labels'"))
        assert admin.rows("SELECT mine FROM persona_staging UNION ALL SELECT mine FROM persona_staging_0 ORDER BY 1") == [(1,), (2,)]
        admin.query("SELECT FROM persona.fit_recommender('r', 'events'); SELECT FROM persona.save_recommendations('r', 'offers', 2); SELECT FROM persona.save_recommendations('r', 'offers', 3)")


# Locks -------------------------------------------------------------------------------------------------------------------


def test_nobody_else_holds_up_an_owner(cluster):
    with mallory_and(cluster, "vic") as (_, mallory):
        with cluster.connect(user="vic") as vic, cluster.connect(user="vic") as other:
            vic.query(FIT.format(model="m", more=""))
            # Advisory locks are no locks of ours, and a lock is taken after the rights are checked.
            mallory.query("BEGIN; SELECT pg_advisory_lock(1886548595, hashtext('m')), pg_advisory_xact_lock(1886548595, hashtext('m'))")
            for statement in ("SELECT persona.refit('m')", "SELECT persona.drop_model('m')", FIT.format(model="m", more=""),
                              "SELECT FROM persona.publish('m', 'x')", "SELECT persona.rename_model('m', 'n')"):
                mallory.query("SAVEPOINT s")
                assert mallory.error(statement).sqlstate in ("42704", "42710"), statement
                mallory.query("ROLLBACK TO s")
            vic.query("SET statement_timeout = '5s'")
            assert vic.scalar("SELECT persona.refit('m')") == 2
            mallory.query("ROLLBACK")
            # The owner's own sessions wait for each other.
            other.query("BEGIN; SELECT persona.activate('m', 1)")
            assert vic.scalar("SELECT persona.refit('m')") is None
            vic.send("SELECT persona.activate('m', 2)")
            assert not vic.ready(0.3)
            other.query("COMMIT")
            vic.fetch()
            assert vic.scalar("SELECT active_version FROM persona.models WHERE model = 'm'") == 2


def test_a_first_fit_holds_its_name(cluster):
    with cluster.connect() as one, cluster.connect() as two:
        models.make_data(one, 100, 20)
        for end, state in (("ROLLBACK", None), ("COMMIT", None)):
            one.query("BEGIN; " + FIT.format(model=f"m_{end}", more=""))
            two.send(FIT.format(model=f"m_{end}", more=""))
            assert not two.ready(0.3), "the second fit did not wait"
            one.query(end)
            two.fetch()
            assert two.scalar(f"SELECT count(*) FROM persona.model_versions WHERE model = 'm_{end}'") == (1 if end == "ROLLBACK" else 2)


def test_renames_at_cross_purposes_end(cluster):
    with cluster.connect() as admin, cluster.connect() as one, cluster.connect() as two:
        models.make_data(admin, 100, 20)
        for name in ("a", "b"):
            admin.query(FIT.format(model=name, more=""))
        for session in (one, two):
            session.query("SET deadlock_timeout = '100ms'; SET statement_timeout = '10s'")
        for _ in range(30):
            one.send("SELECT persona.rename_model('a', 'b')")
            two.send("SELECT persona.rename_model('b', 'a')")
            for session in (one, two):
                try:
                    session.fetch()
                    raise AssertionError("a name that is taken was given")
                except ServerError as error:
                    assert error.sqlstate == "42710", error
            # Onto one free name: one has it.
            one.send("SELECT persona.rename_model('a', 'c')")
            two.send("SELECT persona.rename_model('b', 'c')")
            states = []
            for session in (one, two):
                try:
                    session.fetch()
                except ServerError as error:
                    states.append(error.sqlstate)
            assert states == ["42710"], states
            left = admin.scalar("SELECT min(model) FROM persona.models WHERE model <> 'c'")
            admin.query(f"SELECT persona.rename_model('c', '{'b' if left == 'a' else 'a'}')")


# Versions ----------------------------------------------------------------------------------------------------------------


def test_the_version_that_is_replaced_is_kept(cluster):
    with cluster.connect() as admin:
        models.make_data(admin, 100, 20)
        fits = {"seg": FIT.format(model="seg", more=""), "sco": models.FIT["sco"].format(wanted="true"), "rec": models.FIT["rec"].format(shift=0)}
        for model, fit in fits.items():
            admin.query(fit)
            for _ in range(9):
                admin.query(f"SELECT persona.refit('{model}')")
            admin.query(f"SELECT persona.activate('{model}', 1)")
            for force in ("false", "true"):
                assert admin.scalar(f"SELECT persona.refit('{model}', force => {force})") > 10
            oldest = admin.scalar(f"SELECT min(version) FROM persona.model_versions WHERE model = '{model}'")
            admin.query(f"UPDATE persona.model SET keep_versions = 1 WHERE name = '{model}'; SELECT persona.activate('{model}', {oldest})")
            for force in ("false", "true", "false"):
                assert admin.scalar(f"SELECT persona.refit('{model}', force => {force})")
            kept = [version for (version,) in admin.rows(f"SELECT version FROM persona.model_versions WHERE model = '{model}' ORDER BY 1")]
            assert len(kept) == 2 and kept[1] == kept[0] + 1, kept
            # What a refit refuses leaves the live version.
            admin.query("BEGIN; DELETE FROM customers WHERE id > 20; DELETE FROM events WHERE user_id > 4")
            assert admin.error(f"SELECT persona.refit('{model}')").sqlstate in ("55000", "22023")
            admin.query("ROLLBACK")
            assert admin.scalar(f"SELECT active_version FROM persona.models WHERE model = '{model}'") == kept[1]


def test_a_model_without_an_active_version_can_be_given_one(cluster):
    with cluster.connect() as admin:
        models.make_data(admin, 100, 20)
        admin.query(FIT.format(model="m", more=", activate => false"))
        for statement in ("SELECT persona.segment('m', c) FROM customers c", "SELECT persona.refit('m')"):
            error = admin.error(statement)
            assert error.sqlstate == "55000" and "no active version" in error.message, error
        admin.query("SELECT persona.activate('m', 1)")
        assert admin.rows("SELECT persona.segment('m', c) FROM customers c")


def test_an_owner_dumps_his_models(cluster):
    with mallory_and(cluster, "vic") as (admin, mallory):
        for session in (admin, mallory):
            session.query(FIT.format(model=f"of_{session.scalar('SELECT current_user')}", more=""))
        admin.query("REVOKE ALL ON customers, events FROM PUBLIC")
        dump = cluster.tool("pg_dump", "-d", cluster.database, "-U", "mallory", "--enable-row-security", "--data-only", "-t", "persona.*").stdout
        assert "of_mallory" in dump and "of_postgres" not in dump


def test_a_model_that_is_given_away_gives_nobody_its_source(cluster):
    with mallory_and(cluster, "vic", "team") as (admin, mallory):
        admin.query("GRANT team TO mallory")
        mallory.query("CREATE VIEW mallory.v AS SELECT id, spend, visits + 0 * mallory.imm(1) AS visits FROM public.customers; GRANT SELECT ON mallory.v TO PUBLIC")
        for name in ("m", "trusted", "shared", "kept"):
            mallory.query(f"SELECT FROM persona.fit_segments('{name}', 'SELECT * FROM mallory.v', 'id', 3); SELECT persona.publish('{name}', 'mallory.t_{name}');"
                          f"SELECT persona.grant_model('{name}', 'vic')")
        # Only to a role that the caller could become, only by who has the owner's rights, only to one that is there.
        for session, call, expected in ((mallory, "'m', 'vic'", "42501"), (mallory, "'m', 'postgres'", "42501"), (mallory, "'m', 'nobody_at_all'", "42704"),
                                        (mallory, "'none', 'team'", "42704"), (mallory, "'m', NULL", "22004"), (mallory, "'m', 'public'", "42704")):
            assert session.error(f"SELECT persona.set_owner({call})").sqlstate == expected, call
        with cluster.connect(user="vic") as vic:
            assert vic.error("SELECT persona.set_owner('m', 'vic')").sqlstate == "42501"
            expected = vic.rows("SELECT id, persona.segment('m', c) FROM public.customers c")
            # From a superuser it goes without what a refit would run.
            mallory.notices.clear()
            admin.query("SELECT persona.set_owner('m', 'vic'), persona.set_owner('trusted', 'vic', keep_sources => true)")
            assert vic.rows("SELECT model, privilege, source IS NULL FROM persona.models WHERE privilege = 'own' ORDER BY 1") == [("m", "own", True), ("trusted", "own", False)]
            assert vic.rows("SELECT id, persona.segment('m', c) FROM public.customers c") == expected
            assert admin.rows("SELECT m.name, count(p.*) FROM persona.model m LEFT JOIN persona.publication p ON p.model_id = m.id WHERE m.owner = 'vic'::regrole GROUP BY 1 ORDER BY 1") == [("m", 0), ("trusted", 1)]
            assert admin.error("SELECT persona.refit('m', force => true)").sqlstate == "55000"
            assert vic.error("SELECT persona.refit('m', force => true)").sqlstate == "55000" and not ran_as(vic)
            assert vic.error("SELECT persona.refit('trusted', force => true)").sqlstate == "42501", "the table is mallory's"
            assert vic.scalar("SELECT persona.unpublish('trusted', 'mallory.t_trusted')") is True
            assert vic.scalar("SELECT persona.refit('trusted', force => true)") == 2 and ran_as(vic) == {"vic"}
        # Who was the owner is a stranger now, unless it was granted.
        assert mallory.rows("SELECT model FROM persona.models ORDER BY 1") == [("kept",), ("shared",)]
        assert mallory.error("SELECT persona.set_owner('m', 'mallory')").sqlstate == "42704"
        # A role that the caller may become gets the model as it is.
        mallory.query("SELECT persona.set_owner('shared', 'team')")
        assert mallory.rows("SELECT owner::text, privilege, source IS NOT NULL FROM persona.models WHERE model = 'shared'") == [("team", "own", True)]
        assert mallory.error("SELECT FROM persona.publish('shared', 'x')").hint.startswith('Run SET ROLE "team"'), "its members act as it"


def test_what_is_unpublished_is_left_alone(cluster):
    with mallory_and(cluster, "vic") as (admin, mallory), cluster.connect(user="vic") as vic:
        mallory.query("SET search_path = mallory, public;" + FIT.format(model="m", more=", save_to => 't'") + "; SELECT FROM persona.publish('m', 'u')")
        assert vic.error("SELECT persona.unpublish('m', 'mallory.t')").sqlstate == "42704"
        mallory.query("SELECT persona.grant_model('m', 'vic', 'read')")
        assert vic.error("SELECT persona.unpublish('m', 'mallory.t')").sqlstate == "42501"
        assert mallory.scalar("SELECT persona.unpublish('m', 'none')") is False
        assert mallory.scalar("SELECT persona.unpublish('m', 't')") is True
        assert mallory.scalar("SELECT persona.unpublish('m', 'mallory.t')") is False
        mallory.query("UPDATE mallory.t SET label = 'mine'; UPDATE mallory.u SET label = 'mine'; SELECT persona.refit('m', force => true)")
        assert mallory.rows("SELECT DISTINCT label FROM mallory.t") == [("mine",)]
        assert mallory.scalar("SELECT count(*) FROM mallory.u WHERE label = 'mine'") == 0
        assert [model for (model,) in mallory.rows("SELECT model FROM persona.profile('7')")] == ["m"]


def test_a_schema_that_another_made_under_a_known_name_is_not_looked_into(cluster):
    """The fit found its table in a schema that its owner renamed or dropped since; mallory made one of that name."""
    with cluster.connect() as admin:
        for role in ("al", "mallory"):
            if not admin.scalar(f"SELECT count(*) FROM pg_roles WHERE rolname = '{role}'"):
                admin.query(f"CREATE ROLE {role} LOGIN")
            admin.query(f"GRANT CREATE ON SCHEMA public TO {role}; GRANT CREATE ON DATABASE {cluster.database} TO {role}")
        admin.query("CREATE TABLE public.ran (role text); GRANT INSERT ON public.ran TO PUBLIC")
        for number, gone in enumerate(("ALTER SCHEMA live RENAME TO old_{0}", "DROP SCHEMA live CASCADE")):
            model = f"of_al_{number}"
            with cluster.connect(user="al") as al, cluster.connect(user="mallory") as mallory:
                made = "CREATE TABLE live.c AS SELECT i AS id, i % 9 AS a, i % 4 AS b FROM generate_series(1, 40) i"
                al.query(f"CREATE SCHEMA live; {made}; SET search_path = live, public; SELECT FROM persona.fit_segments('{model}', 'c', 'id', 2)")
                al.query(f"SELECT FROM persona.publish('{model}', 'public.pub_{number}', source => 'SELECT * FROM c')")
                al.query(f"{gone.format(number)}; RESET search_path")
                # Nothing is found, of which nobody can make anything.
                calls = [f"SELECT FROM persona.publish('{model}', 'public.new_{number}')", f"SELECT FROM persona.publish('{model}', 'public.pub_{number}')",
                         f"SELECT persona.refit('{model}')", f"SELECT FROM persona.segment_flow('{model}', 1, 1)"]
                for call in calls:
                    assert al.error(call).sqlstate == "42P01", call
                mallory.query("CREATE SCHEMA live; CREATE FUNCTION live.evil() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.ran VALUES (current_user); RETURN 1; END $$;"
                              "CREATE VIEW live.c AS SELECT i AS id, live.evil() + i AS a, i AS b FROM generate_series(1, 40) i; GRANT USAGE ON SCHEMA live TO PUBLIC; GRANT SELECT ON live.c TO PUBLIC")
                for call in [*calls, f"SELECT FROM persona.activate('{model}', 1)"]:
                    error = al.error(call)
                    assert error.sqlstate == "55000" and "another role now" in error.message and error.hint, f"{call}: {error}"
                assert admin.rows("SELECT * FROM public.ran") == []
                # A schema of the model's owner, or of a superuser, may be a new one.
                mallory.query("DROP SCHEMA live CASCADE")
                al.query(f"CREATE SCHEMA live; {made}; SELECT persona.refit('{model}')")
                admin.query("ALTER SCHEMA live OWNER TO CURRENT_USER; GRANT USAGE ON SCHEMA live TO al")
                al.query(f"SELECT persona.refit('{model}'); SELECT FROM persona.segment_flow('{model}', 1, 2)")
                admin.query("DROP SCHEMA live CASCADE")
