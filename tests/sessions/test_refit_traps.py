"""A superuser who refits another's model: whatever the owner put in its way runs as the owner, who gains nothing."""

from contextlib import contextmanager

from lib.pgwire import ServerError
from lib.tally import long, told

# What only a superuser, or a session of his outside a restricted operation, may do. The role is the test's own.
ATTEMPTS = [
    "ALTER ROLE mallory SUPERUSER", "ALTER ROLE mallory BYPASSRLS", "GRANT postgres TO mallory", "CREATE ROLE minion SUPERUSER", "GRANT pg_read_all_data TO mallory",
    "SET ROLE postgres", "SET ROLE none", "RESET ROLE", "SET SESSION AUTHORIZATION postgres", "RESET SESSION AUTHORIZATION",
    "INSERT INTO mallory.loot SELECT word FROM public.secret", "GRANT ALL ON public.secret TO mallory", "ALTER TABLE public.secret OWNER TO mallory",
    "UPDATE pg_catalog.pg_authid SET rolsuper = true", "UPDATE persona.model SET owner = 10", "COPY public.secret TO PROGRAM 'true'",
    "SELECT pg_read_file('PG_VERSION')", "SELECT lo_import('/etc/hostname')", "ALTER SYSTEM SET log_statement = 'all'", "LOAD '/nowhere/at_all'",
    "CREATE EXTENSION adminpack", "CREATE TEMP TABLE left_behind (n integer)", "DECLARE held CURSOR WITH HOLD FOR SELECT 1", "COMMIT",
    "CREATE FUNCTION mallory.of_his() RETURNS integer LANGUAGE c AS 'nowhere', 'at_all'", "SET session_replication_role = replica",
]
SETUP = f"""
    CREATE TABLE loot (word text);
    CREATE FUNCTION gain() RETURNS void LANGUAGE plpgsql AS $$
    DECLARE attempt text;
    BEGIN
        RAISE WARNING 'trap as %', current_user;
        IF session_user = 'mallory' THEN RETURN; END IF;
        FOREACH attempt IN ARRAY ARRAY[{", ".join("$a$" + attempt + "$a$" for attempt in ATTEMPTS)}] LOOP
            BEGIN
                EXECUTE attempt;
                RAISE WARNING 'gained: %', attempt;
            EXCEPTION WHEN OTHERS THEN NULL;
            END;
        END LOOP;
    END $$;
    CREATE FUNCTION trap(x float8) RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain(); RETURN x; END $$;
    CREATE FUNCTION fixed(x float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM mallory.gain(); RETURN x; END $$;
    CREATE FUNCTION of_two(x float8, y float8) RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain(); RETURN x OPERATOR(pg_catalog.*) y; END $$;
    CREATE FUNCTION on_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain(); RETURN coalesce(NEW, OLD); END $$;
    CREATE TABLE mine AS SELECT i::bigint AS id, (i % 3) * 100 + (i % 7)::float8 AS spend, (i % 5)::float8 AS visits, i % 2 = 0 AS bought
    FROM generate_series(1, 12) AS i;
    ANALYZE mine;
"""
COLUMNS = "SELECT id, {spend} AS spend, visits, bought FROM mallory.mine"
VIEW = "CREATE VIEW {name} {options} AS SELECT id, mallory.trap(spend) AS spend, visits, bought FROM mallory.mine; {more}"
PATH = "mallory, pg_catalog, public"
TABLE = "CREATE TABLE {name} (id bigint PRIMARY KEY, segment integer{more}, label text, since timestamptz, version integer);"


def function(name, body, more="", language="plpgsql"):
    text = f"BEGIN {body}; RETURN x; END" if language == "plpgsql" else body
    return f"CREATE FUNCTION mallory.{name}(x float8) RETURNS float8 LANGUAGE {language} {more} AS $f$ {text} $f$;"


def trigger(name, what, *more):
    return TABLE.format(name=name, more="") + f"CREATE {what} ON mallory.{name} {' '.join(more)} EXECUTE FUNCTION mallory.on_write();"


# What the owner makes first, the source, and the search_path of the fit.
SOURCES = {
    "a function": ("", COLUMNS.format(spend="mallory.trap(spend)")),
    "a function that is inlined": (function("inlined", "SELECT mallory.trap(x)", language="sql"), COLUMNS.format(spend="mallory.inlined(spend)")),
    "a constant that is computed in planning": ("", COLUMNS.format(spend="spend") + " WHERE mallory.fixed(1) = 1"),
    "a function of SECURITY DEFINER": (function("definer", "PERFORM mallory.gain()", "SECURITY DEFINER"), COLUMNS.format(spend="mallory.definer(spend)")),
    "a function that sets a role": (function("no_role", "PERFORM mallory.gain()", "SET role = none"), COLUMNS.format(spend="mallory.no_role(spend)")),
    "a function that sets who the session is": (function("no_session", "PERFORM mallory.gain()", "SET session_authorization = mallory"), COLUMNS.format(spend="mallory.no_session(spend)")),
    "a function that sets row_security": (function("no_rows", "PERFORM mallory.gain()", "SET row_security = off"), COLUMNS.format(spend="mallory.no_rows(spend)")),
    "a function that sets the search_path": (function("path", "PERFORM gain()", "SET search_path = mallory"), COLUMNS.format(spend="mallory.path(spend)")),
    "a function that sets what would last": (
        function("lasting", "PERFORM mallory.gain(); PERFORM set_config(name, value, false) FROM (VALUES ('search_path', 'mallory, pg_catalog'), ('statement_timeout', '1h'),"
                 " ('plan_cache_mode', 'force_generic_plan')) AS s (name, value) WHERE session_user <> 'mallory'"), COLUMNS.format(spend="mallory.lasting(spend)")),
    "a function that sets what would stop the refit": (
        function("stopping", "PERFORM mallory.gain(); PERFORM set_config(name, value, false) FROM (VALUES ('row_security', 'off'), ('default_transaction_read_only', 'on'))"
                 " AS s (name, value) WHERE session_user <> 'mallory'"), COLUMNS.format(spend="mallory.stopping(spend)")),
    "a function that is marked parallel safe": (function("parallel", "PERFORM mallory.gain()", "PARALLEL SAFE"), COLUMNS.format(spend="mallory.parallel(spend)")),
    "a view": (VIEW.format(name="plain", options="", more=""), "mallory.plain"),
    "a view of security_barrier": (VIEW.format(name="barrier", options="WITH (security_barrier)", more=""), "mallory.barrier"),
    "a view of security_invoker": (VIEW.format(name="invoker", options="WITH (security_invoker)", more=""), "mallory.invoker"),
    "a view over a function of SECURITY DEFINER": (
        function("under_view", "PERFORM mallory.gain()", "SECURITY DEFINER")
        + "CREATE VIEW definers AS SELECT id, mallory.under_view(spend) AS spend, visits, bought FROM mallory.mine", "mallory.definers"),
    "a materialized view that a function refreshes": (
        "CREATE MATERIALIZED VIEW stored AS SELECT mallory.trap(1);" + function("fresh", "REFRESH MATERIALIZED VIEW mallory.stored"), COLUMNS.format(spend="mallory.fresh(spend)")),
    "a name before PostgreSQL's": (function("abs", "PERFORM mallory.gain()"), COLUMNS.format(spend="abs(spend)"), PATH),
    "an operator before PostgreSQL's": (
        "CREATE OPERATOR mallory.* (FUNCTION = mallory.of_two, LEFTARG = float8, RIGHTARG = float8);", COLUMNS.format(spend="spend * 1.0::float8"), PATH),
    "an operator that the planner asks": (
        "CREATE FUNCTION mallory.below(x float8, y float8) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM mallory.gain(); RETURN x < y; END $$;"
        "CREATE OPERATOR mallory.<<< (FUNCTION = mallory.below, LEFTARG = float8, RIGHTARG = float8, RESTRICT = scalarltsel);",
        COLUMNS.format(spend="spend") + " WHERE spend OPERATOR(mallory.<<<) 1e9"),
    "a cast": (
        "CREATE TYPE amount AS (x float8);"
        "CREATE FUNCTION mallory.of_amount(a mallory.amount) RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain(); RETURN a.x; END $$;"
        "CREATE CAST (mallory.amount AS float8) WITH FUNCTION mallory.of_amount(mallory.amount) AS IMPLICIT;", COLUMNS.format(spend="ROW(spend)::mallory.amount::float8")),
    "a cast that to_jsonb finds": (
        "CREATE TYPE told AS ENUM ('a');"
        "CREATE FUNCTION mallory.of_told(a mallory.told) RETURNS json LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain(); RETURN '0'::json; END $$;"
        "CREATE CAST (mallory.told AS json) WITH FUNCTION mallory.of_told(mallory.told);", COLUMNS.format(spend="spend + to_jsonb('a'::mallory.told)::float8")),
    "a domain": ("CREATE DOMAIN sly AS float8 CHECK (mallory.trap(VALUE) IS NOT NULL);", COLUMNS.format(spend="spend::mallory.sly")),
    "a domain under a cast": ("CREATE DOMAIN slier AS float8 CHECK (mallory.trap(VALUE) IS NOT NULL);", COLUMNS.format(spend="spend::mallory.slier::float8")),
    "an aggregate": (
        "CREATE FUNCTION mallory.plus(x float8, y float8) RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain(); RETURN x + y; END $$;"
        "CREATE AGGREGATE mallory.total(float8) (SFUNC = mallory.plus, STYPE = float8, INITCOND = '0');", COLUMNS.format(spend="mallory.total(spend) OVER (PARTITION BY id)")),
    "rows from a function": (
        "CREATE FUNCTION mallory.given() RETURNS SETOF mallory.mine LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain(); RETURN QUERY TABLE mallory.mine; END $$;",
        "SELECT * FROM mallory.given()"),
    "a sub-select": ("", COLUMNS.format(spend="spend + (SELECT mallory.trap(0))")),
    "a WITH": ("", "WITH w AS MATERIALIZED (SELECT mallory.trap(0) AS zero) SELECT id, spend + zero AS spend, visits, bought FROM mallory.mine, w"),
    "an order": ("", COLUMNS.format(spend="spend") + " ORDER BY mallory.trap(spend)"),
    "a function over query text": (
        "CREATE FUNCTION mallory.words() RETURNS tsvector LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain(); RETURN 'a'::tsvector; END $$;",
        COLUMNS.format(spend="spend + (SELECT count(*) FROM ts_stat('SELECT mallory.words()'))")),
    "a policy": (
        "CREATE TABLE guarded AS TABLE mallory.mine; ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; ALTER TABLE guarded FORCE ROW LEVEL SECURITY;"
        "CREATE POLICY sly ON guarded USING (mallory.trap(spend) IS NOT NULL);", "SELECT * FROM mallory.guarded"),
    "statistics that a function gathers": (
        "CREATE TABLE indexed AS TABLE mallory.mine; CREATE INDEX ON indexed (mallory.fixed(spend));" + function("analyses", "ANALYZE mallory.indexed"),
        COLUMNS.format(spend="mallory.analyses(spend)")),
}
# Tables that a refit writes.
TARGETS = {
    "a trigger before each row": trigger("before_row", "TRIGGER t BEFORE INSERT OR UPDATE OR DELETE", "FOR EACH ROW"),
    "a trigger after each row": trigger("after_row", "TRIGGER t AFTER INSERT OR UPDATE OR DELETE", "FOR EACH ROW"),
    "a trigger of the statement": trigger("after_all", "TRIGGER t AFTER INSERT OR UPDATE OR DELETE", "FOR EACH STATEMENT"),
    "a trigger at the transaction's end": trigger("at_end", "CONSTRAINT TRIGGER t AFTER INSERT OR UPDATE OR DELETE", "DEFERRABLE INITIALLY DEFERRED", "FOR EACH ROW"),
    "a rule": TABLE.format(name="ruled", more=""),
    "a check": TABLE.format(name="checked", more=" CHECK (mallory.trap(segment) > 0)"),
    "a default": TABLE.format(name="defaulted", more=", x float8 DEFAULT mallory.trap(1)"),
    "a column that is generated": TABLE.format(name="generated", more=", x float8 GENERATED ALWAYS AS (mallory.fixed(id)) STORED"),
    "an index over an expression": TABLE.format(name="expressed", more="") + "CREATE INDEX ON expressed (mallory.fixed(segment));",
    "a foreign key's other table": TABLE.format(name="parent", more="") + "CREATE TABLE child (id bigint REFERENCES parent ON DELETE CASCADE);"
        "CREATE TRIGGER t AFTER DELETE ON child FOR EACH ROW EXECUTE FUNCTION mallory.on_write();",
}
# What the owner does between the table's first writing and the refit, and takes back before the next.
LATER = {
    "parent": ("SELECT", "INSERT INTO child SELECT id FROM parent"),
    "ruled": ("DROP RULE IF EXISTS r ON ruled", "CREATE RULE r AS ON INSERT TO ruled DO ALSO INSERT INTO mallory.loot SELECT 'x' WHERE mallory.trap(NEW.id) < 0"),
}
FITS = {
    "segments": "SELECT FROM persona.fit_segments('m', $s${source}$s$, 'id', 2, features => '{{spend,visits}}')",
    "scorer": "SELECT FROM persona.fit_scorer('m', $s${source}$s$, 'bought', key => 'id', holdout => 0)",
    "recommender": "SELECT FROM persona.fit_recommender('m', $s$SELECT id % 5 AS user_id, (spend + visits)::integer AS item_id FROM ({query}) s$s$, holdout => 0)",
}
# How the superuser asks: what he runs before, the refit, and what after.
REFIT = "SELECT persona.refit('m', force => true)"
CALLERS = {
    "at once": ("", REFIT, ""),
    "in a transaction": ("BEGIN; SAVEPOINT s", REFIT, "COMMIT"),
    "with the owner's search_path": (f"SET search_path = {PATH}", REFIT, "RESET search_path"),
    "without row security": ("SET row_security = off", REFIT, "RESET row_security"),
    "as another superuser": ("SET ROLE deputy", REFIT, "RESET ROLE"),
    "as the owner": ("SET ROLE mallory", REFIT, "RESET ROLE"),
    "by a function of his": ("", "SELECT public.by_function()", ""),
    "as a job": ("", "CALL persona.refit_job('m', force => true)", ""),
}


def test_a_refit_by_a_superuser_gives_the_owner_nothing(cluster):
    check_refits(cluster, ["segments"], ["at once"])


@long
def test_no_refit_by_a_superuser_gives_the_owner_anything(cluster):
    check_refits(cluster, FITS, CALLERS)


def check_refits(cluster, kinds, callers):
    sprung = refused = 0
    with a_superuser_and_mallory(cluster) as (admin, mallory):
        for way, (made, source, *path) in SOURCES.items():
            mallory.query(made or "SELECT")
            query = source if source.startswith(("SELECT", "WITH")) else f"SELECT * FROM {source}"
            for kind in kinds:
                fit = f"SET search_path = {path[0] if path else 'mallory, public'}; {FITS[kind].format(source=source, query=query)}; RESET search_path"
                for caller in callers:
                    runs = check_one(admin, mallory, f"{kind}, {way}, {caller}", fit, caller)
                    sprung, refused = sprung + runs, refused + (not runs)
        for way, made in TARGETS.items():
            mallory.query(made)
            target = made.split()[2]
            first, later = LATER.get(target, ("SELECT", None))
            fit = f"{first}; {FITS['segments'].format(source='SELECT * FROM mallory.mine')}; SELECT FROM persona.publish('m', 'mallory.{target}'); {later or ''}"
            for caller in callers:
                runs = check_one(admin, mallory, f"{way}, {caller}", fit, caller, springs_in_the_fit=later is None)
                sprung, refused = sprung + runs, refused + (not runs)
                mallory.query(f"TRUNCATE mallory.{target} CASCADE")
    told(f"{sprung} refits ran the owner's code as the owner, {refused} were refused or did not come to it")


@contextmanager
def a_superuser_and_mallory(cluster):
    with cluster.connect() as admin:
        # Roles are the server's: another test of this file may have made them.
        for role in ("mallory", "deputy SUPERUSER"):
            if not admin.scalar(f"SELECT count(*) FROM pg_roles WHERE rolname = '{role.split()[0]}'"):
                admin.query(f"CREATE ROLE {role} LOGIN")
        admin.query("""
            CREATE SCHEMA mallory AUTHORIZATION mallory;
            CREATE TABLE secret AS SELECT 'swordfish' AS word;
            CREATE FUNCTION by_function() RETURNS integer LANGUAGE sql SECURITY DEFINER AS $$ SELECT persona.refit('m', force => true) $$""")
        with cluster.connect(user="mallory") as mallory:
            mallory.query(SETUP)
            yield admin, mallory


def check_one(admin, mallory, way, fit, caller, springs_in_the_fit=True):
    """A fit by the owner and a refit by the superuser; whether the trap sprang in it, as the owner."""
    mallory.notices.clear()
    mallory.query(fit)
    if springs_in_the_fit:
        assert any(notice["M"] == "trap as mallory" for notice in mallory.notices), f"{way}: nothing springs"
    # Someone comes, someone goes, and someone changes.
    mallory.query("WITH gone AS (DELETE FROM mine WHERE id = (SELECT min(id) FROM mine) RETURNING *)"
                  "INSERT INTO mine SELECT (SELECT max(id) + 1 FROM mine), spend, visits, bought FROM gone;"
                  "UPDATE mine SET spend = 200 - spend WHERE id = (SELECT min(id) + 4 FROM mine)")
    before, refit, after = CALLERS[caller]
    settings = admin.rows(SESSION)
    admin.query(before or "SELECT")
    admin.notices.clear()
    refused = None
    for statement in (refit, after or "SELECT"):
        try:
            admin.query(statement)
        except ServerError as error:
            refused = error
            assert error.sqlstate[:2] in ("0A", "25", "42"), f"{way}: {error}"
    assert admin.rows(SESSION) == settings, f"{way}: the session is not as it was: {settings}, but {admin.rows(SESSION)}"
    said = [notice["M"] for notice in admin.notices]
    wrong = [one for one in said if one.startswith("gained") or (one.startswith("trap as ") and one != "trap as mallory")]
    assert not wrong, f"{way}: {wrong[:3]}"
    sprung = "trap as mallory" in said
    assert sprung or refused, f"{way}: the trap did not spring, and nothing was refused"
    assert admin.rows(GAINED) == [(False, False, 0, 0, 0, "postgres", "postgres")], f"{way}: {admin.rows(GAINED)}"
    mallory.query("SELECT persona.drop_model('m')")
    return sprung


SESSION = """
    SELECT current_user, session_user, current_setting('search_path'), current_setting('row_security'), current_setting('statement_timeout'),
           current_setting('default_transaction_read_only'), current_setting('plan_cache_mode'), current_setting('session_replication_role'),
           (SELECT count(*) FROM pg_catalog.pg_cursors), (SELECT count(*) FROM pg_catalog.pg_prepared_statements), pg_catalog.to_regclass('pg_temp.left_behind')
"""
GAINED = """
    SELECT rolsuper, rolbypassrls, (SELECT count(*) FROM pg_auth_members WHERE member = 'mallory'::regrole),
           (SELECT count(*) FROM mallory.loot WHERE word = 'swordfish'), (SELECT count(*) FROM pg_roles WHERE rolname = 'minion'),
           (SELECT tableowner FROM pg_tables WHERE tablename = 'secret'), current_user
    FROM pg_roles WHERE rolname = 'mallory'
"""
