"""Odd values through the functions that describe, encode, clean and follow customers: a value, or an error of the caller's class."""

from lib.corpus import COLUMNS, COUNTS, SOURCES, check_calls


def test_odd_sources_and_columns_are_described(cluster):
    calls = [f"persona.describe({source})" for source in SOURCES]
    calls += [f"persona.describe('customers', bins => {count}, top => {count})" for count in COUNTS]
    with cluster.connect() as session:
        session.query("CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN positive AS integer CHECK (VALUE > 0)")
        session.query("CREATE TABLE customers (id bigint, spend float8)")
        odd = [f"SELECT i AS id, ({value})::{type_name} AS z FROM generate_series(1, 100) AS i" for type_name, value in COLUMNS.values()]
        for query in odd:
            # A column of any type can be described.
            assert session.rows(f"SELECT n + nulls FROM persona.describe($q${query}$q$)") == [(100,), (100,)], query
        session.query("DROP TABLE customers; DROP TYPE mood; DROP DOMAIN positive")
    check_calls(cluster, calls)
