"""A column of the wrong type, or with a value that is none, in each argument that names one: the error says which column, why, and what to do."""

import re

from lib import models
from lib.corpus import CLASSES, COLUMNS
from lib.pgwire import ServerError

MORE = {"rows": ("pair", "ROW(i, i)::pair"), "timestamps": ("timestamp", "CASE i WHEN 7 THEN 'infinity' ELSE timestamp '2024-01-01' + i * interval '1 hour' END"),
        "timetz": ("timetz", "timetz '01:00+02' + i * interval '1 minute'"), "integers": ("integer[]", "ARRAY[i, 1]"), "dates": ("date[]", "ARRAY[current_date]"), "json": ("json", "to_json(i)"),
        "float NaN": ("float4", "CASE i WHEN 7 THEN 'NaN'::float4 ELSE i END")}
# Of each argument that names a column: a call in which it is c. Whether c is a feature there, and errors may say so.
CALLS = {
    "key of segments": ("fit_segments('seg_of', '{source}', 'c', 2, features => '{{n}}')", False), "key of labels": ("fit_segments('seg_of', '{source}', 'c', 2, features => '{{n}}', save_to => 'labels_of')", False),
    "weights of segments": ("fit_segments('seg_of', '{source}', 'i', 2, features => '{{n}}', weight_column => 'c')", False), "feature of segments": ("fit_segments('seg_of', '{source}', 'i', 2, features => '{{n,c}}')", True),
    "key of choose_k": ("choose_k('{source}', features => '{{n}}', key => 'c', k_max => 3)", False), "weights of choose_k": ("choose_k('{source}', features => '{{n}}', weight_column => 'c', k_max => 3)", False),
    "target": ("fit_scorer('sco_of', '{source}', 'c', features => '{{n}}')", False), "key of a scorer": ("fit_scorer('sco_of', '{source}', 'y', features => '{{n}}', key => 'c')", False),
    "holdout": ("fit_scorer('sco_of', '{source}', 'y', features => '{{n}}', holdout_column => 'c')", False), "feature of a scorer": ("fit_scorer('sco_of', '{source}', 'y', features => '{{n,c}}')", True),
    "target of evaluate": ("evaluate('sco_n', '{source}', 'c')", False), "user": ("fit_recommender('rec_of', '{source}', 'c', 'n')", False), "item": ("fit_recommender('rec_of', '{source}', 'i', 'c')", False),
    "weight": ("fit_recommender('rec_of', '{source}', 'i', 'n', weight_column => 'c')", False), "time": ("fit_recommender('rec_of', '{source}', 'i', 'n', time_column => 'c')", False),
    "user of evaluate": ("evaluate_recommender('rec_n', '{source}', 'c', 'n')", False), "item of evaluate": ("evaluate_recommender('rec_n', '{source}', 'i', 'c')", False),
    "weight of evaluate": ("evaluate_recommender('rec_n', '{source}', 'i', 'n', weight_column => 'c')", False), "key of a publication": ("publish('sco_n', 'published_of', '{source}', 'c')", False),
}
# The column, or what it is to the call: of a fit there is one target, and of each row one weight.
NAMED = re.compile(r'"c(\[\d+\])?"|the target|weight|no interactions|\(c\)=|published_of|labels_of')


def test_a_wrong_column_is_named_with_what_to_do(cluster):
    with cluster.connect() as session:
        models.make_data(session, 100, 40)
        session.query("CREATE TYPE mood AS ENUM ('happy', 'sad'); CREATE DOMAIN positive AS integer CHECK (value > 0); CREATE TYPE pair AS (a integer, b integer); CREATE TABLE good AS SELECT i, i % 7 AS n, i * 7 % 11 % 2 AS y FROM generate_series(1, 100) i;"
                      "SELECT FROM persona.fit_scorer('sco_n', 'SELECT n, y FROM good', 'y'); SELECT FROM persona.fit_recommender('rec_n', 'good', 'i', 'n', holdout => 0)")
        session.query("SET client_min_messages = error; SET statement_timeout = '20s'")
        wrong, refused = [], 0
        for number, (name, (type_name, made)) in enumerate((COLUMNS | MORE).items()):
            session.query(f"CREATE TABLE column_{number} AS SELECT i, i % 7 AS n, i * 7 % 11 % 2 AS y, ({made})::{type_name} AS c FROM generate_series(1, 100) i")
            for argument, (call, is_feature) in CALLS.items():
                session.query("BEGIN")
                try:
                    session.query(f"SELECT FROM persona.{call.format(source=f'column_{number}')}")
                except ServerError as error:
                    refused += 1
                    # An error of PostgreSQL's own, as of a key that is there twice, has a detail and no hint.
                    says = (bool(NAMED.search(error.message)), bool(error.hint or error.detail), not (error.hint or "").endswith(" ."),
                            is_feature or "eature" not in error.message + (error.hint or ""), error.sqlstate.startswith(CLASSES))
                    if not all(says):
                        wrong.append(f"{argument} of {name} {says}: {error}".replace("\n", " / "))
                session.query("ROLLBACK")
        assert refused > 200, refused
        assert not wrong, f"{len(wrong)} of {refused}:\n" + "\n".join(wrong[:80])


def test_what_a_column_holds_is_told_as_it_is(cluster):
    """The errors of odd columns, word for word where a word was wrong."""
    with cluster.connect() as session:
        session.query("""CREATE TABLE odd AS SELECT i, i % 7 AS n, i % 2 AS y, true AS yes, i % 3 = 0 AS some, ARRAY[now()] AS times, ARRAY[i] AS numbers, CASE i WHEN 7 THEN '-infinity' ELSE now() END AS at,
                CASE i WHEN 7 THEN 'NaN'::float8 ELSE i END AS hours, CASE i WHEN 7 THEN 'Infinity'::numeric ELSE i END AS paid, nullif(i, 7) AS id, to_json(i) AS j FROM generate_series(1, 60) i;
            SELECT FROM persona.fit_scorer('odd', 'SELECT n, y FROM odd', 'y'); SELECT FROM persona.fit_recommender('odd_items', 'odd', 'i', 'n', holdout => 0)""")
        items = "SELECT persona.fit_recommender('odd_items', 'odd', 'i', 'n', {})"
        for statement, sqlstate, message, hint in (
                (items.format("time_column => 'times'"), "42804", 'column "times" has type timestamp with time zone[], but a time or a number is needed', "dates"),
                (items.format("weight_column => 'numbers'"), "42804", 'column "numbers" has type integer[], but a number is needed', "Cast"),
                (items.format("time_column => 'at'"), "22023", 'column "at" of times has the value -infinity', "isfinite"),
                (items.format("time_column => 'hours'"), "22023", 'column "hours" of times has the value NaN', "leave such rows out"),
                (items.format("weight_column => 'paid'"), "22023", 'column "paid" of weights has the value Infinity', "finite"),
                ("SELECT persona.evaluate_recommender('odd_items', 'odd', weight_column => 'numbers')", "42804", 'column "numbers" has type integer[], but a number is needed', "Cast"),
                (items.format("weight_column => 'id'"), "22004", 'column "id" has a NULL', "IS NOT NULL"),
                ("SELECT persona.fit_scorer('odd', 'odd', 'hours', features => '{n}')", "22023", 'target "hours" has the value NaN', "two classes"),
                ("SELECT persona.fit_scorer('odd', 'odd', 'y', features => '{at}')", "22023", 'feature "at" has the value -Infinity', "'-Infinity'"),
                ("SELECT persona.fit_scorer('odd', 'odd', 'y', features => '{n}', holdout_column => 'yes')", "22023", 'column "yes" holds out every row, so that none is left to learn from', "to hold out"),
                ("SELECT persona.fit_scorer('odd', 'odd', 'y', features => '{n}', holdout_column => 'numbers')", "42804", 'column "numbers" has type integer[], but boolean is needed', "to hold out"),
                ("SELECT persona.publish('odd_items', 'odd_offers', 'odd')", "22023", 'model "odd_items" is of kind recommender, of which the users that it knows are published', "Leave source out"),
                ("SELECT persona.publish('odd', 'odd_scores', 'odd')", "22004", 'argument "key" must not be NULL', "key => "),
                ("SELECT persona.publish('odd', 'odd_scores', 'odd', 'id')", "23502", 'column "id" of relation "odd_scores" contains null values', "without a key"),
                ("SELECT persona.publish('odd', 'odd_scores', 'odd', 'j')", "42804", "type json, of the key of table public.odd_scores, has no order", "to text")):
            error = session.error(statement)
            assert (error.sqlstate, error.message) == (sqlstate, message) and hint in (error.hint or ""), error
        # A table that is there says the same of a row without a key.
        session.query("SELECT persona.publish('odd', 'odd_scores', 'SELECT * FROM odd WHERE id IS NOT NULL', 'id')")
        error = session.error("SELECT persona.publish('odd', 'odd_scores', 'odd', 'id')")
        assert error.sqlstate == "23502" and "without a key" in (error.hint or ""), error
        # A recommender is published without its source.
        session.query("ALTER TABLE odd RENAME TO gone; SELECT persona.publish('odd_items', 'odd_offers'), persona.publish('odd_items', 'offers_of_whom', key => 'whom')")
        assert session.scalar("SELECT count(DISTINCT whom) FROM offers_of_whom") == 60
        assert session.scalar("SELECT pg_typeof(i)::text FROM odd_offers LIMIT 1") == "integer"


def test_a_described_value_is_written_as_its_type_is(cluster):
    with cluster.connect() as session:
        session.query("""CREATE TABLE described (passed interval, zoned timetz, paid money); INSERT INTO described VALUES ('-1 month', '00:00:01+14', '-12.34'), ('400 days 04:05:06.789', '23:00-11', '92233720368547758.07'),
            ('100000000 years', '12:00:00.5+05:30', '0.01'), (NULL, '24:00', '12345678901234.56')""")
        described = "SELECT min_text, max_text FROM persona.describe('SELECT * FROM described{}') WHERE column_name = '{}'"
        for style in ("iso_8601", "postgres"):
            session.query(f"SET IntervalStyle = {style}")
            for column, number in {"passed": "extract(epoch FROM {}::interval)", "paid": "{}::money::numeric"}.items():
                low, high = session.rows(described.format("", column))[0]
                # What is written is of the type again, and is the number that was read.
                assert session.scalar(f"SELECT {number.format(f'{low!r}')} = (SELECT min({number.format(column)}) FROM described) AND {number.format(f'{high!r}')} = (SELECT max({number.format(column)}) FROM described)"), (column, low, high)
        # A time is told apart by when it is in UTC: 23:00-11 is 24:00-10.
        assert session.rows(described.format(" WHERE passed < ''1000 days''", "passed")) == [("-30 days", "400 days 04:05:06.789")]
        assert session.rows(described.format(" WHERE zoned <> ''24:00'' ", "zoned")) == [("00:00:01+14", "24:00:00-10")]
        assert session.rows(described.format("", "paid")) == session.rows("SELECT min(paid)::text, max(paid)::text FROM described")
