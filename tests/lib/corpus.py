"""Odd values of every type, and calls made of them: each must give a value or an error of the caller's class."""

from lib import models
from lib.pgwire import ConnectionLost, ServerError

# What SQLSTATE a mistake in a call may have: data exception, integrity, syntax and access, limits, wrong state, not
# supported, a source that writes, no schema.
CLASSES = ("22", "23", "42", "54", "55", "0A", "25006", "3F000")

NUMBERS = ["NULL", "'NaN'", "'Infinity'", "'-Infinity'", "0", "-0.0", "1", "5e-324", "2.2e-308", "1e308", "-1e308", "1.7976931348623157e308", "1e-300"]
INTEGERS = ["NULL", "0", "1", "-1", "9223372036854775807", "-9223372036854775808"]
COUNTS = ["NULL", "0", "1", "-1", "2147483647", "-2147483648", "65536"]
TEXTS = ["NULL", "''", "' '", "'seg'", "'sco'", "'rec'", "'none such'", "'é'", "repeat('x', 300)", "E'a\\nb'", "'a\"b'", "'%s'", "'; DROP TABLE customers'"]
SOURCES = ["NULL", "''", "';'", "'customers'", "'none_such'", "'SELECT'", "'SELECT 1'", "'SELECT 1 AS id; SELECT 2'", "'DELETE FROM customers'",
           "'SELECT * FROM customers WHERE false'", "'WITH x AS (DELETE FROM customers RETURNING *) SELECT * FROM x'", "'SELECT 1 INTO t'",
           "'SELECT * FROM customers FOR UPDATE'", "'VALUES (1, 2.0), (2, 3.0)'", "'TABLE customers'", "'(SELECT * FROM customers)'", "'pg_class'",
           "'SELECT id, spend AS x, visits AS x FROM customers'", "'SELECT 1 AS id, 1/0 AS x'", "'SELECT $1'", "'SELECT id, NULL AS x FROM customers'",
           "'SELECT id, NULL::float8 AS x FROM customers'", "'SELECT NULL::bigint AS id, 1.0 AS x'", "'EXPLAIN SELECT 1'", "'SELECT count(*) AS id FROM customers'"]
ARRAYS = ["NULL", "'{}'", "'{NULL}'", "'{NULL,1}'", "'{1,2}'", "'{1,NaN}'", "'{Infinity,1}'", "'{1e308,-1e308}'", "'{5e-324,5e-324}'",
          "'{{1,2},{3,4}}'", "'[0:1]={1,2}'", "'{1,2,3}'", "(SELECT array_agg(i) FROM generate_series(1, 5000) i)"]
RECORDS = ["NULL", "ROW()", "ROW(1)", "ROW(1, 2)", "ROW(NULL, NULL)", "ROW('x', 'y')", "(SELECT c FROM customers c LIMIT 1)",
           "(SELECT s FROM (SELECT 1.0 AS spend, 2.0 AS visits, 'Delft'::text AS city) s)", "(SELECT s FROM (SELECT 1.0 AS spend) s)",
           "(SELECT s FROM (SELECT 'NaN'::float8 AS spend, 'Infinity'::float8 AS visits, 'Delft' AS city) s)",
           "(SELECT s FROM (SELECT 1e308::float8 AS spend, -1e308::float8 AS visits, NULL::text AS city) s)",
           "(SELECT s FROM (SELECT NULL::float8 AS spend, 5e-324::float8 AS visits, '' AS city) s)",
           "(SELECT s FROM (SELECT '{}'::jsonb AS spend, now() AS visits, 3 AS city) s)",
           "(SELECT s FROM (SELECT ARRAY[1, 2] AS spend, 2 AS visits, true AS city) s)",
           "(SELECT s FROM (SELECT 9223372036854775807 AS spend, (-9223372036854775808)::bigint AS visits, 'x' AS city) s)"]
TIMES = ["NULL", "'infinity'", "'-infinity'", "'epoch'", "'4713-01-01 BC'", "'294276-12-31'", "now()"]
BOOLEANS = ["NULL", "true", "false"]
NAMES = ["NULL", "'{}'", "'{NULL}'", "'{spend}'", "'{spend,spend}'", "'{none_such}'", "'{id}'", "'{city}'", "'{\"\"}'"]
OPTIONS = ["NULL", "'{}'", "'[]'", "'1'", "'null'", "'{\"seed\": -1}'", "'{\"seed\": 1e300}'", "'{\"n_init\": 0}'", "'{\"max_iterations\": -5}'",
           "'{\"scaling\": 3}'", "'{\"covariance\": 1}'", "'{\"regularization\": -1}'", "'{\"regularization\": 1e300}'", "'{\"regularization\": 0}'", "'{\"tolerance\": \"x\"}'", "'{\"tolerance\": -1}'", "'{\"what\": 1}'", "'{\"seed\": null}'", "'{\"seed\": 9223372036854775807}'"]
VALUES = ["NULL", "''", "'{}'", "'[]'", "'null'", "'1'", "'{\"n\": -1}'", "'{\"features\": []}'", "repeat('[', 10000)", "'{\"n\": 1e400}'", "'x'"]


# One odd column in a table of a hundred rows: its type and how its values are made from i.
COLUMNS = {
    "all NULL": ("float8", "NULL"), "some NULL": ("float8", "CASE WHEN i % 3 > 0 THEN i END"), "NaN": ("float8", "CASE i WHEN 7 THEN 'NaN'::float8 ELSE i END"),
    "infinity": ("float8", "CASE i WHEN 7 THEN 'Infinity'::float8 ELSE i END"), "constant": ("float8", "5"), "zero": ("float8", "0"),
    "denormal": ("float8", "i * 5e-324::float8"), "huge": ("float8", "(i - 50) * 1e306::float8"), "greatest": ("float8", "CASE WHEN i % 2 = 0 THEN 1.7976931348623157e308 ELSE -1.7976931348623157e308 END"),
    "tiny spread": ("float8", "1e15 + i % 2"), "int8 extremes": ("bigint", "CASE WHEN i % 2 = 0 THEN 9223372036854775807 ELSE -9223372036854775808 END"),
    "numeric": ("numeric", "CASE i WHEN 7 THEN 1e400 ELSE i END"), "numeric NaN": ("numeric", "CASE i WHEN 7 THEN 'NaN'::numeric ELSE i END"),
    "numeric tiny": ("numeric", "1e-400 * i"), "real": ("real", "i * 3e36"), "smallint": ("smallint", "CASE WHEN i % 2 = 0 THEN 32767 ELSE -32768 END"),
    "boolean": ("boolean", "i % 2 = 0"), "text": ("text", "'v' || i % 5"), "empty text": ("text", "''"), "long text": ("text", "repeat(i::text, 20000)"),
    "date": ("date", "CASE i WHEN 7 THEN 'infinity' ELSE date '2024-01-01' + i END"), "timestamp": ("timestamptz", "CASE i WHEN 7 THEN '-infinity' ELSE now() END"),
    "interval": ("interval", "i * interval '1 day'"), "money": ("money", "i::numeric::money"), "uuid": ("uuid", "md5(i::text)::uuid"), "jsonb": ("jsonb", "to_jsonb(i)"),
    "bytea": ("bytea", "decode('00ff', 'hex')"), "array": ("float8[]", "ARRAY[i, i * 2]"), "ragged array": ("float8[]", "array_fill(1.0::float8, ARRAY[i])"),
    "empty array": ("float8[]", "'{}'"), "array of NULL": ("float8[]", "ARRAY[NULL, i]"), "text array": ("text[]", "ARRAY['a']"), "composite": ("customers", "NULL"),
    "enum": ("mood", "'happy'"), "domain": ("positive", "i"), "char": ("char(8)", "'v' || i % 4"), "internal char": ("\"char\"", "'x'"), "name": ("name", "'n' || i % 4"),
    "oid": ("oid", "i"), "inet": ("inet", "'10.0.0.1'"), "range": ("int4range", "int4range(i, i + 1)"), "bit": ("bit(4)", "B'1010'"), "xid": ("xid", "'5'"),
}


def check_calls(cluster, calls, make=True):
    session = cluster.connect()
    if make:
        models.make_models(session, 100, 40)
    wrong = []
    session.query("SET statement_timeout = '20s'; SET client_min_messages = error")
    for call in calls:
        # What a call did is taken back, so that each finds the same models.
        statement = f"SELECT {call}" if " OVER " in call or " FROM " in call or "ROW(" in call or call.startswith("(") else f"SELECT * FROM {call}"
        try:
            session.query("BEGIN")
            session.query(statement)
        except ServerError as error:
            if not error.sqlstate.startswith(CLASSES):
                wrong.append(f"{statement}: {error}")
        except ConnectionLost as lost:
            raise AssertionError(f"{statement}: {lost}\n" + "\n".join(wrong))
        session.query("ROLLBACK")
    session.close()
    assert not wrong, f"{len(wrong)} of {len(calls)}:\n" + "\n".join(wrong[:60])
