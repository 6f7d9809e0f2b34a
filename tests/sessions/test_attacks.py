"""What roles with LOGIN alone try against others, in the middle of a statement, a refit, a restore: each of these worked once."""

import contextlib
import itertools
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lib.needs import needs
from lib.pgwire import ServerError
import test_takeover
from test_takeover import FIT, ran_as

PUBLISHED = "(id bigint PRIMARY KEY, segment integer, label text, since timestamptz, version integer)"


@contextlib.contextmanager
def mallory_and(cluster, *others):
    """Roles are the server's: what an attack that went through has left of them is taken back before the next."""
    with cluster.connect() as admin:
        for role in ("mallory", *others):
            if admin.scalar(f"SELECT count(*) FROM pg_roles WHERE rolname = '{role}'"):
                admin.query(f"ALTER ROLE {role} NOSUPERUSER")
            for (group,) in admin.rows(f"SELECT roleid::regrole FROM pg_auth_members WHERE member::regrole::text = '{role}'"):
                admin.query(f"REVOKE {group} FROM {role}")
    with test_takeover.mallory_and(cluster, *others) as sessions:
        yield sessions


def attempt(session, statement):
    """The error's SQLSTATE, None where there is none."""
    try:
        session.query(statement)
    except ServerError as error:
        return error.sqlstate
    return None


# The middle of a statement ----------------------------------------------------------------------------------------------


# A composite type, what it is changed to at the second row, and a row of the first and of the second form.
CHANGES = {
    "numbers become bytes": ("spend float8, visits float8", 'visits TYPE "char"', "1::float8, 2::float8", """1::float8, 'A'::"char\""""),
    "a number is no longer stored by reference": ("spend float8, visits numeric", "visits TYPE integer", "1::float8, 2::numeric", "1::float8, 2147483644"),
    "a number becomes text": ("spend float8, visits float8", "visits TYPE text", "1::float8, 2::float8", "1::float8, 'two'::text"),
}
CALLS = ("persona.segment('m', {row})", "persona.anomaly_reasons('m', {row})", "persona.feature_stats({row})::text", "persona.kmeans({row}, 1)::text")


def test_a_row_type_that_changes_between_two_rows_is_read_as_it_is(cluster):
    """A composite type is locked by nobody: ALTER TYPE goes through in the middle of a statement that reads its rows."""
    with mallory_and(cluster) as (_, mallory):
        mallory.query("SET search_path = mallory, public;" + FIT.format(model="m", more=""))
        for what, (columns, change, first, second) in CHANGES.items():
            for call in CALLS:
                mallory.query(f"""
                    DROP TYPE IF EXISTS row_type CASCADE; CREATE TYPE row_type AS ({columns});
                    CREATE OR REPLACE FUNCTION changed(i integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN
                        IF i = 2 THEN ALTER TYPE mallory.row_type ALTER ATTRIBUTE {change}; END IF; RETURN i; END $$;
                    CREATE FUNCTION made(i integer) RETURNS row_type LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN
                        IF i = 1 THEN EXECUTE $q$SELECT {first}$q$ INTO r; ELSE EXECUTE $q$SELECT {second}$q$ INTO r; END IF; RETURN r; END $$""")
                asked = call.format(row="made(changed(i))")
                try:
                    rows = mallory.rows(f"SELECT {asked} FROM generate_series(1, 3) AS i")
                except ServerError as error:
                    assert error.sqlstate[:2] in ("22", "42", "55"), f"{what}, {call}: {error}"
                    continue
                # Whoever reads bytes of the memory behind a row has values that no row has.
                numbers = re.findall(r"\b2\.0{8,}\d*[1-9]", str(rows))
                assert not numbers, f"{what}, {call}: {numbers}"


# Published tables -------------------------------------------------------------------------------------------------------


def test_a_key_of_another_roles_type_runs_nothing(cluster):
    """A domain's CHECK runs as whoever casts to it: the key of a customer in profile, the items of a recommender."""
    keys = {"a domain": ("id::mallory.sly", "7"), "an array of it": ("ARRAY[id]::mallory.sly[]", "{7}"), "a row of it": ("ROW(id)::mallory.holder", "(7)")}
    with mallory_and(cluster) as (admin, mallory):
        mallory.query("CREATE DOMAIN mallory.sly AS integer; CREATE TYPE mallory.holder AS (x mallory.sly)")
        for number, (key, _) in enumerate(keys.values()):
            mallory.query(f"CREATE TABLE mallory.mine{number} AS SELECT {key} AS id, spend, visits FROM public.customers")
            admin.query(f"SELECT FROM persona.fit_segments('m{number}', 'mallory.mine{number}', 'id', 3, features => '{{spend,visits}}');"
                        f"SELECT FROM persona.publish('m{number}', 'public.t{number}'); SELECT persona.grant_model('m{number}', 'public');"
                        f"GRANT SELECT ON public.t{number} TO PUBLIC")
        mallory.query("CREATE TABLE mallory.had AS SELECT user_id::integer::mallory.sly AS user_id, item_id FROM public.events;"
                      "ALTER DOMAIN mallory.sly ADD CHECK (mallory.imm(VALUE) IS NOT NULL) NOT VALID")
        for what, (_, customer) in keys.items():
            mallory.notices.clear()
            mallory.query(f"SELECT * FROM persona.profile('{customer}')")
            assert ran_as(mallory) <= {"mallory"}, f"{what}: profile ran it as {ran_as(mallory)}"
        admin.query("SELECT FROM persona.fit_recommender('r', 'mallory.had')")
        for statement in ("SELECT FROM persona.fit_segments('m0', 'mallory.mine0', 'id', 3, features => '{spend,visits}', save_to => 'public.saved')",
                          "SELECT FROM persona.publish('r', 'public.offers')", "SELECT FROM persona.save_recommendations('r', 'public.offers_too', 2)",
                          "SELECT persona.refit('r')", "SELECT persona.refit('m0')"):
            admin.notices.clear()
            attempt(admin, statement)
            assert ran_as(admin) <= {"mallory"}, f"{statement} ran it as {ran_as(admin)}"


def test_a_type_that_was_added_to_an_extension_runs_nothing(cluster):
    """Whoever makes a trusted extension owns it, and may add types of his own to it."""
    needs(cluster, "citext")
    with mallory_and(cluster) as (admin, mallory):
        admin.query(f'GRANT CREATE ON DATABASE "{cluster.database}" TO mallory')
        mallory.query("CREATE EXTENSION citext SCHEMA mallory; CREATE DOMAIN mallory.sly AS integer; CREATE TYPE mallory.holder AS (x mallory.sly); ALTER EXTENSION citext ADD TYPE mallory.holder;"
                      + FIT.format(model="bad", more="") + "; SELECT FROM persona.publish('bad', 'mallory.t'); SELECT persona.grant_model('bad', 'public'); DROP TABLE mallory.t;"
                      "CREATE TABLE mallory.t AS SELECT ROW(id::integer)::mallory.holder AS id, 1 AS segment, 'x'::text AS label, now() AS since, 1 AS version FROM public.customers;"
                      "ALTER TABLE mallory.t ADD PRIMARY KEY (id); GRANT SELECT ON mallory.t TO PUBLIC;"
                      "SELECT FROM persona.fit_recommender('r', 'SELECT user_id, ROW(item_id::integer)::mallory.holder AS item_id FROM public.events', holdout => 0); SELECT persona.grant_model('r', 'public', 'read');"
                      "ALTER DOMAIN mallory.sly ADD CHECK (mallory.imm(VALUE) IS NOT NULL) NOT VALID")
        for statement in ("SELECT * FROM persona.profile('(7)')", "SELECT * FROM persona.save_recommendations('r', 'public.copy', 2)", "SELECT * FROM persona.save_recommendations('r', 'pg_temp.copy', 2)",
                          "SELECT * FROM persona.recommend_all('r', 2)"):
            admin.notices.clear()
            attempt(admin, statement)
            assert not ran_as(admin), f"{statement} ran it as {ran_as(admin)}"


def test_a_type_that_takes_the_name_of_a_keys_runs_nothing(cluster):
    with mallory_and(cluster) as (admin, mallory):
        mallory.query("CREATE TYPE mallory.color AS ENUM ('c1', 'c2')")
        admin.query("CREATE TABLE keyed AS SELECT ('c' || id)::mallory.color AS col, spend, visits FROM customers WHERE id <= 2;"
                    "SELECT FROM persona.fit_segments('e', 'SELECT col, spend, visits FROM keyed', 'col', 2); SELECT FROM persona.publish('e', 'mallory.epub');"
                    "SELECT FROM persona.fit_recommender('r', 'SELECT col AS user_id, spend::bigint AS item_id FROM keyed', holdout => 0)")
        mallory.query("DROP TABLE mallory.epub; ALTER TYPE mallory.color RENAME TO color_was; CREATE DOMAIN mallory.color AS text CHECK (mallory.imm(1) IS NOT NULL)")
        for statement in ("SELECT persona.refit('e', force => true)", "SELECT FROM persona.publish('e', 'public.again')", "SELECT FROM persona.save_recommendations('r', 'public.offers', 2)"):
            admin.notices.clear()
            attempt(admin, statement)
            assert not ran_as(admin), f"{statement} ran it as {ran_as(admin)}"


def test_a_schema_that_is_newer_than_the_snapshot_is_not_held(cluster):
    """A transaction that keeps its snapshot cannot lock the row of a schema that it does not see."""
    with mallory_and(cluster, "vic") as (admin, mallory), cluster.connect(user="vic") as vic, cluster.connect(user="mallory") as other:
        admin.query(f'GRANT CREATE ON DATABASE "{cluster.database}" TO mallory')
        mallory.query("CREATE SCHEMA pub; GRANT ALL ON SCHEMA pub TO PUBLIC; CREATE SCHEMA mh; GRANT ALL ON SCHEMA mh TO PUBLIC")
        vic.query(FIT.format(model="v", more="") + "; SELECT FROM persona.publish('v', 'pub.t', history_table => 'mh.h')")
        vic.query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        mallory.query("DROP SCHEMA pub CASCADE; CREATE SCHEMA pub; GRANT ALL ON SCHEMA pub TO PUBLIC")
        other.query("BEGIN; ALTER SCHEMA mh RENAME TO mh2")
        vic.send("SELECT persona.refit('v')")
        vic.ready(0.5)
        mallory.query("SET statement_timeout = '1500ms'")
        attempt(mallory, "ALTER SCHEMA pub RENAME TO aside; CREATE SCHEMA pub; GRANT ALL ON SCHEMA pub TO PUBLIC; CREATE VIEW pub.t WITH (security_invoker) AS"
                         " SELECT mallory.imm(1)::bigint AS id, 1 AS segment, 'x'::text AS label, now() AS since, 1 AS version; GRANT ALL ON pub.t TO PUBLIC")
        other.query("ROLLBACK")
        try:
            vic.fetch()
        except ServerError as error:
            assert error.sqlstate == "40001", error
        assert not ran_as(vic), ran_as(vic)
        vic.query("ROLLBACK")


def test_nobody_holds_a_schema_in_which_he_may_make_nothing(cluster):
    with mallory_and(cluster, "vic") as (admin, mallory), cluster.connect(user="vic") as vic:
        admin.query(f'CREATE SCHEMA vics AUTHORIZATION vic; GRANT USAGE ON SCHEMA vics TO mallory; GRANT CREATE ON DATABASE "{cluster.database}" TO vic')
        vic.query("SET statement_timeout = '3s'")
        for call in ("persona.fit_segments('h', 'SELECT id, spend, visits FROM public.customers, pg_sleep(20)', 'id', 3, save_to => 'vics.nothing')",
                     "persona.publish('m', 'vics.nothing', 'SELECT c.* FROM public.customers c, pg_sleep(20)', 'id')"):
            mallory.query("SELECT 1;" + FIT.format(model="m", more=""))
            mallory.send(f"SELECT FROM {call}")
            mallory.ready(0.5)
            vic.query("ALTER SCHEMA vics RENAME TO vics2; ALTER SCHEMA vics2 RENAME TO vics")
            mallory.cancel()
            try:
                mallory.fetch()
                raise AssertionError(f"{call} was done")
            except ServerError as error:
                assert error.sqlstate in ("42501", "57014"), error


def test_a_table_that_is_swapped_while_a_reader_waits_for_it(cluster):
    """A table of the superuser's in mallory's schema, which she may drop: what stands there then must not be read as him."""
    with mallory_and(cluster) as (admin, mallory), cluster.connect(user="mallory") as other:
        admin.query("CREATE TABLE secret AS SELECT 'swordfish'::text AS word")
        mallory.query(FIT.format(model="m", more="") + "; SELECT FROM persona.publish('m', 'mallory.t', history_table => 'mallory.h'); DROP TABLE mallory.t, mallory.h")
        for table, ask in (("t", "SELECT details FROM persona.profile('1')"), ("h", "SELECT * FROM persona.segment_changes('m')")):
            admin.query(f"CREATE TABLE mallory.{table} AS SELECT 1::bigint AS id, 1 AS segment, 'x'::text AS label, now() AS entered_at, now() AS left_at;"
                        f"GRANT SELECT ON mallory.{table} TO mallory")
            other.query(f"BEGIN; DROP TABLE mallory.{table}; CREATE VIEW mallory.{table} WITH (security_invoker) AS"
                        " SELECT mallory.imm(1)::bigint AS id, 1 AS segment, (SELECT word FROM public.secret) AS label, now() AS entered_at, now() AS left_at")
            mallory.notices.clear()
            mallory.send(ask)
            mallory.ready(0.5)
            other.query(f"COMMIT; GRANT SELECT ON mallory.{table} TO PUBLIC")
            try:
                rows = mallory.fetch()[-1].rows
            except ServerError as error:
                rows = [str(error)]
            assert "swordfish" not in str(rows) and ran_as(mallory) <= {"mallory"}, f"{ask}: {rows}, as {ran_as(mallory)}"
            other.query(f"DROP VIEW mallory.{table}")


def test_who_owned_a_table_once_is_not_who_owns_it(cluster):
    """An old snapshot still shows the owner from before ALTER TABLE … OWNER TO, as when a superuser restores a dump."""
    with mallory_and(cluster) as (admin, mallory), cluster.connect() as deputy, cluster.connect(user="mallory") as other:
        mallory.query(FIT.format(model="m", more="") + "; SELECT FROM persona.publish('m', 'public.t'); DROP TABLE public.t")
        admin.query(f"CREATE TABLE public.t {PUBLISHED}; INSERT INTO t VALUES (1, 1, 'x', now()); GRANT SELECT ON t TO mallory")
        admin.query(FIT.format(model="of_admin", more="") + "; SELECT FROM persona.publish('of_admin', 'public.u')")
        for session in (deputy, other):
            session.query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        admin.query("ALTER TABLE t OWNER TO mallory; ALTER TABLE u OWNER TO mallory")
        mallory.query("CREATE INDEX ON public.t ((mallory.imm(1) + segment));"
                      "CREATE TRIGGER x BEFORE INSERT ON public.u FOR EACH STATEMENT EXECUTE FUNCTION mallory.on_write()")
        for session, statement in ((other, "SELECT * FROM persona.profile('1')"), (deputy, "SELECT persona.refit('of_admin', force => true)")):
            attempt(session, statement)
            session.query("COMMIT")
        assert ran_as(other) <= {"mallory"}, f"profile ran the table's code as {ran_as(other)}"
        assert not ran_as(deputy), f"the refit ran the table's code as {ran_as(deputy)}"


def test_a_schema_that_is_renamed_while_a_refit_waits(cluster):
    """Between the check of a published table and its writing nobody puts another schema in the place of the table's."""
    replace = ("ALTER SCHEMA pub RENAME TO aside; CREATE SCHEMA pub; GRANT ALL ON SCHEMA pub TO PUBLIC;"
               f"CREATE TABLE pub.t {PUBLISHED}; GRANT ALL ON pub.t TO PUBLIC;"
               "CREATE TRIGGER x BEFORE INSERT ON pub.t FOR EACH STATEMENT EXECUTE FUNCTION mallory.on_write()")
    with mallory_and(cluster, "vic") as (admin, mallory), cluster.connect(user="vic") as vic, cluster.connect(user="mallory") as other:
        admin.query(f'GRANT CREATE ON DATABASE "{cluster.database}" TO mallory')
        mallory.query("CREATE TABLE mallory.slow AS SELECT id, spend, visits FROM public.customers; GRANT SELECT ON mallory.slow TO PUBLIC")
        for number, (renamer, is_there) in enumerate(itertools.product((mallory, other), (True, False))):
            model = f"v{number}"
            mallory.query("CREATE SCHEMA pub; GRANT ALL ON SCHEMA pub TO PUBLIC")
            vic.query(FIT.format(model=model, more="") + f"; SELECT FROM persona.publish('{model}', 'pub.t', source => 'SELECT * FROM mallory.slow')")
            if not is_there:
                vic.query("DROP TABLE pub.t")
            mallory.query("BEGIN; LOCK TABLE mallory.slow")
            vic.send(f"SELECT persona.refit('{model}')")
            vic.ready(0.5)
            renamer.send(replace)
            renamer.ready(1.5)
            if renamer is other:
                mallory.query("COMMIT")
            refused = []
            for session in (vic, renamer):
                try:
                    session.fetch()
                except ServerError as error:
                    refused.append(error.sqlstate)
            # Where each waits for the other, one of them gives way.
            assert refused == (["40P01"] if renamer is mallory else []), (refused, is_there)
            mallory.query("COMMIT")
            assert not ran_as(vic), f"mallory's trigger ran as {ran_as(vic)}"
            if renamer is other:
                assert vic.scalar("SELECT count(*) FROM aside.t") == vic.scalar("SELECT count(*) FROM mallory.slow")
            admin.query(f"DROP SCHEMA IF EXISTS pub, aside CASCADE; SELECT persona.drop_model('{model}')")


def test_nobodys_publication_stops_a_profile(cluster):
    with mallory_and(cluster) as (admin, mallory):
        admin.query(FIT.format(model="good", more=", save_to => 'labels'"))
        mallory.query("""CREATE FUNCTION mallory.stop(x integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
            IF session_user <> 'mallory' THEN RAISE EXCEPTION 'no' USING ERRCODE = (SELECT code FROM mallory.stops); END IF; RETURN x; END $$;
            CREATE TABLE mallory.stops (code text); GRANT SELECT ON mallory.stops TO PUBLIC;"""
                      + FIT.format(model="bad", more="") + "; SELECT FROM persona.publish('bad', 'mallory.t'); SELECT persona.grant_model('bad', 'public');"
                      "GRANT SELECT ON mallory.t TO PUBLIC; CREATE INDEX ON mallory.t ((mallory.stop(1) + segment))")
        for code in ("22012", "57014", "40001", "40P01", "57P01"):
            mallory.query(f"TRUNCATE mallory.stops; INSERT INTO mallory.stops VALUES ('{code}')")
            assert [model for (model,) in admin.rows("SELECT model FROM persona.profile('7')")] == ["bad", "good"], code


def test_nobodys_lock_holds_up_a_profile(cluster):
    with mallory_and(cluster) as (admin, mallory):
        admin.query(FIT.format(model="good", more=", save_to => 'labels'"))
        mallory.query(FIT.format(model="bad", more="") + "; SELECT FROM persona.publish('bad', 'mallory.t'); SELECT persona.grant_model('bad', 'public');"
                      "GRANT SELECT ON mallory.t TO PUBLIC")
        mallory.query("BEGIN; LOCK TABLE mallory.t")
        admin.query("SET statement_timeout = '2s'")
        assert [model for (model,) in admin.rows("SELECT model FROM persona.profile('7')")] == ["good"]


def test_a_profile_leaves_nothing_of_others_in_the_session(cluster):
    """A lock that a table's index takes stays with the session that reads the table, and holds up all that wait for it."""
    with mallory_and(cluster, "vic") as (admin, mallory), cluster.connect(user="vic") as vic:
        mallory.query("CREATE FUNCTION mallory.stay(x integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN"
                      " IF session_user <> 'mallory' THEN PERFORM pg_advisory_lock(42); END IF; RETURN x; END $$;"
                      + FIT.format(model="m", more="") + "; SELECT FROM persona.publish('m', 'mallory.t'); SELECT persona.grant_model('m', 'public');"
                      "GRANT SELECT ON mallory.t TO PUBLIC; CREATE INDEX ON mallory.t ((mallory.stay(1) + segment))")
        vic.query("SELECT * FROM persona.profile('7')")
        assert admin.scalar("SELECT pg_try_advisory_lock(42)")


# The registry -----------------------------------------------------------------------------------------------------------


def test_the_planners_statistics_tell_no_source(cluster):
    """EXPLAIN estimates from what ANALYZE saw of all rows, whoever may see them; a source is found letter by letter."""
    with mallory_and(cluster, "vic") as (admin, mallory), cluster.connect(user="vic") as vic:
        for _ in range(3):
            vic.query("SELECT FROM persona.fit_segments('v', $$SELECT id, spend, visits FROM public.customers WHERE city <> 'hush'$$, 'id', 3)")
        admin.query("ANALYZE")
        guess = "SELECT id, spend, visits FROM public.customers WHERE city <> ''{}"
        for relation, column, guesses in (("model_version", "source", ("= '" + guess.format("hush''") + "'", "= '" + guess.format("hash''") + "'")),
                                          ("model_version", "source", ("< '" + guess.format("z") + "'", "< '" + guess.format("a") + "'")),
                                          ("model_version", "created_by", ("= 'vic'::regrole", "= 'mallory'::regrole"))):
            plans = [[re.sub(r"cost=\S+|'.*'|\(\d+\)::oid|\d+", lambda found: found[0] if found[0].isdigit() else "", line) for (line,) in
                      mallory.rows(f"EXPLAIN SELECT FROM persona.{relation} WHERE {column} {one}")][0] for one in guesses]
            assert plans[0] == plans[1], f"{column} {guesses[0]}: {plans}"


def test_nothing_is_left_of_a_model_that_was_dropped_meanwhile(cluster):
    with mallory_and(cluster) as (admin, mallory), cluster.connect(user="mallory") as other:
        mallory.query(FIT.format(model="m", more=""))
        other.query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        mallory.query("SELECT persona.drop_model('m')")
        assert attempt(other, "SELECT persona.name_segment('m', 1, 'ghost')") in ("40001", "42704")
        other.query("ROLLBACK")
        assert admin.scalar("SELECT count(*) FROM persona.segment_name") == 0


def test_a_temporary_table_of_the_caller_is_not_the_source_of_a_refit(cluster):
    with mallory_and(cluster) as (admin, mallory):
        mallory.query("SELECT FROM persona.fit_segments('m', 'SELECT id, spend, visits FROM customers', 'id', 3)")
        admin.query("CREATE TEMP TABLE customers AS SELECT 1 AS nothing")
        assert attempt(admin, "SELECT persona.refit('m')") is None


def test_a_temporary_table_is_not_kept_up_to_date(cluster):
    with mallory_and(cluster) as (_, mallory):
        mallory.query(FIT.format(model="m", more="") + "; SELECT FROM persona.fit_recommender('r', 'events')")
        for model, statement in (("m", "SELECT FROM persona.publish('m', 'pg_temp.x')"), ("m", FIT.format(model="m", more=", save_to => 'pg_temp.y'")),
                                 ("r", "SELECT FROM persona.save_recommendations('r', 'pg_temp.z', 2)")):
            attempt(mallory, statement)
            with cluster.connect(user="mallory") as another_day:
                assert attempt(another_day, f"SELECT persona.refit('{model}')") is None, statement


def test_a_comment_may_end_a_source(cluster):
    with mallory_and(cluster) as (_, mallory):
        mallory.query("SELECT FROM persona.fit_segments('m', 'SELECT id, spend, visits FROM public.customers -- all of them', 'id', 3)")
        for statement in ("SELECT FROM persona.publish('m', 'mallory.t')", "SELECT FROM persona.publish('m', 'mallory.u', source => 'TABLE public.customers -- all')"):
            assert attempt(mallory, statement) is None, statement


def test_histories_are_kept_where_all_tables_are_replicated(cluster):
    with mallory_and(cluster) as (admin, mallory):
        admin.query("SET client_min_messages = error; CREATE PUBLICATION everything FOR ALL TABLES")
        mallory.query(FIT.format(model="m", more=""))
        assert attempt(mallory, "SELECT FROM persona.publish('m', 'mallory.t', history_table => 'mallory.h')") is None
        admin.query("UPDATE customers SET spend = 500, visits = 500 WHERE id < 60")
        assert attempt(mallory, "SELECT persona.refit('m', force => true)") is None


def test_a_mistake_is_no_internal_error(cluster):
    with mallory_and(cluster) as (_, mallory):
        mallory.query(FIT.format(model="m", more="") + "; SELECT FROM persona.publish('m', 'mallory.t', history_table => 'mallory.h');"
                      "ALTER TABLE mallory.h ALTER segment TYPE bigint")
        for statement in ("SELECT * FROM persona.segment_changes('m')", "SELECT persona.model_privilege(10, '{NULL}', '{}')"):
            assert attempt(mallory, statement) != "XX000", statement


def test_who_cannot_become_the_owner_is_not_told_to(cluster):
    with mallory_and(cluster, "vic") as (admin, mallory), cluster.connect(user="vic") as vic:
        mallory.query(FIT.format(model="m", more="") + "; SELECT persona.grant_model('m', 'vic')")
        for statement in (FIT.format(model="m", more=""), "SELECT FROM persona.publish('m', 'x')"):
            assert "SET ROLE" not in (vic.error(statement).hint or ""), vic.error(statement)
        admin.query("GRANT mallory TO vic")
        assert 'SET ROLE "mallory"' in vic.error(FIT.format(model="m", more="")).hint


def test_a_type_that_is_only_called_vector_is_none(cluster):
    with mallory_and(cluster) as (_, mallory):
        mallory.query("CREATE TYPE mallory.vector AS RANGE (subtype = integer)")
        assert attempt(mallory, "SELECT persona.feature_stats(v) FROM (SELECT '[1,5)'::mallory.vector AS x) v") in ("42804", "22023")


# What holds ---------------------------------------------------------------------------------------------------------------


def test_plans_and_cursors_ask_as_the_role_of_the_moment(cluster):
    with mallory_and(cluster, "vic") as (admin, mallory), cluster.connect(user="vic") as vic:
        vic.query(FIT.format(model="v", more=""))
        admin.query("GRANT mallory TO vic")
        vic.query("SET plan_cache_mode = force_generic_plan; PREPARE ask AS SELECT persona.segment('v', c) FROM customers c LIMIT 1;"
                  "PREPARE look AS SELECT model FROM persona.models")
        for _ in range(2):
            assert attempt(vic, "EXECUTE ask") is None and vic.rows("EXECUTE look") == [("v",)]
            vic.query("SET ROLE mallory")
            assert attempt(vic, "EXECUTE ask") == "42704" and vic.rows("EXECUTE look") == []
            vic.query("RESET ROLE")
        vic.query("BEGIN; DECLARE c CURSOR FOR SELECT persona.segment('v', c) FROM customers c")
        vic.query("FETCH 1 FROM c; SET ROLE mallory")
        assert attempt(vic, "FETCH 1 FROM c") == "42704"
        vic.query("ROLLBACK")


def test_a_source_that_changes_its_own_model_leaves_nothing_behind(cluster):
    """The source of a refit drops, renames, activates or refits the very model, and leaves a whole registry."""
    acts = ("SELECT persona.drop_model('m')", "SELECT persona.rename_model('m', 'n')", "SELECT persona.activate('m', 1)", "SELECT persona.refit('m')",
            "SELECT FROM persona.publish('m', 'mallory.t2')", "DROP TABLE mallory.t", "SELECT persona.name_segment('m', 1, 'x')")
    with mallory_and(cluster) as (admin, mallory):
        mallory.query("""CREATE TABLE mallory.todo (what text);
            CREATE FUNCTION mallory.act() RETURNS integer LANGUAGE plpgsql AS $$ DECLARE w text; BEGIN
                DELETE FROM mallory.todo RETURNING what INTO w; IF w IS NOT NULL THEN EXECUTE w; END IF; RETURN 0; END $$""")
        fit = "SELECT FROM persona.fit_segments('m', 'SELECT id, spend, visits FROM public.customers WHERE mallory.act() = 0', 'id', 3)"
        for act in acts:
            for statement in ("SELECT persona.refit('m', force => true)", fit, "SELECT FROM persona.publish('m', 'mallory.t')"):
                for model in ("m", "n"):
                    attempt(mallory, f"SELECT persona.drop_model('{model}')")
                mallory.query(f"DROP TABLE IF EXISTS mallory.t, mallory.t2; {fit}; SELECT FROM persona.publish('m', 'mallory.t'); SELECT persona.name_segment('m', 1, 'y'); INSERT INTO mallory.todo VALUES ($${act}$$)")
                # A table of a model that is gone has rows of nobody's.
                assert attempt(mallory, statement) in (None, "42704", "55000"), f"{act} in {statement}"
                for table in ("model_version", "model_chunk", "model_evidence", "segment_name", "publication", "refit_run"):
                    left = admin.scalar(f"SELECT count(*) FROM persona.{table} x WHERE NOT EXISTS (SELECT FROM persona.model m WHERE m.id = x.model_id)")
                    assert left == 0, f"{act} in {statement} leaves {left} rows of {table}"
                mallory.query("SELECT persona.drop_model(model) FROM persona.models; DROP TABLE IF EXISTS mallory.t, mallory.t2; TRUNCATE mallory.todo")
