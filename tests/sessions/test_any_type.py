"""Functions of a value of any type: what is equal in SQL is one category, one class and one key, and a call is never a cast."""

from lib.needs import needs
from lib.pgwire import ServerError
from lib.values import MEMBERS

# A type, values of it that are equal, how they are written when they are one, and one that is another.
EQUAL = {
    "citext": (["'Tea'", "'TEA'", "'tea'"], "tea", "'Ale'"), "folding": (["'Tea'", "'tea'"], "tea", "'Ale'"), "spaced": (["'Tea'", "'Tea  '"], "Tea", "'tea'"),
    "char(5)": (["'Tea'", "'Tea  '"], "Tea", "'tea'"), "bpchar": (["'Tea'", "'Tea '"], "Tea", "'tea'"), "numeric": (["5", "5.00", "'5e0'"], "5", "5.01"),
    "exact": (["5", "5.00"], "5", "6"), "float8": (["0.1", "1e-1"], "0.1", "'-infinity'"), "float4": (["0", "'-0'"], "0", "'nan'"), "uuid": (["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'{a0eebc999c0b4ef8bb6d6bb9bd380a11}'"],
    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "gen_random_uuid()"), "text": (["'Tea'"], "Tea", "'tea'"), "varchar": (["'Tea'"], "Tea", "'tea'"), "words": (["'Tea'"], "Tea", "'tea'"),
    "name": (["'Tea'"], "Tea", "'tea'"), "\"char\"": (["'T'"], "T", "'t'"), "drink": (["'tea'"], "tea", "'ale'"), "hot": (["'tea'"], "tea", "'ale'"), "boolean": (["'yes'", "true"], "true", "false"),
    "date": (["'2024-01-02'", "'20240102'"], "2024-01-02", "'2024-01-03'"), "timestamptz": (["'2024-01-02 12:00+00'", "'2024-01-02 13:00+01'"], "2024-01-02 12:00:00+00", "'infinity'"),
    "interval": (["'1 day'", "'24:00'"], "1 days", "'1 mon'"), "jsonb": (["'[1.0, 2]'", "'[1,2.00]'"], "[1, 2]", "'1'"),
    "smallint": (["5"], "5", "6"), "integer": (["5"], "5", "6"), "bigint": (["9007199254740993"], "9007199254740993", "9007199254740992"), "oid": (["5"], "5", "6"),
}
TYPES = """
    CREATE EXTENSION IF NOT EXISTS citext; CREATE DOMAIN folding AS citext; CREATE DOMAIN spaced AS char(6); CREATE DOMAIN exact AS numeric(9, 3); CREATE DOMAIN words AS text;
    CREATE TYPE drink AS ENUM ('tea', 'ale'); CREATE DOMAIN hot AS drink
"""
# What one type alone does with its text is not read, and what reads it says so.
UNREAD = {"money": "'1'", "numrange": "'[1,2]'", "integer[]": "'{1}'", "bytea": "'x'", "customers": "ROW(1)"}


def test_equal_values_are_one(cluster):
    needs(cluster, "citext")
    with cluster.connect() as session:
        session.query(TYPES)
        for type_name, (equal, written, other) in EQUAL.items():
            session.query("DROP TABLE IF EXISTS said; " + f"CREATE TABLE said (i serial, v {type_name}, y float8)")
            for value in [*equal, *equal, other]:
                session.query(f"INSERT INTO said (v, y) VALUES ({value}, {int(value is not other)})")
            n = 2 * len(equal)
            for cap in ("", ", 1"):
                names, counts = session.rows(f"SELECT persona.category_names(c)::text, persona.category_counts(c)::text FROM (SELECT persona.categories(v{cap}) AS c FROM said) s")[0]
                assert names.replace('"', "").startswith("{" + written + ",") and counts == f"{{{n},1}}", (type_name, names, counts)
            assert session.rows("SELECT persona.ordinal(c, v), persona.one_hot(c, v)::text, count(*) FROM said, (SELECT persona.categories(v) AS c FROM said) s GROUP BY 1, 2 ORDER BY 1"
                                ) == [(1, "{1,0}", n), (2, "{0,1}", 1)], type_name
            assert session.rows("SELECT persona.encode_target(e, v), count(*) FROM said, (SELECT persona.target_encoder(v, y) AS e FROM said) s GROUP BY 1 ORDER BY 1") == [(0.0, 1), (1.0, n)], type_name
            for function in ("fold(v, 1000)", "fold(v, 7, 3)", "keep(v, 0.5)", "keep(v, 0.3, 9)"):
                assert session.scalar(f"SELECT count(DISTINCT persona.{function}) FROM said WHERE y = 1") == 1, (type_name, function)
                # What a text or an untyped literal says is the same.
                assert session.scalar(f"SELECT bool_and(persona.{function} = persona.{function.replace('(v', f'({written!r}')} AND persona.{function} = persona.{function.replace('(v', f'({written!r}::text')}) FROM said WHERE y = 1"), (type_name, function)
            # The key of a row decides its fold, however it is written.
            folds = session.scalar("SELECT count(DISTINCT coalesce(persona.encode_target(e, 'x', v), -1)) FROM said, (SELECT persona.target_encoder('x', y, v) AS e FROM said) s WHERE y = 1")
            assert folds == 1, type_name
            assert session.rows(f"SELECT n, count(*) FROM (SELECT persona.copies(v) OVER (ORDER BY i) AS n FROM said) s GROUP BY n ORDER BY n") == [(1, n), (n, 1)], type_name


def test_equal_values_of_a_parallel_plan_are_one(cluster):
    needs(cluster, "citext")
    with cluster.connect() as session:
        session.query("""CREATE EXTENSION IF NOT EXISTS citext; CREATE TABLE many AS SELECT (CASE i % 2 WHEN 0 THEN 'Tea' ELSE 'tEA' END)::citext AS c, i * 1.50 AS n FROM generate_series(1, 50000) i;
            SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0""")
        assert session.scalar("SELECT persona.categories(c)::text FROM many") == '{"levels":[["tea",50000]],"max_levels":null}'
        assert session.scalar("SELECT count(DISTINCT persona.fold(c, 1000)) FROM many") == 1


def test_a_type_whose_text_a_setting_changes_is_refused(cluster):
    with cluster.connect() as session:
        session.query("CREATE TABLE IF NOT EXISTS customers (id integer)")
        for type_name, value in UNREAD.items():
            for call in ("categories({})", "categories({}, 2)", "target_encoder({}, 1)", "target_encoder('x', 1, {})", "fold({}, 5)", "keep({}, 0.5)", "one_hot(persona.categories('x'), {})", "ordinal(persona.categories('x'), {})",
                         "encode_target(persona.target_encoder('x', 1), {})"):
                try:
                    session.query(f"SELECT persona.{call.format(f'({value})::{type_name}')}")
                    raise AssertionError((type_name, call))
                except ServerError as error:
                    assert error.sqlstate == "42804" and "of type" in str(error), (type_name, call, error)


def test_a_parameter_without_a_type_is_a_text(cluster):
    """As a client sends one that does not say what it is."""
    with cluster.connect() as session:
        for number, (call, expected) in enumerate({"persona.fold($1, 7)": "persona.fold('Tea'::text, 7)", "persona.keep($1, 0.5)": "persona.keep('Tea'::text, 0.5)",
                                                   "persona.ordinal(persona.categories('Tea'::text), $1)": "1", "persona.one_hot(persona.categories('Tea'::text), $1)": "'{1}'::float8[]",
                                                   "persona.encode_target(persona.target_encoder('Tea'::text, 2), $1)": "2",
                                                   "persona.encode_target(persona.target_encoder('Tea'::text, 2, 'a'::text), 'Tea', $1)": "2"}.items()):
            for plan in ("force_custom_plan", "force_generic_plan"):
                session.query(f"SET plan_cache_mode = {plan}; PREPARE p{number} AS SELECT {call} = {expected}")
                assert session.scalar(f"EXECUTE p{number}('Tea')") is True, (call, plan)
                session.query("DEALLOCATE ALL")
        assert session.scalar("SELECT persona.fold(NULL, 5) IS NULL AND persona.keep(NULL, 0.5) IS NULL")


def test_no_function_of_one_value_is_taken_for_a_cast(cluster):
    """PostgreSQL reads name(value) as a cast where the name is a type's too, and no function is of just that type."""
    with cluster.connect() as session:
        taken = session.rows(f"""
            SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_type t ON t.typname = p.proname AND t.typnamespace = p.pronamespace
            WHERE p.oid IN ({MEMBERS}) AND p.pronargs - p.pronargdefaults <= 1 AND t.typtype <> 'c'
              -- Of arrays and rows: a text is none, and the type's input says so.
              AND p.proargtypes[0] NOT IN ('float8[]'::regtype, 'record'::regtype)""")
        assert not taken, taken
        for function in ("feature_stats", "feature_quantiles"):
            try:
                session.query(f"SELECT persona.{function}(x) FROM (VALUES ('spend'::varchar)) v (x)")
                raise AssertionError(function)
            except ServerError as error:
                assert error.sqlstate == "22P02" and f"persona.{function}" in error.message, error
