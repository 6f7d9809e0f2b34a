"""Composite types that are altered while a query runs, by a volatile function in it: rows of the old and of the new columns come to one call.

Such a row is read within its own length, or refused. Its columns may be anything: also numbers whose bytes look like a pointer to a value
that is kept elsewhere.
"""

import itertools

from lib import models, values
from lib.corpus import CLASSES
from lib.pgwire import ServerError

COLUMNS = ("spend", "visits", "city", "orders", "days")
# Types of a column, and a value.
KINDS = {
    "float8": "1.5", "bool": "true", "text": "'x'", "varchar": "repeat('y', 300)", "numeric": "12345678901234567890.5", "float8[]": "ARRAY[1, 2]::float8[]", "uuid": "gen_random_uuid()",
    # As text: a pointer to a toasted value, one to memory, and a header of a gigabyte.
    "bigint": "4609", "int8range": "int8range(257, 4609)", "timestamptz": "timestamptz '2000-01-01' + 257 * interval '1 microsecond'",
    "money": "(-4)::numeric::money",
}
WITH_RECORD = ["SELECT altered(i) AS r FROM generate_series(1, 5) AS i OFFSET 0",
               "SELECT made[i] AS r FROM (SELECT array_agg(built(i)) AS made FROM generate_series(1, 5) AS i OFFSET 0) a, generate_series(1, 5) AS i WHERE altering(i) OFFSET 0"]
MAKE = """
    DROP TYPE IF EXISTS shape CASCADE;
    CREATE TYPE shape AS ({columns});
    CREATE FUNCTION built(i integer) RETURNS shape LANGUAGE plpgsql VOLATILE AS $f$
    DECLARE r record;
    BEGIN EXECUTE 'SELECT ROW({values})::shape AS x' INTO r; RETURN r.x; END $f$;
    CREATE OR REPLACE FUNCTION altering(i integer) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $f$
    BEGIN IF i = 3 THEN EXECUTE $e$ {alter} $e$; END IF; RETURN true; END $f$;
    CREATE FUNCTION altered(i integer) RETURNS shape LANGUAGE plpgsql VOLATILE AS $f$
    DECLARE r record;
    BEGIN
        PERFORM altering(i);
        IF i < 3 THEN RETURN built(i); END IF;
        EXECUTE 'SELECT ROW({others})::shape AS x' INTO r;
        RETURN r.x;
    END $f$;
"""


def test_rows_of_a_type_that_is_altered_meanwhile_are_read_within_their_length(cluster):
    with cluster.connect() as session:
        models.make_models(session, 100, 40)
        values.make_samples(session, (40,))
        session.query("SET client_min_messages = error; SET statement_timeout = '20s'")
        statements = list(of_records(session))
        assert len(statements) > 30, len(statements)
        answered = refused = 0
        for (before, value), (after, other) in itertools.permutations(KINDS.items(), 2):
            alter = ", ".join(f"ALTER ATTRIBUTE {column} TYPE {after}" for column in COLUMNS)
            session.query(MAKE.format(columns=", ".join(f"{column} {before}" for column in COLUMNS), alter=f"ALTER TYPE shape {alter}",
                                      values=", ".join(escaped(value) for _ in COLUMNS), others=", ".join(escaped(other) for _ in COLUMNS)))
            for statement in statements:
                session.query("BEGIN")
                try:
                    session.query(statement)
                    answered += 1
                except ServerError as error:
                    assert error.sqlstate.startswith((*CLASSES, "XX001")), f"{before} to {after}: {statement}\n{error}"
                    refused += 1
                session.query("ROLLBACK")
    print(f"       {answered} answered, {refused} refused", flush=True)


def test_rows_of_the_new_columns_are_read_as_that(cluster):
    """With room enough in the old layout for none of the new rows, these are read by their own columns."""
    with cluster.connect() as session:
        # Not more: PostgreSQL 15.20 takes the third power of their number to alter them.
        many = [f"a{place}" for place in range(1, 241)]
        session.query(MAKE.format(columns=", ".join(f"{column} float8" for column in many), values=", ".join("1.0" for _ in many), others=", ".join("true" for _ in many),
                                  alter="ALTER TYPE shape " + ", ".join(f"ALTER ATTRIBUTE {column} TYPE bool" for column in many)))
        session.query("CREATE TABLE scaler AS SELECT persona.maxabs_scaler(v) AS s FROM (SELECT 4.0::float8 AS a60, 2.0::float8 AS a140, 1.0::float8 AS a220) v")
        found = session.rows("SELECT i, persona.scale(s, r)::text FROM (SELECT i, s, altered(i) AS r FROM generate_series(1, 5) AS i, scaler OFFSET 0) q")
        assert found == [(i, "{0.25,0.5,1}") for i in range(1, 6)], found


def escaped(value):
    return value.replace("'", "''")


def of_records(session):
    """Every function that takes a record, over rows of either making."""
    for signature, function, kind, is_set, _, types in session.rows(values.FUNCTIONS):
        types = (types or "").split("|")
        if "record" not in types or "internal" in types:
            continue
        names = ("'seg'", "'sco'") if types[0] == "text" else (None,)
        for name, rows in itertools.product(names, WITH_RECORD):
            arguments = [name or "NULL" if place == 0 and one == "text" else "r" if one == "record" else values.argument(one, 0, signature)
                         for place, one in enumerate(types)]
            yield values.statement(f"{function}({', '.join(arguments)})", kind, is_set, f"({rows}) AS q")
